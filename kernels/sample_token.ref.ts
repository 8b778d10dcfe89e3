/** What `sampleTokenRef` needs beside logits and state. */
export interface SampleCase {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly seed: number;
  readonly step: number;
  readonly firstRow: number;
  readonly eos: number;
  readonly pad: number;
}

const WORD = 2n ** 32n;

/**
 * Philox4x32 with 10 rounds (Salmon et al., SC 2011), in whole numbers of any size.
 * @param counter [4] @param key [2] @returns [4] words
 */
export function philoxRef(counter: readonly number[], key: readonly number[]): number[] {
  let c = counter.map(BigInt);
  let [k0, k1] = key.map(BigInt) as [bigint, bigint];
  for (let round = 0; round < 10; round++) {
    const [p0, p1] = [0xd2511f53n * c[0]!, 0xcd9e8d57n * c[2]!];
    c = [(p1 / WORD) ^ c[1]! ^ k0, p1 % WORD, (p0 / WORD) ^ c[3]! ^ k1, p0 % WORD];
    [k0, k1] = [(k0 + 0x9e3779b9n) % WORD, (k1 + 0xbb67ae85n) % WORD];
  }
  return c.map(Number);
}

/** One row: what stays, with its share, in the order of columns; the number drawn; and how far every decision is from another one. */
interface Row { readonly kept: readonly { token: number; share: number }[]; readonly u: number; readonly margin: number }

function rowOf(x: Float64Array, row: number, o: SampleCase): Row {
  const most = Math.max(...x);
  let all = [...x].map((v, token) => ({ token, v, w: Math.exp((v - most) / o.temperature) })).sort((a, b) => b.v - a.v || a.token - b.token);
  if (o.topK > 0 && o.topK < all.length) all = all.filter(c => c.v >= all[o.topK - 1]!.v);
  let margin = Infinity;
  if (o.topP < 1) {
    const total = all.reduce((s, c) => s + c.w, 0);
    let held = 0, last = 0;
    for (; last < all.length; last++) {
      held += all[last]!.w;
      if (last + 1 < all.length && all[last + 1]!.v === all[last]!.v) continue; // equal logits stay or go together
      margin = Math.min(margin, Math.abs(held / total - o.topP));
      if (held >= o.topP * total) break;
    }
    all = all.slice(0, last + 1);
  }
  const total = all.reduce((s, c) => s + c.w, 0);
  const kept = all.map(({ token, w }) => ({ token, share: w / total })).sort((a, b) => a.token - b.token);
  const u = (philoxRef([0, o.firstRow + row, o.step, 0], [o.seed % 2 ** 32, Math.floor(o.seed / 2 ** 32)])[0]! >>> 8) / 2 ** 24;
  let edge = 0;
  for (const c of kept.slice(0, -1)) margin = Math.min(margin, Math.abs((edge += c.share) - u));
  return { kept, u, margin };
}

/**
 * The formula of `sampleToken`: sort, cut, draw.
 * @param x [R, V] logits @param state [R, 3] @param cols V @param o settings @returns tokens [R], state [R, 3]
 */
export function sampleTokenRef(x: Float64Array, state: Float64Array, cols: number, o: SampleCase): [Float64Array, Float64Array] {
  const rows = state.length / 3;
  const tokens = new Float64Array(rows);
  const next = state.slice();
  for (let r = 0; r < rows; r++) {
    if (state[r * 3 + 1]! > 0) {
      tokens[r] = o.pad;
      continue;
    }
    const logits = x.subarray(r * cols, (r + 1) * cols);
    const { kept, u } = rowOf(logits, r, o);
    let edge = 0;
    const token = (kept.find(c => (edge += c.share) > u) ?? kept.at(-1)!).token;
    const most = Math.max(...logits);
    const grown = state[r * 3]! + (logits[token]! - most - Math.log(logits.reduce((s, v) => s + Math.exp(v - most), 0)));
    tokens[r] = token;
    next.set([grown, token === o.eos ? o.step : 0, grown], r * 3);
  }
  return [tokens, next];
}

/**
 * How far the nearest decision of any row is from another one, as a share of the mass.
 * @param x [R, V] logits @param state [R, 3] @param cols V @param o settings @returns distance; rounding must stay below it
 */
export function sampleTokenMargin(x: Float64Array, state: Float64Array, cols: number, o: SampleCase): number {
  let margin = Infinity;
  for (let r = 0; r < state.length / 3; r++) if (!(state[r * 3 + 1]! > 0)) margin = Math.min(margin, rowOf(x.subarray(r * cols, (r + 1) * cols), r, o).margin);
  return margin;
}
