// Retrieval and classification metrics on the host. A tie counts against the model: collapsed models produce ties (spec 1.14).

/**
 * Rank of the true candidate of each query, 1 = best. Every candidate that scores at least as high as the true one is placed before it.
 * @param scores [Q, C] row-major similarities @param candidates C @param truth [Q] index of the true candidate @returns [Q] ranks
 * @throws RangeError when sizes do not fit or an index is out of range
 */
export function ranks(scores: ArrayLike<number>, candidates: number, truth: ArrayLike<number>): Uint32Array {
  if (scores.length !== truth.length * candidates) throw new RangeError(`ranks: ${scores.length} scores, expected ${truth.length} x ${candidates}`);
  return Uint32Array.from(truth, (t, q) => {
    if (!(t >= 0 && t < candidates)) throw new RangeError(`ranks: truth of query ${q} is ${t}, expected 0 to ${candidates - 1}`);
    const own = scores[q * candidates + t]!;
    let rank = 1;
    for (let c = 0; c < candidates; c++) if (c !== t && !(scores[q * candidates + c]! < own)) rank++;
    return Number.isNaN(own) ? candidates : rank;
  });
}

export interface Recall {
  n: number;
  /** Shares in per cent. */
  r1: number;
  r5: number;
  r10: number;
  medianRank: number;
}

/**
 * Recall@1, 5, 10 in per cent and the median rank.
 * @param rank [Q] ranks from `ranks` @returns the summary; zeros for no query
 */
export function recall(rank: ArrayLike<number>): Recall {
  const n = rank.length;
  const share = (k: number): number => (n === 0 ? 0 : (100 * Array.from(rank).filter(r => r <= k).length) / n);
  const sorted = Array.from(rank).sort((a, b) => a - b);
  const medianRank = n === 0 ? 0 : (sorted[Math.floor((n - 1) / 2)]! + sorted[Math.floor(n / 2)]!) / 2;
  return { n, r1: share(1), r5: share(5), r10: share(10), medianRank };
}

/**
 * Top-k accuracy: the share of queries whose true candidate is among the k best.
 * @param rank [Q] ranks from `ranks` @param k how many @returns per cent; 0 for no query
 */
export function topKAccuracy(rank: ArrayLike<number>, k: number): number {
  let right = 0;
  for (let q = 0; q < rank.length; q++) if (rank[q]! <= k) right++;
  return rank.length ? (100 * right) / rank.length : 0;
}

/**
 * Recall@k as EPIC-KITCHENS-100 anticipation counts it: the top-k accuracy of each class, averaged over the classes that occur, so that frequent actions do not decide.
 * @param rank [Q] ranks from `ranks` @param truth [Q] class of each query @param k how many, 5 in the paper @returns per cent; 0 for no query
 */
export function classMeanRecall(rank: ArrayLike<number>, truth: ArrayLike<number>, k = 5): number {
  if (rank.length !== truth.length) throw new RangeError(`classMeanRecall: ${rank.length} ranks, expected ${truth.length}, one per true class`);
  const classes = new Map<number, [right: number, n: number]>();
  for (let q = 0; q < rank.length; q++) {
    const [right, n] = classes.get(truth[q]!) ?? [0, 0];
    classes.set(truth[q]!, [right + (rank[q]! <= k ? 1 : 0), n + 1]);
  }
  let sum = 0;
  for (const [right, n] of classes.values()) sum += right / n;
  return classes.size ? (100 * sum) / classes.size : 0;
}

export interface BoundaryScore {
  precision: number;
  recall: number;
  f1: number;
}

/**
 * F1 of found boundaries: each truth is matched to at most one found boundary within the tolerance, and each found one to at most one truth, in order of time.
 * @param found [F] times, s @param truth [B] times, s @param toleranceS largest distance that counts @returns per cent
 */
export function boundaryF1(found: ArrayLike<number>, truth: ArrayLike<number>, toleranceS: number): BoundaryScore {
  const [a, b] = [Array.from(found).sort((x, y) => x - y), Array.from(truth).sort((x, y) => x - y)];
  let matched = 0;
  for (let i = 0, j = 0; i < a.length && j < b.length;) { // both sorted: matching the earliest that fits is largest
    if (Math.abs(a[i]! - b[j]!) <= toleranceS) { matched++; i++; j++; } else if (a[i]! < b[j]!) i++;
    else j++;
  }
  const precision = a.length ? (100 * matched) / a.length : 0;
  const recall = b.length ? (100 * matched) / b.length : 0;
  return { precision, recall, f1: matched ? (2 * precision * recall) / (precision + recall) : 0 };
}

/**
 * The k best candidates of one query, best first; equal scores keep the candidates' order.
 * @param scores [C] @param k how many @returns candidate indices and scores
 */
export function topK(scores: ArrayLike<number>, k: number): { index: number; score: number }[] {
  return Array.from(scores, (score, index) => ({ index, score })).sort((a, b) => b.score - a.score || a.index - b.index).slice(0, k);
}

/**
 * Percentile bootstrap interval of a mean over test items (Efron 1979), seeded.
 * @param values [n] per-item values @param options resamples, seed, and the level in per cent @returns [low, high]
 */
export function bootstrap(values: ArrayLike<number>, { resamples = 1000, seed = 1, level = 95 } = {}): [number, number] {
  const n = values.length;
  if (n === 0) return [0, 0];
  let state = seed >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const means = Array.from({ length: resamples }, () => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += values[Math.floor(next() * n)]!;
    return sum / n;
  }).sort((a, b) => a - b);
  const at = (p: number): number => means[Math.min(resamples - 1, Math.max(0, Math.round(p * (resamples - 1))))]!;
  return [at((100 - level) / 200), at((100 + level) / 200)];
}
