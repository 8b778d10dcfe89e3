// The works that all libraries do: sizes, inputs, and the arithmetic that the formula needs.
import { valuesOf } from '../case.ts';
import type { Input } from '../case.ts';
import type { Arrays } from './library.ts';

export interface BlockSizes { batch: number; tokens: number; dim: number; heads: number; mlp: number }

export type Spec =
  /** y = a b, a [m, k], b [k, n] */
  | { kind: 'matmul'; m: number; k: number; n: number }
  /** y = x W + b, x [m, k]; `bias` false: without b */
  | { kind: 'linear'; m: number; k: number; n: number; bias: boolean }
  /** y = softmax(q kᵀ / √headDim) v per head, each [tokens, heads, headDim] */
  | { kind: 'attention'; tokens: number; heads: number; headDim: number }
  | { kind: 'layerNorm'; rows: number; cols: number }
  /** Pre-norm transformer block with exact GELU, as in ViT, without positions. */
  | ({ kind: 'block' } & BlockSizes)
  /** Bidirectional InfoNCE of unit rows p, y [n, dim] with a learned temperature: loss and its three gradients. */
  | { kind: 'contrastive'; n: number; dim: number }
  /** gelu(x W1 + b1) W2 + b2 against a target by mean squared error: forward, backward, SGD update of all weights. */
  | { kind: 'mlpStep'; rows: number; input: number; hidden: number; output: number }
  /** `layers` pre-norm blocks against a target by mean squared error: forward, backward, Adam update of all weights. */
  | ({ kind: 'transformerStep'; layers: number } & BlockSizes);

export interface Work {
  readonly name: string;
  /** Where it occurs. */
  readonly use: string;
  readonly spec: Spec;
  readonly inputs: Readonly<Record<string, Input>>;
  readonly flop: number;
}

/** Settings that the libraries share. */
export const EPS = 1e-6;
export const LOG_SCALE = Math.log(1 / 0.07);
export const SGD_RATE = 1;
export const ADAM = { rate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8 } as const;

/** Shapes of a block's weights, in the order of use; matrices are [in, out]. @param sizes of the block @returns name and shape */
export function blockWeights({ dim, mlp }: BlockSizes): Record<string, readonly number[]> {
  return {
    norm1: [dim], norm1b: [dim], wq: [dim, dim], bq: [dim], wk: [dim, dim], bk: [dim], wv: [dim, dim], bv: [dim], wo: [dim, dim], bo: [dim],
    norm2: [dim], norm2b: [dim], w1: [dim, mlp], b1: [mlp], w2: [mlp, dim], b2: [dim],
  };
}

/** Weights of an MLP step, [in, out]. @param spec its sizes @returns name and shape */
export const mlpWeights = ({ input, hidden, output }: Extract<Spec, { kind: 'mlpStep' }>): Record<string, readonly number[]> =>
  ({ w1: [input, hidden], b1: [hidden], w2: [hidden, output], b2: [output] });

/** Weights of all blocks, prefixed with the number of the layer. @param spec sizes @returns name and shape */
export function transformerWeights(spec: BlockSizes & { layers: number }): Record<string, readonly number[]> {
  const all: Record<string, readonly number[]> = {};
  for (let i = 0; i < spec.layers; i++) for (const [name, shape] of Object.entries(blockWeights(spec))) all[`${i}.${name}`] = shape;
  return all;
}

/** Seeded weights with variance 1 / in; norms near 1. */
const weightInputs = (shapes: Record<string, readonly number[]>): Record<string, Input> =>
  Object.fromEntries(Object.entries(shapes).map(([name, shape]): [string, Input] => {
    if (/norm\d$/.test(name)) return [name, { shape, kind: 'ones' }];
    return [name, { shape, scale: shape.length === 2 ? 1 / Math.sqrt(shape[0]!) : 0.02 }];
  }));

const blockFlop = ({ batch, tokens, dim, mlp }: BlockSizes): number => 2 * batch * tokens * (4 * dim * dim + 2 * dim * mlp) + 4 * batch * tokens * tokens * dim;

