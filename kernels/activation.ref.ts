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

/** 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))). @param x argument @returns gelu of the tanh form */
export const geluTanh = (x: number): number => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

/** x / (1 + e^-x). @param x argument @returns silu(x) */
export const silu = (x: number): number => x / (1 + Math.exp(-x));
