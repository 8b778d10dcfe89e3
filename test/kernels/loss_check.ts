// What the tests of losses share: the GPU's loss and gradients against the float64 formula and its twin, and the twin against central differences.
import { scope } from '../../engine/memory.ts';
import { gradients } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import type { Shape } from '../../engine/tensor.ts';
import { l2NormalizeRef } from '../../kernels/l2_normalize.ref.ts';
import { assert, close, device, nmse, random } from '../harness.ts';

/** An input of a loss: values by shape. */
export interface LossInput {
  readonly shape: Shape;
  readonly data: Float32Array;
}

export interface LossCase {
  /** The loss on the GPU. */
  readonly op: (...t: Tensor[]) => Tensor;
  /** Its formula in float64. */
  readonly ref: (...x: Float64Array[]) => ArrayLike<number>;
  /** Gradients of the formula, one per input. */
  readonly gradRef: (dloss: Float64Array, ...x: Float64Array[]) => readonly Float64Array[];
  readonly inputs: readonly LossInput[];
  /** Relative error of the loss, default 1e-6 (NMSE 1e-12). */
  readonly rel?: number;
  /** Limit of the gradients, default 1e-11. */
  readonly nmse?: number;
  readonly dloss?: number;
}

export const wide = (x: ArrayLike<number>): Float64Array => Float64Array.from(x);

/** Unit rows of two related sets, so that the diagonal stands out a little. */
export function unitRows(n: number, dim: number, spread = 1, seed = 1): { p: Float32Array; y: Float32Array } {
  const base = random([n, dim], seed), a = random([n, dim], seed + 1), b = random([n, dim], seed + 2);
  const mixed = (x: Float32Array): Float32Array => Float32Array.from(l2NormalizeRef(wide(base.map((v, i) => v + spread * x[i]!)), dim, 1e-12));
  return { p: mixed(a), y: mixed(b) };
}

/** A loss and the gradients of all its inputs on the GPU. @returns loss and gradients */
export async function runLoss({ op, inputs, dloss = 1 }: Pick<LossCase, 'op' | 'inputs' | 'dloss'>): Promise<{ loss: Float32Array; grads: Float32Array[] }> {
  const d = await device();
  const { loss, grads } = scope(() => {
    const leaves = inputs.map(({ shape, data }) => Tensor.from(d, data, shape));
    for (const t of leaves) t.needsGrad = true;
    const loss = op(...leaves);
    return { loss, grads: gradients(loss, Tensor.from(d, [dloss]), leaves) };
  });
  const read = async (t: Tensor | undefined, i: number): Promise<Float32Array> => {
    assert.ok(t, `input ${i} got no gradient`);
    const values = await t!.read();
    t!.dispose();
    return values;
  };
  return { loss: await read(loss, -1), grads: await Promise.all(grads.map(read)) };
}

/** Fails unless loss and gradients of the GPU are those of the formula. @param c the case @returns nothing */
export async function matchesFormula(c: LossCase): Promise<void> {
  const { dloss = 1, inputs } = c;
  const { loss, grads } = await runLoss(c);
  const x = inputs.map(i => wide(i.data));
  close(loss, c.ref(...x), { rel: c.rel ?? 1e-6, name: 'loss' });
  const expected = c.gradRef(Float64Array.of(dloss), ...x);
  grads.forEach((g, i) => close(g, expected[i]!, { nmse: c.nmse ?? 1e-11, name: `gradient of input ${i}` }));
}

/** Fails unless the float64 gradients are the slopes of the float64 formula, to 1e-7 relative, by five-point central differences. @param c the case @param h step @returns nothing */
export function twinMatchesDifferences({ ref, gradRef, inputs }: Pick<LossCase, 'ref' | 'gradRef' | 'inputs'>, h = 1e-3): void {
  const x = inputs.map(i => wide(i.data));
  const grads = gradRef(Float64Array.of(1), ...x);
  x.forEach((values, which) => {
    const slopes = values.map((original, i) => {
      const at = (k: number): number => { values[i] = original + k * h; return ref(...x)[0]!; };
      const slope = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h);
      values[i] = original;
      return slope;
    });
    const error = Math.sqrt(nmse(grads[which]!, slopes));
    assert.ok(error <= 1e-7, `the twin's gradient of input ${which} is ${error.toExponential(2)} off`);
  });
}
