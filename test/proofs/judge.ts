// The verdict on a case: every check that its entry implies, in the order from blunt to fine.
import { compare, nonfiniteFault, sameBits, sameNumbers } from './compare.ts';
import type { Tolerance } from './compare.ts';
import { dice, hash } from './draw.ts';
import type { Outcome } from './execute.ts';
import { wantsGradient } from './plan.ts';
import type { Planned } from './plan.ts';
import { numbers } from './readback.ts';
import type { Result } from './readback.ts';
import { twinFault } from './twin.ts';
import { isFloat, permutation } from './values.ts';
import type { Stored } from './values.ts';

/** What a case showed. */
export interface Judgement {
  /** Which check failed and how; undefined for a clean case. */
  readonly fault: string | undefined;
  readonly forward: number;
  readonly gradient: number;
  readonly twin: number;
  /** Results that only rounding of the inputs explains. */
  readonly conditioned: number;
  /** Results that had to be and were bit-equal to integers or copies. */
  readonly exact: number;
}

type Arrays = readonly Float64Array[];

const SAMPLES = 8;
const HALF_ULP = 2 ** -24;
const SMALLEST_NORMAL = 2 ** -126;
const MOST_WHOLE = 2 ** 24;

const list = (y: Float64Array | Arrays): Arrays => (y instanceof Float64Array ? [y] : y);

/** How far a function of the inputs moves when each float is rounded once, per output. */
function noiseOf(f: (x: Arrays, scale: (v: Float64Array) => Float64Array) => readonly (Float64Array | undefined)[], inputs: readonly Stored[], seed: number): readonly (Float64Array | undefined)[] {
  const x = inputs.map(s => s.values);
  const truth = f(x, v => v);
  const moved = truth.map(t => t && new Float64Array(t.length));
  for (let k = 0; k < SAMPLES; k++) {
    const d = dice(hash('noise', seed, k));
    // Not all by the same amount: what cancels exactly has to move too. Subnormal numbers may be flushed.
    const jitter = (v: Float64Array): Float64Array => v.map(e => (Math.abs(e) < SMALLEST_NORMAL ? 0 : e) * (1 + (d.chance(0.5) ? HALF_ULP : -HALF_ULP) * (0.5 + 0.5 * d.next())));
    const other = f(inputs.map(s => (isFloat(s.input) || s.dtype === 'f32' ? jitter(s.values) : s.values)), jitter);
    truth.forEach((t, i) => t?.forEach((v, j) => { moved[i]![j] = Math.max(moved[i]![j]!, Math.abs(other[i]![j]! - v)); }));
  }
  return moved;
}

function toleranceOf({ proof }: Planned, limit: number): Tolerance {
  const relative = proof.relative !== undefined && proof.relative !== false;
  return { limit, element: proof.element ?? 2e-5, relative, floor: typeof proof.relative === 'object' ? proof.relative.floor : 0, ...(proof.flushed && { flushed: proof.flushed }) };
}

const HALF_LIMITS = { f16: 1e-7, bf16: 5e-6 } as const;

/** Results stored small are as good as their type. */
function widened(tolerance: Tolerance, { dtype }: Result): Tolerance {
  if (dtype !== 'f16' && dtype !== 'bf16') return tolerance;
  return { ...tolerance, limit: Math.max(tolerance.limit, HALF_LIMITS[dtype]), element: dtype === 'f16' ? 1e-3 : 8e-3, floor: dtype === 'f16' ? 6e-8 : 0 };
}

/** Collects verdicts of one case. */
class Bench {
  forward = 0;
  gradient = 0;
  twin = 0;
  conditioned = 0;
  exact = 0;
  fault: string | undefined;

  fail(text: string): void {
    this.fault ??= text;
  }

  /** Compares numbers, and keeps the worst NMSE of what passed. */
  close(what: string, key: 'forward' | 'gradient', result: Result, truth: Float64Array, tolerance: Tolerance, noise: () => Float64Array): void {
    const v = compare(numbers(result), truth, tolerance, noise);
    if (v.fault) this.fail(`${what} ${v.fault}`);
    else if (v.conditioned) this.conditioned++;
    else this[key] = Math.max(this[key], v.nmse);
  }
}

