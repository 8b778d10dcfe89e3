// What a measured kernel is: seeded inputs, the op, a float64 check of every value or of sampled rows, and its work. `pair` makes the forward and the backward row of one op.
import { Tensor, size } from '../engine/tensor.ts';
import type { Shape } from '../engine/tensor.ts';
import type { Device } from '../engine/device.ts';
import { cast } from '../kernels/cast.ts';
import { quantize } from '../kernels/quantize.ts';

/** quick: the shapes of a training step of the shipped model. model: also the full-size networks at 256 tokens. full: also 2048 tokens, whole token tables, large batches. */
export type Profile = 'quick' | 'model' | 'full';
export const PROFILES: readonly Profile[] = ['quick', 'model', 'full'];

export type Values = Float32Array | Uint32Array;

/** One input: seeded values of a kind. `grad`: the backward row measures its gradient. */
export interface Input {
  shape: Shape;
  /** normal (default), positive, unit (rows of length 1), scale (log of 1 / 0.07 everywhere), rates (learning rate 1e-3, decay 0.1), ones, ids below `below`, mask of ones with a tail of zeros per row */
  kind?: 'normal' | 'positive' | 'unit' | 'scale' | 'rates' | 'ones' | 'ids' | 'mask';
  below?: number;
  scale?: number;
  grad?: boolean;
  /** How the tensor is stored, where not f32; i8 and i4 in blocks of 64 along the last axis. The check gets the values as stored. */
  storage?: Stored;
}
export type Stored = 'f16' | 'bf16' | 'i8' | 'i4';

/** What a check gets: inputs, the gradient of the output (backward rows), results, and where to put what was expected. */
export interface Job {
  x: readonly Values[];
  dy: Float32Array;
  /** Results of this row: those of the forward, or the gradients. */
  got: readonly Float32Array[];
  /** Results of the forward, in both rows. */
  y: readonly Float32Array[];
  /** Compares elements of result `o` from `start` on with float64 values. */
  expect(o: number, start: number, want: ArrayLike<number>): void;
  /** At most `count` of the numbers below `of`, the first and the last among them. */
  pick(of: number, count: number): number[];
}
export type Check = (job: Job) => void;

/** One row of the table. */
export interface Case {
  op: string;
  /** both: the op and its gradients in one run, where the two share work. */
  pass: 'forward' | 'backward' | 'both';
  /** Where the model has this shape. */
  use: string;
  shape: string;
  profile: Profile;
  inputs: readonly Input[];
  run: (t: readonly Tensor[], device: Device) => Tensor | readonly Tensor[];
  check: Check;
  /** Largest NMSE that counts as right. */
  limit: number;
  /** Multiplications and additions that the formula needs. */
  flop?: number | undefined;
  /** Bytes that have to be read and written once. */
  bytes?: number | undefined;
  /** m, n and k of the own product a bᵀ that the row is compared with; default: multiplications and additions in registers. */
  product?: readonly [number, number, number];
}

/** One op with its gradient; see `Case`. Work is given for the forward and the backward. */
export interface Pair extends Omit<Case, 'pass' | 'check' | 'flop' | 'bytes'> {
  forward: Check;
  /** Absent where the op has no gradient. */
  backward?: Check;
  flop?: readonly [number, number];
  bytes?: readonly [number, number];
}

/** Rows of one op. @param p the op @returns forward and, where it has a gradient, backward */
export function pair({ forward, backward, flop, bytes, ...rest }: Pair): Case[] {
  const rows: Case[] = [{ ...rest, pass: 'forward', check: forward, flop: flop?.[0], bytes: bytes?.[0] }];
  if (backward) rows.push({ ...rest, pass: 'backward', check: backward, flop: flop?.[1], bytes: bytes?.[1] });
  return rows;
}

/** Seeded generator of whole numbers (mulberry32). @param seed any whole number @returns the next of them, below 2^32 */
export function words(seed: number): () => number {
  let a = Math.imul(seed + 1, 0x9e3779b9) >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  };
}

/** Sum of four uniform numbers, scaled to variance 1: near enough to a normal law, and ten times as fast to draw as one. */
const bell = (next: () => number): number => (next() + next() + next() + next() - 2 ** 33) / 2 ** 32 * Math.sqrt(3);

