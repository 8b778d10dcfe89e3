// Strict UTF-8: what one reader decodes and another replaces would be two names for one tensor.

import { WeightError } from './error.ts';

const DECODE_CHUNK = 64 * 1024;

/**
 * Decodes UTF-8 strictly.
 *
 * @param bytes untrusted bytes
 * @param where what they are, for the message
 * @returns the text, a leading byte-order mark refused
 * @throws WeightError `utf8` (also overlong forms and encoded surrogates), `bom`
 */
export function decodeText(bytes: Uint8Array, where: string): string {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes); // the defaults replace bad bytes and hide a BOM
  } catch (error) {
    throw new WeightError('utf8', `${where}: the text is not valid UTF-8`, error);
  }
  if (text.charCodeAt(0) === 0xfeff) throw new WeightError('bom', `${where}: the text begins with a byte-order mark, expected {`);
  return text;
}

/**
 * The checks of {@link decodeText} without the text.
 *
 * @param bytes untrusted bytes
 * @param where what they are, for the message
 * @throws WeightError `utf8`, `bom`
 */
export function checkUtf8(bytes: Uint8Array, where: string): void {
  if (isAscii(bytes)) return;
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  try {
    for (let at = 0; at < bytes.length; at += DECODE_CHUNK) decoder.decode(bytes.subarray(at, at + DECODE_CHUNK), { stream: true });
    decoder.decode();
  } catch (error) {
    throw new WeightError('utf8', `${where}: the text is not valid UTF-8`, error);
  }
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) throw new WeightError('bom', `${where}: the text begins with a byte-order mark, expected {`);
}

function isAscii(bytes: Uint8Array): boolean {
  let bits = 0;
  const words = bytes.byteOffset % 4 === 0 ? new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2) : new Uint32Array(0);
  for (let i = 0; i < words.length; i++) bits |= words[i]!;
  for (let i = words.length * 4; i < bytes.length; i++) bits |= bytes[i]!;
  return (bits & 0x80808080) === 0;
}
