// The safetensors header: text → table of tensors, strict. Format and order of checks: huggingface/safetensors README and
// its Rust reader; beyond it we refuse whatever two readers could understand in two ways (duplicate names, unknown
// fields, other spellings of the same thing). Nothing is allocated from a number in the file before that number is checked.

import { byteLength, isDtype, type Dtype } from './dtype.ts';
import { quote, WeightError } from './error.ts';
import { decodeText, JsonScanner } from './json_scanner.ts';

/** Header bytes accepted unless the caller says otherwise: 1,000,000 entries would be a 60 MB header. */
export const HEADER_LIMIT = 16 * 1024 * 1024;
const NAME_LIMIT = 4096; // bytes of UTF-8
const RANK_LIMIT = 32;

/** One entry of the table. */
export interface HeaderEntry {
  /** Stored type. */
  readonly dtype: Dtype;
  /** Dims; [] is a scalar. */
  readonly shape: readonly number[];
  /** First byte, counted from the start of the data section. */
  readonly begin: number;
  /** One past the last byte, counted likewise. */
  readonly end: number;
}

/** A parsed and checked header. */
export interface Header {
  /** The file's `__metadata__`, empty when it has none. */
  readonly metadata: Map<string, string>;
  /** Tensors in the order of the header's text. A Map, so that names like `__proto__` are only names. */
  readonly tensors: Map<string, HeaderEntry>;
}

/**
 * Reads the 8-byte length prefix.
 *
 * @param prefix the first bytes of the file, 8 unless the file is shorter
 * @param fileSize bytes of the whole file
 * @param limit longest header accepted, bytes
 * @param where the file's name, for messages
 * @returns header length N, bytes; the data section begins at 8 + N
 * @throws WeightError `header-short`, `header-too-large`, `header-past-end`
 */
export function headerLength(prefix: Uint8Array, fileSize: number, limit: number, where: string): number {
  if (fileSize < 8 || prefix.length < 8) throw new WeightError('header-short', `${where}: the file has ${fileSize} bytes, expected at least the 8 of the header length`);
  const view = new DataView(prefix.buffer, prefix.byteOffset, 8);
  const length = view.getUint32(4, true) * 0x100000000 + view.getUint32(0, true); // above 2^53 inexact, and far above any limit
  if (length > limit) throw new WeightError('header-too-large', `${where}: the header claims ${length} bytes, limit ${limit}${lookalike(prefix)}`);
  if (length > fileSize - 8) throw new WeightError('header-past-end', `${where}: the header claims ${length} bytes, but only ${fileSize - 8} follow its length${lookalike(prefix)}`);
  return length;
}

/** Names the usual mistakes, recognised by their first bytes. */
function lookalike(prefix: Uint8Array): string {
  const text = String.fromCharCode(...prefix.subarray(0, 8));
  const kinds: readonly (readonly [string, string])[] = [
    ['version ', 'a Git LFS pointer: fetch the real file with `git lfs pull`'], ['GGUF', 'a GGUF file'], ['PK\x03\x04', 'a zip file, perhaps a PyTorch .pt'],
    ['\x80\x02', 'a Python pickle'], ['\x80\x04', 'a Python pickle'], ['\x1f\x8b', 'a gzip file'], ['<!DOC', 'an HTML page'], ['<html', 'an HTML page'], ['{', 'plain JSON'],
  ];
  const kind = kinds.find(([start]) => text.toLowerCase().startsWith(start.toLowerCase()));
  return kind === undefined ? '' : ` (this looks like ${kind[1]})`;
}

/**
 * Parses and checks a header.
 *
 * @param bytes the N header bytes, without the length
 * @param dataSize bytes of the file behind the header
 * @param where the file's name, for messages
 * @returns metadata and tensors; every tensor lies inside the data section, which they cover exactly
 * @throws WeightError with the code of the first fault
 */
export function parseHeader(bytes: Uint8Array, dataSize: number, where: string): Header {
  const scanner = new JsonScanner(decodeText(bytes, where), where);
  const tensors = new Map<string, HeaderEntry>();
  let metadata: Map<string, string> | undefined;
  scanner.object('root-type', 'the header', (name) => {
    if (name === '__metadata__') {
      if (metadata !== undefined) scanner.fail('duplicate-metadata', 'a second __metadata__');
      metadata = readMetadata(scanner);
      return;
    }
    checkTensorName(scanner, name);
    scanner.subject = name;
    if (tensors.has(name)) scanner.fail('duplicate-tensor', 'appears twice');
    tensors.set(name, readEntry(scanner));
    scanner.subject = undefined;
  });
  scanner.end();
  checkLayout(tensors, dataSize, where);
  return { metadata: metadata ?? new Map(), tensors };
}

/**
 * Refuses tensor names that could forge a log line or flood memory.
 *
 * @param scanner where the name was read, for the position
 * @param name unescaped
 * @throws WeightError `name-control`, `name-too-long`
 */
export function checkTensorName(scanner: Pick<JsonScanner, 'fail'>, name: string): void {
  // at most 3 bytes of UTF-8 per UTF-16 unit, so short names need no count
  if (name.length * 3 > NAME_LIMIT && new TextEncoder().encode(name).length > NAME_LIMIT) scanner.fail('name-too-long', `tensor name ${quote(name)} passes ${NAME_LIMIT} bytes`);
  if (/[\u0000-\u001f\u007f-\u009f]/.test(name)) scanner.fail('name-control', `tensor name ${quote(name)} has a control character`);
}

