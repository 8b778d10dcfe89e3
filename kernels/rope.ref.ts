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

/**
 * The gradient of `ropeRef`, the transpose of its map: dx_a = dy_a cos_a + dy_b sin_b, dx_b = dy_b cos_b − dy_a sin_a.
 * @param dy [B, T, H, Dh] @param cos [T, Dh] @param sin [T, Dh] @param sizes tokens T, heads H, headDim Dh @param pairs 'half' or 'adjacent' @returns [B, T, H, Dh]
 */
export function ropeGradRef(dy: Float64Array, cos: ArrayLike<number>, sin: ArrayLike<number>, { tokens, heads, headDim }: { tokens: number; heads: number; headDim: number }, pairs: 'half' | 'adjacent'): Float64Array {
  const half = headDim / 2;
  return dy.map((d, i) => {
    const e = i % headDim;
    const table = (Math.floor(i / (headDim * heads)) % tokens) * headDim;
    const first = pairs === 'half' ? e < half : e % 2 === 0;
    const step = pairs === 'half' ? half : 1;
    const other = first ? e + step : e - step;
    return d * cos[table + e]! + (first ? 1 : -1) * dy[i - e + other]! * sin[table + other]!;
  });
}

/**
 * cos and sin of angle(token, element) in float64: 1-D tables turn element e by t θ^(−2 (e mod Dh/2) / Dh), with Llama 3's scaling where given (spec 3.4).
 * @param tokens rows @param headDim Dh @param theta base @param scaling numbers of Llama 3, or none @returns cos, sin [tokens, Dh]
 */
export function ropeTable1dRef(
  tokens: number, headDim: number, theta: number,
  scaling?: { factor: number; lowFreqFactor: number; highFreqFactor: number; originalMaxPositions: number },
): [Float64Array, Float64Array] {
  return tables(tokens, headDim, (t, e) => {
    const f = theta ** -((e % (headDim / 2)) / (headDim / 2));
    if (!scaling) return t * f;
    const wavelength = (2 * Math.PI) / f;
    const { factor, lowFreqFactor: low, highFreqFactor: high, originalMaxPositions: original } = scaling;
    if (wavelength < original / high) return t * f;
    if (wavelength > original / low) return (t * f) / factor;
    const kept = (original / wavelength - low) / (high - low);
    return t * f * (kept + (1 - kept) / factor);
  });
}

/**
 * 3-D tables (spec 2.4): blocks of w = 2 ⌊⌊Dh/3⌋/2⌋ elements turn with time, row and column, element j of a block by p · 10000^(−(j mod w/2)/(w/2)); the rest stays.
 * @param grid times, rows, columns @param headDim Dh @returns cos, sin [times · rows · columns, Dh]
 */
export function ropeTable3dRef([times, rows, cols]: readonly [number, number, number], headDim: number): [Float64Array, Float64Array] {
  const w = 2 * Math.floor(Math.floor(headDim / 3) / 2);
  return tables(times * rows * cols, headDim, (t, e) => {
    if (e >= 3 * w) return 0;
    const p = e < w ? Math.floor(t / (rows * cols)) : e < 2 * w ? Math.floor((t % (rows * cols)) / cols) : t % cols;
    return p * 10_000 ** -(((e % w) % (w / 2)) / (w / 2));
  });
}

function tables(tokens: number, headDim: number, angle: (t: number, e: number) => number): [Float64Array, Float64Array] {
  const angles = Float64Array.from({ length: tokens * headDim }, (_, i) => angle(Math.floor(i / headDim), i % headDim));
  return [angles.map(Math.cos), angles.map(Math.sin)];
}
