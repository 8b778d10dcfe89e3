// The values of one input: drawn by class, rounded to how the input is stored, and kept as float64 of exactly what is stored.
import { size } from '../../engine/tensor.ts';
import type { DType } from '../../engine/tensor.ts';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../../weights/dtype.ts';
import { dice } from './draw.ts';
import type { Input, ValueClass } from './proof.ts';

/** One input, ready to be uploaded. */
export interface Stored {
  readonly input: Input;
  readonly dtype: DType;
  /** What the kernels shall see, in float64. */
  readonly values: Float64Array;
  /** The bits, whole words. */
  readonly words: Uint32Array;
  /** i8 and i4: the factors. */
  readonly scales: Float32Array | undefined;
}

type Dice = ReturnType<typeof dice>;

const SMALLEST_POSITIVE = 2 ** -10;
const MOST_F16 = 60_000;
const EXTREMES = [1e38, -1e38, 1e30, -1e30, 1000, -1000, 1, -1, 0, -0, 1e-30, -1e-30, 1.1754944e-38, 1e-40, -1e-42, 1.4e-45] as const;
const OUTLIERS = 0.02;

/** Whether values of an input are drawn (and may become NaN), not indices, masks or given. @param input one @returns yes or no */
export const isFloat = ({ kind }: Input): boolean => kind === 'float' || kind === 'positive' || kind === 'unit';

function one(kind: ValueClass, d: Dice, drift: number, { scale = 1, most = 1e38 }: Input, integers: number): number {
  switch (kind) {
    case 'integers': return d.int(-integers, integers);
    case 'outliers': return d.normal() * scale * drift * (d.chance(OUTLIERS) ? 30 : 1);
    case 'extremes': return d.chance(0.5) ? Math.max(-most, Math.min(most, d.pick(EXTREMES))) : d.normal();
    default: return d.normal() * scale * drift;
  }
}

function floats(input: Input, kind: ValueClass, d: Dice, integers: number): Float32Array {
  const n = size(input.shape);
  const out = new Float32Array(n);
  const same = d.normal() * (input.scale ?? 1);
  for (let i = 0; i < n; i++) {
    const v = kind === 'constant' ? same : one(kind, d, 0.5 + i / n, input, integers);
    out[i] = input.kind === 'positive' ? (kind === 'integers' ? Math.max(1, Math.abs(v)) : Math.max(SMALLEST_POSITIVE, Math.abs(v))) : v;
  }
  return out;
}

/** Rows of length 1; integers: one entry ±1. */
function unitRows(input: Input, kind: ValueClass, d: Dice): Float32Array {
  const n = size(input.shape);
  const cols = input.shape.at(-1) ?? 1;
  const out = new Float32Array(n);
  for (let start = 0; start < n; start += cols) {
    if (kind === 'integers' || kind === 'extremes') {
      out[start + d.int(0, cols - 1)] = d.chance(0.5) ? 1 : -1;
      continue;
    }
    let squares = 0;
    for (let c = 0; c < cols; c++) out[start + c] = kind === 'constant' ? 1 : d.normal();
    for (let c = 0; c < cols; c++) squares += out[start + c]! ** 2;
    for (let c = 0; c < cols; c++) out[start + c]! /= Math.sqrt(squares);
  }
  return out;
}

/** Bits of drawn f32 values in a storage type, and what they stand for. */
function store(input: Input, values: Float32Array, dtype: DType, d: Dice, whole: boolean): Stored {
  if (dtype === 'f32') return { input, dtype, values: Float64Array.from(values), words: new Uint32Array(values.buffer), scales: undefined };
  if (dtype === 'i8' || dtype === 'i4') return quantised(input, values, dtype, d, whole);
  const narrow = dtype === 'bf16' ? f32ToBf16(values) : f32ToF16(values.map(v => (Number.isFinite(v) ? Math.max(-MOST_F16, Math.min(MOST_F16, v)) : v)));
  const words = new Uint32Array(Math.ceil(narrow.length / 2));
  new Uint16Array(words.buffer).set(narrow);
  return { input, dtype, values: Float64Array.from(dtype === 'bf16' ? bf16ToF32(narrow) : f16ToF32(narrow)), words, scales: undefined };
}

/** Elements per scale: few different ones, because each is a pipeline; now and then a whole row. */
function blockOf(cols: number, d: Dice): number {
  if (cols < 1) return 1;
  if (d.chance(0.1)) return cols;
  return [32, 4, 1].find(b => cols % b === 0)!;
}

