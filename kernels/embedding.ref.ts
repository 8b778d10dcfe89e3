// Float64 formula of kernels/embedding.ts. Imported by tests only.

/** Rows of a table. @param table [V, D] @param d width @param ids [N] @returns [N, D] */
export function embedding(table: Float64Array, d: number, ids: readonly number[]): Float64Array {
  const y = new Float64Array(ids.length * d);
  ids.forEach((id, i) => y.set(table.subarray(id * d, id * d + d), i * d));
  return y;
}
