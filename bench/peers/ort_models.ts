// The works as ONNX graphs, built in memory: weights are constants of the model, as in a file.
import { CONTRIB } from './onnx.ts';
import type { OnnxModel, OnnxNode } from './onnx.ts';
import { transposed } from './library.ts';
import type { Arrays } from './library.ts';
import { EPS } from './works.ts';
import type { BlockSizes, Work } from './works.ts';

interface AttentionSizes { tokens: number; heads: number; headDim: number }

/** A graph being built: names of results are made up. */
class Graph {
  readonly nodes: OnnxNode[] = [];
  readonly constants: Record<string, OnnxModel['initializers'][string]> = {};
  private count = 0;

  /** Adds a node with one result. `name` makes it an output of the model. */
  op(op: string, inputs: readonly string[], attributes: OnnxNode['attributes'] = {}, { domain, name = `t${++this.count}` }: { domain?: string; name?: string } = {}): string {
    this.nodes.push({ op, inputs, outputs: [name], attributes, ...(domain && { domain }) });
    return name;
  }

  layerNorm(x: string, weight: string, bias: string, name?: string): string {
    return this.op('LayerNormalization', [x, weight, bias], { epsilon: { float: EPS } }, name ? { name } : {});
  }

  /** x [rows, in], weight [out, in] as PyTorch exports it: a little faster than MatMul and Add. */
  affine(x: string, weight: string, bias: string | undefined, name?: string): string {
    return this.op('Gemm', bias ? [x, weight, bias] : [x, weight], { transB: 1 }, name ? { name } : {});
  }

  /** q, k, v [T, heads · headDim]: its own fused attention, or products and a softmax. */
  attention(q: string, k: string, v: string, { tokens, heads, headDim }: AttentionSizes, fused: boolean, name?: string): string {
    const to = name ? { name } : {};
    if (fused) {
      const batched = this.constant([1, tokens, heads * headDim]);
      const mixed = this.op('MultiHeadAttention', [q, k, v].map(x => this.op('Reshape', [x, batched])), { num_heads: heads }, { domain: CONTRIB });
      return this.op('Reshape', [mixed, this.constant([tokens, heads * headDim])], {}, to);
    }
    const split = this.constant([1, tokens, heads, headDim]), together = this.constant([tokens, heads * headDim]);
    const scale = this.number(1 / Math.sqrt(headDim));
    const turn = (x: string, perm: readonly number[]): string => this.op('Transpose', [this.op('Reshape', [x, split])], { perm });
    const scores = this.op('MatMul', [this.op('Mul', [turn(q, [0, 2, 1, 3]), scale]), turn(k, [0, 2, 3, 1])]);
    const mixed = this.op('MatMul', [this.op('Softmax', [scores]), turn(v, [0, 2, 1, 3])]);
    return this.op('Reshape', [this.op('Transpose', [mixed], { perm: [0, 2, 1, 3] }), together], {}, to);
  }

  private constant(values: readonly number[]): string {
    const name = `c${values.join('_')}`;
    this.constants[name] = { shape: [values.length], data: BigInt64Array.from(values, BigInt) };
    return name;
  }

  private number(value: number): string {
    this.constants.scale = { shape: [1], data: Float32Array.of(value) };
    return 'scale';
  }
}

function block(g: Graph, { tokens, dim, heads }: BlockSizes, fused: boolean): void {
  const h = g.layerNorm('x', 'norm1', 'norm1b');
  const mixed = g.attention(g.affine(h, 'wq', 'bq'), g.affine(h, 'wk', 'bk'), g.affine(h, 'wv', 'bv'), { tokens, heads, headDim: dim / heads }, fused);
  const x2 = g.op('Add', ['x', g.affine(mixed, 'wo', 'bo')]);
  const wide = g.op('Gelu', [g.affine(g.layerNorm(x2, 'norm2', 'norm2b'), 'w1', 'b1')], {}, { domain: CONTRIB });
  g.op('Add', [x2, g.affine(wide, 'w2', 'b2')], {}, { name: 'y' });
}

/** A model, and the names of its inputs that arrive on the GPU. */
export interface Built { readonly model: OnnxModel; readonly feeds: Readonly<Record<string, readonly number[]>> }

/**
 * The graph of a work.
 * @param work which @param values of its inputs @param fused attention by its own fused operator @returns the model, or why onnxruntime cannot do it; undefined where nothing could be fused
 */
export function onnxOf(work: Work, values: Arrays, fused: boolean): Built | string | undefined {
  const { spec } = work;
  if (fused && spec.kind !== 'attention' && spec.kind !== 'block') return undefined;
  const g = new Graph();
  let feeds: Record<string, readonly number[]>;
  let output: readonly number[];
  switch (spec.kind) {
    case 'matmul':
      g.op('MatMul', ['a', 'b'], {}, { name: 'y' });
      feeds = { a: [spec.m, spec.k], b: [spec.k, spec.n] };
      output = [spec.m, spec.n];
      break;
    case 'linear':
      g.affine('x', 'w', spec.bias ? 'b' : undefined, 'y');
      feeds = { x: [spec.m, spec.k] };
      output = [spec.m, spec.n];
      break;
    case 'attention': {
      const shape = [spec.tokens, spec.heads * spec.headDim];
      g.attention('q', 'k', 'v', spec, fused, 'y');
      feeds = { q: shape, k: shape, v: shape };
      output = shape;
      break;
    }
    case 'layerNorm':
      g.layerNorm('x', 'w', 'b', 'y');
      feeds = { x: [spec.rows, spec.cols] };
      output = [spec.rows, spec.cols];
      break;
    case 'block':
      block(g, spec, fused);
      feeds = { x: [spec.batch * spec.tokens, spec.dim] };
      output = feeds.x!;
      break;
    default: return 'no gradients in a browser';
  }
  const constants = Object.entries(work.inputs).filter(([name]) => !(name in feeds));
  const initializers = Object.fromEntries(constants.map(([name, { shape }]) => {
    const [rows, cols] = shape as [number, number];
    return [name, shape.length === 2 ? { shape: [cols, rows], data: transposed(values[name]!, rows, cols) } : { shape, data: values[name]! }];
  }));
  return { model: { nodes: g.nodes, inputs: feeds, outputs: { y: output }, initializers: { ...initializers, ...g.constants } }, feeds };
}
