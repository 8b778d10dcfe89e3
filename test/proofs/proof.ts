// What is written down once per op; every check of the harness follows from it. An entry lives in a group file of table/ (`export const PROOFS: readonly Proof[] = [proof({ … }), …]`).
import type { Device } from '../../engine/device.ts';
import type { DType, Shape, Tensor } from '../../engine/tensor.ts';

/** Seeded source of one case. The same seed and cap draw the same case everywhere. */
export interface Draw {
  /** Whole number in [low, high]. */
  int(low: number, high: number): number;
  /** One of a list. */
  pick<T>(list: readonly T[]): T;
  /** True with probability p. */
  chance(p: number): boolean;
  /** Uniform number in [low, high). */
  real(low: number, high: number): number;
  /** A size from the edge list (0, 1, 2, 3, primes, 31-33, 63-65, 127-129, 255-257), within [least, most] and the cap. `least` defaults to 0. */
  size(least?: number, most?: number): number;
  /** A shape of that rank with at most so many elements (default 4,096, less under a smaller cap); sizes come from the edge list, none below `least`. */
  shape(rank: number, mostElements?: number, least?: number): number[];
  /** Largest size of an axis; shrinking lowers it to 1. */
  readonly cap: number;
}

/**
 * What the values of an input are. 'float': any sign; 'positive': ≥ 2^-10 (denominators, logarithms, second moments); 'unit': rows of length 1 along the last axis;
 * 'ids': u32 below `below`; 'mask': u32 0 or 1; 'given': `data`, of type `dtype`.
 */
export type Kind = 'float' | 'positive' | 'unit' | 'ids' | 'mask' | 'given';

export interface Input {
  readonly shape: Shape;
  readonly kind: Kind;
  /** Typical magnitude of 'float' and 'positive' values in the classes normal, outliers and constant; default 1. */
  readonly scale?: number;
  /** Largest magnitude that the class `extremes` may draw, default 1e38: what the op can take without an overflow inside. */
  readonly most?: number;
  /** Bound of 'ids', exclusive. */
  readonly below?: number;
  /** Values and type of 'given'. */
  readonly data?: ArrayLike<number>;
  readonly dtype?: 'f32' | 'u32' | 'i32';
  /** Whether a gradient is asked for; default true for 'float', 'positive' and 'unit'. */
  readonly grad?: boolean;
  /** Ways in which the op reads this input besides f32; the harness draws one. i8 and i4 are quantised in blocks along the last axis and get no gradient. */
  readonly storage?: readonly Exclude<DType, 'i32' | 'u32'>[];
}

/** One case: inputs in the order of `run`'s tensors, and whatever else the op takes. Options are plain data, so that a failure can be printed. */
export interface Case<O = unknown> {
  readonly inputs: readonly Input[];
  readonly options: O;
}

/** How values are drawn. `normal` drifts along the tensor so that swapped strides show; `extremes` holds ±1e38, ±1000, subnormals, -0, 0. */
export const CLASSES = ['normal', 'integers', 'outliers', 'constant', 'extremes'] as const;
export type ValueClass = (typeof CLASSES)[number];

/**
 * What happens to NaN and ±Inf among the float inputs, where the float64 reference of the same inputs is the truth:
 * 'propagates': NaN where it says NaN, the same infinity where it says so, close elsewhere;
 * 'not finite': NaN or any infinity where it is not finite, close elsewhere (Inf - Inf inside);
 * 'spreads': as 'not finite', and NaN may show in other places too, for the reason given;
 * 'open': where the reference is finite the result is close; what stands elsewhere is open, for the reason given.
 */
export type Nonfinite = 'propagates' | 'not finite' | { readonly spreads: string } | { readonly open: string };

