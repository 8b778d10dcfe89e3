// Float64 formulas of kernels/gated.ts. Imported by tests only.
import { geluTanh, geluTanhSlope, silu, siluSlope } from './activation.ref.ts';

/** silu(gate) · up. @param gate [n] @param up [n] @returns [n] */
export const swiglu = (gate: Float64Array, up: Float64Array): Float64Array => gate.map((g, i) => silu(g) * up[i]!);

/** gelu_tanh(gate) · up. @param gate [n] @param up [n] @returns [n] */
export const geglu = (gate: Float64Array, up: Float64Array): Float64Array => gate.map((g, i) => geluTanh(g) * up[i]!);

/** Gradients of f(gate) · up: dy up f'(gate) and dy f(gate). */
const gatedGrad = (f: (x: number) => number, slope: (x: number) => number, gate: Float64Array, up: Float64Array, dy: Float64Array): [Float64Array, Float64Array] =>
  [gate.map((g, i) => dy[i]! * up[i]! * slope(g)), gate.map((g, i) => dy[i]! * f(g))];

/** Gradients of swiglu. @param gate [n] @param up [n] @param dy [n] @returns dgate, dup [n] */
export const swigluGradRef = (gate: Float64Array, up: Float64Array, dy: Float64Array): [Float64Array, Float64Array] => gatedGrad(silu, siluSlope, gate, up, dy);

/** Gradients of geglu. @param gate [n] @param up [n] @param dy [n] @returns dgate, dup [n] */
export const gegluGradRef = (gate: Float64Array, up: Float64Array, dy: Float64Array): [Float64Array, Float64Array] => gatedGrad(geluTanh, geluTanhSlope, gate, up, dy);
