// Entries → the bytes of a safetensors file. Tensors are sorted by falling dtype width, then name, and the header is padded to a
// multiple of 8, so every tensor starts aligned to its element; the same entries always give the same bytes.

import { byteLength, DTYPE_BITS, isDtype, type Dtype } from './dtype.ts';
import { quote, reason, WeightError, type WeightErrorCode } from './error.ts';
import { checkTensorName, HEADER_LIMIT } from './header.ts';
import { LazyMap } from './lazy_map.ts';

/** One tensor to write. */
export interface TensorEntry {
  /** At most 4096 bytes of UTF-8, no control characters. */
  readonly name: string;
  readonly dtype: Dtype;
  /** Dims; [] is a scalar. */
  readonly shape: readonly number[];
  /** Little-endian elements, row-major. */
  readonly bytes: Uint8Array;
}

/** One tensor whose bytes may be made when their turn comes, so that a large model is never in memory whole. */
export interface LazyTensorEntry extends Omit<TensorEntry, 'bytes'> {
  /** Whole, or made when its turn comes, perhaps in pieces. */
  readonly bytes: Uint8Array | (() => Promise<Uint8Array> | AsyncIterable<Uint8Array>);
}

/** The file's `__metadata__`: strings only. */
export type Metadata = ReadonlyMap<string, string> | Readonly<Record<string, string>>;

/** A file's header, and what must follow it. */
export interface FileLayout<Entry> {
  /** Length prefix, JSON and padding. */
  readonly header: Uint8Array;
  /** The entries in file order. */
  readonly entries: readonly Entry[];
  /** Bytes of the whole file. */
  readonly totalBytes: number;
}

/**
 * Checks and sorts the entries and makes the header.
 *
 * @param entries any order
 * @param metadata strings by key
 * @returns header, order and total size
 * @throws WeightError `write-entry`, saying which entry and why
 */
export function layoutFile<Entry extends LazyTensorEntry>(entries: Iterable<Entry>, metadata: Metadata = {}): FileLayout<Entry> {
  const sorted = [...entries].sort((a, b) => DTYPE_BITS[b.dtype] - DTYPE_BITS[a.dtype] || compareCodePoints(a.name, b.name));
  const members: string[] = [];
  const strings = metadataText(metadata);
  if (strings !== undefined) members.push(`"__metadata__":${strings}`);
  const seen = new Set<string>();
  let offset = 0;
  for (const entry of sorted) {
    const size = checkEntry(entry, seen);
    members.push(`${JSON.stringify(entry.name)}:{"dtype":"${entry.dtype}","shape":[${entry.shape.join(',')}],"data_offsets":[${offset},${offset + size}]}`);
    offset += size;
  }
  const text = new TextEncoder().encode(`{${members.join(',')}}`);
  const length = Math.ceil(text.length / 8) * 8;
  if (length > HEADER_LIMIT) throw new WeightError('write-entry', `encodeSafetensors: the header takes ${length} bytes, limit ${HEADER_LIMIT}`);
  const header = new Uint8Array(8 + length).fill(0x20);
  header.set(text, 8);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  return { header, entries: sorted, totalBytes: header.length + offset };
}

/** Order of the UTF-8 bytes, as in the reference writer; JavaScript's own order differs beyond U+FFFF. */
function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    const xHigh = x >= 0xd800 && x <= 0xdfff;
    const yHigh = y >= 0xd800 && y <= 0xdfff;
    return xHigh === yHigh ? x - y : xHigh ? 1 : -1;
  }
  return a.length - b.length;
}

function metadataText(metadata: Metadata): string | undefined {
  const pairs: [string, unknown][] = metadata instanceof Map || metadata instanceof LazyMap ? [...metadata as ReadonlyMap<string, string>] : Object.entries(metadata);
  if (pairs.length === 0) return undefined;
  for (const [key, value] of pairs) {
    if (typeof value !== 'string') throw new WeightError('write-entry', `encodeSafetensors: metadata ${quote(key)} is a ${typeof value}, expected a string`);
    if (hasLoneSurrogate(key) || hasLoneSurrogate(value)) throw new WeightError('write-entry', `encodeSafetensors: metadata ${quote(key)} has a lone surrogate`);
  }
  pairs.sort(([a], [b]) => compareCodePoints(a, b));
  return `{${pairs.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`;
}

function hasLoneSurrogate(text: string): boolean {
  return /\p{Surrogate}/u.test(text);
}

/** @returns the entry's size in bytes */
function checkEntry({ name, dtype, shape, bytes }: LazyTensorEntry, seen: Set<string>): number {
  const refuse = (what: string): never => {
    throw new WeightError('write-entry', `encodeSafetensors: tensor ${quote(String(name))} ${what}`);
  };
  if (typeof name !== 'string') refuse('has a name that is no string');
  if (name === '__metadata__') refuse('has the name that the format keeps for metadata');
  if (hasLoneSurrogate(name)) refuse('has a lone surrogate in its name');
  checkTensorName({ fail: (_code: WeightErrorCode, what: string): never => { throw new WeightError('write-entry', `encodeSafetensors: ${what}`); } }, name);
  if (seen.has(name)) refuse('appears twice');
  seen.add(name);
  if (!isDtype(dtype)) refuse(`has the unknown dtype ${quote(String(dtype))}`);
  if (shape.length > 32) refuse('has more than 32 dims');
  for (const dim of shape) if (!Number.isSafeInteger(dim) || dim < 0) refuse(`has the dim ${dim}, expected an integer of at least 0`);
  let size = 0;
  try {
    size = byteLength(dtype, shape);
  } catch (error) {
    refuse(reason(error));
  }
  if (typeof bytes !== 'function') checkBytes(name, bytes, size);
  return size;
}

/**
 * Holds a tensor's bytes against its shape.
 *
 * @param name tensor name
 * @param bytes what is to be written
 * @param size bytes that dtype and shape take
 * @throws WeightError `write-entry`
 */
export function checkBytes(name: string, bytes: Uint8Array, size: number): void {
  if (!(bytes instanceof Uint8Array)) throw new WeightError('write-entry', `encodeSafetensors: tensor ${quote(name)} bytes are no Uint8Array (view a Float32Array with fromF32)`);
  if (bytes.length !== size) throw new WeightError('write-entry', `encodeSafetensors: tensor ${quote(name)} has ${bytes.length} bytes, its dtype and shape take ${size}`);
}

/**
 * A safetensors file as pieces: header first, then each tensor's own bytes, not copied.
 *
 * @param entries any order
 * @param metadata strings by key
 * @returns the pieces in order, and their total length in bytes
 * @throws WeightError `write-entry`
 */
export function encodeSafetensors(entries: Iterable<TensorEntry>, metadata: Metadata = {}): { chunks: Uint8Array[]; totalBytes: number } {
  const { header, entries: sorted, totalBytes } = layoutFile(entries, metadata);
  return { chunks: [header, ...sorted.map((entry) => entry.bytes)], totalBytes };
}

/**
 * A safetensors file as one array.
 *
 * @param entries any order
 * @param metadata strings by key
 * @returns the file's bytes
 * @throws WeightError `write-entry`
 */
export function safetensorsBytes(entries: Iterable<TensorEntry>, metadata: Metadata = {}): Uint8Array<ArrayBuffer> {
  const { chunks, totalBytes } = encodeSafetensors(entries, metadata);
  const bytes = new Uint8Array(totalBytes);
  let at = 0;
  for (const chunk of chunks) { bytes.set(chunk, at); at += chunk.length; }
  return bytes;
}
