/** The formula of `softmax` in float64. @param x [rows, cols] @param cols length of a row @returns [rows, cols] */
export function softmaxRef(x: Float64Array, cols: number): Float64Array {
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += cols) {
    let most = -Infinity;
    for (let c = 0; c < cols; c++) most = Math.max(most, x[start + c]!);
    let sum = 0;
    for (let c = 0; c < cols; c++) sum += Math.exp(x[start + c]! - most);
    for (let c = 0; c < cols; c++) y[start + c] = Math.exp(x[start + c]! - most) / sum;
  }
  return y;
}

/**
 * The gradient of `softmaxRef`: y (dy − Σ y dy) per row.
 * @param x [rows, cols] @param cols length of a row @param dy [rows, cols] @param round of what f32 holds on the way, for estimates of rounding @returns [rows, cols]
 */
export function softmaxGradRef(x: Float64Array, cols: number, dy: Float64Array, round = (v: Float64Array): Float64Array => v): Float64Array {
  const y = round(softmaxRef(x, cols));
  return y.map((p, i) => {
    const start = i - (i % cols);
    let along = 0;
    for (let c = start; c < start + cols; c++) along += y[c]! * dy[c]!;
    return p * (dy[i]! - along);
  });
}
