// Ops on rows and elements at the model's shapes: norms, activations, softmax, pooling, cross entropy. Every value is compared with float64.
import { gelu, silu } from '../kernels/activation.ts';
import { gelu as geluRef, geluGradRef, silu as siluRef, siluGradRef } from '../kernels/activation.ref.ts';
import { crossEntropy } from '../kernels/cross_entropy.ts';
import { crossEntropyGradRef, crossEntropyRef } from '../kernels/cross_entropy.ref.ts';
import { geglu, swiglu } from '../kernels/gated.ts';
import { geglu as gegluRef, gegluGradRef, swiglu as swigluRef, swigluGradRef } from '../kernels/gated.ref.ts';
import { gatedLinear } from '../kernels/gated_linear.ts';
import { gatedLinearGradRef, gatedLinearRef } from '../kernels/gated_linear.ref.ts';
import { l2Normalize } from '../kernels/l2_normalize.ts';
import { l2NormalizeGradRef, l2NormalizeRef } from '../kernels/l2_normalize.ref.ts';
import { layerNorm } from '../kernels/layer_norm.ts';
import { layerNormGradRef, layerNormRef } from '../kernels/layer_norm.ref.ts';
import { meanPool } from '../kernels/mean_pool.ts';
import { meanPoolGradRef, meanPoolRef } from '../kernels/mean_pool.ref.ts';
import { rmsNorm } from '../kernels/rms_norm.ts';
import { rmsNormGradRef, rmsNormRef } from '../kernels/rms_norm.ref.ts';
import { softmax } from '../kernels/softmax.ts';
import { softmaxGradRef, softmaxRef } from '../kernels/softmax.ref.ts';
import { bytesOf, pair, whole } from './case.ts';
import type { Case, Profile } from './case.ts';
import { FULL_SIZE, SHIPPED } from './sizes.ts';

type Rows = readonly [number, number];
const text = (shape: readonly number[]): string => `[${shape.join(', ')}]`;
/** Traffic of an op on rows: x in and y out; x and dy in and dx out. */
const rowBytes = (x: Rows): [number, number] => [bytesOf(x, x), bytesOf(x, x, x)];

const layerNorms = (use: string, profile: Profile, x: Rows): Case[] => pair({
  op: 'layerNorm', use, profile, shape: text(x), limit: 1e-12, bytes: rowBytes(x), inputs: [{ shape: x, grad: true }, { shape: [x[1]], grad: true }, { shape: [x[1]], grad: true }],
  run: ([a, w, b]) => layerNorm(a!, w!, b!, { eps: 1e-6 }), forward: whole(([a, w, b]) => layerNormRef(a!, w!, b!, 1e-6)), backward: whole(([a, w], dy) => layerNormGradRef(a!, w!, 1e-6, dy)),
});

const rmsNorms = (use: string, profile: Profile, x: Rows, unitOffset: number): Case[] => pair({
  op: 'rmsNorm', use, profile, shape: text(x), limit: 1e-12, bytes: rowBytes(x), inputs: [{ shape: x, grad: true }, { shape: [x[1]], grad: true }],
  run: ([a, w]) => rmsNorm(a!, w!, { eps: 1e-5, unitOffset }), forward: whole(([a, w]) => rmsNormRef(a!, w!, 1e-5, unitOffset)),
  backward: whole(([a, w], dy) => rmsNormGradRef(a!, w!, 1e-5, unitOffset, dy)),
});

const softmaxes = (use: string, profile: Profile, x: Rows): Case[] => pair({
  op: 'softmax', use, profile, shape: text(x), limit: 1e-12, bytes: rowBytes(x), inputs: [{ shape: x, grad: true }],
  run: ([a]) => softmax(a!), forward: whole(([a]) => softmaxRef(a!, x[1])), backward: whole(([a], dy) => softmaxGradRef(a!, x[1], dy)),
});

const normalised = (use: string, profile: Profile, x: Rows): Case[] => pair({
  op: 'l2Normalize', use, profile, shape: text(x), limit: 1e-12, bytes: rowBytes(x), inputs: [{ shape: x, grad: true }],
  run: ([a]) => l2Normalize(a!), forward: whole(([a]) => l2NormalizeRef(a!, x[1], 1e-12)), backward: whole(([a], dy) => l2NormalizeGradRef(a!, x[1], 1e-12, dy)),
});

function activations(use: string, profile: Profile, op: 'gelu' | 'silu', x: Rows): Case[] {
  const [run, reference, slope] = op === 'gelu' ? [gelu, geluRef, geluGradRef] as const : [silu, siluRef, siluGradRef] as const;
  return pair({
    op, use, profile, shape: text(x), limit: 1e-12, bytes: rowBytes(x), inputs: [{ shape: x, grad: true }],
    run: ([a]) => run(a!), forward: whole(([a]) => a!.map(reference)), backward: whole(([a], dy) => slope(a!, dy)),
  });
}

function gatedLinears(use: string, m: number, k: number, n: number, activation: 'silu' | 'gelu_tanh'): Case[] {
  const sizes = { m, n, k, activation };
  return pair({
    op: 'gatedLinear', use, profile: 'quick', shape: text([m, k, n]), limit: 1e-11, flop: [4 * m * n * k, 8 * m * n * k], inputs: [{ shape: [m, k], grad: true }, { shape: [n, k], grad: true }, { shape: [n, k], grad: true }],
    run: ([x, gate, up]) => gatedLinear(x!, gate!, up!, { activation }), forward: whole(([x, gate, up]) => gatedLinearRef(x!, gate!, up!, sizes)),
    backward: whole(([x, gate, up], dy) => gatedLinearGradRef(x!, gate!, up!, dy, sizes)),
  });
}

