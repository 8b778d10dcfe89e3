/** The formula of `alignment` in float64. @param x [N, D] @param y [N, D] @param dim D @returns [1] */
export const alignmentRef = (x: Float64Array, y: Float64Array, dim: number): Float64Array => Float64Array.of((x.reduce((s, v, i) => s + (v - y[i]!) ** 2, 0) * dim) / x.length);

/** Gradients of `alignmentRef`. @param x [N, D] @param y [N, D] @param dim D @param dloss [1] @returns dx, dy */
export function alignmentGradRef(x: Float64Array, y: Float64Array, dim: number, dloss: Float64Array): [Float64Array, Float64Array] {
  const dx = x.map((v, i) => (2 * (v - y[i]!) * dim * dloss[0]!) / x.length);
  return [dx, dx.map(g => -g)];
}

/** The formula of `uniformity` in float64, |x_i − x_j|² = |x_i|² + |x_j|² − 2 x_i·x_j: the same but for infinite rows, which give NaN. @param x [N, D] @param dim D @param t sharpness @returns [1] */
export function uniformityRef(x: Float64Array, dim: number, t = 2): Float64Array {
  const n = x.length / dim;
  const exponents: number[] = [];
  for (let i = 0; i < n; i++) {
    for (let j = i + 1; j < n; j++) {
      let squares = 0, product = 0;
      for (let d = 0; d < dim; d++) {
        squares += x[i * dim + d]! ** 2 + x[j * dim + d]! ** 2;
        product += x[i * dim + d]! * x[j * dim + d]!;
      }
      exponents.push(-t * Math.max(0, squares - 2 * product));
    }
  }
  const most = exponents.reduce((a, b) => Math.max(a, b), -Infinity);
  return Float64Array.of(most + Math.log(exponents.reduce((s, e) => s + Math.exp(e - most), 0) / exponents.length));
}
