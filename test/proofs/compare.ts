// Comparisons of results with the truth. All of them return what is wrong, or nothing.
import type { Nonfinite } from './proof.ts';

const F32_MOST = 3.4028234663852886e38;
const F32_LEAST = 1.1754943508222875e-38;
/** A result within this factor of what one rounding error per input does to the truth is as good as f32 can be (cancellation). */
const NOISE_FACTOR = 32;

export interface Tolerance {
  /** NMSE over all elements. */
  readonly limit: number;
  /** Per element: element · (|truth| + rms), or element · |truth| + floor where `relative`. */
  readonly element: number;
  readonly relative: boolean;
  readonly floor: number;
  /** How many terms of one result may be flushed below the normal numbers, one by one; default 1. */
  readonly flushed?: number;
  /** Magnitude that errors are measured against where the truth is smaller; default 0. */
  readonly terms?: number;
}

export interface Verdict {
  readonly nmse: number;
  /** What is wrong; undefined when nothing is. */
  readonly fault?: string;
  /** The difference is what rounding the inputs does; the limits alone would have refused it. */
  readonly conditioned?: boolean;
}

/** What flushing may cost one result. */
const slack = ({ flushed = 1 }: Tolerance): number => flushed * F32_LEAST;

const show = (v: number): string => (Number.isFinite(v) ? v.toPrecision(9) : String(v));

/** Values around an index. */
function around(actual: ArrayLike<number>, expected: ArrayLike<number>, at: number): string {
  const from = Math.max(0, at - 2), to = Math.min(expected.length, at + 3);
  const row = (v: ArrayLike<number>): string => Array.from({ length: to - from }, (_, k) => show(v[from + k]!)).join(' ');
  return `from ${from}: got ${row(actual)}, expected ${row(expected)}`;
}

/** Beyond f32 any infinity of the sign or the largest numbers will do; below its normal numbers, zero. */
function difference(a: number, e: number): number {
  if (Math.abs(e) > F32_MOST * (1 - 1e-6)) return Math.sign(a) === Math.sign(e) && Math.abs(a) > F32_MOST * (1 - 1e-5) ? 0 : Infinity;
  return Number.isFinite(a) ? Math.abs(a - e) : Infinity;
}

/**
 * Compares a finite result with the truth: no NaN, NMSE and every element within the limits. What fails the limits may still be within what one
 * rounding of every input does to the truth.
 * @param actual as read @param expected float64; where it is not finite nothing is compared @param tolerance limits @param noise how far the truth moves when the inputs are rounded; called only on failure
 * @returns NMSE and the fault
 */
export function compare(actual: ArrayLike<number>, expected: Float64Array, tolerance: Tolerance, noise?: () => Float64Array): Verdict {
  if (actual.length !== expected.length) return { nmse: Infinity, fault: `has ${actual.length} elements, expected ${expected.length}` };
  const { terms = 0 } = tolerance;
  const least = slack(tolerance);
  let error = 0, power = 0, finite = 0;
  for (let i = 0; i < expected.length; i++) {
    const e = expected[i]!;
    if (!Number.isFinite(e)) continue;
    const d = difference(actual[i]!, e);
    if (d === Infinity) return { nmse: Infinity, fault: `element ${i} of ${expected.length}: ${around(actual, expected, i)}` };
    if (d > least + tolerance.floor) error += d * d;
    power += Math.max(Math.min(Math.abs(e), F32_MOST), terms) ** 2;
    finite++;
  }
  const nmse = error === 0 ? 0 : power === 0 ? error : error / power;
  const worst = worstElement(actual, expected, tolerance, Math.sqrt(power / Math.max(1, finite)));
  if (nmse <= tolerance.limit && worst < 0) return { nmse };
  const moved = noise?.();
  if (moved && explained(actual, expected, moved, tolerance, error, power)) return { nmse, conditioned: true };
  const where = worst < 0 ? '' : `, element ${worst} of ${expected.length}: ${around(actual, expected, worst)}`;
  return { nmse, fault: `NMSE ${nmse.toExponential(2)} (limit ${tolerance.limit})${where}` };
}

