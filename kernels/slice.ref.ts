// Plain copy of what kernels/slice.ts does. Imported by tests only.

/** Rows cut out: x [outer, stride] → [outer, length]. @param x values @param outer rows @param stride row length @param start first @param length how many @returns [outer, length] */
export function sliceRows<T extends Float64Array | Uint32Array>(x: T, outer: number, stride: number, start: number, length: number): T {
  const y = new (x.constructor as new (n: number) => T)(outer * length);
  for (let o = 0; o < outer; o++) for (let j = 0; j < length; j++) y[o * length + j] = x[o * stride + start + j]!;
  return y;
}

/** The gradient of `sliceRows`: dy in its place, zeros around it. @param dy [outer, length] @param outer rows @param stride row length of x @param start first @param length how many @returns [outer, stride] */
export function sliceGradRef(dy: Float64Array, outer: number, stride: number, start: number, length: number): Float64Array {
  const dx = new Float64Array(outer * stride);
  for (let o = 0; o < outer; o++) dx.set(dy.subarray(o * length, (o + 1) * length), o * stride + start);
  return dx;
}