function quantised(input: Input, values: Float32Array, dtype: 'i8' | 'i4', d: Dice, whole: boolean): Stored {
  const [bits, top] = dtype === 'i8' ? [8, 127] : [4, 7];
  const block = blockOf(input.shape.at(-1) ?? 1, d);
  const scales = new Float32Array(values.length / block);
  const words = new Uint32Array(Math.ceil((values.length * bits) / 32));
  const out = new Float64Array(values.length);
  const perWord = 32 / bits;
  for (let b = 0; b < scales.length; b++) {
    let most = 0;
    for (let i = b * block; i < (b + 1) * block; i++) most = Math.max(most, Math.abs(values[i]!));
    scales[b] = whole ? 1 : most / top;
    for (let i = b * block; i < (b + 1) * block; i++) {
      const least = input.kind === 'positive' ? 1 : -top;
      const q = scales[b] === 0 ? 0 : Math.max(least, Math.min(top, Math.round(values[i]! / scales[b]!)));
      words[Math.floor(i / perWord)]! |= (q & (2 ** bits - 1)) << ((i % perWord) * bits);
      out[i] = Math.fround(q * scales[b]!);
    }
  }
  return { input, dtype, values: out, words, scales };
}

/**
 * Draws the values of one input.
 * @param input what they have to be @param kind class of values @param dtype how they are stored @param seed 32 bits @param integers largest magnitude of the class `integers`
 * @returns bits and what they stand for
 */
export function drawValues(input: Input, kind: ValueClass, dtype: DType, seed: number, integers: number): Stored {
  const d = dice(seed);
  const n = size(input.shape);
  if (input.kind === 'given') {
    const type = input.dtype ?? 'f32';
    const data = type === 'f32' ? Float32Array.from(input.data!) : type === 'i32' ? Int32Array.from(input.data!) : Uint32Array.from(input.data!);
    return { input, dtype: type, values: Float64Array.from(data), words: new Uint32Array(data.buffer), scales: undefined };
  }
  if (!isFloat(input)) {
    const words = Uint32Array.from({ length: n }, () => (input.kind === 'mask' ? d.int(0, 1) : d.int(0, input.below! - 1)));
    return { input, dtype: 'u32', values: Float64Array.from(words), words, scales: undefined };
  }
  const values = input.kind === 'unit' ? unitRows(input, kind, d) : floats(input, kind, d, integers);
  return store(input, values, dtype, d, kind === 'integers');
}

/**
 * Puts NaN, +Inf and -Inf at random places of the float inputs that can hold them.
 * @param inputs as drawn @param seed 32 bits @returns the inputs with one to three such values; undefined where no input can hold one
 */
export function plantNonfinite(inputs: readonly Stored[], seed: number): readonly Stored[] | undefined {
  const d = dice(seed);
  const able = inputs.flatMap((s, i) => (isFloat(s.input) && !s.scales && s.values.length ? [i] : []));
  if (!able.length) return undefined;
  const out = [...inputs];
  for (let k = d.int(1, 3); k > 0; k--) {
    const at = d.pick(able);
    const { input, dtype, values } = out[at]!;
    const planted = Float32Array.from(values);
    planted[d.int(0, planted.length - 1)] = d.pick([NaN, Infinity, -Infinity]);
    out[at] = store(input, planted, dtype, d, false);
  }
  return out;
}

/** The rows of an input in another order. @param stored one input @param axis which axis @param order [rows] where each new row comes from @returns the same storage type, permuted; undefined where blocks of scales would be cut */
export function permuted(stored: Stored, axis: number, order: readonly number[]): Stored | undefined {
  const { input, dtype, values, scales } = stored;
  if (scales) return undefined;
  const to = permutation(input.shape, axis, order);
  const moved = values.map((_, i) => values[to[i]!]!);
  if (dtype === 'u32' || dtype === 'i32') return { ...stored, values: moved, words: stored.words.map((_, i) => stored.words[to[i]!]!) };
  return store(input, Float32Array.from(moved), dtype, dice(0), false);
}

/** Where each element of a permuted tensor comes from. @param shape sizes @param axis which @param order [rows] source of each row @returns [size] indices */
export function permutation(shape: readonly number[], axis: number, order: readonly number[]): Uint32Array {
  const inner = size(shape.slice(axis + 1));
  const rows = shape[axis]!;
  return Uint32Array.from({ length: size(shape) }, (_, i) => {
    const row = Math.floor(i / inner) % rows;
    return i + (order[row]! - row) * inner;
  });
}
