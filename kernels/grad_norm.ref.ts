/** √Σx² in float64. @param x [n] @returns the length */
export function gradNormRef(x: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! ** 2;
  return Math.sqrt(sum);
}

/** min(1, maxNorm / (norm + 1e-6)). @param norm length @param maxNorm longest allowed @returns the factor */
export const clipFactorRef = (norm: number, maxNorm: number): number => Math.min(1, maxNorm / (norm + 1e-6));
