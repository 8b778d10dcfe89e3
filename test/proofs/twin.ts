// The float64 twin of a gradient against five-point central differences of the float64 reference, on the CPU.
import { dice, drawFor, hash } from './draw.ts';
import { elementsOf } from './plan.ts';
import type { Case, Proof } from './proof.ts';
import { drawValues, isFloat } from './values.ts';

const CAP = 4;
const MOST_ELEMENTS = 64;
/** Steps of the differences: a large one for slow functions, small ones where the function is steep. */
const STEPS = [1e-3, 2e-4, 2e-5] as const;
const LIMIT = 1e-7;

const first = (y: Float64Array | readonly Float64Array[]): Float64Array => (y instanceof Float64Array ? y : y[0]!);

/** Gradient of Σ dy · reference by central differences for one input, and how large the sum is (its rounding limits the differences). */
function differences(proof: Proof, c: Case, x: readonly Float64Array[], dy: Float64Array, which: number, step: number): { slope: Float64Array; magnitude: number } {
  const moved = x.map(v => v.slice());
  const target = moved[which]!;
  let magnitude = 0;
  const value = (): number => first(proof.reference(moved, c)).reduce((s, v, i) => {
    magnitude = Math.max(magnitude, Math.abs(v * dy[i]!));
    return s + v * dy[i]!;
  }, 0);
  const slope = target.map((original, i) => {
    const h = step * (c.inputs[which]!.kind === 'positive' ? Math.abs(original) : Math.max(1, Math.abs(original)));
    const at = (k: number): number => {
      target[i] = original + k * h;
      return value();
    };
    const d = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h);
    target[i] = original;
    return d;
  });
  return { slope, magnitude };
}

const length = (v: Float64Array): number => Math.sqrt(v.reduce((s, e) => s + e * e, 0));

/** Relative distance of the twin from the differences, the best of the steps. */
function distance(proof: Proof, c: Case, x: readonly Float64Array[], dy: Float64Array, which: number, twin: Float64Array): number {
  let best = Infinity;
  for (const step of STEPS) {
    const { slope, magnitude } = differences(proof, c, x, dy, which, step);
    const rounding = (1e-14 * magnitude * Math.sqrt(slope.length) * Math.max(1, dy.length)) / step;
    const off = length(slope.map((v, i) => v - twin[i]!));
    best = Math.min(best, Math.max(0, off - rounding) / Math.max(length(twin), 1e-9));
    if (best <= LIMIT) break;
  }
  return best;
}

/**
 * Checks the twin of an entry on a small case of its own.
 * @param proof entry with `backward` @param seed of the case @returns the largest relative distance over the inputs (0 when the case was too large), and what is wrong
 */
export function twinFault(proof: Proof, seed: number): { distance: number; fault?: string } {
  const c = proof.draw(drawFor(`${proof.name} twin`, seed, CAP));
  if (elementsOf(c) > MOST_ELEMENTS) return { distance: 0 };
  const kind = 'normal' in (proof.without ?? {}) ? 'integers' : 'normal';
  const x = c.inputs.map((input, i) => drawValues(input, kind, 'f32', hash(`${proof.name} twin values`, seed, i), 3).values);
  const y = first(proof.reference(x, c));
  const d = dice(hash(`${proof.name} twin dy`, seed));
  const dy = Float64Array.from(y, () => d.normal());
  const twins = proof.backward!(x, dy, c);
  let worst = 0;
  for (const [i, input] of c.inputs.entries()) {
    if (!(input.grad ?? isFloat(input))) continue;
    const twin = twins[i] ?? new Float64Array(x[i]!.length);
    if (twin.length !== x[i]!.length) return { distance: Infinity, fault: `twin of the gradient of input ${i} has ${twin.length} elements, expected ${x[i]!.length}` };
    const off = distance(proof, c, x, dy, i, twin);
    worst = Math.max(worst, off);
    if (!(off <= LIMIT)) return { distance: off, fault: `twin of the gradient of input ${i} is ${off.toExponential(2)} off central differences (limit ${LIMIT}), shapes ${JSON.stringify(c.inputs.map(n => n.shape))}, options ${JSON.stringify(c.options)}` };
  }
  return { distance: worst };
}
