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
