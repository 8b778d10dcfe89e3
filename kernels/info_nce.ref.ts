/** What the reference computes beside the loss. */
export interface InfoNCERef {
  /** Mean of both directions, rows, columns. */
  loss: [number, number, number];
  dp: Float64Array;
  dy: Float64Array;
  dLogScale: number;
  lseRows: Float64Array;
  lseCols: Float64Array;
}

/** exp(logits − lse) over the pairs that take part, lse, and lse − own logit (small losses keep their digits), for one direction. */
function softmaxOf(logit: (i: number, j: number) => number, takesPart: (i: number, j: number) => boolean, n: number): { prob: Float64Array; lse: Float64Array; terms: Float64Array } {
  const prob = new Float64Array(n * n);
  const lse = new Float64Array(n);
  const terms = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let most = -Infinity;
    for (let j = 0; j < n; j++) if (takesPart(i, j)) most = Math.max(most, logit(i, j));
    let sum = 0;
    for (let j = 0; j < n; j++) if (takesPart(i, j)) sum += Math.exp(logit(i, j) - most);
    lse[i] = most + Math.log(sum);
    let others = 0;
    for (let j = 0; j < n; j++) if (j !== i && takesPart(i, j)) others += Math.exp(logit(i, j) - logit(i, i));
    terms[i] = others < 1 && Number.isFinite(logit(i, i)) ? Math.log1p(others) : lse[i]! - logit(i, i); // a single pair has no others to bring a NaN in
    for (let j = 0; j < n; j++) prob[i * n + j] = takesPart(i, j) ? Math.exp(logit(i, j) - lse[i]!) : 0;
  }
  return { prob, lse, terms };
}

/**
 * The formula of `infoNCE` in float64 with the whole [N, N] matrix: spec 1.5.
 * @param p [N, D] @param y [N, D] @param logScale log of 1 / temperature @param dim D @param options maxLogScale, groups [N]
 * @returns losses, gradients and log-sum-exps
 */
export function infoNCERef(p: Float64Array, y: Float64Array, logScale: number, dim: number, { maxLogScale = Math.log(100), groups }: { maxLogScale?: number; groups?: ArrayLike<number> } = {}): InfoNCERef {
  const n = p.length / dim;
  const scale = Math.exp(Math.min(logScale, maxLogScale));
  const logits = new Float64Array(n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) for (let d = 0; d < dim; d++) logits[i * n + j]! += scale * p[i * dim + d]! * y[j * dim + d]!;
  const takesPart = (i: number, j: number): boolean => i === j || !groups || groups[i] !== groups[j];
  const rows = softmaxOf((i, j) => logits[i * n + j]!, takesPart, n);
  const cols = softmaxOf((i, j) => logits[j * n + i]!, takesPart, n);
  const out: InfoNCERef = { loss: [0, 0, 0], dp: new Float64Array(n * dim), dy: new Float64Array(n * dim), dLogScale: 0, lseRows: rows.lse, lseCols: cols.lse };
  for (let i = 0; i < n; i++) {
    out.loss[1] += rows.terms[i]! / n;
    out.loss[2] += cols.terms[i]! / n;
    for (let j = 0; j < n; j++) {
      const pair = i === j ? Math.expm1(-rows.terms[i]!) + Math.expm1(-cols.terms[i]!) : rows.prob[i * n + j]! + cols.prob[j * n + i]!;
      const g = pair / (2 * n);
      if (logScale <= maxLogScale) out.dLogScale += g * logits[i * n + j]!;
      for (let d = 0; d < dim; d++) {
        out.dp[i * dim + d]! += g * scale * y[j * dim + d]!;
        out.dy[j * dim + d]! += g * scale * p[i * dim + d]!;
      }
    }
  }
  out.loss[0] = (out.loss[1] + out.loss[2]) / 2;
  return out;
}
