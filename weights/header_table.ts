// The table of tensors of one header, in columns: an object per tensor would take a few hundred bytes, here it is about 60.

import { byteLength, DTYPE_BITS, type Dtype } from './dtype.ts';
import { quote, WeightError, type WeightErrorCode } from './error.ts';
import type { MapContent } from './lazy_map.ts';
import type { NameTable } from './name_table.ts';

/** The dtypes by their number in the columns. */
export const DTYPES = Object.freeze(Object.keys(DTYPE_BITS)) as readonly Dtype[];

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

/** Tensors in the order of the header's text, filled once. */
export class HeaderTable implements MapContent<HeaderEntry> {
  readonly names: NameTable;
  private readonly dtypes: Uint8Array;
  private readonly begins: Float64Array;
  private readonly ends: Float64Array;
  /** Where the dims of each tensor end in `dims`. */
  private readonly dimEnds: Int32Array;
  private dims = new Float64Array(64);
  private dimCount = 0;
  private filled = 0;

  /**
   * @param names of the tensors
   * @param capacity most tensors
   */
  constructor(names: NameTable, capacity: number) {
    this.names = names;
    this.dtypes = new Uint8Array(capacity);
    this.begins = new Float64Array(capacity);
    this.ends = new Float64Array(capacity);
    this.dimEnds = new Int32Array(capacity);
  }

  /** How many tensors there are. */
  get size(): number {
    return this.filled;
  }

  /** @param name of a tensor @returns its index, or -1 */
  find(name: string): number {
    return this.names.find(name);
  }

  /** @param index of a tensor @returns its name */
  keyAt(index: number): string {
    return this.names.at(index);
  }

  /** Adds one dim to the tensor that comes next. @param dim unsigned */
  addDim(dim: number): void {
    if (this.dimCount === this.dims.length) {
      const more = new Float64Array(this.dims.length * 2);
      more.set(this.dims);
      this.dims = more;
    }
    this.dims[this.dimCount++] = dim;
  }

  /**
   * Adds a tensor with the dims that were added since the last one.
   *
   * @param dtype number in {@link DTYPES}
   * @param begin first byte
   * @param end one past the last
   */
  add(dtype: number, begin: number, end: number): void {
    const index = this.filled++;
    this.dtypes[index] = dtype;
    this.begins[index] = begin;
    this.ends[index] = end;
    this.dimEnds[index] = this.dimCount;
  }

  /**
   * @param index of a tensor
   * @returns its entry, made anew
   */
  valueAt(index: number): HeaderEntry {
    const shape: number[] = [];
    for (let i = this.firstDim(index); i < this.dimEnds[index]!; i++) shape.push(this.dims[i]!);
    return { dtype: DTYPES[this.dtypes[index]!]!, shape, begin: this.begins[index]!, end: this.ends[index]! };
  }

  private firstDim(index: number): number {
    return index === 0 ? 0 : this.dimEnds[index - 1]!;
  }

  /**
   * The tensors must tile the data section: no hole, no overlap, no tail (so no second file hidden inside).
   *
   * @param dataSize bytes of the file behind the header
   * @param where the file's name, for messages
   * @throws WeightError with the code of the first fault
   */
  checkLayout(dataSize: number, where: string): void {
    const order = this.sorted();
    let previous = 0;
    for (let i = 0; i < this.filled; i++) {
      const index = order === undefined ? i : order[i]!;
      this.checkPlace(index, previous, where);
      previous = this.ends[index]!;
    }
    if (previous > dataSize) throw new WeightError('data-truncated', `${where}: the tensors need ${previous} bytes, the file has ${dataSize} behind the header`);
    if (previous < dataSize) throw new WeightError('data-trailing', `${where}: the tensors end at ${previous}, but ${dataSize} bytes follow the header`);
  }

  /** Indices by place in the file; none when they lie in that order already, as most writers list them: a million need not be sorted again. */
  private sorted(): Uint32Array | undefined {
    const { begins, ends, filled } = this;
    let previous = 0;
    let ordered = true;
    for (let i = 0; i < filled && ordered; i++) {
      ordered = begins[i]! >= previous;
      previous = Math.max(begins[i]!, ends[i]!);
    }
    if (ordered) return undefined;
    return Uint32Array.from({ length: filled }, (_, i) => i).sort((a, b) => begins[a]! - begins[b]! || ends[a]! - ends[b]! || a - b); // an empty tensor goes before its neighbour at the same place
  }

  private checkPlace(index: number, previous: number, where: string): void {
    const begin = this.begins[index]!;
    const end = this.ends[index]!;
    const fault = (code: WeightErrorCode, what: string): never => {
      throw new WeightError(code, `${where}: tensor ${quote(this.names.at(index))} ${what}`);
    };
    if (end < begin) fault('offsets-reversed', `ends at ${end}, before it begins at ${begin}`);
    if (begin < previous) fault('layout-overlap', `begins at ${begin}, inside the one before, which ends at ${previous}`);
    if (begin > previous) fault(previous === 0 ? 'layout-start' : 'layout-hole', `begins at ${begin}, expected ${previous}, where the one before ends`);
    if (this.hasSize(index, end - begin)) return;
    const { dtype, shape } = this.valueAt(index);
    let size: number;
    try {
      size = byteLength(dtype, shape);
    } catch (error) {
      if (!(error instanceof WeightError)) throw error;
      throw new WeightError(error.code, `${where}: tensor ${quote(this.names.at(index))}: ${error.message}`);
    }
    if (end - begin !== size) fault('size-mismatch', `${dtype} [${shape.join(', ')}] takes ${size} bytes, its data_offsets span ${end - begin}`);
  }

  /** The quick way to the common answer: dims without a zero whose product is small and right. */
  private hasSize(index: number, bytes: number): boolean {
    let bits: number = DTYPE_BITS[DTYPES[this.dtypes[index]!]!];
    for (let i = this.firstDim(index); i < this.dimEnds[index]!; i++) {
      bits *= this.dims[i]!;
      if (!(bits > 0 && bits <= 2 ** 52)) return false;
    }
    return bits === bytes * 8;
  }
}
