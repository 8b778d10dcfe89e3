/**
 * The formula of `rope` in float64. @param x [B, T, H, Dh] @param cos [T, Dh] @param sin [T, Dh] @param sizes tokens T, heads H, headDim Dh
 * @param pairs 'half' or 'adjacent' @returns [B, T, H, Dh]
 */
export function ropeRef(x: Float64Array, cos: ArrayLike<number>, sin: ArrayLike<number>, { tokens, heads, headDim }: { tokens: number; heads: number; headDim: number }, pairs: 'half' | 'adjacent'): Float64Array {
  const y = new Float64Array(x.length);
  for (let row = 0; row < x.length / headDim; row++) {
    const table = (Math.floor(row / heads) % tokens) * headDim;
    for (let n = 0; n < headDim / 2; n++) {
      const a = pairs === 'half' ? n : 2 * n;
      const b = pairs === 'half' ? n + headDim / 2 : 2 * n + 1;
      const xa = x[row * headDim + a]!, xb = x[row * headDim + b]!;
      y[row * headDim + a] = xa * cos[table + a]! - xb * sin[table + a]!;
      y[row * headDim + b] = xb * cos[table + b]! + xa * sin[table + b]!;
    }
  }
  return y;
}
