// Bytes by range, wherever they live: a file, a URL, a Blob or memory. The only place that asks which platform this is.
// Files are read by position in chunks: fs.openAsBlob wraps sizes at 4 GiB and FileHandle.read of 2 GiB or more aborts
// the process (Node 20, 22 and 24 alike).

import type { FileHandle } from 'node:fs/promises';
import { CheckedSource, type ByteSource, type SourceOptions } from './byte_source.ts';
import { quote, reason, WeightError } from './error.ts';
import { openUrl } from './url_source.ts';

export type { ByteSource, SourceOptions };

const CHUNK_BYTES = 256 * 1024 * 1024;

/** True under Node (also when a script there has defined `window` or `document`). */
export const isNode: boolean = typeof process !== 'undefined' && typeof process.versions === 'object' && typeof process.versions.node === 'string';

/** What {@link openSource} takes: a path or http(s) URL as text, a URL, a Blob or File, bytes, or a source. */
export type SourceInput = string | URL | Blob | ArrayBuffer | ArrayBufferView | ByteSource;

/**
 * Opens anything that holds bytes.
 *
 * @param input path, URL, Blob, File, ArrayBuffer, typed array (its own window only), or a source, which is returned as it is
 * @param options how to reach it
 * @returns the source; close it after use
 * @throws WeightError `source-missing`, `source-type`, `io`, `http-…`
 */
export async function openSource(input: SourceInput, options: SourceOptions = {}): Promise<ByteSource> {
  if (typeof input === 'string' || input instanceof URL) {
    const source = await openPlace(resolvePlace(input), options);
    if (source === undefined) throw new WeightError('source-missing', `openSource: ${quote(String(input))} does not exist`);
    return source;
  }
  if (input instanceof Blob) return blobSource(input, 'name' in input && typeof input.name === 'string' ? input.name : 'blob');
  if (input instanceof ArrayBuffer) return memorySource(new Uint8Array(input), 'bytes');
  if (ArrayBuffer.isView(input)) return memorySource(new Uint8Array(input.buffer, input.byteOffset, input.byteLength), 'bytes');
  if (typeof input === 'object' && input !== null && typeof input.read === 'function') return input;
  throw new WeightError('source-type', 'openSource: expected a path, URL, Blob, ArrayBuffer, typed array or ByteSource');
}

/**
 * Tells a path from a URL. Relative text is a path in Node and relative to the page in a browser.
 *
 * @param input untrusted text, or a URL
 * @returns a URL for http(s), else a file path (Node only)
 * @throws WeightError `source-type`
 */
export function resolvePlace(input: string | URL): URL | string {
  if (typeof input === 'string' && isNode && !/^(?:https?|file):\/\//i.test(input)) return input;
  let url: URL;
  try {
    url = new URL(input, isNode ? undefined : typeof document === 'undefined' ? location.href : document.baseURI);
  } catch (error) {
    throw new WeightError('source-type', `openSource: ${quote(String(input))} is no URL`, error);
  }
  if (url.protocol === 'http:' || url.protocol === 'https:') return url;
  if (isNode && url.protocol === 'file:' && url.host === '') return decodeFilePath(url);
  throw new WeightError('source-type', `openSource: ${quote(String(input))} has the scheme ${quote(url.protocol)}, expected http, https or a file`);
}

/** The path of a file URL (node:url's fileURLToPath, without an import that a browser would stumble over). */
function decodeFilePath(url: URL): string {
  if (/%2f|%5c|%00/i.test(url.pathname)) throw new WeightError('source-type', `openSource: ${quote(url.href)} hides a separator or NUL in its path`);
  const path = decodeURIComponent(url.pathname);
  return /^\/[A-Za-z]:/.test(path) ? path.slice(1) : path; // /C:/… on Windows
}

/**
 * Opens what {@link resolvePlace} gave.
 *
 * @param place URL or file path
 * @param options how to reach it
 * @returns the source, undefined when there is no such file
 * @throws WeightError
 */
export async function openPlace(place: URL | string, options: SourceOptions): Promise<ByteSource | undefined> {
  return typeof place === 'string' ? openFile(place) : openUrl(place, options);
}

/**
 * A piece of memory as a source. Reads copy, so what a caller does with a tensor never reaches the original.
 *
 * @param bytes the bytes
 * @param name for messages
 * @returns the source
 */
export function memorySource(bytes: Uint8Array, name: string): ByteSource {
  return new CheckedSource(name, bytes.length, async (start, target) => { target.set(bytes.subarray(start, start + target.length)); });
}

/**
 * A Blob or File as a source.
 *
 * @param blob the bytes, perhaps on disk
 * @param name for messages
 * @returns the source
 */
export function blobSource(blob: Blob, name: string): ByteSource {
  return new CheckedSource(name, blob.size, async (start, target) => {
    for (let done = 0; done < target.length; done += CHUNK_BYTES) {
      const length = Math.min(CHUNK_BYTES, target.length - done);
      const part = await blob.slice(start + done, start + done + length).arrayBuffer();
      if (part.byteLength !== length) throw new WeightError('source-truncated', `${name}: ${part.byteLength} bytes at ${start + done}, expected ${length}`);
      target.set(new Uint8Array(part), done);
    }
  });
}

/**
 * Opens a regular file by position.
 *
 * @param path any path
 * @returns the source, undefined when there is no such file
 * @throws WeightError `node-only`, `io`, `source-type` for a folder, pipe or device
 */
export async function openFile(path: string): Promise<ByteSource | undefined> {
  if (!isNode) throw new WeightError('node-only', `openSource: ${quote(path)} is a file path, and a page has no files`);
  if (path.includes('\0')) throw new WeightError('name-unsafe', `openSource: ${quote(path)} holds a NUL`);
  const { open, stat } = await import('node:fs/promises');
  let handle: FileHandle | undefined;
  try {
    if (!(await stat(path)).isFile()) throw new WeightError('source-type', `openSource: ${path} is no regular file`); // before open: opening a pipe would wait for ever
    handle = await open(path, 'r');
    return fileSource(handle, path, (await handle.stat()).size);
  } catch (error) {
    await handle?.close();
    if (error instanceof WeightError) throw error;
    if (isMissing(error)) return undefined;
    throw new WeightError('io', `openSource: ${path}: ${reason(error)}`, error);
  }
}

function fileSource(handle: FileHandle, path: string, size: number): ByteSource {
  return new CheckedSource(path, size, async (start, target) => {
    for (let done = 0; done < target.length;) {
      const { bytesRead } = await handle.read(target, done, Math.min(CHUNK_BYTES, target.length - done), start + done);
      if (bytesRead === 0) throw new WeightError('source-truncated', `${path}: the file ends at ${start + done}, expected ${start + target.length} bytes (it shrank after it was opened)`);
      done += bytesRead;
    }
  }, () => handle.close());
}

/**
 * Tells a missing file from other trouble.
 *
 * @param error what a file system call threw
 * @returns true for ENOENT and ENOTDIR
 */
export function isMissing(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
