/** Σ exp(x − max) of a row without the (first) largest term, which is 1: a loss near 0 keeps its digits. */
function shifted(row: Float64Array): { most: number; top: number; rest: number } {
  const most = Math.max(...row);
  const top = row.indexOf(most);
  return { most, top, rest: row.reduce((s, v, c) => (c === top ? s : s + Math.exp(v - most)), Number.isNaN(most) ? NaN : 0) };
}

/** The formula of `crossEntropy` in float64. @param x [N, C] @param targets [N] @param cols C @param ignore target of rows that do not count @returns [1] */
export function crossEntropyRef(x: Float64Array, targets: ArrayLike<number>, cols: number, ignore: number): Float64Array {
  let sum = 0;
  let count = 0;
  for (let r = 0; r < targets.length; r++) {
    if (targets[r] === ignore) continue;
    const row = x.subarray(r * cols, (r + 1) * cols);
    const { most, rest } = shifted(row);
    sum += Math.log1p(rest) + (most - row[targets[r]!]!);
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
    const { most, top, rest } = shifted(row);
    for (let c = 0; c < cols; c++) {
      const p = Math.exp(row[c]! - most) / (1 + rest);
      dx[r * cols + c] = (dy / count) * (c !== targets[r] ? p : c === top ? -rest / (1 + rest) : p - 1);
    }
  }
  return dx;
}
