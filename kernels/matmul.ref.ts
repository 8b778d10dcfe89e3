// y[b, m, n] = Σ_k op(a)[b, m, k] op(w)[b, k, n]; `shared`: one w for the whole batch.

export interface MatmulSizes { batch: number; m: number; n: number; k: number; transposeA?: boolean; transposeB?: boolean; shared?: boolean }

/**
 * Matrix product in float64.
 * @param a [batch, m, k], transposed [batch, k, m] @param b [batch or 1, k, n], transposed [.., n, k] @param sizes sizes and flags
 * @returns [batch, m, n]
 */
export function matmulRef(a: Float64Array, b: Float64Array, sizes: MatmulSizes): Float64Array {
  const { batch, m, n, k, transposeA = false, transposeB = false, shared = false } = sizes;
  const y = new Float64Array(batch * m * n);
  for (let s = 0; s < batch; s++) {
    const aBase = s * m * k;
    const bBase = shared ? 0 : s * k * n;
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let l = 0; l < k; l++) sum += a[aBase + (transposeA ? l * m + i : i * k + l)]! * b[bBase + (transposeB ? j * k + l : l * n + j)]!;
        y[(s * m + i) * n + j] = sum;
      }
    }
  }
  return y;
}

/**
 * The gradients of `matmulRef`: each product a·b of the sum hands dy b to its a and dy a to its b.
 * @param a [batch, m, k], transposed [batch, k, m] @param b [batch or 1, k, n], transposed [.., n, k] @param dy [batch, m, n] @param sizes sizes and flags
 * @returns da, db in the layouts of a and b
 */
export function matmulGradRef(a: Float64Array, b: Float64Array, dy: Float64Array, sizes: MatmulSizes): [Float64Array, Float64Array] {
  const { batch, m, n, k, transposeA = false, transposeB = false, shared = false } = sizes;
  const da = new Float64Array(a.length), db = new Float64Array(b.length);
  for (let s = 0; s < batch; s++) for (let l = 0; l < k; l++) for (let i = 0; i < m; i++) {
    const u = s * m * k + (transposeA ? l * m + i : i * k + l);
    const au = a[u]!;
    let sum = 0;
    for (let j = 0; j < n; j++) {
      const v = (shared ? 0 : s * k * n) + (transposeB ? j * k + l : l * n + j);
      const d = dy[(s * m + i) * n + j]!;
      sum += d * b[v]!;
      db[v]! += d * au;
    }
    da[u] = sum;
  }
  return [da, db];
}
