// Float64 formulas of kernels/sum.ts. Imported by tests only.

/** Σ over the middle axis. @param x [outer, n, inner] @param outer size @param n size @param inner size @returns [outer, inner] */
export function sumMiddle(x: Float64Array, outer: number, n: number, inner: number): Float64Array {
  const y = new Float64Array(outer * inner);
  for (let o = 0; o < outer; o++) for (let k = 0; k < n; k++) for (let j = 0; j < inner; j++) y[o * inner + j]! += x[(o * n + k) * inner + j]!;
  return y;
}

/** The gradient of `sumMiddle`: dy repeated along the middle axis. @param dy [outer, inner] @param outer size @param n size @param inner size @returns [outer, n, inner] */
export function sumMiddleGradRef(dy: Float64Array, outer: number, n: number, inner: number): Float64Array {
  return Float64Array.from({ length: outer * n * inner }, (_, i) => dy[Math.floor(i / (n * inner)) * inner + (i % inner)]!);
}

/** Σ x · factor over everything. @param x [n] @param factor 1, or 1 / n for the mean @returns [1] */
export const sumRef = (x: Float64Array, factor = 1): Float64Array => Float64Array.of(x.reduce((s, v) => s + v, 0) * factor);

/** The gradient of `sumRef`. @param dy [1] @param n elements of x @param factor as given to it @returns [n] */
export const sumGradRef = (dy: Float64Array, n: number, factor = 1): Float64Array => new Float64Array(n).fill(dy[0]! * factor);

/** `sumTo`: the elements of x that a broadcast made from one of `shape` are summed. @param x values @param xShape their shape @param shape what broadcasts to it @returns [shape] */
export function sumToRef(x: Float64Array, xShape: readonly number[], shape: readonly number[]): Float64Array {
  const y = new Float64Array(shape.reduce((p, n) => p * n, 1));
  const lead = xShape.length - shape.length;
  x.forEach((v, i) => {
    let rest = i, at = 0, step = 1;
    for (let k = xShape.length - 1; k >= lead; k--) {
      const own = shape[k - lead]!;
      if (own !== 1) at += (rest % xShape[k]!) * step;
      step *= own;
      rest = Math.floor(rest / xShape[k]!);
    }
    y[at]! += v;
  });
  return y;
}
