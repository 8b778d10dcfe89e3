// Which files the page consists of, by address: nothing else is served. Node only.
import { createHash } from 'node:crypto';
import { readFile, readdir, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CliError } from '../errors.ts';

const COMPILED = dirname(dirname(dirname(fileURLToPath(import.meta.url)))); // dist
const ROOT = dirname(COMPILED);

/** Names that modules import without an address, and where the page finds them. A module worker has no import map, so the names are written over as files are served. */
const PACKAGES: Readonly<Record<string, { address: string; file: string }>> = {
  '@huggingface/tokenizers': { address: '/vendor/tokenizers.mjs', file: 'tokenizers.min.mjs' },
  mediabunny: { address: '/vendor/mediabunny.mjs', file: 'mediabunny.min.mjs' },
};

/** Larger files of a model are not kept for the time without a network. */
const MOST_OFFLINE_BYTES = 268_435_456;

const PAGE_FILES = ['index.html', 'style.css', 'icon.svg', 'manifest.webmanifest'];
const ENTRIES = ['/dist/app/web/page.js', '/dist/app/web/worker.js'];
const SPECIFIER = /(\bfrom\s*|\bimport\s*\(\s*|\bimport\s+)(['"])([^'"\n]+)\2/g;

/** One file of the site. */
export interface SiteFile {
  type: string;
  /** Where it lies, for files that are sent as they are. */
  path?: string;
  /** What is sent in its place. */
  bytes?: Uint8Array;
}

/** The site: address → file. */
export interface Site {
  files: Map<string, SiteFile>;
  /** SHA-256 over every byte (over size and time of large files), 16 digits: names the offline cache. */
  version: string;
  /** Names of the model's files, relative to `/model/`. */
  model: string[];
}

const TYPES: Readonly<Record<string, string>> = { html: 'text/html; charset=utf-8', css: 'text/css; charset=utf-8', js: 'text/javascript; charset=utf-8', mjs: 'text/javascript; charset=utf-8', svg: 'image/svg+xml', json: 'application/json', webmanifest: 'application/manifest+json' };
const typeOf = (name: string): string => TYPES[name.split('.').pop()!] ?? 'application/octet-stream';

/** Writes addresses in place of package names. */
const withAddresses = (text: string): string => text.replace(SPECIFIER, (whole, before: string, quote: string, to: string) => (PACKAGES[to] ? `${before}${quote}${PACKAGES[to].address}${quote}` : whole));

/** Follows the imports of the page and its worker. */
async function modules(files: Map<string, SiteFile>): Promise<void> {
  const open = [...ENTRIES];
  for (let address = open.pop(); address !== undefined; address = open.pop()) {
    if (files.has(address)) continue;
    const text = await readFile(join(COMPILED, address.slice('/dist/'.length)), 'utf8').catch(() => {
      throw new CliError(`web: ${address} is missing, expected the compiled page (run: npm run build)`);
    });
    files.set(address, { type: typeOf(address), bytes: new TextEncoder().encode(withAddresses(text)) });
    for (const [, , , to] of text.matchAll(SPECIFIER)) if (to!.startsWith('.')) open.push(posix.join(posix.dirname(address), to!));
  }
}

/** A package's file beside the one that `import` finds. */
async function packageFile(name: string, file: string): Promise<string> {
  try {
    const entry = createRequire(import.meta.url).resolve(name);
    const root = entry.slice(0, entry.lastIndexOf(join('node_modules', name)) + join('node_modules', name).length);
    for (const folder of ['dist/bundles', 'dist']) if ((await readdir(join(root, folder)).catch(() => [] as string[])).includes(file)) return join(root, folder, file);
  } catch {
    // told below
  }
  throw new CliError(`web: the npm package ${name} is missing, expected it to be installed (run: npm install ${name})`);
}

async function tree(folder: string, below = ''): Promise<string[]> {
  const entries = await readdir(join(folder, below), { withFileTypes: true }).catch(() => []);
  return (await Promise.all(entries.filter(e => /^[\w][\w.-]*$/.test(e.name)).map(async e => (e.isDirectory() ? tree(folder, posix.join(below, e.name)) : e.isFile() ? [posix.join(below, e.name)] : [])))).flat().sort();
}

/**
 * Collects the site.
 * @param model checkpoint folder
 * @returns every file by address @throws CliError when the page is not built, or the folder is no checkpoint
 */
export async function collectSite(model: string): Promise<Site> {
  const files = new Map<string, SiteFile>();
  const own = join(ROOT, 'app', 'web');
  for (const name of PAGE_FILES) files.set(name === 'index.html' ? '/' : `/${name}`, { type: typeOf(name), path: join(own, name) });
  for (const name of (await tree(join(own, 'samples'))).filter(n => n.endsWith('.svg'))) files.set(`/samples/${name}`, { type: typeOf(name), path: join(own, 'samples', name) });
  await modules(files);
  for (const [name, { address, file }] of Object.entries(PACKAGES)) files.set(address, { type: typeOf(address), path: await packageFile(name, file) });
  files.set('/data/e4.json', { type: typeOf('e4.json'), path: join(ROOT, 'data', 'e4.json') });
  const names = (await tree(model)).filter(n => /\.(json|safetensors)$/.test(n));
  if (!names.includes('config.json')) throw new CliError(`web: ${model} holds no config.json, expected a checkpoint folder`);
  for (const name of names) files.set(`/model/${name}`, { type: typeOf(name), path: join(model, name) });
  const offline = new TextEncoder().encode((await readFile(join(COMPILED, 'app', 'web', 'offline.js'), 'utf8')).replace(/^export \{\};?\s*$/m, '')); // a plain script: not every browser takes modules here
  const hash = createHash('sha256').update(offline); // another way of keeping files is another version
  const kept: string[] = [];
  for (const [address, file] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const about = file.path === undefined ? undefined : await stat(file.path);
    const large = (about?.size ?? 0) > MOST_OFFLINE_BYTES;
    if (!large) kept.push(address);
    hash.update(`${address}\0`).update(large ? `${about!.size} ${about!.mtimeMs}` : (file.bytes ?? (await readFile(file.path!))));
  }
  const version = hash.digest('hex').slice(0, 16);
  files.set('/files.json', { type: typeOf('files.json'), bytes: new TextEncoder().encode(JSON.stringify({ version, model: names, files: kept })) });
  files.set('/offline.js', { type: typeOf('offline.js'), bytes: offline });
  return { files, version, model: names };
}
