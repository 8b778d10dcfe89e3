// The safetensors header: text → table of tensors, strict. Format and order of checks: huggingface/safetensors README and
// its Rust reader; beyond it we refuse whatever two readers could understand in two ways (duplicate names, unknown
// fields, other spellings of the same thing). Nothing is allocated from a number in the file before that number is checked.

import { quote, WeightError } from './error.ts';
import { DTYPES, HeaderTable, type HeaderEntry } from './header_table.ts';
import { JsonScanner } from './json_scanner.ts';
import type { MapContent } from './lazy_map.ts';
import { NameTable } from './name_table.ts';
import { checkUtf8 } from './utf8.ts';

export type { HeaderEntry };

/** Header bytes accepted unless the caller says otherwise: what the reference reader takes. A million entries are 62 MB. */
export const HEADER_LIMIT = 100_000_000;
const LEAST_ENTRY = 50; // bytes of `"":{"dtype":"U8","shape":[],"data_offsets":[0,0]},`
const NAME_LIMIT = 4096; // bytes of UTF-8
const RANK_LIMIT = 32;

/** A parsed and checked header. */
export interface Header {
  /** The file's `__metadata__`, empty when it has none. */
  readonly metadata: MapContent<string>;
  /** Tensors in the order of the header's text. */
  readonly tensors: HeaderTable;
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
  if (length > limit || length > 0x7fffffff) throw new WeightError('header-too-large', `${where}: the header claims ${length} bytes, limit ${limit}${lookalike(prefix)}`);
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
 * @param bytes the N header bytes, without the length; the result refers to them, so they must not change
 * @param dataSize bytes of the file behind the header
 * @param where the file's name, for messages
 * @returns metadata and tensors; every tensor lies inside the data section, which they cover exactly
 * @throws WeightError with the code of the first fault
 */
export function parseHeader(bytes: Uint8Array, dataSize: number, where: string): Header {
  checkUtf8(bytes, where);
  const header = new HeaderParser(bytes, where).parse();
  header.tensors.checkLayout(dataSize, where);
  return header;
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

const letters = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));
const DTYPE_LETTERS = DTYPES.map(letters);
const [METADATA, DTYPE, SHAPE, OFFSETS] = ['__metadata__', 'dtype', 'shape', 'data_offsets'].map(letters) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];

/** Reads one header. What belongs to the entry at hand is in fields, so that a million entries make no objects. */
class HeaderParser {
  private readonly scanner: JsonScanner;
  private readonly table: HeaderTable;
  private metadata: MetadataTable | undefined;
  private readonly lastName = (): string => this.table.names.at(this.table.names.count - 1);
  /** Number of the dtype of this entry; -1 before it is read. */
  private dtype = -1;
  private hasShape = false;
  /** How many data_offsets were read; -1 before. */
  private offsets = -1;
  private begin = 0;
  private end = 0;

  constructor(bytes: Uint8Array, where: string) {
    this.scanner = new JsonScanner(bytes, where);
    const capacity = Math.floor(bytes.length / LEAST_ENTRY) + 1;
    this.table = new HeaderTable(new NameTable(bytes, capacity), capacity);
  }

  parse(): Header {
    this.scanner.members('root-type', 'the header', this.readMember);
    this.scanner.end();
    return { metadata: this.metadata ?? new MetadataTable(this.scanner), tensors: this.table };
  }

  private readonly readMember = (): void => {
    const { scanner } = this;
    if (scanner.is('__metadata__', METADATA)) {
      if (this.metadata !== undefined) scanner.fail('duplicate-metadata', 'a second __metadata__');
      this.metadata = new MetadataTable(scanner);
      this.metadata.read();
      return;
    }
    if (!scanner.plain || scanner.stop - scanner.start > NAME_LIMIT) checkTensorName(scanner, scanner.text());
    if (!this.table.names.add(scanner)) {
      const name = scanner.text();
      scanner.subject = () => name;
      scanner.fail('duplicate-tensor', 'appears twice');
    }
    scanner.subject = this.lastName;
    this.readEntry();
    scanner.subject = undefined;
  };

