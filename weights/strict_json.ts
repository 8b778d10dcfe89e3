// JSON files that lie beside weights, parsed into values: no key twice, no deep nesting, no more values than a real file has. JSON.parse keeps
// the last of two equal keys, so two readers could see two models; and 60 MB of `[[],[],…` become a gigabyte of empty arrays.

import { quote, reason, WeightError } from './error.ts';
import { JsonScanner } from './json_scanner.ts';
import { checkUtf8 } from './utf8.ts';

/** Most characters of a file of settings; those in use have at most 400 KiB (label names). */
export const SETTINGS_LIMIT = 4 * 1024 * 1024;
/** Most objects and arrays of a large file; the largest tokenizer.json in use has 521,000. */
const CONTAINER_LIMIT = 2_000_000;
const DEPTH_LIMIT = 64;

/**
 * Parses a file of settings.
 *
 * @param text the whole text
 * @param where what it is, for messages
 * @returns the value
 * @throws WeightError `text-too-large`, `duplicate-field`, and the faults of the grammar
 */
export function parseSettings(text: string, where: string): unknown {
  if (text.length > SETTINGS_LIMIT) throw new WeightError('text-too-large', `${where}: ${text.length} characters, limit ${SETTINGS_LIMIT}`);
  const bytes = new TextEncoder().encode(text);
  checkUtf8(bytes, where);
  const scanner = new JsonScanner(bytes, where);
  checkValue(scanner, 0);
  scanner.end();
  return JSON.parse(text);
}

function checkValue(scanner: JsonScanner, depth: number): void {
  if (depth > DEPTH_LIMIT) scanner.fail('json-depth', `more than ${DEPTH_LIMIT} levels`);
  const code = scanner.peek();
  if (code === 0x5b) return scanner.array('json-syntax', 'value', () => checkValue(scanner, depth + 1));
  if (code !== 0x7b) return scanner.skip();
  const seen = new Set<string>();
  scanner.object('json-syntax', 'value', (key) => {
    if (seen.has(key)) scanner.fail('duplicate-field', `the field ${quote(key)} appears twice`);
    seen.add(key);
    checkValue(scanner, depth + 1);
  });
}

/**
 * Parses a large file, such as a tokenizer.json, after a look at how much it would become.
 *
 * @param text the whole text
 * @param where what it is, for messages
 * @returns the value
 * @throws WeightError `json-syntax`, `json-depth`, `text-too-large`
 */
export function parseLarge(text: string, where: string): unknown {
  let depth = 0;
  let containers = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x22) i = endOfString(text, i + 1);
    else if (code === 0x5b || code === 0x7b) {
      if (++depth > DEPTH_LIMIT) throw new WeightError('json-depth', `${where}: more than ${DEPTH_LIMIT} levels`);
      if (++containers > CONTAINER_LIMIT) throw new WeightError('text-too-large', `${where}: more than ${CONTAINER_LIMIT} objects and lists`);
    } else if (code === 0x5d || code === 0x7d) depth--;
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new WeightError('json-syntax', `${where}: ${reason(error)}`, error);
  }
}

/** Place of the closing quote. */
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start); at >= 0; at = text.indexOf('"', at + 1)) {
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === 0x5c) slashes++;
    if (slashes % 2 === 0) return at;
  }
  return text.length;
}
