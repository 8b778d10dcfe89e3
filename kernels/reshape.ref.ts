/** `reshape` changes no element and no order. @param x [n] @returns [n] */
export const reshapeRef = (x: Float64Array): Float64Array => x.slice();

/** Its gradient neither. @param dy [n] @returns [n] */
export const reshapeGradRef = (dy: Float64Array): Float64Array => dy.slice();
