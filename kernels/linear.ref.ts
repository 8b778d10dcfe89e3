// y = act(x Wᵀ + bias)
import { gelu, geluTanh, silu } from './activation.ref.ts';
import { matmulRef } from './matmul.ref.ts';

const ACTIVATIONS = { none: (v: number): number => v, gelu, gelu_tanh: geluTanh, silu } as const;

/**
 * Affine map and activation in float64.
 * @param x [m, k] @param weight [n, k] @param bias [n], or none @param sizes m, n, k and the activation
 * @returns [m, n]
 */
export function linearRef(
  x: Float64Array, weight: Float64Array, bias: Float64Array | undefined,
  { m, n, k, activation = 'none' }: { m: number; n: number; k: number; activation?: keyof typeof ACTIVATIONS },
): Float64Array {
  const act = ACTIVATIONS[activation];
  return matmulRef(x, weight, { batch: 1, m, n, k, transposeB: true }).map((v, i) => act(v + (bias ? bias[i % n]! : 0)));
}
