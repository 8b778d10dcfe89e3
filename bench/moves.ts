// Element, copy and sum ops at the model's shapes. Every value is compared with float64.
import { columnSum } from '../kernels/column_sum.ts';
import { columnSumRef } from '../kernels/column_sum.ref.ts';
import { concat } from '../kernels/concat.ts';
import { concatGradRef, concatRows } from '../kernels/concat.ref.ts';
import { add, addScalar, div, exp, mul, scale, sub } from '../kernels/elementwise.ts';
import { addGradRef, affineGradRef, affineRef, broadcast, divGradRef, expGradRef, expRef, mulGradRef, subGradRef } from '../kernels/elementwise.ref.ts';
import { embedding } from '../kernels/embedding.ts';
import { embedding as embeddingRef, embeddingGradRef } from '../kernels/embedding.ref.ts';
import { slice } from '../kernels/slice.ts';
import { sliceGradRef, sliceRows } from '../kernels/slice.ref.ts';
import { mean, sum, sumAxis } from '../kernels/sum.ts';
import { sumGradRef, sumMiddle, sumMiddleGradRef, sumRef } from '../kernels/sum.ref.ts';
import { transpose } from '../kernels/transpose.ts';
import { transpose5, transposeGradRef } from '../kernels/transpose.ref.ts';
import { bytesOf, pair, part, whole } from './case.ts';
import type { Case, Check, Profile, Stored } from './case.ts';
import { FULL_SIZE, SHIPPED } from './sizes.ts';

type Sizes = readonly number[];
const text = (shape: Sizes): string => `[${shape.join(', ')}]`;

const BINARY = {
  add: { run: add, value: (a: number, b: number) => a + b, gradients: addGradRef }, sub: { run: sub, value: (a: number, b: number) => a - b, gradients: subGradRef },
  mul: { run: mul, value: (a: number, b: number) => a * b, gradients: mulGradRef }, div: { run: div, value: (a: number, b: number) => a / b, gradients: divGradRef },
} as const;

function binary(op: keyof typeof BINARY, use: string, profile: Profile, a: Sizes, b: Sizes = a): Case[] {
  const { run, value, gradients } = BINARY[op];
  const linear = op === 'add' || op === 'sub';
  return pair({
    op, use, profile, shape: `${text(a)}${a === b ? '' : ` and ${text(b)}`}`, limit: 1e-12, bytes: [bytesOf(a, a, b), linear ? bytesOf(a, a, b) : bytesOf(a, a, a, b, b)],
    inputs: [{ shape: a, grad: true }, { shape: b, kind: 'positive', grad: true }], run: ([x, y]) => run(x!, y!),
    forward: whole(([x, y]) => broadcast(value, x!, a, y!, b)), backward: whole(([x, y], dy) => gradients(x!, a, y!, b, dy)),
  });
}

function unary(op: 'scale' | 'addScalar' | 'exp', use: string, profile: Profile, x: Sizes): Case[] {
  const [run, value, gradient] = {
    scale: [(t: Parameters<typeof exp>[0]) => scale(t, 3), (v: Float64Array) => affineRef(v, 3, 0), (_: Float64Array, dy: Float64Array) => affineGradRef(dy, 3)],
    addScalar: [(t: Parameters<typeof exp>[0]) => addScalar(t, 3), (v: Float64Array) => affineRef(v, 1, 3), (_: Float64Array, dy: Float64Array) => dy],
    exp: [exp, expRef, expGradRef],
  }[op] as unknown as [typeof exp, typeof expRef, typeof expGradRef];
  return pair({
    op, use, profile, shape: text(x), limit: 1e-12, bytes: [bytesOf(x, x), bytesOf(x, x)], inputs: [{ shape: x, grad: true }],
    run: ([t]) => run(t!), forward: whole(([v]) => value(v!)), backward: whole(([v], dy) => gradient(v!, dy)),
  });
}

/** Side by side along axis 1. */
function joined(use: string, profile: Profile, parts: readonly (readonly [number, number, number])[]): Case[] {
  const outer = parts[0]![0], lengths = parts.map(s => s[1] * s[2]);
  return pair({
    op: 'concat', use, profile, shape: parts.map(text).join(' + '), limit: 0, bytes: [2 * bytesOf(...parts), 2 * bytesOf(...parts)], inputs: parts.map(shape => ({ shape, grad: true })),
    run: t => concat(t, 1), forward: whole(x => concatRows(x, outer, lengths)), backward: whole((_, dy) => concatGradRef(dy, outer, lengths)),
  });
}

function sliced(use: string, profile: Profile, [outer, tokens, dim]: readonly [number, number, number], start: number, end: number): Case[] {
  const cut = [outer, end - start, dim], all = [outer, tokens, dim];
  return pair({
    op: 'slice', use, profile, shape: `${text(all)} ${start}:${end}`, limit: 0, bytes: [2 * bytesOf(cut), bytesOf(cut, all)], inputs: [{ shape: all, grad: true }],
    run: ([x]) => slice(x!, 1, start, end), forward: whole(([x]) => sliceRows(x!, outer, tokens * dim, start * dim, (end - start) * dim)),
    backward: whole((_, dy) => sliceGradRef(dy, outer, tokens * dim, start * dim, (end - start) * dim)),
  });
}

function turned(use: string, profile: Profile, shape: readonly [number, number, number, number]): Case[] {
  const [batch, tokens, heads, width] = shape;
  const sizes = [batch, tokens, 1, heads, width] as const;
  return pair({
    op: 'transpose', use, profile, shape: `${text(shape)} axes 1, 2`, limit: 0, bytes: [2 * bytesOf(shape), 2 * bytesOf(shape)], inputs: [{ shape, grad: true }],
    run: ([x]) => transpose(x!, 1, 2), forward: whole(([x]) => transpose5(x!, sizes)), backward: whole((_, dy) => transposeGradRef(dy, sizes)),
  });
}

