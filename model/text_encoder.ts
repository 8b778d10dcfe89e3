/** Gemma 3 text encoder (spec section 4): scaled token rows, sandwich norms, q/k norm before RoPE, sliding and full layers, mean pooling. */
import { ShapeError, checkShape } from '../engine/check.ts';
import type { Device } from '../engine/device.ts';
import type { Tensor } from '../engine/tensor.ts';
import { attention } from '../kernels/attention.ts';
import { add, scale } from '../kernels/elementwise.ts';
import { embedding } from '../kernels/embedding.ts';
import { gatedLinear } from '../kernels/gated_linear.ts';
import { l2Normalize } from '../kernels/l2_normalize.ts';
import { linear } from '../kernels/linear.ts';
import { meanPool } from '../kernels/mean_pool.ts';
import { reshape } from '../kernels/reshape.ts';
import { rmsNorm } from '../kernels/rms_norm.ts';
import { rope } from '../kernels/rope.ts';
import type { RopeTable } from '../kernels/rope.ts';
import type { FolderInput } from '../weights/folder.ts';
import { runBlocks } from './blocks.ts';
import type { BlockOptions } from './blocks.ts';
import { textConfig } from './config.ts';
import type { TextConfig } from './config.ts';
import { openNetwork } from './network_folder.ts';
import type { NetworkOptions } from './network_folder.ts';
import { Params, loadParams } from './params.ts';
import type { TensorSpec } from './params.ts';
import { sequenceRope } from './rope_tables.ts';
import { PLAIN_SENTENCE, denseTensors, loadDense, readSentenceModules } from './sentence_folder.ts';
import type { DenseLayer } from './sentence_folder.ts';

/** Stored beside the network and not read: the tied output matrix. */
export const TEXT_SKIP: readonly RegExp[] = [/^lm_head\.weight$/];

/** The pair of Dense layers of an EmbeddingGemma, hidden -> inner -> hidden without biases; none for 0. */
export function densePair(config: TextConfig, inner: number): DenseLayer[] {
  if (inner === 0) return [];
  return [
    { inFeatures: config.hiddenSize, outFeatures: inner, bias: false },
    { inFeatures: inner, outFeatures: config.hiddenSize, bias: false },
  ];
}

/**
 * The network's tensors (spec section 4.2).
 *
 * @param config sizes
 * @returns names and shapes as in the checkpoint
 */
export function textTensors(config: TextConfig): TensorSpec[] {
  const { hiddenSize: d, intermediateSize, heads, kvHeads, headDim, vocabSize, layers } = config;
  const specs: TensorSpec[] = [{ name: 'embed_tokens.weight', shape: [vocabSize, d], kind: 'embedding' }];
  const norm = (name: string, width = d) => specs.push({ name: `${name}.weight`, shape: [width], kind: 'norm_offset' });
  const dense = (name: string, out: number, inner: number) => specs.push({ name: `${name}.weight`, shape: [out, inner], kind: 'linear' });
  for (let i = 0; i < layers; i++) {
    const layer = `layers.${i}`;
    norm(`${layer}.input_layernorm`);
    dense(`${layer}.self_attn.q_proj`, heads * headDim, d);
    dense(`${layer}.self_attn.k_proj`, kvHeads * headDim, d);
    dense(`${layer}.self_attn.v_proj`, kvHeads * headDim, d);
    dense(`${layer}.self_attn.o_proj`, d, heads * headDim);
    norm(`${layer}.self_attn.q_norm`, headDim);
    norm(`${layer}.self_attn.k_norm`, headDim);
    norm(`${layer}.post_attention_layernorm`);
    norm(`${layer}.pre_feedforward_layernorm`);
    dense(`${layer}.mlp.gate_proj`, intermediateSize, d);
    dense(`${layer}.mlp.up_proj`, intermediateSize, d);
    dense(`${layer}.mlp.down_proj`, d, intermediateSize);
    norm(`${layer}.post_feedforward_layernorm`);
  }
  norm('norm');
  return specs;
}

export interface TextOptions {
  readonly recompute?: boolean | undefined;
  readonly dense?: readonly DenseLayer[] | undefined;
  readonly normalize?: boolean | undefined;
}