/** A size that a drawn case is too small for. */
export interface Heavy<O = unknown> {
  readonly name: string;
  readonly case: Case<O>;
  /** Also run the gradients (default false). */
  readonly gradients?: boolean;
  /** The typed error that has to come, instead of a result: a binding over the limit. */
  readonly fails?: RegExp;
  /** Runs in the fast profile too (below a second on SwiftShader); otherwise in the fuzz alone. */
  readonly fast?: boolean;
}

/**
 * What a reference does to numbers that f32 has to hold on the way (weights of a softmax, a mean): nothing, or one rounding each, when the harness asks how
 * far rounding moves the truth. Terms that cancel exactly show only so.
 */
export type Round = (v: Float64Array) => Float64Array;

/** One op. O is what `draw` puts into options; make entries with `proof`, which infers it. */
export interface Proof<O = unknown> {
  /** Unique; `npm run fuzz -- --op NAME`. */
  readonly name: string;
  /** Functions exported by kernels/index.ts that this proves. */
  readonly ops: readonly string[];
  /** Draws one case. Reads nothing but `r`. */
  draw(r: Draw): Case<O>;
  /**
   * The op on the GPU. May change its inputs (updates in place) and then returns them. Only the first result carries a gradient. A variant that the adapter
   * cannot run (tiles, attention) falls back to the adapter's own here.
   */
  run(t: readonly Tensor[], options: O, device: Device): Tensor | readonly Tensor[];
  /** Wraps forward and backward alike, for choices that are global: the tile of matrix products. */
  within?(options: O, fn: () => void): void;
  /** The same in float64, of the inputs as stored: one array per result of `run`. Ids and masks come as numbers. */
  reference(x: readonly Float64Array[], c: Case<O>, round?: Round): Float64Array | readonly Float64Array[];
  /** Float64 twin of the backward: the gradients of Σ dy · first result, one per input, undefined where there is none. */
  backward?(x: readonly Float64Array[], dy: Float64Array, c: Case<O>, round?: Round): readonly (Float64Array | undefined)[];
  /** Magnitude of the terms that cancel in each gradient (dP - D of a softmax): errors are measured against it where the gradient itself is smaller. */
  terms?(x: readonly Float64Array[], dy: Float64Array, c: Case<O>): readonly (number | undefined)[];
  /** Why there is no `backward`; required without one. */
  readonly noGradient?: string;
  /** NMSE of the results against float64, default 1e-12; matrix products and attention 1e-11. Not below what the storage type allows. */
  readonly limit?: number;
  /** NMSE of the gradients, default 1e-11. */
  readonly gradLimit?: number;
  /** Per element |result - truth| ≤ element · (|truth| + rms of the truth), default 2e-5; keeps one bad element from hiding in the average. */
  readonly element?: number;
  /** True where each element stands alone and is relatively precise: then per element |result - truth| ≤ element · |truth|, also in `extremes`. `floor` is added. */
  readonly relative?: boolean | { readonly floor: number };
  /** How many terms and factors of one result may each be flushed below the normal numbers (2^-126), where an element may be off by more than one; default 1. */
  readonly flushed?: number;
  /** 'integers': small whole numbers in (class `integers`, magnitude ≤ `integers`, default 8), bit-equal results out; 'bits': results are copies, bit-equal for all values. */
  readonly exact?: 'integers' | 'bits';
  readonly integers?: number;
  /** Value classes that the op's domain leaves out, with the reason. */
  readonly without?: Partial<Record<ValueClass, string>>;
  /** The batch axis of each input (undefined: shared by all rows) and of each result: rows permuted in come out permuted, bit for bit. Undefined where a case has none. */
  rows?(c: Case<O>): { readonly inputs: readonly (number | undefined)[]; readonly outputs: readonly (number | undefined)[] } | undefined;
  readonly nonfinite: Nonfinite;
  readonly heavy?: readonly Heavy<O>[];
}

/** Types an entry and puts it among those with other options. @param entry one op @returns the same */
export const proof = <O>(entry: Proof<O>): Proof => entry;
