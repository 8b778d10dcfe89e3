/** Settings of the reference: as `VicregOptions`. */
export interface VicregRefOptions {
  invariance?: number;
  variance?: number;
  covariance?: number;
  gamma?: number;
  eps?: number;
}

const DEFAULTS = { invariance: 25, variance: 25, covariance: 1, gamma: 1, eps: 1e-4 };

/** Centred columns [N, D] and covariances [D, D]. */
function spreadOf(x: Float64Array, dim: number): { centred: Float64Array; cov: Float64Array } {
  const n = x.length / dim;
  const means = new Float64Array(dim);
  for (let i = 0; i < x.length; i++) means[i % dim]! += x[i]! / n;
  const centred = x.map((v, i) => v - means[i % dim]!);
  const cov = new Float64Array(dim * dim);
  for (let r = 0; r < n; r++) for (let i = 0; i < dim; i++) for (let j = 0; j < dim; j++) cov[i * dim + j]! += (centred[r * dim + i]! * centred[r * dim + j]!) / (n - 1);
  return { centred, cov };
}

/**
 * The formula of `vicregLoss` in float64.
 * @param x [N, D] @param y [N, D] @param dim D @param options weights @returns loss, invariance, variance, covariance
 */
export function vicregLossRef(x: Float64Array, y: Float64Array, dim: number, options: VicregRefOptions = {}): [number, number, number, number] {
  const o = { ...DEFAULTS, ...options };
  const inv = x.reduce((s, v, i) => s + (v - y[i]!) ** 2, 0) / x.length;
  let varTerm = 0, covTerm = 0;
  for (const { cov } of [spreadOf(x, dim), spreadOf(y, dim)]) {
    for (let i = 0; i < dim; i++) {
      varTerm += Math.max(0, o.gamma - Math.sqrt(cov[i * dim + i]! + o.eps)) / dim;
      for (let j = 0; j < dim; j++) if (i !== j) covTerm += cov[i * dim + j]! ** 2 / dim;
    }
  }
  return [o.invariance * inv + o.variance * varTerm + o.covariance * covTerm, inv, varTerm, covTerm];
}

/**
 * Gradients of the loss of `vicregLossRef`.
 * @param x [N, D] @param y [N, D] @param dim D @param dloss [1] @param options weights @returns dx, dy
 */
export function vicregLossGradRef(x: Float64Array, y: Float64Array, dim: number, dloss: Float64Array, options: VicregRefOptions = {}): [Float64Array, Float64Array] {
  const o = { ...DEFAULTS, ...options };
  const n = x.length / dim;
  const one = (a: Float64Array, b: Float64Array): Float64Array => {
    const { centred, cov } = spreadOf(a, dim);
    return a.map((v, at) => {
      const r = Math.floor(at / dim), k = at % dim;
      let g = (2 * o.invariance * (v - b[at]!)) / a.length;
      const std = Math.sqrt(cov[k * dim + k]! + o.eps);
      if (std < o.gamma) g -= (o.variance * centred[at]!) / (dim * (n - 1) * std);
      for (let j = 0; j < dim; j++) if (j !== k) g += (4 * o.covariance * cov[k * dim + j]! * centred[r * dim + j]!) / (dim * (n - 1));
      return g * dloss[0]!;
    });
  };
  return [one(x, y), one(y, x)];
}