  private readEntry(): void {
    const { scanner } = this;
    this.dtype = -1;
    this.hasShape = false;
    this.offsets = -1;
    scanner.members('entry-type', 'entry', this.readField);
    if (this.dtype < 0) scanner.fail('missing-dtype', 'has no dtype');
    if (!this.hasShape) scanner.fail('missing-shape', 'has no shape');
    if (this.offsets < 0) scanner.fail('missing-offsets', 'has no data_offsets');
    this.table.add(this.dtype, this.begin, this.end);
  }

  private readonly readField = (): void => {
    const { scanner } = this;
    if (scanner.is('dtype', DTYPE)) {
      if (this.dtype >= 0) scanner.fail('duplicate-field', 'has the field "dtype" twice');
      this.readDtype();
    } else if (scanner.is('shape', SHAPE)) {
      if (this.hasShape) scanner.fail('duplicate-field', 'has the field "shape" twice');
      this.hasShape = true;
      scanner.array('shape-type', 'shape', this.readDim);
    } else if (scanner.is('data_offsets', OFFSETS)) {
      if (this.offsets >= 0) scanner.fail('duplicate-field', 'has the field "data_offsets" twice');
      this.offsets = 0;
      scanner.array('offsets-type', 'data_offsets', this.readOffset);
      if (this.offsets < 2) scanner.fail('offsets-count', `has ${this.offsets} data_offsets, expected 2`);
    } else scanner.fail('unknown-field', `has the unknown field ${quote(scanner.text())}`);
  };

  private readDtype(): void {
    const { scanner } = this;
    if (scanner.peek() !== 0x22) scanner.fail('dtype-type', `dtype: ${scanner.found()}, expected a string`);
    scanner.span();
    for (let i = 0; i < DTYPES.length; i++) {
      if (!scanner.is(DTYPES[i]!, DTYPE_LETTERS[i]!)) continue;
      this.dtype = i;
      return;
    }
    scanner.fail('dtype-unknown', `has the unknown dtype ${quote(scanner.text())}`);
  }

  private readonly readDim = (index: number): void => {
    if (index === RANK_LIMIT) this.scanner.fail('shape-rank', `has more than ${RANK_LIMIT} dims`);
    this.table.addDim(this.scanner.integer('dim-invalid', 'dim-too-large', 'shape'));
  };

  private readonly readOffset = (index: number): void => {
    if (index === 2) this.scanner.fail('offsets-count', 'has more than 2 data_offsets');
    const value = this.scanner.integer('offset-invalid', 'offset-too-large', 'data_offsets');
    if (index === 0) this.begin = value;
    else this.end = value;
    this.offsets = index + 1;
  };
}

/** `__metadata__`: its keys, and where each value begins. */
class MetadataTable implements MapContent<string> {
  private readonly scanner: JsonScanner;
  private readonly names: NameTable;
  private places = new Int32Array(16);

  constructor(scanner: JsonScanner) {
    this.scanner = scanner;
    this.names = new NameTable(scanner.bytes);
  }

  read(): void {
    const { scanner, names } = this;
    scanner.members('metadata-type', '__metadata__', () => {
      if (!names.add(scanner)) scanner.fail('metadata-duplicate-key', `__metadata__ has the key ${quote(scanner.text())} twice`);
      if (scanner.peek() !== 0x22) scanner.fail('metadata-value', `__metadata__ ${quote(names.at(names.count - 1))}: ${scanner.found()}, expected a string`);
      scanner.span();
      if (names.count > this.places.length) {
        const more = new Int32Array(this.places.length * 2);
        more.set(this.places);
        this.places = more;
      }
      this.places[names.count - 1] = scanner.start - 1;
    });
  }

  get size(): number {
    return this.names.count;
  }

  keyAt(index: number): string {
    return this.names.at(index);
  }

  valueAt(index: number): string {
    return this.scanner.stringAt(this.places[index]!);
  }

  find(key: string): number {
    return this.names.find(key);
  }
}
