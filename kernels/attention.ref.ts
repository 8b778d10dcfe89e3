/** Sizes and options of the references; shapes as in `attention`. */
export interface AttentionCase {
  batch: number;
  tq: number;
  tk: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  mask?: ArrayLike<number>;
  causal?: boolean;
  window?: number;
  scale?: number;
}

/** Whether query i of batch row b may see key j. @param c sizes and options @param b batch row @param i query @param j key @returns yes or no */
export const allowed = (c: AttentionCase, b: number, i: number, j: number): boolean =>
  (!c.mask || c.mask[b * c.tk + j] !== 0) && (!c.causal || j <= i) && (!c.window || Math.abs(i - j) < c.window);

/** Softmax weights of query i, zeros where no key is allowed. */
function weights(c: AttentionCase, q: Float64Array, k: Float64Array, b: number, h: number, i: number): Float64Array {
  const { tk, tq, heads, kvHeads, headDim } = c;
  const scale = c.scale ?? 1 / Math.sqrt(headDim);
  const shared = Math.floor(h / (heads / kvHeads));
  const p = new Float64Array(tk);
  let top = -Infinity;
  for (let j = 0; j < tk; j++) {
    if (!allowed(c, b, i, j)) continue;
    let s = 0;
    for (let d = 0; d < headDim; d++) s += q[((b * tq + i) * heads + h) * headDim + d]! * k[((b * tk + j) * kvHeads + shared) * headDim + d]!;
    p[j] = s * scale;
    top = Math.max(top, p[j]!);
  }
  let total = 0;
  for (let j = 0; j < tk; j++) {
    p[j] = allowed(c, b, i, j) && p[j] !== -Infinity ? Math.exp(p[j]! - top) : 0; // a logit of -Inf hides a key
    total += p[j]!;
  }
  return total === 0 ? p : p.map(x => x / total);
}

/** The formula of `attention` in float64. @param c sizes and options @param q [B, Tq, H, Dh] @param k [B, Tk, Hkv, Dh] @param v [B, Tk, Hkv, Dh] @returns [B, Tq, H, Dh] */
export function attentionRef(c: AttentionCase, q: Float64Array, k: Float64Array, v: Float64Array): Float64Array {
  const { batch, tq, tk, heads, kvHeads, headDim } = c;
  const y = new Float64Array(q.length);
  for (let b = 0; b < batch; b++) for (let h = 0; h < heads; h++) for (let i = 0; i < tq; i++) {
    const p = weights(c, q, k, b, h, i);
    const shared = Math.floor(h / (heads / kvHeads));
    for (let j = 0; j < tk; j++) {
      if (!allowed(c, b, i, j)) continue;
      for (let d = 0; d < headDim; d++) y[((b * tq + i) * heads + h) * headDim + d]! += p[j]! * v[((b * tk + j) * kvHeads + shared) * headDim + d]!;
    }
  }
  return y;
}

/**
 * The gradients of `attentionRef`, from the chain rule with full rows of weights: ds_j = p_j (dp_j − Σ p dp), independent of the saved sums.
 * @param c sizes and options @param q [B, Tq, H, Dh] @param k [B, Tk, Hkv, Dh] @param v [B, Tk, Hkv, Dh] @param dy [B, Tq, H, Dh]
 * @param round of what f32 holds on the way, for estimates of rounding @returns dq, dk, dv
 */
export function attentionGradRef(c: AttentionCase, q: Float64Array, k: Float64Array, v: Float64Array, dy: Float64Array, round = (x: Float64Array): Float64Array => x): [Float64Array, Float64Array, Float64Array] {
  const { batch, tq, tk, heads, kvHeads, headDim } = c;
  const scale = c.scale ?? 1 / Math.sqrt(headDim);
  const dq = new Float64Array(q.length), dk = new Float64Array(k.length), dv = new Float64Array(v.length);
  for (let b = 0; b < batch; b++) for (let h = 0; h < heads; h++) for (let i = 0; i < tq; i++) {
    const p = round(weights(c, q, k, b, h, i));
    const row = ((b * tq + i) * heads + h) * headDim;
    const key = (j: number): number => ((b * tk + j) * kvHeads + Math.floor(h / (heads / kvHeads))) * headDim;
    const dp = round(p.map((_, j) => { let s = 0; for (let d = 0; d < headDim; d++) s += dy[row + d]! * v[key(j) + d]!; return s; }));
    const y = new Float64Array(headDim); // Σ p dp = dy · y, and y is stored in f32: where one key is seen, dp - Σ p dp is rounding alone
    p.forEach((w, j) => { if (allowed(c, b, i, j)) for (let d = 0; d < headDim; d++) y[d]! += w * v[key(j) + d]!; });
    const mean = round(y).reduce((s, value, d) => s + value * dy[row + d]!, 0);
    for (let j = 0; j < tk; j++) {
      if (!allowed(c, b, i, j)) continue;
      const ds = p[j]! * (dp[j]! - mean) * scale;
      for (let d = 0; d < headDim; d++) {
        dq[row + d]! += ds * k[key(j) + d]!;
        dk[key(j) + d]! += ds * q[row + d]!;
        dv[key(j) + d]! += p[j]! * dy[row + d]!;
      }
    }
  }
  return [dq, dk, dv];
}