/** Bits have to be copies only where the input was stored as the result is. */
const copies = ({ proof }: Planned, inputs: readonly Stored[]): boolean => proof.exact === 'bits' && inputs.every(s => s.dtype === 'f32' || s.dtype === 'u32' || s.dtype === 'i32');

/** The truth's bits for an op that copies: float64 holds every f32 but NaN payloads. */
function exactFault(planned: Planned, result: Result, truth: Float64Array, inputs: readonly Stored[]): string | undefined {
  const { proof, kind } = planned;
  if (proof.exact === 'integers' && kind !== 'integers') return undefined;
  if (copies(planned, inputs) && result.dtype === 'f32') {
    const expected = new Uint32Array(Float32Array.from(truth).buffer);
    return truth.some(Number.isNaN) ? sameNumbers(numbers(result), truth) : sameBits(result.bits, expected);
  }
  return sameNumbers(numbers(result), truth, Math.max(0, ...inputs.map(flushedOf)));
}

/** An i8 or i4 element is a product, and adapters may flush a factor or a product below the normal numbers: then 0 is right up to here. */
function flushedOf({ scales, dtype }: Stored): number {
  return scales?.some(s => Math.abs(s) <= SMALLEST_NORMAL) ? (dtype === 'i8' ? 128 : 8) * SMALLEST_NORMAL : 0;
}

function judgeForward(b: Bench, planned: Planned, { run, outputs }: Outcome): Arrays {
  const { proof, case: c, kind, spec } = planned;
  const truth = list(proof.reference(run.inputs.map(s => s.values), c));
  if (truth.length !== outputs.length) {
    b.fail(`gives ${outputs.length} results, the reference ${truth.length}`);
    return truth;
  }
  let noises: readonly (Float64Array | undefined)[] | undefined;
  for (const [i, result] of outputs.entries()) {
    const what = outputs.length > 1 ? `${run.role} result ${i}` : `${run.role} result`;
    let e = truth[i]!;
    if (result.breach) b.fail(`${what}: ${result.breach}`);
    if (run.role === 'nonfinite') {
      const fault = nonfiniteFault(numbers(result), e, proof.nonfinite);
      if (fault) b.fail(`${what}: ${fault}`);
      if (typeof proof.nonfinite === 'object' && 'spreads' in proof.nonfinite) {
        const got = numbers(result);
        e = e.map((v, k) => (Number.isFinite(got[k]) ? v : NaN)); // nothing is compared there
      }
    }
    const exact = proof.exact === 'bits' || (proof.exact === 'integers' && kind === 'integers' && run.role === 'first');
    if (exact) {
      const fault = exactFault(planned, result, e, run.inputs);
      if (fault) b.fail(`${what} ${fault}`);
      b.exact++;
      continue;
    }
    const noise = (): Float64Array => (noises ??= noiseOf((x, jitter) => list(proof.reference(x, c, jitter)), run.inputs, spec.seed))[i]!;
    b.close(what, 'forward', result, e, widened(toleranceOf(planned, proof.limit ?? 1e-12), result), noise);
  }
  return truth;
}

