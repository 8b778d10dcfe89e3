// Matrix products at the model's shapes: linear layers, the plain product in its forms, the patch embedding.
import { linear } from '../kernels/linear.ts';
import { linearGradRef, linearRef } from '../kernels/linear.ref.ts';
import { matmul } from '../kernels/matmul.ts';
import type { Activation } from '../kernels/matmul.ts';
import { patchEmbed } from '../kernels/patch_embed.ts';
import { pair, part } from './case.ts';
import type { Case, Check, Profile, Stored } from './case.ts';
import { FULL_SIZE, SHIPPED } from './sizes.ts';

interface Layer { use: string; profile: Profile; rows: number; from: number; to: number; activation?: Activation; bias?: boolean; storage?: Stored }

/** Sampled rows whose float64 work stays near a second. */
const rowsFor = (work: number): number => Math.max(2, Math.min(64, Math.floor(1e8 / work)));

const column = (v: ArrayLike<number>, at: number, cols: number): Float64Array => Float64Array.from({ length: v.length / cols }, (_, i) => v[i * cols + at]!);

function layer({ use, profile, rows, from, to, activation = 'none', bias = false, storage }: Layer): Case[] {
  const sizes = { m: 1, n: to, k: from, activation };
  const forward: Check = ({ x: [x, w, b], expect, pick }) => {
    const wide = Float64Array.from(w!), wideBias = b && Float64Array.from(b);
    for (const i of pick(rows, rowsFor(from * to))) expect(0, i * to, linearRef(part(x!, i * from, from), wide, wideBias, sizes));
  };
  const backward: Check = ({ x: [x, w, b], dy, expect, pick }) => {
    const wide = Float64Array.from(w!), wideX = Float64Array.from(x!), wideBias = b && Float64Array.from(b);
    for (const i of pick(rows, rowsFor(4 * from * to))) expect(0, i * from, linearGradRef(part(x!, i * from, from), wide, wideBias, part(dy, i * to, to), sizes)[0]);
    for (const j of pick(to, rowsFor(4 * from * rows))) {
      const [, dw, db] = linearGradRef(wideX, part(w!, j * from, from), wideBias?.slice(j, j + 1), column(dy, j, to), { m: rows, n: 1, k: from, activation });
      expect(1, j * from, dw);
      if (b) expect(2, j, db);
    }
  };
  const flop = 2 * rows * from * to;
  return pair({
    op: 'linear', use, profile, shape: `[${rows}, ${from}] -> ${to}${bias ? ' + b' : ''}${activation === 'none' ? '' : `, ${activation}`}${storage ? `, weight ${storage}` : ''}`,
    inputs: [{ shape: [rows, from], grad: true }, { shape: [to, from], scale: 1 / Math.sqrt(from), ...(storage ? { storage } : { grad: true }) }, ...(bias ? [{ shape: [to], grad: true }] : [])],
    run: ([x, w, b]) => linear(x!, w!, b, { activation }), forward, ...(storage ? {} : { backward }), limit: 1e-11, flop: [flop, 2 * flop],
  });
}

/** One layer with its weight in every storage type; forward, as frozen and quantised weights have no gradient. */
const inStorage = (l: Layer): Case[] => (['f16', 'bf16', 'i8', 'i4'] as const).flatMap(storage => layer({ ...l, storage }));

interface Form { use: string; profile: Profile; m: number; n: number; k: number; transposeA?: boolean; transposeB?: boolean; forwardOnly?: boolean }

/** Elements compared of each result. */
const SAMPLES = 512;

function product({ use, profile, m, n, k, transposeA = false, transposeB = false, forwardOnly = false }: Form): Case[] {
  const at = { a: (i: number, l: number) => (transposeA ? l * m + i : i * k + l), b: (l: number, j: number) => (transposeB ? j * k + l : l * n + j) };
  const dot = (length: number, term: (i: number) => number): number[] => { let s = 0; for (let i = 0; i < length; i++) s += term(i); return [s]; };
  const forward: Check = ({ x: [a, b], expect, pick }) => {
    for (const e of pick(m * n, SAMPLES)) expect(0, e, dot(k, l => a![at.a(Math.floor(e / n), l)]! * b![at.b(l, e % n)]!));
  };
  const backward: Check = ({ x: [a, b], dy, expect, pick }) => {
    for (const e of pick(m * k, SAMPLES)) { const i = Math.floor(e / k), l = e % k; expect(0, at.a(i, l), dot(n, j => dy[i * n + j]! * b![at.b(l, j)]!)); }
    for (const e of pick(k * n, SAMPLES)) { const l = Math.floor(e / n), j = e % n; expect(1, at.b(l, j), dot(m, i => dy[i * n + j]! * a![at.a(i, l)]!)); }
  };
  const form = `${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}`;
  return pair({
    op: 'matmul', use, profile, shape: `${m} x ${n} x ${k} ${form}`, limit: 1e-11, flop: [2 * m * n * k, 4 * m * n * k],
    inputs: [{ shape: transposeA ? [k, m] : [m, k], grad: true }, { shape: transposeB ? [n, k] : [k, n], grad: true }],
    run: ([a, b]) => matmul(a!, b!, { transposeA, transposeB }), forward, ...(forwardOnly ? {} : { backward }),
  });
}

