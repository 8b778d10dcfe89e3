// Rows of unit vectors on the host: averages that are unit vectors again, and cosines.

/** A vector of unit length. @param v [dim] @returns [dim] f32; zeros where v is zero */
export function unitVector(v: Float64Array): Float32Array {
  let squares = 0;
  for (const x of v) squares += x * x;
  const norm = Math.sqrt(squares);
  return Float32Array.from(v, x => (norm > 0 ? x / norm : 0));
}

/**
 * Mean of rows, re-normalised; rows that cancel out give zeros.
 * @param values [T, dim] @param dim of a row @param start first row @param end one past the last @returns [dim] unit vector
 */
export function meanVector(values: ArrayLike<number>, dim: number, start: number, end: number): Float32Array {
  const sum = new Float64Array(dim);
  for (let t = start; t < end; t++) for (let d = 0; d < dim; d++) sum[d]! += values[t * dim + d]!;
  return unitVector(sum);
}

/**
 * Cosine of two unit rows.
 * @param a [A, dim] row-major @param i row of a @param b [B, dim] row-major @param j row of b @param dim of a row @returns −1 to 1
 */
export function dotRows(a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number, dim: number): number {
  let sum = 0;
  for (let d = 0; d < dim; d++) sum += a[i * dim + d]! * b[j * dim + d]!;
  return sum;
}
