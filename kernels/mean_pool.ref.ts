/** The formula of `meanPool` in float64. @param x [B, T, D] @param shape B, T, D @param mask [B, T] or none @returns [B, D] */
export function meanPoolRef(x: Float64Array, [batch, tokens, dim]: readonly [number, number, number], mask?: ArrayLike<number>): Float64Array {
  const y = new Float64Array(batch * dim);
  for (let b = 0; b < batch; b++) {
    let count = 0;
    for (let t = 0; t < tokens; t++) {
      if (mask && !mask[b * tokens + t]) continue;
      count++;
      for (let d = 0; d < dim; d++) y[b * dim + d]! += x[(b * tokens + t) * dim + d]!;
    }
    for (let d = 0; d < dim; d++) y[b * dim + d]! /= Math.max(count, 1);
  }
  return y;
}

/** The gradient of `meanPoolRef`: every real token gets dy / real tokens. @param dy [B, D] @param shape B, T, D @param mask [B, T] or none @returns [B, T, D] */
export function meanPoolGradRef(dy: Float64Array, [batch, tokens, dim]: readonly [number, number, number], mask?: ArrayLike<number>): Float64Array {
  const dx = new Float64Array(batch * tokens * dim);
  for (let b = 0; b < batch; b++) {
    const real = Array.from({ length: tokens }, (_, t) => t).filter(t => !mask || mask[b * tokens + t]);
    for (const t of real) for (let d = 0; d < dim; d++) dx[(b * tokens + t) * dim + d] = dy[b * dim + d]! / real.length;
  }
  return dx;
}
