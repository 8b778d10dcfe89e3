/**
 * The formula of `layerNorm` in float64.
 * @param x [rows, D] @param weight [D] @param bias [D] @param eps added to the variance @param round of what f32 holds on the way, for estimates of rounding @returns [rows, D]
 */
export function layerNormRef(x: Float64Array, weight: Float64Array, bias: Float64Array, eps: number, round = (v: Float64Array): Float64Array => v): Float64Array {
  const cols = weight.length;
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += cols) {
    let mean = 0;
    for (let c = 0; c < cols; c++) mean += x[start + c]! / cols;
    let variance = 0;
    for (let c = 0; c < cols; c++) variance += (x[start + c]! - mean) ** 2 / cols;
    const unit = round(x.subarray(start, start + cols).map(v => (v - mean) / Math.sqrt(variance + eps)));
    for (let c = 0; c < cols; c++) y[start + c] = unit[c]! * weight[c]! + bias[c]!;
  }
  return y;
}

/**
 * The gradients of `layerNormRef`: dx = r (g − mean g − x̂ mean(g x̂)) with g = dy weight, x̂ = (x − mean) r, r = 1 / √(var + eps); dweight = Σ dy x̂; dbias = Σ dy.
 * @param x [rows, D] @param weight [D] @param eps added to the variance @param dy [rows, D] @param round of what f32 holds on the way, for estimates of rounding
 * @returns dx [rows, D], dweight [D], dbias [D]
 */
export function layerNormGradRef(x: Float64Array, weight: Float64Array, eps: number, dy: Float64Array, round = (v: Float64Array): Float64Array => v): [Float64Array, Float64Array, Float64Array] {
  const cols = weight.length;
  const dx = new Float64Array(x.length), dweight = new Float64Array(cols), dbias = new Float64Array(cols);
  for (let start = 0; start < x.length; start += cols) {
    const row = x.subarray(start, start + cols), d = dy.subarray(start, start + cols);
    const mean = round(Float64Array.of(row.reduce((s, v) => s + v, 0) / cols))[0]!;
    const r = 1 / Math.sqrt(row.reduce((s, v) => s + (v - mean) ** 2, 0) / cols + eps);
    const unit = round(row.map(v => (v - mean) * r));
    const g = round(d.map((v, c) => v * weight[c]!));
    const meanG = g.reduce((s, v) => s + v, 0) / cols;
    const along = g.reduce((s, v, c) => s + v * unit[c]!, 0) / cols;
    for (let c = 0; c < cols; c++) {
      dx[start + c] = r * (g[c]! - meanG - unit[c]! * along);
      dweight[c]! += d[c]! * unit[c]!;
      dbias[c]! += d[c]!;
    }
  }
  return [dx, dweight, dbias];
}
