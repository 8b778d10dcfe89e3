/**
 * The formula of `topKRows` in float64: sorts every row; equal numbers by the lower column, NaN last.
 * @param scores [Q, C] @param cols C @param k how many @returns values [Q, k] and columns [Q, k], −Infinity and 2³² − 1 where there are fewer
 */
export function topKRowsRef(scores: Float64Array, cols: number, k: number): [Float64Array, Float64Array] {
  const rows = cols ? scores.length / cols : 0;
  const values = new Float64Array(rows * k).fill(-Infinity);
  const indices = new Float64Array(rows * k).fill(2 ** 32 - 1);
  for (let row = 0; row < rows; row++) {
    const own = scores.subarray(row * cols, (row + 1) * cols);
    const order = Array.from(own.keys()).sort((a, b) => {
      const [x, y] = [own[a]!, own[b]!];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y)) || a - b;
      return x === y ? a - b : x > y ? -1 : 1;
    });
    order.slice(0, k).forEach((c, j) => {
      values[row * k + j] = own[c]!;
      indices[row * k + j] = c;
    });
  }
  return [values, indices];
}
