/** The formula of `crossEntropy` in float64. @param x [N, C] @param targets [N] @param cols C @param ignore target of rows that do not count @returns [1] */
export function crossEntropyRef(x: Float64Array, targets: ArrayLike<number>, cols: number, ignore: number): Float64Array {
  let sum = 0;
  let count = 0;
  for (let r = 0; r < targets.length; r++) {
    if (targets[r] === ignore) continue;
    const row = x.subarray(r * cols, (r + 1) * cols);
    const most = Math.max(...row);
    let total = 0;
    for (const v of row) total += Math.exp(v - most);
    sum += Math.log(total) + most - row[targets[r]!]!;
    count++;
  }
  return Float64Array.of(sum / Math.max(count, 1));
}
