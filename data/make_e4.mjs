// Writes data/e4.json, the list of set E4, from the npm packages of the icon sets and emojibase-data.
//   node data/make_e4.mjs            writes the list
//   node data/make_e4.mjs --check    exit code 1 when the committed list is not what the packages give
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const TARGET = new URL('./e4.json', import.meta.url);

/** Artists whose package maps codepoints to icon names; a concept must be drawn by all four. */
const MAPPED = ['noto', 'twemoji', 'openmoji', 'fluent-emoji-flat'];
/** Artists without such a map: found by the name that noto uses, its aliases, or the slug of the official name. */
const NAMED = ['noto-v1', 'emojione', 'emojione-v1', 'emojione-monotone'];
const COMPONENTS = 2; // the group of skin tones and hair, not pictures of things

const icons = (artist, file) => require(`@iconify-json/${artist}/${file}.json`);

/** Key of a concept: lower-case hexcode without the variation selector. */
function keyOf(hexcode) {
  return hexcode.toLowerCase().replaceAll('-fe0f', '');
}

/**
 * The split of unseen concepts: the SHA-256 of the key (its UTF-8 bytes), read as one big-endian integer of 256 bits
 * (the hexadecimal digest as a number), modulo 10, is 0 or 1.
 */
function isUnseen(key) {
  const digest = createHash('sha256').update(key, 'utf8').digest('hex');
  return BigInt(`0x${digest}`) % 10n < 2n;
}

function slugOf(label) {
  return label
    .normalize('NFD')
    .replace(/[\u0300-\u036f]/g, '')
    .toLowerCase()
    .replaceAll('&', 'and')
    .replace(/[’'“”.()!:,]/g, '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
}

/** Names under which an artist without a codepoint map may keep a concept, most trusted first. */
function namesOf(key, label, noto, notoChars, aliasesOf) {
  const name = notoChars[key];
  const parent = noto.aliases?.[name]?.parent;
  const names = [name, parent, ...(aliasesOf.get(name) ?? []), ...(aliasesOf.get(parent) ?? []), slugOf(label)];
  return [...new Set(names.filter(Boolean))];
}

function groupNames(table, used) {
  return Object.fromEntries(Object.entries(table).filter(([id]) => used.has(Number(id))));
}

function makeList() {
  const chars = new Map(MAPPED.map((artist) => [artist, icons(artist, 'chars')]));
  const noto = icons('noto', 'icons');
  const aliasesOf = new Map();
  for (const [alias, { parent }] of Object.entries(noto.aliases ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))) {
    aliasesOf.set(parent, [...(aliasesOf.get(parent) ?? []), alias]);
  }
  const known = new Map(
    NAMED.map((artist) => {
      const set = icons(artist, 'icons');
      return [artist, new Set([...Object.keys(set.icons), ...Object.keys(set.aliases ?? {})])];
    }),
  );
  const concepts = [];
  for (const entry of require('emojibase-data/en/data.json')) {
    if (entry.group === undefined || entry.group === COMPONENTS) continue;
    const key = keyOf(entry.hexcode);
    if (!MAPPED.every((artist) => Object.hasOwn(chars.get(artist), key))) continue;
    const names = namesOf(key, entry.label, noto, chars.get('noto'), aliasesOf);
    concepts.push({
      key,
      name: entry.label,
      group: entry.group,
      subgroup: entry.subgroup,
      unseen: isUnseen(key),
      tags: entry.tags ?? [],
      icons: Object.fromEntries([
        ...MAPPED.map((artist) => [artist, chars.get(artist)[key]]),
        ...NAMED.map((artist) => [artist, names.find((name) => known.get(artist).has(name))]).filter(([, name]) => name),
      ]),
    });
  }
  const meta = require('emojibase-data/meta/groups.json');
  const packages = [...[...MAPPED, ...NAMED].map((artist) => `@iconify-json/${artist}`), 'emojibase-data'];
  return {
    versions: Object.fromEntries(packages.map((name) => [name, require(`${name}/package.json`).version])),
    groups: groupNames(meta.groups, new Set(concepts.map((c) => c.group))),
    subgroups: groupNames(meta.subgroups, new Set(concepts.map((c) => c.subgroup))),
    concepts,
  };
}

/** JSON with one concept a line, so that a change of the list reads well in a diff. */
function format({ concepts, ...rest }) {
  const head = JSON.stringify(rest, null, 1).replace(/\n}$/, '');
  return `${head},\n "concepts": [\n${concepts.map((c) => JSON.stringify(c)).join(',\n')}\n]}\n`;
}

const text = format(makeList());
if (process.argv.includes('--check')) {
  if (readFileSync(TARGET, 'utf8') !== text) {
    console.error('data/e4.json is not what the installed packages give: run node data/make_e4.mjs');
    process.exit(1);
  }
} else {
  writeFileSync(TARGET, text);
  console.log(`data/e4.json: ${(text.length / 1024).toFixed(0)} KiB`);
}
