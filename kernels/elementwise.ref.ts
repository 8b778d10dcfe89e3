// Float64 formulas of kernels/elementwise.ts. Imported by tests only.

/**
 * a ∘ b with NumPy broadcasting.
 * @param op the operation @param a values @param aShape their shape @param b values @param bShape their shape @returns values of the broadcast shape
 */
export function broadcast(op: (a: number, b: number) => number, a: Float64Array, aShape: readonly number[], b: Float64Array, bShape: readonly number[]): Float64Array {
  const rank = Math.max(aShape.length, bShape.length);
  const p = [...Array<number>(rank - aShape.length).fill(1), ...aShape];
  const q = [...Array<number>(rank - bShape.length).fill(1), ...bShape];
  const shape = p.map((n, i) => (n === 1 ? q[i]! : n));
  const y = new Float64Array(shape.reduce((n, s) => n * s, 1));
  for (let i = 0; i < y.length; i++) {
    let rest = i;
    let [u, v, uStep, vStep] = [0, 0, 1, 1];
    for (let k = rank - 1; k >= 0; k--) {
      const at = rest % shape[k]!;
      rest = Math.floor(rest / shape[k]!);
      if (p[k] !== 1) u += at * uStep;
      if (q[k] !== 1) v += at * vStep;
      uStep *= p[k]!;
      vStep *= q[k]!;
    }
    y[i] = op(a[u]!, b[v]!);
  }
  return y;
}