/** How the attention of one layer looks around. */
interface Layer {
  readonly table: RopeTable;
  readonly rule: { readonly mask?: Tensor; readonly causal: boolean; readonly window?: number; readonly scale: number };
}

/** Token ids -> token vectors -> sentence vectors. */
export class TextEncoder {
  readonly config: TextConfig;
  readonly params: Params;
  readonly dense: readonly DenseLayer[];
  private readonly normalize: boolean;
  private readonly recompute: boolean;

  /**
   * @param config sizes
   * @param params the tensors of {@link textTensors} and, for Dense layers, of {@link denseTensors}
   * @param options.dense linear layers after the mean; none by default
   * @param options.normalize whether `embedSentence` ends with unit length (default true)
   * @param options.recompute compute blocks again in the backward pass instead of storing their inside
   */
  constructor(config: TextConfig, params: Params, options: TextOptions = {}) {
    this.config = config;
    this.params = params;
    this.dense = options.dense ?? [];
    this.normalize = options.normalize ?? true;
    this.recompute = options.recompute ?? false;
  }

  /**
   * Reads a Gemma 3 text folder (plain, or of sentence-transformers with Dense layers), or the text part of a joint one.
   *
   * @param options.window what an ambiguous sliding_window means, see `textConfig`
   * @throws ConfigError, WeightError
   */
  static async load(device: Device, input: FolderInput, options: NetworkOptions & { window?: 'whole' | 'halved' } = {}): Promise<TextEncoder> {
    const source = await openNetwork(input, 'text', options);
    const { folder, checkpoint, joint } = source;
    try {
      const config = textConfig(source.json, source.where, options.window ? { window: options.window } : {});
      const modules = joint ? PLAIN_SENTENCE : await readSentenceModules(folder, config.hiddenSize);
      const dense = joint ? densePair(config, joint.dense) : modules.dense;
      const specs = joint ? [...textTensors(config), ...denseTensors(dense)] : textTensors(config);
      const map = new Map((await loadParams(device, checkpoint, specs, { ...options, ...source.load, skip: TEXT_SKIP })).entries());
      try {
        for (const [i, layer] of (await loadDense(device, folder, modules, options)).entries()) {
          for (const [name, tensor] of layer.entries()) map.set(name.replace('linear', `dense.${i}`), tensor);
        }
      } catch (error) {
        for (const tensor of map.values()) tensor.dispose();
        throw error;
      }
      return new TextEncoder(config, new Params(map), { dense, normalize: modules.normalize });
    } finally {
      await checkpoint.close();
    }
  }

  /**
   * RMSNorm(blocks(E[ids] * sqrt(D))) (spec section 4.3).
   *
   * @param ids u32 [B,T], each below the vocabulary size (checked where ids are known on the host)
   * @param options.mask u32 [B,T], 1 = real token; all real by default
   * @param options.trace gets `embeddings` (scaled) and `layers.i`
   * @returns [B,T,D]
   * @throws ShapeError
   */
  forward(ids: Tensor, options: { mask?: Tensor | undefined; trace?: BlockOptions['trace'] } = {}): Tensor {
    const { hiddenSize, layers, rmsNormEps, maxPositions } = this.config;
    checkShape('TextEncoder.forward', 'ids', ids, [null, null], '[batch, tokens]');
    const [batch, tokens] = [ids.shape[0]!, ids.shape[1]!];
    if (tokens > maxPositions) throw new ShapeError(`TextEncoder.forward: ids has ${tokens} tokens, expected at most ${maxPositions} (max_position_embeddings)`);
    if (options.mask) checkShape('TextEncoder.forward', 'mask', options.mask, [batch, tokens], 'one entry per id');
    const x = scale(embedding(this.params.table('embed_tokens.weight'), ids), Math.sqrt(hiddenSize)); // [B,T,D]
    options.trace?.('embeddings', x);
    const blocks = Array.from({ length: layers }, (_, i) => {
      const params = this.params.at(`layers.${i}.`);
      const layer = this.layer(i, ids, options.mask);
      return { name: `layers.${i}`, weights: params.trainable(), run: (h: Tensor) => this.block(h, params, layer) };
    });
    const y = runBlocks(x, blocks, { recompute: this.recompute, trace: options.trace });
    return this.norm(y, this.params.get('norm.weight'));
  }

