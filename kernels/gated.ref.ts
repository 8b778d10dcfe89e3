// Float64 formulas of kernels/gated.ts. Imported by tests only.
import { geluTanh, silu } from './activation.ref.ts';

/** silu(gate) · up. @param gate [n] @param up [n] @returns [n] */
export const swiglu = (gate: Float64Array, up: Float64Array): Float64Array => gate.map((g, i) => silu(g) * up[i]!);

/** gelu_tanh(gate) · up. @param gate [n] @param up [n] @returns [n] */
export const geglu = (gate: Float64Array, up: Float64Array): Float64Array => gate.map((g, i) => geluTanh(g) * up[i]!);
