/** √Σx² in float64. @param x [n] @returns the length */
export function gradNormRef(x: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! ** 2;
  return Math.sqrt(sum);
}
