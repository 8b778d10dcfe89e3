// Plain copy of what kernels/slice.ts does. Imported by tests only.

/** Rows cut out: x [outer, stride] → [outer, length]. @param x values @param outer rows @param stride row length @param start first @param length how many @returns [outer, length] */
export function sliceRows<T extends Float64Array | Uint32Array>(x: T, outer: number, stride: number, start: number, length: number): T {
  const y = new (x.constructor as new (n: number) => T)(outer * length);
  for (let o = 0; o < outer; o++) for (let j = 0; j < length; j++) y[o * length + j] = x[o * stride + start + j]!;
  return y;
}
