/** What `beamStepRef` needs beside logits and state. */
export interface BeamStepCase { readonly width: number; readonly eos: number; readonly pad: number; readonly step: number; readonly lengthPenalty: number }

interface Candidate { readonly key: number; readonly score: number; readonly length: number; readonly token: number; readonly row: number }

/** All candidates of a group, best first; of equal keys the earlier row, then the lower column. */
function candidatesOf(x: Float64Array, state: Float64Array, cols: number, group: number, o: BeamStepCase): Candidate[] {
  const all: Candidate[] = [];
  for (let row = group * o.width; row < (group + 1) * o.width; row++) {
    const [score, length, key] = [state[row * 3]!, state[row * 3 + 1]!, state[row * 3 + 2]!];
    if (length > 0) {
      all.push({ key, score, length, token: o.pad, row });
      continue;
    }
    const logits = x.subarray(row * cols, (row + 1) * cols);
    const most = Math.max(...logits);
    const lse = most + Math.log(logits.reduce((s, v) => s + Math.exp(v - most), 0));
    logits.forEach((v, token) => {
      const grown = score + (v - lse);
      all.push({ key: grown * o.step ** -o.lengthPenalty, score: grown, length: token === o.eos ? o.step : 0, token, row });
    });
  }
  return all.sort((a, b) => b.key - a.key || a.row - b.row || a.token - b.token);
}

/**
 * The formula of `beamStep` by sorting all candidates.
 * @param x [R, V] logits @param state [R, 3] @param cols V @param o width, eos, pad, step, penalty @returns tokens [R], parents [R], state [R, 3]
 */
export function beamStepRef(x: Float64Array, state: Float64Array, cols: number, o: BeamStepCase): [Float64Array, Float64Array, Float64Array] {
  const rows = state.length / 3;
  const [tokens, parents, next] = [new Float64Array(rows), new Float64Array(rows), new Float64Array(rows * 3)];
  for (let group = 0; group < rows / o.width; group++) {
    candidatesOf(x, state, cols, group, o).slice(0, o.width).forEach((c, b) => {
      const row = group * o.width + b;
      tokens[row] = c.token;
      parents[row] = c.row;
      next.set([c.score, c.length, c.key], row * 3);
    });
  }
  return [tokens, parents, next];
}

/**
 * How clear the choice is: the smallest difference of keys among the width + 1 best of any group that do not come from equal logits of one row.
 * @param x [R, V] logits @param state [R, 3] @param cols V @param o width, eos, pad, step, penalty @returns difference; rounding must stay below it
 */
export function beamStepMargin(x: Float64Array, state: Float64Array, cols: number, o: BeamStepCase): number {
  let margin = Infinity;
  for (let group = 0; group < state.length / 3 / o.width; group++) {
    const best = candidatesOf(x, state, cols, group, o).slice(0, o.width + 1);
    for (let i = 1; i < best.length; i++) {
      const [a, b] = [best[i - 1]!, best[i]!];
      const same = a.row === b.row && x[a.row * cols + a.token] === x[b.row * cols + b.token];
      if (!same) margin = Math.min(margin, a.key - b.key);
    }
  }
  return margin;
}
