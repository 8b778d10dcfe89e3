/** y[c] = Σ_r x[r, c] in float64. @param x [rows, cols] @param cols length of a row @returns [cols] */
export function columnSumRef(x: Float64Array, cols: number): Float64Array {
  const y = new Float64Array(cols);
  x.forEach((v, i) => { y[i % cols]! += v; });
  return y;
}
