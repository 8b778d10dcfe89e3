// What one case does, derived from its entry and its seed: shapes, values, storage types, and which of the dearer checks are made.
import type { Device } from '../../engine/device.ts';
import { size } from '../../engine/tensor.ts';
import type { DType } from '../../engine/tensor.ts';
import { dice, drawFor, hash, shuffled } from './draw.ts';
import { CLASSES } from './proof.ts';
import type { Case, Heavy, Proof, ValueClass } from './proof.ts';
import { PATTERNS } from './readback.ts';
import { drawValues, isFloat, permuted, plantNonfinite } from './values.ts';
import type { Stored } from './values.ts';

/** Names a case for ever. */
export interface Spec {
  readonly op: string;
  readonly seed: number;
  readonly cap: number;
  /** Shrinking replaces the class of values that the seed draws. */
  readonly only?: ValueClass;
  /** Shrinking leaves out the storage types. */
  readonly plain?: boolean;
  /** A named case of the entry instead of a drawn one. */
  readonly heavy?: string;
}

/** How often the dearer checks are made. */
export interface Shares {
  /** Run again over another poison. */
  readonly again: number;
  /** Run with rows in another order. */
  readonly permuted: number;
  /** Run with NaN and infinities among the inputs. */
  readonly nonfinite: number;
  /** Twin of the gradient against central differences, on the CPU. */
  readonly differences: number;
}

export const FUZZ_SHARES: Shares = { again: 0.25, permuted: 0.2, nonfinite: 0.12, differences: 0.1 };

/** One execution of the op. */
export interface Run {
  readonly role: 'first' | 'again' | 'permuted' | 'nonfinite';
  readonly inputs: readonly Stored[];
  readonly poison: number;
  readonly gradients: boolean;
}

export interface Planned {
  readonly spec: Spec;
  readonly proof: Proof;
  readonly case: Case;
  readonly kind: ValueClass;
  /** Heavy cases that have to end in a typed error. */
  readonly fails: RegExp | undefined;
  readonly nativeF16: boolean;
  readonly runs: readonly Run[];
  /** Permuted run: where each row comes from, and the axes. */
  readonly order: readonly number[] | undefined;
  readonly axes: ReturnType<NonNullable<Proof['rows']>>;
  readonly differences: boolean;
}

const WEIGHTS: readonly ValueClass[] = ['normal', 'normal', 'normal', 'integers', 'integers', 'outliers', 'constant', 'extremes'];
const STORED = 0.3;

function classOf(proof: Proof, drawn: ValueClass, only: ValueClass | undefined): ValueClass {
  const wanted = only ?? drawn;
  if (!(wanted in (proof.without ?? {}))) return wanted;
  return CLASSES.find(c => !(c in (proof.without ?? {})))!;
}

/** Storage types of the inputs: most cases plain, the others one type for all inputs that allow it, so that pipelines stay few. */
function storageOf(c: Case, d: ReturnType<typeof dice>, plain: boolean): DType[] {
  const known = [...new Set(c.inputs.flatMap(i => i.storage ?? []))];
  const small = d.chance(STORED) && known.length ? d.pick(known) : 'f32';
  const chosen = c.inputs.map(i => (i.storage?.includes(small) && d.chance(0.8) ? small : 'f32'));
  return plain ? chosen.map(() => 'f32' as const) : chosen;
}

/** dtype that an input really has: only drawn floats can be stored otherwise. */
function valuesOf(proof: Proof, c: Case, types: readonly DType[], kind: ValueClass, seed: number): Stored[] {
  return c.inputs.map((input, i) => {
    const bound = types[i] === 'i4' ? Math.min(7, proof.integers ?? 8) : proof.integers ?? 8;
    return drawValues(input, kind, types[i]!, hash(`${proof.name} values`, seed, i), bound);
  });
}

