/** The formula of `rmsNorm` in float64. @param x [rows, D] @param weight [D] @param eps added to the mean square @param unitOffset added to the weight @returns [rows, D] */
export function rmsNormRef(x: Float64Array, weight: Float64Array, eps: number, unitOffset: number): Float64Array {
  const cols = weight.length;
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += cols) {
    let meanSquare = 0;
    for (let c = 0; c < cols; c++) meanSquare += x[start + c]! ** 2 / cols;
    for (let c = 0; c < cols; c++) y[start + c] = (x[start + c]! / Math.sqrt(meanSquare + eps)) * (weight[c]! + unitOffset);
  }
  return y;
}

/**
 * The gradients of `rmsNormRef`: dx = r (g − x̂ mean(g x̂)) with g = dy (weight + unitOffset), x̂ = x r, r = 1 / √(mean(x²) + eps); dweight = Σ dy x̂.
 * @param x [rows, D] @param weight [D] @param eps added to the mean square @param unitOffset added to the weight @param dy [rows, D]
 * @param round of what f32 holds on the way, for estimates of rounding @returns dx [rows, D], dweight [D]
 */
export function rmsNormGradRef(x: Float64Array, weight: Float64Array, eps: number, unitOffset: number, dy: Float64Array, round = (v: Float64Array): Float64Array => v): [Float64Array, Float64Array] {
  const cols = weight.length;
  const dx = new Float64Array(x.length), dweight = new Float64Array(cols);
  for (let start = 0; start < x.length; start += cols) {
    const row = x.subarray(start, start + cols), d = dy.subarray(start, start + cols);
    const r = 1 / Math.sqrt(row.reduce((s, v) => s + v * v, 0) / cols + eps);
    const unit = round(row.map(v => v * r));
    const g = round(d.map((v, c) => v * (weight[c]! + unitOffset)));
    const along = g.reduce((s, v, c) => s + v * unit[c]!, 0) / cols;
    for (let c = 0; c < cols; c++) {
      dx[start + c] = r * (g[c]! - unit[c]! * along);
      dweight[c]! += d[c]! * unit[c]!;
    }
  }
  return [dx, dweight];
}
