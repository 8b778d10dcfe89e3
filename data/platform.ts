import { DataError } from './errors.ts';

/** True in Node. The only platform test of this folder. */
export const IS_NODE = typeof process !== 'undefined' && typeof process.versions?.node === 'string';

/**
 * Finds a committed file of this folder. The compiled module lies in `<root>/<outDir>/data`, the file in `<root>/data`.
 * @param file name inside `data/`
 * @returns where it may be, best first
 */
function candidates(file: string): URL[] {
  return [new URL(`../../data/${file}`, import.meta.url), new URL(`./${file}`, import.meta.url)];
}

/**
 * Reads and parses a committed JSON file of this folder, from disk in Node and with `fetch` elsewhere.
 * @param file name inside `data/`
 * @returns what `JSON.parse` gives
 * @throws DataError when it is not there or not JSON
 */
export async function readOwnJson(file: string): Promise<unknown> {
  const tried: string[] = [];
  for (const url of candidates(file)) {
    const text = await readText(url);
    if (text === undefined) {
      tried.push(url.href);
      continue;
    }
    try {
      return JSON.parse(text) as unknown;
    } catch (cause) {
      throw new DataError(`data/${file}`, `expected JSON, got a text that does not parse (${url.href})`, cause);
    }
  }
  throw new DataError(`data/${file}`, `expected the file in the package, found none (tried ${tried.join(', ')})`);
}

async function readText(url: URL): Promise<string | undefined> {
  if (IS_NODE && url.protocol === 'file:') {
    const { readFile } = await import('node:fs/promises');
    return readFile(url, 'utf8').catch(() => undefined);
  }
  const answer = await fetch(url);
  return answer.ok ? answer.text() : undefined;
}

/** The version of `sharp` that is tested. */
export const SHARP_VERSION = '0.35.5';

/**
 * Imports `sharp`, which is an optional package: only picture files and icon sets in Node need it.
 * @param where who needs it, for the message
 * @returns the function `sharp`
 * @throws DataError that names the package when it cannot be loaded
 */
export async function importSharp(where: string): Promise<typeof import('sharp').default> {
  if (!IS_NODE) throw new DataError(where, 'needs Node (the package sharp does not run in a browser)');
  try {
    return (await import('sharp')).default;
  } catch (cause) {
    throw new DataError(where, `needs the npm package sharp, which could not be loaded (run: npm install sharp@${SHARP_VERSION})`, cause);
  }
}
