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

/** Shape and offsets of a broadcast pair: `visit(i, u, v)` for each element i of the result with its elements u of a and v of b. */
function eachPair(aShape: readonly number[], bShape: readonly number[], visit: (i: number, u: number, v: number) => void): void {
  const rank = Math.max(aShape.length, bShape.length);
  const sizeAt = (s: readonly number[], k: number): number => s[k - rank + s.length] ?? 1;
  const walk = (k: number, i: number, u: number, v: number): void => {
    if (k === rank) return visit(i, u, v);
    const [p, q] = [sizeAt(aShape, k), sizeAt(bShape, k)];
    const n = p === 1 ? q : p;
    for (let at = 0; at < n; at++) walk(k + 1, i * n + at, u * p + (p === 1 ? 0 : at), v * q + (q === 1 ? 0 : at));
  };
  walk(0, 0, 0, 0);
}

/** The gradients of `broadcast` for given partial derivatives: each element of a collects dy · ∂/∂a of all results it took part in. */
function pairGrad(
  slopeA: (a: number, b: number) => number, slopeB: (a: number, b: number) => number,
  a: Float64Array, aShape: readonly number[], b: Float64Array, bShape: readonly number[], dy: Float64Array,
): [Float64Array, Float64Array] {
  const da = new Float64Array(a.length), db = new Float64Array(b.length);
  eachPair(aShape, bShape, (i, u, v) => {
    da[u]! += dy[i]! * slopeA(a[u]!, b[v]!);
    db[v]! += dy[i]! * slopeB(a[u]!, b[v]!);
  });
  return [da, db];
}

type PairGrad = (a: Float64Array, aShape: readonly number[], b: Float64Array, bShape: readonly number[], dy: Float64Array) => [Float64Array, Float64Array];

/** Gradients of a + b. @param a values @param aShape their shape @param b values @param bShape their shape @param dy of the broadcast shape @returns da, db */
export const addGradRef: PairGrad = (...args) => pairGrad(() => 1, () => 1, ...args);

/** Gradients of a − b. @param a values @param aShape their shape @param b values @param bShape their shape @param dy of the broadcast shape @returns da, db */
export const subGradRef: PairGrad = (...args) => pairGrad(() => 1, () => -1, ...args);

/** Gradients of a b. @param a values @param aShape their shape @param b values @param bShape their shape @param dy of the broadcast shape @returns da, db */
export const mulGradRef: PairGrad = (...args) => pairGrad((_, b) => b, a => a, ...args);

/** Gradients of a / b: 1 / b and −a / b². @param a values @param aShape their shape @param b values @param bShape their shape @param dy of the broadcast shape @returns da, db */
export const divGradRef: PairGrad = (...args) => pairGrad((_, b) => 1 / b, (a, b) => -a / (b * b), ...args);

/** x · factor + offset, factor and offset as f32. @param x [n] @param factor number @param offset number @returns [n] */
export const affineRef = (x: Float64Array, factor: number, offset: number): Float64Array => x.map(v => v * Math.fround(factor) + Math.fround(offset));

/** Gradient of `affineRef`. @param dy [n] @param factor number @returns [n] */
export const affineGradRef = (dy: Float64Array, factor: number): Float64Array => dy.map(v => v * Math.fround(factor));

/** e^x. @param x [n] @returns [n] */
export const expRef = (x: Float64Array): Float64Array => x.map(Math.exp);

/** dy e^x. @param x [n] @param dy [n] @returns [n] */
export const expGradRef = (x: Float64Array, dy: Float64Array): Float64Array => expRef(x).map((y, i) => dy[i]! * y);
