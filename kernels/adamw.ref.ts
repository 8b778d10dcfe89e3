/** State of one AdamW parameter vector in float64. */
export interface AdamwState {
  p: Float64Array;
  m: Float64Array;
  v: Float64Array;
}

/** The formula of `adamwStep` in float64, in place. @param state p, m, v [n] @param grad [n] @param settings rates of one group @returns nothing */
export function adamwRef(state: AdamwState, grad: ArrayLike<number>, { lr, decay, beta1, beta2, eps, step }: { lr: number; decay: number; beta1: number; beta2: number; eps: number; step: number }): void {
  const { p, m, v } = state;
  for (let i = 0; i < p.length; i++) {
    p[i]! *= 1 - lr * decay;
    m[i] = beta1 * m[i]! + (1 - beta1) * grad[i]!;
    v[i] = beta2 * v[i]! + (1 - beta2) * grad[i]! ** 2;
    p[i]! -= (lr * (m[i]! / (1 - beta1 ** step))) / (Math.sqrt(v[i]! / (1 - beta2 ** step)) + eps);
  }
}
