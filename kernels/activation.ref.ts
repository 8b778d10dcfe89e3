// Float64 formulas of kernels/activation.ts. Imported by tests only.

/**
 * Upper tail of the normal law, Q(a) = 1 - Φ(a), to about 1e-15: the series of erf below 2.5 (all terms positive), the continued fraction above.
 * Source: Abramowitz & Stegun 26.2.11 and 26.2.14.
 * @param a argument ≥ 0 @returns Q(a)
 */
export function normalTail(a: number): number {
  const density = Math.exp(-0.5 * a * a) / Math.sqrt(2 * Math.PI);
  if (a < 2.5) {
    let sum = a;
    for (let n = 1, term = a; n < 100; n++) {
      term *= (a * a) / (2 * n + 1);
      sum += term;
    }
    return 0.5 - density * sum;
  }
  let fraction = a;
  for (let k = 300; k >= 1; k--) fraction = a + k / fraction;
  return density / fraction;
}

/** x Φ(x). @param x argument @returns gelu(x) */
export const gelu = (x: number): number => x * (x < 0 ? normalTail(-x) : 1 - normalTail(x));

/** 0.5 x (1 + tanh u), u = √(2/π) (x + 0.044715 x³); ½ (1 + tanh u) as 1 / (1 + e^-2u) keeps the digits of negative x. @param x argument @returns gelu of the tanh form */
export const geluTanh = (x: number): number => x / (1 + Math.exp(-2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

/** x / (1 + e^-x). @param x argument @returns silu(x) */
export const silu = (x: number): number => x / (1 + Math.exp(-x));

/** dy (Φ(x) + x φ(x)). @param x [n] @param dy [n] @returns [n] gradient of gelu */
export const geluGradRef = (x: Float64Array, dy: Float64Array): Float64Array =>
  x.map((v, i) => dy[i]! * ((v < 0 ? normalTail(-v) : 1 - normalTail(v)) + (v * Math.exp(-0.5 * v * v)) / Math.sqrt(2 * Math.PI)));

/** dy (½ (1 + tanh u) + ½ x (1 − tanh² u) u'), u = √(2/π) (x + 0.044715 x³). @param x [n] @param dy [n] @returns [n] gradient of gelu's tanh form */
export const geluTanhGradRef = (x: Float64Array, dy: Float64Array): Float64Array => x.map((v, i) => dy[i]! * geluTanhSlope(v));

/** dy σ(x) (1 + x σ(−x)). @param x [n] @param dy [n] @returns [n] gradient of silu */
export const siluGradRef = (x: Float64Array, dy: Float64Array): Float64Array => x.map((v, i) => dy[i]! * siluSlope(v));

/** 1 / (1 + e^-x). */
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** Derivative of silu; σ(−x) instead of 1 − σ(x) keeps the digits of large x. @param x argument @returns slope */
export const siluSlope = (x: number): number => sigmoid(x) * (1 + x * sigmoid(-x));

/** Derivative of gelu's tanh form; 1 − tanh² as 4 σ(2u) σ(−2u) keeps the digits of large x. @param x argument @returns slope */
export function geluTanhSlope(x: number): number {
  const u = Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3);
  return sigmoid(2 * u) + 2 * x * sigmoid(2 * u) * sigmoid(-2 * u) * Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x);
}