function lookups(use: string, profile: Profile, rows: number, dim: number, ids: Sizes, storage?: Stored): Case[] {
  const count = ids.reduce((n, s) => n * s, 1);
  /** All rows that were looked up: a copy has to be exact, and a table of a gigabyte is not made twice. */
  const forward: Check = ({ x: [table, at], expect }) => at!.forEach((id, i) => expect(0, i * dim, embeddingRef(part(table!, id * dim, dim), dim, [0])));
  const backward: Check = ({ x: [, at], dy, expect, pick }) => {
    const used = [...new Set(at!)];
    const small = Uint32Array.from(at!, id => used.indexOf(id));
    const sums = embeddingGradRef(used.length, dim, small, Float64Array.from(dy));
    used.forEach((id, i) => expect(0, id * dim, sums.subarray(i * dim, (i + 1) * dim)));
    const idle = new Float64Array(dim);
    const seen = new Set(used);
    for (const id of pick(rows, 64)) if (!seen.has(id)) expect(0, id * dim, idle);
  };
  return pair({
    op: 'embedding', use, profile, shape: `${text(ids)} of [${rows}, ${dim}]${storage ? `, ${storage}` : ''}`, limit: 1e-13, bytes: [8 * count * dim, 4 * dim * (count + rows)],
    inputs: [{ shape: [rows, dim], ...(storage ? { storage } : { grad: true }) }, { shape: ids, kind: 'ids', below: rows }], run: ([table, at]) => embedding(table!, at!), forward, ...(storage ? {} : { backward }),
  });
}

function sums(use: string, profile: Profile, x: readonly [number, number]): Case[] {
  const [rows, cols] = x, n = rows * cols;
  const base = { use, profile, shape: text(x), limit: 1e-11, inputs: [{ shape: x, grad: true, kind: 'positive' as const }], bytes: [bytesOf(x), bytesOf(x)] as const };
  return [
    ...pair({ ...base, op: 'sum', run: ([t]) => sum(t!), forward: whole(([v]) => sumRef(v!)), backward: whole((_, dy) => sumGradRef(dy, n)) }),
    ...pair({ ...base, op: 'mean', run: ([t]) => mean(t!), forward: whole(([v]) => sumRef(v!, 1 / n)), backward: whole((_, dy) => sumGradRef(dy, n, 1 / n)) }),
    ...pair({ ...base, op: 'sumAxis', run: ([t]) => sumAxis(t!, 0), forward: whole(([v]) => sumMiddle(v!, 1, rows, cols)), backward: whole((_, dy) => sumMiddleGradRef(dy, 1, rows, cols)) }),
    ...pair({ ...base, op: 'columnSum', run: ([t]) => columnSum(t!), forward: whole(([v]) => columnSumRef(v!, cols)) }),
  ];
}

const { vision: v, text: t, batch, textTokens } = SHIPPED;
const { vision: V, predictor: P, text: T } = FULL_SIZE;
const words = [batch, textTokens, t.hiddenSize] as const;

/** Copies, element ops and sums of the model. */
export const MOVES: readonly Case[] = [
  ...binary('add', 'shipped residual', 'quick', words),
  ...binary('sub', 'shipped residual', 'quick', words),
  ...binary('mul', 'shipped text by its width', 'quick', words, [t.hiddenSize]),
  ...binary('div', 'shipped text', 'quick', words),
  ...unary('scale', 'shipped token vectors', 'quick', words),
  ...unary('addScalar', 'shipped token vectors', 'quick', words),
  ...unary('exp', 'shipped token vectors', 'quick', words),
  ...joined('shipped frame twice', 'quick', [[batch, 1, 3 * v.cropSize * v.cropSize], [batch, 1, 3 * v.cropSize * v.cropSize]]),
  ...sliced('shipped text', 'quick', words, 1, textTokens),
  ...turned('shipped text heads', 'quick', [batch, textTokens, t.heads, t.headDim]),
  ...lookups('shipped token table', 'quick', 2048, t.hiddenSize, [batch, textTokens]),
  ...lookups('shipped token table', 'quick', 2048, t.hiddenSize, [batch, textTokens], 'bf16'),
  ...lookups('shipped token table', 'quick', 2048, t.hiddenSize, [batch, textTokens], 'i8'),
  ...sums('shipped text', 'quick', [batch * textTokens, t.hiddenSize]),
  ...binary('add', 'Llama residual, 256 tokens', 'model', [1, 256, P.hiddenSize]),
  ...joined('vision and query tokens', 'model', [[1, 256, P.hiddenSize], [1, 64, P.hiddenSize]]),
  ...sliced('query tokens', 'model', [1, 320, P.hiddenSize], 256, 320),
  ...turned('ViT-L heads', 'model', [1, 256, V.heads, V.headDim]),
  ...lookups('an eighth of the EmbeddingGemma table', 'model', T.vocabSize / 8, T.hiddenSize, [1, 64]),
  ...sums('ViT-L MLP bias, 256 tokens', 'model', [256, V.mlpSize]),
  ...binary('add', 'ViT-L residual, 16 frames', 'full', [1, 2048, V.hiddenSize]),
  ...turned('ViT-L heads, 16 frames', 'full', [1, 2048, V.heads, V.headDim]),
  ...lookups('Llama token table', 'full', P.vocabSize, P.hiddenSize, [1, 64]).slice(0, 1),
  ...lookups('EmbeddingGemma token table', 'full', T.vocabSize, T.hiddenSize, [1, 64]),
];