function readMetadata(scanner: JsonScanner): Map<string, string> {
  const metadata = new Map<string, string>();
  scanner.object('metadata-type', '__metadata__', (key) => {
    if (metadata.has(key)) scanner.fail('metadata-duplicate-key', `__metadata__ has the key ${quote(key)} twice`);
    if (scanner.peek() !== 0x22) scanner.fail('metadata-value', `__metadata__ ${quote(key)}: ${scanner.found()}, expected a string`);
    metadata.set(key, scanner.string());
  });
  return metadata;
}

function readEntry(scanner: JsonScanner): HeaderEntry {
  let dtype: Dtype | undefined;
  let shape: number[] | undefined;
  let offsets: [number, number] | undefined;
  scanner.object('entry-type', 'entry', (field) => {
    const repeated = field === 'dtype' ? dtype !== undefined : field === 'shape' ? shape !== undefined : field === 'data_offsets' && offsets !== undefined;
    if (repeated) scanner.fail('duplicate-field', `has the field ${quote(field)} twice`);
    if (field === 'dtype') dtype = readDtype(scanner);
    else if (field === 'shape') shape = readShape(scanner);
    else if (field === 'data_offsets') offsets = readOffsets(scanner);
    else scanner.fail('unknown-field', `has the unknown field ${quote(field)}`);
  });
  if (dtype === undefined) return scanner.fail('missing-dtype', 'has no dtype');
  if (shape === undefined) return scanner.fail('missing-shape', 'has no shape');
  if (offsets === undefined) return scanner.fail('missing-offsets', 'has no data_offsets');
  return { dtype, shape, begin: offsets[0], end: offsets[1] };
}

function readDtype(scanner: JsonScanner): Dtype {
  if (scanner.peek() !== 0x22) scanner.fail('dtype-type', `dtype: ${scanner.found()}, expected a string`);
  const dtype = scanner.string();
  if (!isDtype(dtype)) scanner.fail('dtype-unknown', `has the unknown dtype ${quote(dtype)}`);
  return dtype;
}

function readShape(scanner: JsonScanner): number[] {
  const shape: number[] = [];
  scanner.array('shape-type', 'shape', (index) => {
    if (index === RANK_LIMIT) scanner.fail('shape-rank', `has more than ${RANK_LIMIT} dims`);
    shape.push(scanner.integer('dim-invalid', 'dim-too-large', 'shape'));
  });
  return shape;
}

function readOffsets(scanner: JsonScanner): [number, number] {
  const offsets: number[] = [];
  scanner.array('offsets-type', 'data_offsets', (index) => {
    if (index === 2) scanner.fail('offsets-count', 'has more than 2 data_offsets');
    offsets.push(scanner.integer('offset-invalid', 'offset-too-large', 'data_offsets'));
  });
  const [begin, end] = offsets;
  if (begin === undefined || end === undefined) return scanner.fail('offsets-count', `has ${offsets.length} data_offsets, expected 2`);
  return [begin, end];
}

/** The tensors must tile the data section: no hole, no overlap, no tail (so no second file hidden inside). */
function checkLayout(tensors: ReadonlyMap<string, HeaderEntry>, dataSize: number, where: string): void {
  const entries = inFileOrder(tensors) ? tensors : [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end); // an empty tensor goes before its neighbour at the same place
  let previous = 0;
  for (const [name, entry] of entries) {
    checkPlace(name, entry, previous, where);
    previous = entry.end;
  }
  if (previous > dataSize) throw new WeightError('data-truncated', `${where}: the tensors need ${previous} bytes, the file has ${dataSize} behind the header`);
  if (previous < dataSize) throw new WeightError('data-trailing', `${where}: the tensors end at ${previous}, but ${dataSize} bytes follow the header`);
}

/** Most writers list tensors as they lie; a million need not be sorted again. */
function inFileOrder(tensors: ReadonlyMap<string, HeaderEntry>): boolean {
  let previous = 0;
  for (const { begin, end } of tensors.values()) {
    if (begin < previous) return false;
    previous = Math.max(begin, end);
  }
  return true;
}

function checkPlace(name: string, { dtype, shape, begin, end }: HeaderEntry, previous: number, where: string): void {
  const fault = (code: 'offsets-reversed' | 'layout-start' | 'layout-hole' | 'layout-overlap' | 'size-mismatch', what: string): never => {
    throw new WeightError(code, `${where}: tensor ${quote(name)} ${what}`);
  };
  if (end < begin) fault('offsets-reversed', `ends at ${end}, before it begins at ${begin}`);
  if (begin < previous) fault('layout-overlap', `begins at ${begin}, inside the one before, which ends at ${previous}`);
  if (begin > previous) fault(previous === 0 ? 'layout-start' : 'layout-hole', `begins at ${begin}, expected ${previous}, where the one before ends`);
  let size: number;
  try {
    size = byteLength(dtype, shape);
  } catch (error) {
    if (!(error instanceof WeightError)) throw error;
    throw new WeightError(error.code, `${where}: tensor ${quote(name)}: ${error.message}`);
  }
  if (end - begin !== size) fault('size-mismatch', `${dtype} [${shape.join(', ')}] takes ${size} bytes, its data_offsets span ${end - begin}`);
}