interface Patches { use: string; profile: Profile; batch: number; frames: number; edge: number; patch: number; dim: number }

/** Every value of a sampled token; weight gradients of sampled output channels. Tubelets of two frames, RGB. */
function patches({ use, profile, batch, frames, edge, patch, dim }: Patches): Case[] {
  const side = edge / patch, tokens = (frames / 2) * side * side, width = 3 * 2 * patch * patch;
  /** Offset in the pixels of element e of a token's patch. */
  const pixel = (token: number, e: number): number => {
    const b = Math.floor(token / tokens), t = Math.floor((token % tokens) / (side * side)), y = Math.floor(token / side) % side, x = token % side;
    const c = Math.floor(e / (2 * patch * patch)), dt = Math.floor(e / (patch * patch)) % 2, dy = Math.floor(e / patch) % patch, dx = e % patch;
    return (((b * frames + t * 2 + dt) * 3 + c) * edge + y * patch + dy) * edge + x * patch + dx;
  };
  const row = (pixels: ArrayLike<number>, token: number): Float64Array => Float64Array.from({ length: width }, (_, e) => pixels[pixel(token, e)]!);
  const forward: Check = ({ x: [p, w, b], expect, pick }) => {
    const wide = Float64Array.from(w!), bias = Float64Array.from(b!);
    for (const t of pick(batch * tokens, rowsFor(dim * width))) expect(0, t * dim, linearRef(row(p!, t), wide, bias, { m: 1, n: dim, k: width }));
  };
  const backward: Check = ({ x: [p, w], dy, expect, pick }) => {
    for (const t of pick(batch * tokens, 8)) for (const e of pick(width, 64)) {
      let sum = 0;
      for (let d = 0; d < dim; d++) sum += dy[t * dim + d]! * w![d * width + e]!;
      expect(0, pixel(t, e), [sum]);
    }
    for (const d of pick(dim, rowsFor(8 * batch * tokens * width))) {
      const dw = new Float64Array(width);
      let db = 0;
      for (let t = 0; t < batch * tokens; t++) {
        const g = dy[t * dim + d]!;
        db += g;
        for (let e = 0; e < width; e++) dw[e]! += g * p![pixel(t, e)]!;
      }
      expect(1, d * width, dw);
      expect(2, d, [db]);
    }
  };
  const flop = 2 * batch * tokens * width * dim;
  return pair({
    op: 'patchEmbed', use, profile, shape: `[${batch}, ${frames}, 3, ${edge}, ${edge}] / ${patch} -> ${dim}`, limit: 1e-11, flop: [flop, 2 * flop],
    inputs: [{ shape: [batch, frames, 3, edge, edge], grad: true }, { shape: [dim, 3, 2, patch, patch], scale: 1 / Math.sqrt(width), grad: true }, { shape: [dim], grad: true }],
    run: ([p, w, b]) => patchEmbed(p!, w!, b!, { tubelet: 2, patch }), forward, backward,
  });
}

/** A copy of the forward alone, for layers that are frozen. */
const frozen = (cases: Case[]): Case[] => cases.filter(c => c.pass === 'forward');

const { vision: v, predictor: p, text: t, batch, textTokens, dim } = SHIPPED;
const { vision: V, predictor: P, text: T, dim: DIM } = FULL_SIZE;
const words = batch * textTokens;

const fullSize = (profile: Profile, tokens: number): Case[] => [
  ...layer({ use: 'ViT-L q, k, v, out', profile, rows: tokens, from: V.hiddenSize, to: V.hiddenSize, bias: true }),
  ...layer({ use: 'ViT-L MLP in', profile, rows: tokens, from: V.hiddenSize, to: V.mlpSize, bias: true, activation: 'gelu' }),
  ...layer({ use: 'ViT-L MLP out', profile, rows: tokens, from: V.mlpSize, to: V.hiddenSize, bias: true }),
  ...layer({ use: 'Llama q, out', profile, rows: tokens, from: P.hiddenSize, to: P.heads * P.headDim }),
  ...layer({ use: 'Llama k, v', profile, rows: tokens, from: P.hiddenSize, to: P.kvHeads * P.headDim }),
  ...layer({ use: 'Llama gate, up', profile, rows: tokens, from: P.hiddenSize, to: P.intermediateSize }),
  ...layer({ use: 'Llama down', profile, rows: tokens, from: P.intermediateSize, to: P.hiddenSize }),
];