function judgeGradients(b: Bench, planned: Planned, outcome: Outcome, truth: Arrays): void {
  const { proof, case: c, kind, spec } = planned;
  const { run, dy, grads } = outcome;
  if (!dy) return;
  const seed = Float64Array.from(dy);
  if (seed.length !== truth[0]!.length) return b.fail(`the first result has ${seed.length} elements, the reference ${truth[0]!.length}`);
  const x = run.inputs.map(s => s.values);
  const twins = proof.backward!(x, seed, c);
  const terms = proof.terms?.(x, seed, c);
  let noises: readonly (Float64Array | undefined)[] | undefined;
  run.inputs.forEach((stored, i) => {
    if (!wantsGradient(stored)) return;
    const what = `gradient of input ${i}`;
    const e = twins[i] ?? new Float64Array(stored.values.length);
    const got = grads[i];
    if (!got) {
      if (e.some(v => v !== 0)) b.fail(`${what} is missing`);
      return;
    }
    if (got.breach) b.fail(`${what}: ${got.breach}`);
    if (kind === 'integers' && proof.exact && e.every(v => Number.isInteger(v) && Math.abs(v) < MOST_WHOLE)) {
      const fault = sameNumbers(numbers(got), e);
      if (fault) b.fail(`${what} ${fault}`);
      b.exact++;
      return;
    }
    const noise = (): Float64Array => (noises ??= noiseOf((v, jitter) => proof.backward!(v, jitter(seed), c, jitter), run.inputs, spec.seed))[i]!;
    b.close(what, 'gradient', got, e, { ...toleranceOf(planned, proof.gradLimit ?? 1e-11), relative: false, terms: terms?.[i] ?? 0 }, noise);
  });
}

/** Results and gradients of two runs of the same inputs are equal to the bit. */
function judgeAgain(b: Bench, a: Outcome, again: Outcome): void {
  const pairs = [...a.outputs.map((r, i) => [`result ${i}`, r, again.outputs[i]] as const), ...a.grads.map((r, i) => [`gradient of input ${i}`, r, again.grads[i]] as const)];
  for (const [what, one, two] of pairs) {
    if (!one && !two) continue;
    const fault = one && two ? sameBits(two.bits, one.bits) : 'is there once only';
    if (fault) b.fail(`${what} differs over another poison or in a second run: ${fault}`);
  }
}

/** Rows permuted in come out permuted, to the bit. */
function judgePermuted(b: Bench, { order, axes }: Planned, a: Outcome, moved: Outcome): void {
  a.outputs.forEach((one, i) => {
    const axis = axes!.outputs[i];
    const from = axis === undefined ? undefined : permutation(one.shape, axis, order!);
    const fault = axis === undefined ? undefined : sameBits(moved.outputs[i]!.bits, one.bits, from);
    if (fault) b.fail(`result ${i} depends on the position in the batch: ${fault}`);
  });
  a.grads.forEach((one, i) => {
    const axis = axes!.inputs[i];
    const other = moved.grads[i];
    if (!one || !other || axis === undefined || axes!.outputs[0] === undefined) return;
    const fault = sameBits(other.bits, one.bits, permutation(one.shape, axis, order!));
    if (fault) b.fail(`gradient of input ${i} depends on the position in the batch: ${fault}`);
  });
}

function judgeError(b: Bench, { fails }: Planned, outcomes: readonly Outcome[]): boolean {
  const error = outcomes.find(o => o.error)?.error;
  if (fails) {
    if (!error) b.fail(`gave a result, expected an error like ${fails}`);
    else if (!/^(ShapeError|DeviceError)$/.test(error.name) || !fails.test(error.message)) b.fail(`threw ${error.name}: ${error.message}, expected a typed error like ${fails}`);
    return true;
  }
  if (error) b.fail(`threw ${error.name}: ${error.message}`);
  return error !== undefined;
}

/**
 * Judges one case.
 * @param planned the case @param outcomes of its runs, in order @returns the verdict
 */
export function judge(planned: Planned, outcomes: readonly Outcome[]): Judgement {
  const b = new Bench();
  if (!judgeError(b, planned, outcomes)) {
    const [a, ...others] = outcomes as [Outcome, ...Outcome[]];
    const truth = judgeForward(b, planned, a);
    judgeGradients(b, planned, a, truth);
    for (const other of others) {
      if (other.run.role === 'again') judgeAgain(b, a, other);
      else if (other.run.role === 'permuted') judgePermuted(b, planned, a, other);
      else judgeForward(b, planned, other);
    }
  }
  if (planned.differences) {
    const { distance, fault } = twinFault(planned.proof, planned.spec.seed);
    b.twin = distance;
    if (fault) b.fail(fault);
  }
  const { fault, forward, gradient, twin, conditioned, exact } = b;
  return { fault, forward, gradient, twin, conditioned, exact };
}
