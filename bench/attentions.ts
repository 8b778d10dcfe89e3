// Attention and rotary embeddings at the model's shapes.
import { attention } from '../kernels/attention.ts';
import { attentionGradRef, attentionRef } from '../kernels/attention.ref.ts';
import { rope } from '../kernels/rope.ts';
import { ropeGradRef, ropeRef } from '../kernels/rope.ref.ts';
import { bytesOf, pair, whole } from './case.ts';
import type { Case, Check, Profile, Values } from './case.ts';
import { FULL_SIZE, SHIPPED } from './sizes.ts';

interface Attend { use: string; profile: Profile; batch: number; tokens: number; heads: number; kvHeads: number; headDim: number; masked?: boolean }

/** Heads that share one key head, of one batch row, cut out of [B, T, H, Dh]. */
function cut(x: Values, { batch, tokens }: Attend, heads: number, width: number, b: number, h: number): Float64Array {
  const out = new Float64Array(tokens * width);
  const row = x.length / (batch * tokens);
  for (let t = 0; t < tokens; t++) for (let d = 0; d < width; d++) out[t * width + d] = x[(b * tokens + t) * row + h * width + d]!;
  if (row !== heads * width) throw new Error(`bench: a head of ${width} was cut from rows of ${row}, expected ${heads * width}`);
  return out;
}

function attend(a: Attend): Case[] {
  const { use, profile, batch, tokens, heads, kvHeads, headDim, masked = false } = a;
  const group = heads / kvHeads;
  const slices = Math.max(1, Math.min(64, Math.floor(5e7 / (tokens * tokens * headDim * group))));
  const check = (backward: boolean): Check => ({ x: [q, k, v, mask], dy, expect, pick }) => {
    for (const s of pick(batch * kvHeads, slices)) {
      const b = Math.floor(s / kvHeads), h = s % kvHeads;
      const wide = (x: Values): Float64Array => cut(x, a, kvHeads, group * headDim, b, h);
      const narrow = (x: Values): Float64Array => cut(x, a, kvHeads, headDim, b, h);
      const c = { batch: 1, tq: tokens, tk: tokens, heads: group, kvHeads: 1, headDim, ...(mask && { mask: mask.subarray(b * tokens, (b + 1) * tokens) }) };
      const want = backward ? attentionGradRef(c, wide(q!), narrow(k!), narrow(v!), wide(dy)) : [attentionRef(c, wide(q!), narrow(k!), narrow(v!))];
      want.forEach((w, o) => {
        const width = o === 0 ? group * headDim : headDim;
        for (let t = 0; t < tokens; t++) expect(o, ((b * tokens + t) * kvHeads + h) * width, w.subarray(t * width, (t + 1) * width));
      });
    }
  };
  const flop = 4 * batch * heads * tokens * tokens * headDim;
  const many = [batch, tokens, heads, headDim], few = [batch, tokens, kvHeads, headDim];
  return pair({
    op: 'attention', use, profile, shape: `[${many.join(', ')}]${kvHeads === heads ? '' : ` on ${kvHeads} key heads`}${masked ? ', masked' : ''}`, limit: 1e-11,
    inputs: [{ shape: many, grad: true }, { shape: few, grad: true }, { shape: few, grad: true }, ...(masked ? [{ shape: [batch, tokens], kind: 'mask' } as const] : [])],
    run: ([q, k, v, mask]) => attention(q!, k!, v!, mask ? { mask } : {}), forward: check(false), backward: check(true),
    flop: [flop, 2.5 * flop], // the five products of a recomputing backward to the two of the forward
  });
}

function rotate(use: string, profile: Profile, shape: readonly [number, number, number, number], pairs: 'half' | 'adjacent'): Case[] {
  const [, tokens, heads, headDim] = shape;
  const sizes = { tokens, heads, headDim };
  return pair({
    op: 'rope', use, profile, shape: `[${shape.join(', ')}] ${pairs}`, limit: 1e-12, inputs: [{ shape, grad: true }, { shape: [tokens, headDim] }, { shape: [tokens, headDim] }],
    run: ([x, cos, sin]) => rope(x!, { cos: cos!, sin: sin! }, { pairs }), bytes: [bytesOf(shape, shape), bytesOf(shape, shape)],
    forward: whole(([x, cos, sin]) => ropeRef(x!, cos!, sin!, sizes, pairs)), backward: whole(([, cos, sin], dy) => ropeGradRef(dy, cos!, sin!, sizes, pairs)),
  });
}

const { vision: v, predictor: p, text: t, batch, textTokens } = SHIPPED;
const { vision: V, predictor: P, text: T } = FULL_SIZE;
const heads = (c: { heads: number; headDim: number; kvHeads?: number }) => ({ heads: c.heads, kvHeads: c.kvHeads ?? c.heads, headDim: c.headDim });

/** Attention of the model. The shipped vision encoder has one token per picture, where attention runs no kernel. */
export const ATTENTIONS: readonly Case[] = [
  ...attend({ use: 'shipped text', profile: 'quick', batch, tokens: textTokens, ...heads(t), masked: true }),
  ...attend({ use: 'shipped predictor', profile: 'quick', batch, tokens: 1, ...heads(p) }),
  ...rotate('shipped text', 'quick', [batch, textTokens, t.heads, t.headDim], 'half'),
  ...rotate('shipped vision', 'quick', [batch, 1, v.heads, v.headDim], 'adjacent'),
  ...attend({ use: 'ViT-L, 2 frames', profile: 'model', batch: 1, tokens: 256, ...heads(V) }),
  ...attend({ use: 'Llama, 256 tokens', profile: 'model', batch: 1, tokens: 256, ...heads(P) }),
  ...attend({ use: 'EmbeddingGemma, 64 tokens', profile: 'model', batch: 4, tokens: 64, ...heads(T), masked: true }),
  ...rotate('ViT-L, 2 frames', 'model', [1, 256, V.heads, V.headDim], 'adjacent'),
  ...rotate('Llama, 256 tokens', 'model', [1, 256, P.heads, P.headDim], 'half'),
  ...attend({ use: 'ViT-L, 16 frames', profile: 'full', batch: 1, tokens: 2048, ...heads(V) }),
  ...attend({ use: 'Llama, 2048 tokens', profile: 'full', batch: 1, tokens: 2048, ...heads(P) }),
  ...rotate('ViT-L, 16 frames', 'full', [1, 2048, V.heads, V.headDim], 'adjacent'),
];