/** Inputs and arithmetic of a spec. Norms, softmax and activations are not counted, except where nothing else is there. */
function describe(spec: Spec): Pick<Work, 'inputs' | 'flop'> {
  switch (spec.kind) {
    case 'matmul': return { inputs: { a: { shape: [spec.m, spec.k] }, b: { shape: [spec.k, spec.n] } }, flop: 2 * spec.m * spec.k * spec.n };
    case 'linear': return {
      inputs: { x: { shape: [spec.m, spec.k] }, w: { shape: [spec.k, spec.n], scale: 1 / Math.sqrt(spec.k) }, ...(spec.bias && { b: { shape: [spec.n] } }) }, flop: 2 * spec.m * spec.k * spec.n,
    };
    case 'attention': {
      const shape = [spec.tokens, spec.heads, spec.headDim];
      return { inputs: { q: { shape }, k: { shape }, v: { shape } }, flop: 4 * spec.heads * spec.tokens ** 2 * spec.headDim };
    }
    case 'layerNorm': return { inputs: { x: { shape: [spec.rows, spec.cols] }, w: { shape: [spec.cols] }, b: { shape: [spec.cols] } }, flop: 8 * spec.rows * spec.cols };
    case 'block': return { inputs: { x: { shape: [spec.batch * spec.tokens, spec.dim] }, ...weightInputs(blockWeights(spec)) }, flop: blockFlop(spec) };
    case 'contrastive': return { inputs: { p: { shape: [spec.n, spec.dim], kind: 'unit' }, y: { shape: [spec.n, spec.dim], kind: 'unit' } }, flop: 6 * spec.n ** 2 * spec.dim };
    case 'mlpStep': {
      const { rows, input, hidden, output } = spec;
      return {
        inputs: { x: { shape: [rows, input] }, target: { shape: [rows, output] }, ...weightInputs(mlpWeights(spec)) },
        flop: 2 * rows * hidden * (2 * input + 3 * output), // nobody asks for dx
      };
    }
    case 'transformerStep': {
      const shape = [spec.batch * spec.tokens, spec.dim];
      return { inputs: { x: { shape }, target: { shape }, ...weightInputs(transformerWeights(spec)) }, flop: 3 * spec.layers * blockFlop(spec) };
    }
  }
}

/** A work. @param name for the table @param use where it occurs @param spec sizes @returns it with its inputs and arithmetic */
export const work = (name: string, use: string, spec: Spec): Work => ({ name, use, spec, ...describe(spec) });
const layer = (use: string, m: number, k: number, n: number, bias: boolean): Work => work(`linear ${m}×${k}×${n}`, use, { kind: 'linear', m, k, n, bias });

/** ViT-L at 256 tokens: one 256² picture, or two frames. */
export const VIT_L: BlockSizes = { batch: 1, tokens: 256, dim: 1024, heads: 16, mlp: 4096 };

export const WORKS: readonly Work[] = [
  work('matmul 512³', 'headline', { kind: 'matmul', m: 512, k: 512, n: 512 }),
  work('matmul 1024³', 'headline', { kind: 'matmul', m: 1024, k: 1024, n: 1024 }),
  layer('ViT-L q, k, v, proj', 256, 1024, 1024, true),
  layer('ViT-L fc1', 256, 1024, 4096, true),
  layer('ViT-L fc2', 256, 4096, 1024, true),
  layer('Llama q, o', 256, 2048, 2048, false),
  layer('Llama k, v', 256, 2048, 512, false),
  layer('Llama gate, up', 256, 2048, 8192, false),
  work('attention 16×256×64', 'ViT-L', { kind: 'attention', tokens: 256, heads: 16, headDim: 64 }),
  work('layerNorm 256×1024', 'ViT-L', { kind: 'layerNorm', rows: 256, cols: 1024 }),
  work('ViT-L block, 256 tokens', 'ViT-L', { kind: 'block', ...VIT_L }),
  work('contrastive loss and gradients, 512×256', 'training', { kind: 'contrastive', n: 512, dim: 256 }),
  work('MLP training step, 256×512→2048→512', 'training', { kind: 'mlpStep', rows: 256, input: 512, hidden: 2048, output: 512 }),
  work('transformer step, 2 layers, 4×64 tokens', 'training', { kind: 'transformerStep', layers: 2, batch: 4, tokens: 64, dim: 256, heads: 4, mlp: 1024 }),
];

/** The shapes in words. @param work which @returns inputs and their shapes */
export const shapeOf = ({ inputs }: Work): string => Object.entries(inputs).slice(0, 4).map(([name, { shape }]) => `${name} [${shape.join(', ')}]`).join(', ') + (Object.keys(inputs).length > 4 ? ', …' : '');

/** Seeded inputs. @param work which @returns values by name */
export const valuesFor = (work: Work): Arrays => Object.fromEntries(Object.entries(work.inputs).map(([name, input], i) => [name, valuesOf(input, i + 1) as Float32Array]));
