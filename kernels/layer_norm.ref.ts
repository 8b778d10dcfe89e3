/** The formula of `layerNorm` in float64. @param x [rows, D] @param weight [D] @param bias [D] @param eps added to the variance @returns [rows, D] */
export function layerNormRef(x: Float64Array, weight: Float64Array, bias: Float64Array, eps: number): Float64Array {
  const cols = weight.length;
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += cols) {
    let mean = 0;
    for (let c = 0; c < cols; c++) mean += x[start + c]! / cols;
    let variance = 0;
    for (let c = 0; c < cols; c++) variance += (x[start + c]! - mean) ** 2 / cols;
    for (let c = 0; c < cols; c++) y[start + c] = ((x[start + c]! - mean) / Math.sqrt(variance + eps)) * weight[c]! + bias[c]!;
  }
  return y;
}