/** Products of the model. */
export const PRODUCTS: readonly Case[] = [
  ...layer({ use: 'shipped vision q, k, v, out', profile: 'quick', rows: batch, from: v.hiddenSize, to: v.hiddenSize, bias: true }),
  ...layer({ use: 'shipped vision MLP in', profile: 'quick', rows: batch, from: v.hiddenSize, to: v.mlpSize, bias: true, activation: 'gelu' }),
  ...layer({ use: 'shipped vision MLP out', profile: 'quick', rows: batch, from: v.mlpSize, to: v.hiddenSize, bias: true }),
  ...layer({ use: 'shipped predictor gate, up', profile: 'quick', rows: batch, from: p.hiddenSize, to: p.intermediateSize }),
  ...layer({ use: 'shipped text q, out', profile: 'quick', rows: words, from: t.hiddenSize, to: t.hiddenSize }),
  ...layer({ use: 'shipped text k, v', profile: 'quick', rows: words, from: t.hiddenSize, to: t.kvHeads * t.headDim }),
  ...layer({ use: 'shipped text gate, up', profile: 'quick', rows: words, from: t.hiddenSize, to: t.intermediateSize }),
  ...inStorage({ use: 'shipped text gate, up', profile: 'quick', rows: words, from: t.hiddenSize, to: t.intermediateSize }),
  ...layer({ use: 'shipped head', profile: 'quick', rows: batch, from: v.hiddenSize, to: dim, bias: true }),
  ...product({ use: 'anchor of other libraries', profile: 'quick', m: 512, n: 512, k: 512 }),
  ...product({ use: 'shipped similarities', profile: 'quick', m: batch, n: batch, k: dim, transposeB: true }),
  ...product({ use: 'product with a transposed first', profile: 'quick', m: v.mlpSize, n: v.hiddenSize, k: words, transposeA: true, forwardOnly: true }),
  ...patches({ use: 'shipped patches', profile: 'quick', batch, frames: 2, edge: v.cropSize, patch: v.patchSize, dim: v.hiddenSize }),
  ...fullSize('model', 256),
  ...inStorage({ use: 'Llama gate, up', profile: 'model', rows: 256, from: P.hiddenSize, to: P.intermediateSize }),
  ...layer({ use: 'Llama gate, up for one token', profile: 'model', rows: 1, from: P.hiddenSize, to: P.intermediateSize }).slice(0, 1),
  ...inStorage({ use: 'Llama gate, up for one token', profile: 'model', rows: 1, from: P.hiddenSize, to: P.intermediateSize }),
  ...layer({ use: 'EmbeddingGemma q', profile: 'model', rows: 64, from: T.hiddenSize, to: T.heads * T.headDim }),
  ...layer({ use: 'EmbeddingGemma k, v', profile: 'model', rows: 64, from: T.hiddenSize, to: T.kvHeads * T.headDim }),
  ...layer({ use: 'EmbeddingGemma gate, up', profile: 'model', rows: 64, from: T.hiddenSize, to: T.intermediateSize }),
  ...layer({ use: 'EmbeddingGemma down', profile: 'model', rows: 64, from: T.intermediateSize, to: T.hiddenSize }),
  ...layer({ use: 'predictor head', profile: 'model', rows: 64, from: P.hiddenSize, to: DIM, bias: true }),
  ...layer({ use: 'text head', profile: 'model', rows: 64, from: T.hiddenSize, to: DIM, bias: true }),
  ...product({ use: 'similarities of 512 pairs', profile: 'model', m: 512, n: 512, k: DIM, transposeB: true }),
  ...patches({ use: 'ViT-L patches, 2 frames', profile: 'model', batch: 1, frames: 2, edge: V.cropSize, patch: V.patchSize, dim: V.hiddenSize }),
  ...fullSize('full', 2048),
  ...product({ use: 'anchor of other libraries', profile: 'full', m: 1024, n: 1024, k: 1024 }),
  ...product({ use: 'anchor of other libraries', profile: 'full', m: 4096, n: 4096, k: 4096 }),
  ...frozen(patches({ use: 'ViT-L patches, 16 frames', profile: 'full', batch: 1, frames: 16, edge: V.cropSize, patch: V.patchSize, dim: V.hiddenSize })),
];
