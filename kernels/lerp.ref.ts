/** x + t (y − x) in float64. @param x [n] @param y [n] @param t weight of y @returns [n] */
export const lerpRef = (x: Float64Array, y: Float64Array, t: number): Float64Array => x.map((v, i) => v + t * (y[i]! - v));
