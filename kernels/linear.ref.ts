// y = act(x Wᵀ + bias) + residual
import { gelu, geluGradRef, geluTanh, geluTanhGradRef, silu, siluGradRef } from './activation.ref.ts';
import { columnSumRef } from './column_sum.ref.ts';
import { matmulGradRef, matmulRef } from './matmul.ref.ts';

const ACTIVATIONS = { none: (v: number): number => v, gelu, gelu_tanh: geluTanh, silu } as const;

/**
 * Affine map and activation in float64.
 * @param x [m, k] @param weight [n, k] @param bias [n], or none @param sizes m, n, k and the activation @param residual [m, n], or none
 * @param round what f32 does to the input of the activation, when rounding is asked about
 * @returns [m, n]
 */
export function linearRef(
  x: Float64Array, weight: Float64Array, bias: Float64Array | undefined,
  { m, n, k, activation = 'none' }: { m: number; n: number; k: number; activation?: keyof typeof ACTIVATIONS },
  residual?: Float64Array, round: Round = v => v,
): Float64Array {
  const act = ACTIVATIONS[activation];
  const pre = round(matmulRef(x, weight, { batch: 1, m, n, k, transposeB: true }).map((v, i) => v + (bias ? bias[i % n]! : 0)));
  return pre.map((v, i) => act(v) + (residual ? residual[i]! : 0));
}

type Round = (v: Float64Array) => Float64Array;

const SLOPES: Readonly<Record<keyof typeof ACTIVATIONS, (v: Float64Array, dy: Float64Array) => Float64Array>> = {
  none: (_, dy) => dy, gelu: geluGradRef, gelu_tanh: geluTanhGradRef, silu: siluGradRef,
};

/**
 * The gradients of `linearRef` but for the residual, whose gradient is dy: dpre = dy act'(pre), then those of the product; dbias = column sums of dpre.
 * @param x [m, k] @param weight [n, k] @param bias [n], or none @param dy [m, n] @param sizes m, n, k and the activation @param round as for `linearRef`
 * @returns dx [m, k], dweight [n, k], dbias [n]
 */
export function linearGradRef(
  x: Float64Array, weight: Float64Array, bias: Float64Array | undefined, dy: Float64Array,
  { m, n, k, activation = 'none' }: { m: number; n: number; k: number; activation?: keyof typeof ACTIVATIONS }, round?: Round,
): [Float64Array, Float64Array, Float64Array] {
  const dpre = SLOPES[activation](linearRef(x, weight, bias, { m, n, k }, undefined, round), dy);
  const [dx, dweight] = matmulGradRef(x, weight, dpre, { batch: 1, m, n, k, transposeB: true });
  return [dx, dweight, columnSumRef(dpre, n)];
}
