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

/** The gradient of `concatRows`: what each part contributed. @param dy [outer, Σ lengths] @param outer rows @param lengths row lengths @returns one [outer, lengths[i]] per part */
export function concatGradRef(dy: Float64Array, outer: number, lengths: readonly number[]): Float64Array[] {
  const stride = lengths.reduce((n, l) => n + l, 0);
  const owner = lengths.flatMap((length, p) => Array.from({ length }, (_, j) => [p, j] as const)); // of each column
  const parts = lengths.map(length => new Float64Array(outer * length));
  dy.forEach((v, i) => {
    const [p, j] = owner[i % stride]!;
    parts[p]![Math.floor(i / stride) * lengths[p]! + j] = v;
  });
  return parts;
}
