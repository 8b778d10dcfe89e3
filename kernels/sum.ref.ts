// Float64 formulas of kernels/sum.ts. Imported by tests only.

/** Σ over the middle axis. @param x [outer, n, inner] @param outer size @param n size @param inner size @returns [outer, inner] */
export function sumMiddle(x: Float64Array, outer: number, n: number, inner: number): Float64Array {
  const y = new Float64Array(outer * inner);
  for (let o = 0; o < outer; o++) for (let k = 0; k < n; k++) for (let j = 0; j < inner; j++) y[o * inner + j]! += x[(o * n + k) * inner + j]!;
  return y;
}
