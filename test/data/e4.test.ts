import { assert, isNode, suite } from '../harness.ts';
import { COLOUR_ARTISTS, conceptsOf, GALLERY_ARTISTS, loadE4, TEST_ARTIST, TRAIN_ARTISTS } from '../../data/e4.ts';
import { captionsOf, fillTemplate, TEMPLATES } from '../../data/templates.ts';

const test = suite('data: set E4');

test('has the concepts, groups and artists of its definition', async () => {
  const e4 = await loadE4();
  assert.is(e4.concepts.length, 1594);
  assert.is(new Set(e4.concepts.map((c) => c.key)).size, 1594);
  assert.is(new Set(e4.concepts.map((c) => c.name)).size, 1594);
  assert.is(e4.concepts.filter((c) => c.group >= 3 && c.group <= 7).length, 853);
  assert.is(Object.keys(e4.subgroups).length, 95);
  assert.not.ok(2 in e4.groups);
  const drawn = Object.fromEntries([TEST_ARTIST, ...TRAIN_ARTISTS].map((artist) => [artist, conceptsOf(e4, artist).length]));
  assert.equal(drawn, {
    'fluent-emoji-flat': 1594,
    noto: 1594,
    twemoji: 1594,
    openmoji: 1594,
    'noto-v1': 1186,
    emojione: 1086,
    'emojione-v1': 926,
    'emojione-monotone': 1082,
  });
  e4.concepts.forEach((c, i) => {
    assert.is(c.index, i);
    assert.ok(e4.groups[c.group] && e4.subgroups[c.subgroup] && c.name, c.key);
    assert.match(c.key, /^[0-9a-f-]+$/);
    assert.not.match(c.key, /fe0f/);
  });
});

test('no artist of the test is trained on', () => {
  assert.not.ok(TRAIN_ARTISTS.includes(TEST_ARTIST));
  assert.not.ok(TRAIN_ARTISTS.some((artist) => artist.startsWith('fluent')));
  assert.is(COLOUR_ARTISTS.length, 6);
  assert.ok(GALLERY_ARTISTS.every((artist) => COLOUR_ARTISTS.includes(artist)));
});

test('299 unseen concepts, by SHA-256 of the key modulo 10', async () => {
  const e4 = await loadE4();
  assert.is(e4.concepts.filter((c) => c.unseen).length, 299);
  if (globalThis.crypto?.subtle === undefined) throw new Error('expected WebCrypto, got none (a page needs https or localhost)');
  for (const { key, unseen } of e4.concepts) {
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(key)));
    const rest = digest.reduce((sum, byte) => (sum * 256 + byte) % 10, 0); // the digest as one number, modulo 10
    assert.is(rest < 2, unseen, key);
  }
});

test.when(isNode, 'the npm packages are read from disk', 'the committed list is what the installed packages give', async () => {
  const { execFileSync } = await import('node:child_process');
  const { fileURLToPath } = await import('node:url');
  execFileSync(process.execPath, [fileURLToPath(new URL('../../../data/make_e4.mjs', import.meta.url)), '--check']);
});

test('templates put the name in, whatever it holds', () => {
  assert.is(TEMPLATES.length, 5);
  assert.is(fillTemplate(0, 'zebra'), 'zebra');
  assert.is(fillTemplate(1, '$& {name}'), 'a picture of $& {name}');
  assert.is(new Set(captionsOf('zebra')).size, 5);
  assert.throws(() => fillTemplate(5, 'zebra'), /from 0 to 4, got 5/);
});

test.run();
