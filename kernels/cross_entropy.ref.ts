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

/**
 * The gradient of `crossEntropyRef`: dx[r, c] = dy (softmax(x[r])[c] − [c = target]) / counted rows, zero for rows that do not count.
 * @param x [N, C] @param targets [N] @param cols C @param ignore target of rows that do not count @param dy gradient of the loss @returns [N, C]
 */
export function crossEntropyGradRef(x: Float64Array, targets: ArrayLike<number>, cols: number, ignore: number, dy: number): Float64Array {
  const dx = new Float64Array(x.length);
  let count = 0;
  for (let r = 0; r < targets.length; r++) if (targets[r] !== ignore) count++;
  for (let r = 0; r < targets.length; r++) {
    if (targets[r] === ignore) continue;
    const row = x.subarray(r * cols, (r + 1) * cols);
    const most = row.reduce((m, v) => Math.max(m, v), -Infinity);
    const total = row.reduce((s, v) => s + Math.exp(v - most), 0);
    for (let c = 0; c < cols; c++) dx[r * cols + c] = (dy / count) * (Math.exp(row[c]! - most) / total - (c === targets[r] ? 1 : 0));
  }
  return dx;
}
