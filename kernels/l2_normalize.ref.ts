/** The formula of `l2Normalize` in float64. @param x [rows, cols] @param cols length of a row @param eps shortest divisor @returns [rows, cols] */
export function l2NormalizeRef(x: Float64Array, cols: number, eps: number): Float64Array {
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += cols) {
    let squares = 0;
    for (let c = 0; c < cols; c++) squares += x[start + c]! ** 2;
    const divisor = Number.isFinite(squares) ? Math.max(Math.sqrt(squares), eps) : NaN; // as the op promises
    for (let c = 0; c < cols; c++) y[start + c] = x[start + c]! / divisor;
  }
  return y;
}

/**
 * The gradient of `l2NormalizeRef`: (dy − y (y · dy)) / |x|; a row no longer than eps was only divided by eps.
 * @param x [rows, cols] @param cols length of a row @param eps shortest divisor @param dy [rows, cols] @returns [rows, cols]
 */
export function l2NormalizeGradRef(x: Float64Array, cols: number, eps: number, dy: Float64Array): Float64Array {
  const dx = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += cols) {
    let squares = 0, along = 0;
    for (let c = start; c < start + cols; c++) {
      squares += x[c]! ** 2;
      along += x[c]! * dy[c]!;
    }
    const length = Math.sqrt(squares);
    for (let c = start; c < start + cols; c++) dx[c] = length <= eps ? dy[c]! / eps : dy[c]! / length - (x[c]! / length) * (along / squares);
  }
  return dx;
}
