// Float64 formula of kernels/embedding.ts. Imported by tests only.

/** Rows of a table. @param table [V, D] @param d width @param ids [N] @returns [N, D] */
export function embedding(table: Float64Array, d: number, ids: readonly number[]): Float64Array {
  const y = new Float64Array(ids.length * d);
  ids.forEach((id, i) => y.set(table.subarray(id * d, id * d + d), i * d));
  return y;
}

/** The table's gradient: row r sums dy over the positions whose id is r; ids beyond the table are its last row. @param rows V @param d width @param ids [N] @param dy [N, D] @returns [V, D] */
export function embeddingGradRef(rows: number, d: number, ids: ArrayLike<number>, dy: Float64Array): Float64Array {
  const dtable = new Float64Array(rows * d);
  for (let i = 0; i < ids.length; i++) for (let j = 0; j < d; j++) dtable[Math.min(ids[i]!, rows - 1) * d + j]! += dy[i * d + j]!;
  return dtable;
}
