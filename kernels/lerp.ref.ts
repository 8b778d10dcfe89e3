/** x + t (y − x) in float64. @param x [n] @param y [n] @param t weight of y @param round of the difference, for estimates of rounding @returns [n] */
export function lerpRef(x: Float64Array, y: Float64Array, t: number, round = (v: Float64Array): Float64Array => v): Float64Array {
  const way = round(x.map((v, i) => y[i]! - v));
  return x.map((v, i) => v + t * way[i]!);
}