  /** Table and mask of layer i: sliding layers have their own RoPE base and see |q - k| < window. */
  private layer(i: number, ids: Tensor, mask: Tensor | undefined): Layer {
    const { headDim, layerTypes, window, bidirectional, ropeFull, ropeSliding, queryScalar } = this.config;
    const sliding = layerTypes[i] === 'sliding_attention';
    return {
      table: sequenceRope(ids.device, ids.shape[1]!, headDim, sliding ? ropeSliding : ropeFull),
      rule: { causal: !bidirectional, scale: queryScalar ** -0.5, ...(mask ? { mask } : {}), ...(sliding ? { window } : {}) },
    };
  }

  /** Gain 1 + w. */
  private norm(x: Tensor, weight: Tensor): Tensor {
    return rmsNorm(x, weight, { eps: this.config.rmsNormEps, unitOffset: 1 });
  }

  /** h = x + post_attention(attention(input(x))); h + post_feedforward(mlp(pre_feedforward(h))). */
  private block(x: Tensor, p: Params, layer: Layer): Tensor {
    const attended = this.attend(this.norm(x, p.get('input_layernorm.weight')), p.at('self_attn.'), layer);
    const h = add(x, this.norm(attended, p.get('post_attention_layernorm.weight')));
    const n = this.norm(h, p.get('pre_feedforward_layernorm.weight'));
    const wide = gatedLinear(n, p.get('mlp.gate_proj.weight'), p.get('mlp.up_proj.weight'), { activation: 'gelu_tanh' }); // [B,T,inner]
    return add(h, this.norm(linear(wide, p.get('mlp.down_proj.weight')), p.get('post_feedforward_layernorm.weight')));
  }

  private attend(x: Tensor, p: Params, { table, rule }: Layer): Tensor {
    const { heads, kvHeads, headDim } = this.config;
    const [batch, tokens] = [x.shape[0]!, x.shape[1]!];
    const project = (part: string, count: number) => reshape(linear(x, p.get(`${part}.weight`)), [batch, tokens, count, headDim]);
    const q = rope(this.norm(project('q_proj', heads), p.get('q_norm.weight')), table, { pairs: 'half' }); // [B,T,H,Dh]
    const k = rope(this.norm(project('k_proj', kvHeads), p.get('k_norm.weight')), table, { pairs: 'half' }); // [B,T,Hkv,Dh]
    const mixed = attention(q, k, project('v_proj', kvHeads), rule);
    return linear(reshape(mixed, [batch, tokens, heads * headDim]), p.get('o_proj.weight'));
  }

  /**
   * Mean over real tokens, then the Dense layers (spec section 4.4); not normalised.
   *
   * @param hidden [B,T,D] output of {@link forward}
   * @param mask u32 [B,T]
   * @returns [B,D]
   */
  pool(hidden: Tensor, mask?: Tensor): Tensor {
    let y = meanPool(hidden, mask); // [B,D]
    for (let i = 0; i < this.dense.length; i++) {
      const p = this.params.at(`dense.${i}.`);
      y = linear(y, p.get('weight'), p.has('bias') ? p.get('bias') : undefined);
    }
    return y;
  }

  /**
   * The sentence vector of the checkpoint: forward, mean, Dense layers, unit length.
   *
   * @param ids u32 [B,T]
   * @param options.mask u32 [B,T]
   * @returns [B,D]
   */
  embedSentence(ids: Tensor, options: { mask?: Tensor | undefined } = {}): Tensor {
    return this.finish(this.pool(this.forward(ids, options), options.mask));
  }

  /**
   * The last step of {@link embedSentence} on pooled vectors: unit length, where the folder asks for it.
   *
   * @param pooled [B,D]
   * @returns [B,D]
   */
  finish(pooled: Tensor): Tensor {
    return this.normalize ? l2Normalize(pooled, { eps: 1e-12 }) : pooled;
  }
}