/**
 * Plans a case: a pure function of entry, spec and shares.
 * @param proof entry @param spec which case @param shares how often the dearer checks are made @returns everything that runs
 */
export function plan(proof: Proof, spec: Spec, shares: Shares): Planned {
  const { seed, cap, plain = false } = spec;
  const heavy: Heavy | undefined = spec.heavy === undefined ? undefined : proof.heavy?.find(h => h.name === spec.heavy);
  if (spec.heavy !== undefined && !heavy) throw new Error(`${proof.name} has no heavy case "${spec.heavy}"`);
  const c = heavy?.case ?? proof.draw(drawFor(proof.name, seed, cap));
  const d = dice(hash(`${proof.name} plan`, seed));
  const kind = classOf(proof, d.pick(WEIGHTS), heavy ? 'normal' : spec.only);
  const types = storageOf(c, d, plain || heavy !== undefined);
  const wants = { again: d.chance(shares.again), permuted: d.chance(shares.permuted), nonfinite: d.chance(shares.nonfinite), differences: d.chance(shares.differences) };
  const [one, other] = d.chance(0.5) ? PATTERNS : [PATTERNS[1], PATTERNS[0]];
  const nativeF16 = d.chance(0.5) && types.includes('f16'); // otherwise the same pipelines would be built twice
  const inputs = valuesOf(proof, c, types, kind, seed);
  const gradients = proof.backward !== undefined && kind !== 'extremes' && (heavy ? heavy.gradients === true : true);
  const runs: Run[] = [{ role: 'first', inputs, poison: one, gradients }];
  const base = { spec, proof, case: c, kind, fails: heavy?.fails, nativeF16 };
  if (heavy) return { ...base, runs, order: undefined, axes: undefined, differences: false };
  if (wants.again) runs.push({ role: 'again', inputs, poison: other, gradients });
  const axes = wants.permuted ? proof.rows?.(c) : undefined;
  const moved = axes && permutedRun(inputs, axes.inputs, d);
  if (moved) runs.push({ role: 'permuted', inputs: moved.inputs, poison: one, gradients });
  const planted = wants.nonfinite ? plantNonfinite(kind === 'extremes' || kind === 'integers' ? valuesOf(proof, c, types, 'normal', seed) : inputs, hash(`${proof.name} planted`, seed)) : undefined;
  if (planted) runs.push({ role: 'nonfinite', inputs: planted, poison: one, gradients: false });
  return { ...base, runs, order: moved?.order, axes: moved && axes, differences: wants.differences && proof.backward !== undefined };
}

function permutedRun(inputs: readonly Stored[], axes: readonly (number | undefined)[], d: ReturnType<typeof dice>): { inputs: Stored[]; order: number[] } | undefined {
  const first = axes.findIndex(a => a !== undefined);
  const rows = first < 0 ? 0 : inputs[first]!.input.shape[axes[first]!]!;
  if (rows < 2) return undefined;
  const order = shuffled(rows, d.int);
  const moved: Stored[] = [];
  for (const [i, stored] of inputs.entries()) {
    const axis = axes[i];
    const now = axis === undefined ? stored : permuted(stored, axis, order);
    if (!now) return undefined;
    moved.push(now);
  }
  return { inputs: moved, order };
}

/** Whether the op's own gradient goes to an input. @param stored as drawn @returns yes or no; quantised inputs are frozen */
export const wantsGradient = ({ input, scales, dtype }: Stored): boolean =>
  !scales && dtype !== 'u32' && dtype !== 'i32' && (input.grad ?? isFloat(input));

/** Elements of all inputs: how large a case is. @param c case @returns count */
export const elementsOf = (c: Case): number => c.inputs.reduce((n, i) => n + size(i.shape), 0);

/** Switches the way f16 is read where the device has both. @param device where @param native by the language's own type @returns nothing */
export function readF16(device: Device, native: boolean): void {
  device.nativeF16 = native && device.features.has('shader-f16');
}
