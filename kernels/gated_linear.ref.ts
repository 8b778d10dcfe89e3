// Float64 formulas of kernels/gated_linear.ts. Imported by tests only.
import { geglu, gegluGradRef, swiglu, swigluGradRef } from './gated.ref.ts';
import { matmulGradRef, matmulRef } from './matmul.ref.ts';

export interface GatedSizes { readonly m: number; readonly n: number; readonly k: number; readonly activation: 'silu' | 'gelu_tanh' }

type Round = (v: Float64Array) => Float64Array;
const product = (x: Float64Array, w: Float64Array, { m, n, k }: GatedSizes): Float64Array => matmulRef(x, w, { batch: 1, m, n, k, transposeB: true });

/** f(x gateᵀ) · (x upᵀ). @param x [m, k] @param gate [n, k] @param up [n, k] @param sizes m, n, k and f @param round what f32 does to both products, when rounding is asked about @returns [m, n] */
export const gatedLinearRef = (x: Float64Array, gate: Float64Array, up: Float64Array, sizes: GatedSizes, round: Round = v => v): Float64Array =>
  (sizes.activation === 'silu' ? swiglu : geglu)(round(product(x, gate, sizes)), round(product(x, up, sizes)));

/** Gradients of gatedLinearRef. @param x [m, k] @param gate [n, k] @param up [n, k] @param dy [m, n] @param sizes m, n, k and f @param round as above @returns dx [m, k], dgate, dup [n, k] */
export function gatedLinearGradRef(x: Float64Array, gate: Float64Array, up: Float64Array, dy: Float64Array, sizes: GatedSizes, round: Round = v => v): [Float64Array, Float64Array, Float64Array] {
  const { m, n, k } = sizes;
  const [da, db] = (sizes.activation === 'silu' ? swigluGradRef : gegluGradRef)(round(product(x, gate, sizes)), round(product(x, up, sizes)), dy);
  const [dxGate, dgate] = matmulGradRef(x, gate, da, { batch: 1, m, n, k, transposeB: true });
  const [dxUp, dup] = matmulGradRef(x, up, db, { batch: 1, m, n, k, transposeB: true });
  return [dxGate.map((v, i) => v + dxUp[i]!), dgate, dup];
}
