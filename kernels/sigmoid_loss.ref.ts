/** Settings of the reference: as `SigmoidLossOptions`, groups as numbers. */
export interface SigmoidLossRefOptions {
  maxLogScale?: number;
  groups?: ArrayLike<number>;
}

/** What f32 holds on the way, see `Round` in test/proofs/proof.ts. */
type Round = (v: Float64Array) => Float64Array;

/** Calls `visit` with every pair that takes part: its place, z (1 or −1), product and logit. */
function pairs(p: Float64Array, y: Float64Array, s: number, b: number, dim: number, groups: ArrayLike<number> | undefined, visit: (i: number, j: number, z: number, c: number, l: number) => void): void {
  const n = p.length / dim;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      if (i !== j && groups && groups[i] === groups[j]) continue;
      let c = 0;
      for (let d = 0; d < dim; d++) c += p[i * dim + d]! * y[j * dim + d]!;
      visit(i, j, i === j ? 1 : -1, c, s * c + b);
    }
  }
}

const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const sigmoid = (x: number): number => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));

/**
 * The formula of `sigmoidLoss` in float64: −1/N Σ log sigmoid(z l).
 * @param p [N, D] @param y [N, D] @param logScale [1] @param bias [1] @param dim D @param options maxLogScale, groups [N] @returns [1]
 */
export function sigmoidLossRef(p: Float64Array, y: Float64Array, logScale: Float64Array, bias: Float64Array, dim: number, { maxLogScale = 80, groups }: SigmoidLossRefOptions = {}): Float64Array {
  let sum = 0;
  pairs(p, y, Math.exp(Math.min(logScale[0]!, maxLogScale)), bias[0]!, dim, groups, (_i, _j, z, _c, l) => { sum += softplus(-z * l); });
  return Float64Array.of((sum * dim) / p.length);
}

/**
 * Gradients of `sigmoidLossRef`: dl = −z sigmoid(−z l) / N.
 * @param p [N, D] @param y [N, D] @param logScale [1] @param bias [1] @param dim D @param dloss [1] gradient of the loss @param options maxLogScale, groups [N]
 * @param round what f32 holds on the way: sure pairs cancel to the bit
 * @returns dp [N, D], dy [N, D], dLogScale [1], dBias [1]
 */
export function sigmoidLossGradRef(p: Float64Array, y: Float64Array, logScale: Float64Array, bias: Float64Array, dim: number, dloss: Float64Array, { maxLogScale = 80, groups }: SigmoidLossRefOptions = {}, round: Round = v => v): [Float64Array, Float64Array, Float64Array, Float64Array] {
  const n = p.length / dim;
  const s = Math.exp(Math.min(logScale[0]!, maxLogScale));
  const dp = new Float64Array(p.length), dy = new Float64Array(y.length);
  let ds = 0, db = 0;
  pairs(p, y, s, bias[0]!, dim, groups, (i, j, z, c, l) => {
    const g = (-z * round(Float64Array.of(sigmoid(-z * l)))[0]! * dloss[0]!) / n;
    if (logScale[0]! <= maxLogScale) ds += g * s * c;
    db += g;
    for (let d = 0; d < dim; d++) {
      dp[i * dim + d]! += g * s * y[j * dim + d]!;
      dy[j * dim + d]! += g * s * p[i * dim + d]!;
    }
  });
  return [dp, dy, Float64Array.of(ds), Float64Array.of(db)];
}
