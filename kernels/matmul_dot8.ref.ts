// Float64 formula of kernels/matmul_dot8.ts. Imported by tests only.
import { linearRef } from './linear.ref.ts';
import { quantizeRef } from './quantize.ref.ts';

/**
 * `linearRef` of x rounded to bytes in blocks; what x has as bytes already is kept by that, up to the rounding of float64.
 * @param x [m, k] @param weight [n, k] values as stored @param bias [n], or none @param sizes m, n, k, elements of a block and the activation
 * @returns [m, n]
 */
export function linearInt8Ref(
  x: Float64Array, weight: Float64Array, bias: Float64Array | undefined,
  { block, ...sizes }: { m: number; n: number; k: number; block: number; activation?: 'none' | 'gelu' | 'gelu_tanh' | 'silu' },
): Float64Array {
  return linearRef(quantizeRef(x, block, 8), weight, bias, sizes);
}