function gates(use: string, profile: Profile, op: 'swiglu' | 'geglu', x: Rows): Case[] {
  const [run, reference, slopes] = op === 'swiglu' ? [swiglu, swigluRef, swigluGradRef] as const : [geglu, gegluRef, gegluGradRef] as const;
  return pair({
    op, use, profile, shape: text(x), limit: 1e-12, bytes: [bytesOf(x, x, x), bytesOf(x, x, x, x, x)], inputs: [{ shape: x, grad: true }, { shape: x, grad: true }],
    run: ([g, u]) => run(g!, u!), forward: whole(([g, u]) => reference(g!, u!)), backward: whole(([g, u], dy) => slopes(g!, u!, dy)),
  });
}

function pools(use: string, profile: Profile, shape: readonly [number, number, number], masked: boolean): Case[] {
  const out = [shape[0], shape[2]];
  return pair({
    op: 'meanPool', use, profile, shape: `${text(shape)}${masked ? ', masked' : ''}`, limit: 1e-12, bytes: [bytesOf(shape, out), bytesOf(shape, out)],
    inputs: [{ shape, grad: true }, ...(masked ? [{ shape: [shape[0], shape[1]], kind: 'mask' } as const] : [])],
    run: ([a, mask]) => meanPool(a!, mask), forward: whole(([a, mask]) => meanPoolRef(a!, shape, mask)), backward: whole(([, mask], dy) => meanPoolGradRef(dy, shape, mask)),
  });
}

const IGNORE = 0xffffffff;
const entropies = (use: string, profile: Profile, x: Rows): Case[] => pair({
  op: 'crossEntropy', use, profile, shape: text(x), limit: 1e-11, bytes: [bytesOf(x), bytesOf(x, x)], inputs: [{ shape: x, grad: true }, { shape: [x[0]], kind: 'ids', below: x[1] }],
  run: ([a, targets]) => crossEntropy(a!, targets!), forward: whole(([a, targets]) => crossEntropyRef(a!, targets!, x[1], IGNORE)),
  backward: whole(([a, targets], dy) => crossEntropyGradRef(a!, targets!, x[1], IGNORE, dy[0]!)),
});

const { vision: v, predictor: p, text: t, batch, textTokens, dim } = SHIPPED;
const { vision: V, predictor: P, text: T, dim: DIM } = FULL_SIZE;
const words = batch * textTokens;

/** Row and element ops of the model. */
export const ROWS: readonly Case[] = [
  ...layerNorms('shipped vision', 'quick', [batch, v.hiddenSize]),
  ...rmsNorms('shipped text', 'quick', [words, t.hiddenSize], 1),
  ...rmsNorms('shipped text queries', 'quick', [words * t.heads, t.headDim], 1),
  ...softmaxes('shipped classes', 'quick', [batch, batch]),
  ...normalised('shipped embeddings', 'quick', [batch, dim]),
  ...activations('shipped vision MLP', 'quick', 'gelu', [batch, v.mlpSize]),
  ...activations('shipped predictor MLP', 'quick', 'silu', [batch, p.intermediateSize]),
  ...gatedLinears('shipped predictor', batch, p.hiddenSize, p.intermediateSize, 'silu'),
  ...gates('shipped predictor', 'quick', 'swiglu', [batch, p.intermediateSize]),
  ...gates('shipped text', 'quick', 'geglu', [words, t.intermediateSize]),
  ...pools('shipped text', 'quick', [batch, textTokens, t.hiddenSize], true),
  ...entropies('shipped classes', 'quick', [batch, 2048]),
  ...layerNorms('ViT-L, 2 frames', 'model', [256, V.hiddenSize]),
  ...rmsNorms('Llama, 256 tokens', 'model', [256, P.hiddenSize], 0),
  ...rmsNorms('EmbeddingGemma, 64 tokens', 'model', [64, T.hiddenSize], 1),
  ...softmaxes('scores of 256 tokens', 'model', [16 * 256, 256]),
  ...normalised('embeddings of 512 pairs', 'model', [512, DIM]),
  ...activations('ViT-L MLP', 'model', 'gelu', [256, V.mlpSize]),
  ...gates('Llama', 'model', 'swiglu', [256, P.intermediateSize]),
  ...gates('EmbeddingGemma', 'model', 'geglu', [64, T.intermediateSize]),
  ...pools('predictor', 'model', [4, 256, P.hiddenSize], false),
  ...layerNorms('ViT-L, 16 frames', 'full', [2048, V.hiddenSize]),
  ...rmsNorms('Llama, 2048 tokens', 'full', [2048, P.hiddenSize], 0),
  ...gates('Llama, 2048 tokens', 'full', 'swiglu', [2048, P.intermediateSize]),
  ...activations('ViT-L MLP, 16 frames', 'full', 'gelu', [2048, V.mlpSize]),
  ...softmaxes('scores of 2048 tokens', 'full', [4096, 2048]),
  ...entropies('Llama vocabulary', 'full', [64, P.vocabSize]),
];