/** Seeded values. @param input shape and kind @param seed number @returns [shape] values */
export function valuesOf({ shape, kind = 'normal', below = 1, scale = 1 }: Input, seed: number): Values {
  const next = words(seed);
  const n = size(shape);
  if (kind === 'ids') return Uint32Array.from({ length: n }, () => next() % below);
  if (kind === 'mask') {
    const cols = shape[shape.length - 1]!;
    return Uint32Array.from({ length: n }, (_, i) => ((i % cols) * 4 <= cols * 3 ? 1 : 0));
  }
  const out = new Float32Array(n);
  if (kind === 'rates') return out.map((_, i) => (i % 2 ? 0.1 : 1e-3));
  if (kind === 'ones') return out.fill(1);
  if (kind === 'scale') return out.fill(Math.log(1 / 0.07));
  for (let i = 0; i < n; i++) out[i] = bell(next) * scale;
  if (kind === 'unit') unitRows(out, shape[shape.length - 1]!);
  return kind === 'positive' ? out.map(v => Math.abs(v) + 0.1) : out;
}

function unitRows(x: Float32Array, cols: number): void {
  for (let start = 0; start < x.length; start += cols) {
    const row = x.subarray(start, start + cols);
    const length = Math.sqrt(row.reduce((s, v) => s + v * v, 0));
    row.forEach((v, i) => { row[i] = v / length; });
  }
}

/** A check of every value. @param reference results in float64 of float64 inputs @returns the check */
export const whole = (reference: (x: readonly Float64Array[], dy: Float64Array) => ArrayLike<number> | readonly ArrayLike<number>[]): Check => ({ x, dy, expect }) => {
  const want = reference(x.map(v => Float64Array.from(v)), Float64Array.from(dy));
  const all = typeof want[0] === 'object' ? want as readonly ArrayLike<number>[] : [want as ArrayLike<number>];
  all.forEach((w, o) => expect(o, 0, w));
};

/** A part of an array in float64. @param v values @param start first @param length how many @returns the part */
export const part = (v: Values, start: number, length: number): Float64Array => Float64Array.from(v.subarray(start, start + length));

/** Bytes of whole f32 tensors. @param shapes sizes @returns bytes of all of them */
export const bytesOf = (...shapes: readonly Shape[]): number => shapes.reduce((n, s) => n + 4 * size(s), 0);

const BLOCK = 64;

/** A tensor in another storage type. */
function stored(t: Tensor, storage: Stored | undefined): Tensor {
  if (!storage) return t;
  return storage === 'f16' || storage === 'bf16' ? cast(t, storage) : quantize(t, { bits: storage === 'i8' ? 8 : 4, block: BLOCK });
}

/** Uploads inputs. @param device where @param inputs shapes and storage @param values their values @returns tensors */
export const tensorsOf = (device: Device, inputs: readonly Input[], values: readonly Values[]): Tensor[] =>
  values.map((v, i) => stored(Tensor.from(device, v, inputs[i]!.shape), inputs[i]!.storage));

/**
 * Runs a check over read-back results.
 * @param c the row @param x inputs @param dy gradient of the output, empty in forward rows @param y results of the forward @param got results of this row
 * @returns worst NMSE of a result, elements compared, elements there are
 */
export function verify(c: Case, x: readonly Values[], dy: Float32Array, y: readonly Float32Array[], got: readonly Float32Array[]): { nmse: number; checked: number; of: number } {
  const sums = got.map(() => ({ error: 0, power: 0, checked: 0 }));
  const next = words(7);
  c.check({
    x, dy, y, got,
    expect(o, start, want) {
      const sum = sums[o]!;
      const values = got[o]!;
      if (start + want.length > values.length) throw new Error(`bench: ${c.op} ${c.pass} has ${values.length} values, expected more than ${start + want.length - 1}`);
      for (let i = 0; i < want.length; i++) {
        sum.error += (values[start + i]! - want[i]!) ** 2;
        sum.power += want[i]! ** 2;
      }
      sum.checked += want.length;
    },
    pick(of, count) {
      if (of <= count) return Array.from({ length: of }, (_, i) => i);
      const picked = new Set([0, of - 1]);
      while (picked.size < count) picked.add(next() % of);
      return [...picked].sort((a, b) => a - b);
    },
  });
  const unseen = sums.findIndex(s => !(s.checked > 0));
  if (unseen >= 0) throw new Error(`bench: result ${unseen} of ${c.op} ${c.pass} was compared with nothing, expected a float64 value`);
  const largest = Math.max(...sums.map(s => s.power)) || 1; // the measure of a result that is zero throughout, as the gradient of a query that sees one key
  return {
    nmse: Math.max(...sums.map(s => s.error / (s.power || largest))),
    checked: sums.reduce((n, s) => n + s.checked, 0), of: got.reduce((n, g) => n + g.length, 0),
  };
}