/** Index of the first element out of tolerance, or -1. */
function worstElement(actual: ArrayLike<number>, expected: Float64Array, tolerance: Tolerance, rms: number): number {
  const { element, relative, floor } = tolerance;
  for (let i = 0; i < expected.length; i++) {
    const e = expected[i]!;
    if (!Number.isFinite(e)) continue;
    const bound = slack(tolerance) + (relative ? element * Math.abs(e) + floor : element * (Math.abs(e) + rms) + floor);
    if (difference(actual[i]!, e) > bound) return i;
  }
  return -1;
}

function explained(actual: ArrayLike<number>, expected: Float64Array, noise: Float64Array, tolerance: Tolerance, error: number, power: number): boolean {
  const { element, limit } = tolerance;
  let allowed = limit * power;
  for (const n of noise) if (Number.isFinite(n)) allowed += (NOISE_FACTOR * n) ** 2;
  if (!(error <= allowed)) return false;
  const rms = Math.sqrt(allowed / Math.max(1, expected.length));
  for (let i = 0; i < expected.length; i++) {
    const e = expected[i]!;
    if (Number.isFinite(e) && !(difference(actual[i]!, e) <= slack(tolerance) + element * Math.abs(e) + NOISE_FACTOR * noise[i]! + rms)) return false;
  }
  return true;
}

/** Bit equality. @param actual words @param expected words @param from where an expected element comes from, default its own place @returns what is wrong, or nothing */
export function sameBits(actual: Uint32Array, expected: Uint32Array, from?: Uint32Array): string | undefined {
  if (actual.length !== expected.length) return `has ${actual.length} elements, expected ${expected.length}`;
  for (let i = 0; i < actual.length; i++) {
    const e = expected[from ? from[i]! : i]!;
    if (actual[i] !== e) return `element ${i} of ${actual.length} has the bits 0x${actual[i]!.toString(16)}, expected 0x${e.toString(16)}`;
  }
  return undefined;
}

/** Equality with a truth that f32 (or the integer type of the result) can hold; -0 and 0 are equal, and so are NaNs. @param actual as read @param expected float64 @param flushed up to which size of the truth 0 is right too @returns what is wrong, or nothing */
export function sameNumbers(actual: ArrayLike<number>, expected: Float64Array, flushed = 0): string | undefined {
  const whole = actual instanceof Uint32Array || actual instanceof Int32Array;
  if (actual.length !== expected.length) return `has ${actual.length} elements, expected ${expected.length}`;
  for (let i = 0; i < expected.length; i++) {
    const e = whole ? expected[i]! : Math.fround(expected[i]!);
    if (actual[i] !== e && !(Number.isNaN(e) && Number.isNaN(actual[i]!)) && !(actual[i] === 0 && Math.abs(e) <= flushed)) return `element ${i} of ${expected.length} is not exact: ${around(actual, expected, i)}`;
  }
  return undefined;
}

/**
 * The contract for NaN and infinities, where the truth is what float64 makes of the same inputs.
 * @param actual as read @param expected float64 @param contract of the op @returns what is wrong with the elements that are not finite, or nothing
 */
export function nonfiniteFault(actual: ArrayLike<number>, expected: Float64Array, contract: Nonfinite): string | undefined {
  if (typeof contract === 'object' && 'open' in contract) return undefined;
  for (let i = 0; i < expected.length; i++) {
    const e = expected[i]!, a = actual[i]!;
    if (Number.isFinite(e)) continue;
    const fits = contract === 'propagates' ? Object.is(a, e) : !Number.isFinite(a);
    if (!fits) return `element ${i} of ${expected.length}, ${contract}: ${around(actual, expected, i)}`;
  }
  return undefined;
}
