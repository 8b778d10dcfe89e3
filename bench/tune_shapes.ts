// The products that `vl-jepa bench tune` measures: forward and gradients of the model's layers, without those that have the sizes of an earlier one.
import { shapeKey } from '../kernels/matmul_table.ts';
import type { Sizes } from '../kernels/matmul_table.ts';
import { PROFILES } from './case.ts';
import type { Profile } from './case.ts';
import { FULL_SIZE, SHIPPED } from './sizes.ts';

export interface TuneShape extends Sizes { use: string; profile: Profile; transposeA: boolean; transposeB: boolean }

/** y = x Wᵀ, dx = dy W, dW = dyᵀ x */
function layer(profile: Profile, use: string, rows: number, from: number, to: number): TuneShape[] {
  const of = (what: string, m: number, n: number, k: number, transposeA: boolean, transposeB: boolean): TuneShape => ({ use: `${use}${what}`, profile, m, n, k, batch: 1, transposeA, transposeB });
  return [of('', rows, to, from, false, true), of(', dx', rows, from, to, false, false), of(', dW', to, from, rows, true, false)];
}

/** The two products of attention by heads. */
const heads = (profile: Profile, use: string, batch: number, tokens: number, dim: number): TuneShape[] => [
  { use: `${use} scores`, profile, batch, m: tokens, n: tokens, k: dim, transposeA: false, transposeB: true },
  { use: `${use} sums of values`, profile, batch, m: tokens, n: dim, k: tokens, transposeA: false, transposeB: false },
];

const cube = (profile: Profile, side: number): TuneShape => ({ use: 'cube', profile, batch: 1, m: side, n: side, k: side, transposeA: false, transposeB: false });

const { vision: v, predictor: p, text: t, batch, textTokens, dim } = SHIPPED;
const { vision: V, predictor: P, text: T, dim: DIM } = FULL_SIZE;

const fullSize = (profile: Profile, tokens: number): TuneShape[] => [
  ...layer(profile, 'ViT-L q, k, v, out', tokens, V.hiddenSize, V.hiddenSize), ...layer(profile, 'ViT-L MLP in', tokens, V.hiddenSize, V.mlpSize),
  ...layer(profile, 'Llama q, out', tokens, P.hiddenSize, P.heads * P.headDim), ...layer(profile, 'Llama k, v', tokens, P.hiddenSize, P.kvHeads * P.headDim),
  ...layer(profile, 'Llama gate, up', tokens, P.hiddenSize, P.intermediateSize),
];

const ALL: readonly TuneShape[] = [
  ...layer('quick', 'shipped vision q, k, v, out', batch, v.hiddenSize, v.hiddenSize), ...layer('quick', 'shipped vision MLP in', batch, v.hiddenSize, v.mlpSize),
  ...layer('quick', 'shipped predictor gate, up', batch, p.hiddenSize, p.intermediateSize), ...layer('quick', 'shipped text gate, up', batch * textTokens, t.hiddenSize, t.intermediateSize),
  ...layer('quick', 'shipped head', batch, v.hiddenSize, dim), cube('quick', 512),
  ...fullSize('model', 256), ...layer('model', 'Llama gate, up for one token', 1, P.hiddenSize, P.intermediateSize).slice(0, 1),
  ...layer('model', 'EmbeddingGemma gate, up', 64, T.hiddenSize, T.intermediateSize), ...layer('model', 'predictor head', 64, P.hiddenSize, DIM),
  { use: 'similarities of 512 pairs', profile: 'model', batch: 1, m: 512, n: 512, k: DIM, transposeA: false, transposeB: true },
  ...heads('model', 'ViT-L attention', V.heads, 256, V.hiddenSize / V.heads), cube('model', 1024),
  ...fullSize('full', 2048), ...heads('full', 'ViT-L attention', V.heads, 2048, V.hiddenSize / V.heads), cube('full', 2048), cube('full', 4096),
];

/** Products of a profile and the smaller ones. @param profile name @param only a part of the use @returns no two of the same sizes */
export function tuneShapes(profile: Profile, only?: string): TuneShape[] {
  const most = PROFILES.indexOf(profile);
  const seen = new Set<string>();
  return ALL.filter(s => PROFILES.indexOf(s.profile) <= most && (!only || s.use.includes(only))).filter(s => !seen.has(shapeKey(s)) && seen.add(shapeKey(s)));
}
