/** The formula of `l2Normalize` in float64. @param x [rows, cols] @param cols length of a row @param eps shortest divisor @returns [rows, cols] */
export function l2NormalizeRef(x: Float64Array, cols: number, eps: number): Float64Array {
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += cols) {
    let squares = 0;
    for (let c = 0; c < cols; c++) squares += x[start + c]! ** 2;
    for (let c = 0; c < cols; c++) y[start + c] = x[start + c]! / Math.max(Math.sqrt(squares), eps);
  }
  return y;
}
