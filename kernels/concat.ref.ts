// Plain copy of what kernels/concat.ts does. Imported by tests only.

/** Rows side by side: parts [outer, lengths[i]] → [outer, Σ lengths]. @param parts values @param outer rows @param lengths row lengths @returns values */
export function concatRows<T extends Float64Array | Uint32Array>(parts: readonly T[], outer: number, lengths: readonly number[]): T {
  const stride = lengths.reduce((n, l) => n + l, 0);
  const y = new (parts[0]!.constructor as new (n: number) => T)(outer * stride);
  let start = 0;
  parts.forEach((x, p) => {
    const length = lengths[p]!;
    for (let o = 0; o < outer; o++) for (let j = 0; j < length; j++) y[o * stride + start + j] = x[o * length + j]!;
    start += length;
  });
  return y;
}
