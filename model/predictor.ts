/** Llama layers as the predictor (spec section 3): RMSNorm, grouped-query attention with RoPE, SwiGLU. Bidirectional unless asked to be causal. */
import { ShapeError, checkShape } from '../engine/check.ts';
import type { Device } from '../engine/device.ts';
import type { Tensor } from '../engine/tensor.ts';
import { attention } from '../kernels/attention.ts';
import { concat } from '../kernels/concat.ts';
import { embedding } from '../kernels/embedding.ts';
import { gatedLinear } from '../kernels/gated_linear.ts';
import { linear } from '../kernels/linear.ts';
import { reshape } from '../kernels/reshape.ts';
import { rmsNorm } from '../kernels/rms_norm.ts';
import { rope } from '../kernels/rope.ts';
import type { RopeTable } from '../kernels/rope.ts';
import type { FolderInput } from '../weights/folder.ts';
import { runBlocks } from './blocks.ts';
import type { Trace } from './blocks.ts';
import { ConfigError, predictorConfig } from './config.ts';
import type { PredictorConfig } from './config.ts';
import { openNetwork } from './network_folder.ts';
import type { NetworkOptions } from './network_folder.ts';
import { loadParams } from './params.ts';
import type { Params, TensorSpec } from './params.ts';
import { sequenceRope } from './rope_tables.ts';

/** First and one past the last layer in use, indices as stored. */
export type LayerRange = readonly [first: number, end: number];

/**
 * The tensors of a range of layers (spec section 3.2).
 *
 * @param config sizes
 * @param options.layers which layers; all by default
 * @param options.tokens whether the token table is needed (default true)
 * @returns names and shapes as in the checkpoint
 */
export function predictorTensors(config: PredictorConfig, options: { layers?: LayerRange | undefined; tokens?: boolean | undefined } = {}): TensorSpec[] {
  const { hiddenSize: d, intermediateSize, heads, kvHeads, headDim, vocabSize } = config;
  const [first, end] = options.layers ?? [0, config.layers];
  const specs: TensorSpec[] = [];
  if (options.tokens ?? true) specs.push({ name: 'model.embed_tokens.weight', shape: [vocabSize, d], kind: 'embedding' });
  const norm = (name: string) => specs.push({ name: `${name}.weight`, shape: [d], kind: 'norm' });
  const dense = (name: string, out: number, inner: number) => specs.push({ name: `${name}.weight`, shape: [out, inner], kind: 'linear' });
  for (let i = first; i < end; i++) {
    const layer = `model.layers.${i}`;
    norm(`${layer}.input_layernorm`);
    dense(`${layer}.self_attn.q_proj`, heads * headDim, d);
    dense(`${layer}.self_attn.k_proj`, kvHeads * headDim, d);
    dense(`${layer}.self_attn.v_proj`, kvHeads * headDim, d);
    dense(`${layer}.self_attn.o_proj`, d, heads * headDim);
    norm(`${layer}.post_attention_layernorm`);
    dense(`${layer}.mlp.gate_proj`, intermediateSize, d);
    dense(`${layer}.mlp.up_proj`, intermediateSize, d);
    dense(`${layer}.mlp.down_proj`, d, intermediateSize);
  }
  norm('model.norm');
  return specs;
}

/**
 * What a range of layers leaves unread: the other layers, the token table when it is not wanted, the output matrix, old RoPE buffers.
 *
 * @param layers which layers are read
 * @param tokens whether the token table is read
 * @returns patterns for names without `model.`
 */
export function predictorSkip(config: PredictorConfig, layers: LayerRange, tokens: boolean): RegExp[] {
  const unread = Array.from({ length: config.layers }, (_, i) => i).filter((i) => i < layers[0] || i >= layers[1]);
  const skip = [/^lm_head\.weight$/, /(^|\.)rotary_emb\.inv_freq$/];
  if (!tokens) skip.push(/^embed_tokens\.weight$/);
  if (unread.length > 0) skip.push(new RegExp(`^layers\\.(${unread.join('|')})\\.`));
  return skip;
}

/**
 * Reads `A:B`.
 *
 * @param text for example `8:16`: layers 8 to 15
 * @param layers number of layers of the checkpoint
 * @returns [A, B]
 * @throws ConfigError
 */
export function parseLayerRange(text: string, layers: number): LayerRange {
  const match = /^(\d+):(\d+)$/.exec(text);
  const [first, end] = [Number(match?.[1]), Number(match?.[2])];
  if (!match || end > layers || first >= end) {
    throw new ConfigError(`layers: the range is "${text}", expected A:B with 0 <= A < B <= ${layers} (layers A to B-1 of the checkpoint)`);
  }
  return [first, end];
}

/** Keys and values of earlier positions, for decoding token by token. */
export interface AttentionMemory {
  /** RoPE rows of the positions at hand. */
  readonly table: RopeTable;
  /** Takes keys and values [B,N,Hkv,Dh] of the positions at hand in, and lets the queries [B,N,H,Dh] see them and all before. `layer` counts the layers in use from 0. */
  attend(layer: number, q: Tensor, k: Tensor, v: Tensor): Tensor;
}

/** What a block looks at: the positions of the sequence itself, or a memory. */
type Look = (layer: number, q: Tensor, k: Tensor, v: Tensor) => Tensor;

export interface PredictorOptions {
  readonly layers?: LayerRange | undefined;
  readonly recompute?: boolean | undefined;
}

/** Input vectors -> output vectors of the same width. */
export class Predictor {
  readonly config: PredictorConfig;
  readonly params: Params;
  readonly layers: LayerRange;
  private readonly recompute: boolean;

  /**
   * @param config sizes
   * @param params the tensors of {@link predictorTensors}
   * @param options.layers the range in use; all by default
   * @param options.recompute compute blocks again in the backward pass instead of storing their inside
   */
  constructor(config: PredictorConfig, params: Params, options: PredictorOptions = {}) {
    this.config = config;
    this.params = params;
    this.layers = options.layers ?? [0, config.layers];
    this.recompute = options.recompute ?? false;
  }

  /**
   * Reads a Llama folder, or the predictor of a joint one.
   *
   * @param options.layers `A:B`, indices as stored; all layers by default (of a joint folder: those it uses)
   * @param options.tokens whether to read the token table (default true)
   * @throws ConfigError, WeightError
   */
  static async load(device: Device, folder: FolderInput, options: NetworkOptions & { layers?: string | undefined; tokens?: boolean } = {}): Promise<Predictor> {
    const source = await openNetwork(folder, 'predictor', options);
    try {
      const config = predictorConfig(source.json, source.where);
      const tokens = options.tokens ?? true;
      const layers = options.layers === undefined ? source.layers ?? ([0, config.layers] as const) : parseLayerRange(options.layers, config.layers);
      const load = { ...options, ...source.load, skip: predictorSkip(config, layers, tokens) };
      const params = await loadParams(device, source.checkpoint, predictorTensors(config, { layers, tokens }), load);
      return new Predictor(config, params, { layers });
    } finally {
      await source.checkpoint.close();
    }
  }

  /**
   * Rows of the token table.
   *
   * @param ids u32 [B,T], each below the vocabulary size (checked where ids are known on the host)
   * @returns [B,T,D]
   */
  embed(ids: Tensor): Tensor {
    return embedding(this.params.table('model.embed_tokens.weight'), ids);
  }

  /**
   * RMSNorm(blocks(x)) (spec section 3.3); positions are 0..N-1.
   *
   * @param inputsEmbeds [B,N,D]
   * @param options.mask u32 [B,N], 1 = real position; all real by default
   * @param options.causal position i sees positions up to i; by default every real position
   * @param options.trace gets `layers.i`, i as stored
   * @param options.memory positions follow those that it holds; mask and causal are its matter
   * @returns [B,N,D]
   * @throws ShapeError
   */
  forward(inputsEmbeds: Tensor, options: { mask?: Tensor | undefined; causal?: boolean | undefined; trace?: Trace | undefined; memory?: AttentionMemory | undefined } = {}): Tensor {
    const { hiddenSize, headDim, rmsNormEps, maxPositions } = this.config;
    checkShape('Predictor.forward', 'inputsEmbeds', inputsEmbeds, [null, null, hiddenSize], 'the hidden size of the config');
    const [batch, tokens] = [inputsEmbeds.shape[0]!, inputsEmbeds.shape[1]!];
    if (tokens > maxPositions) throw new ShapeError(`Predictor.forward: inputsEmbeds has ${tokens} positions, expected at most ${maxPositions} (max_position_embeddings)`);
    if (options.mask) checkShape('Predictor.forward', 'mask', options.mask, [batch, tokens], 'one entry per position of inputsEmbeds');
    const { memory } = options;
    const table = memory?.table ?? sequenceRope(inputsEmbeds.device, tokens, headDim, this.config.rope);
    const rule = { ...(options.mask ? { mask: options.mask } : {}), causal: options.causal ?? false };
    const look: Look = memory ? (layer, q, k, v) => memory.attend(layer, q, k, v) : (_, q, k, v) => attention(q, k, v, rule);
    const [first, end] = this.layers;
    const blocks = Array.from({ length: end - first }, (_, i) => {
      const params = this.params.at(`model.layers.${first + i}.`);
      return { name: `layers.${first + i}`, weights: params.trainable(), run: (x: Tensor) => this.block(x, i, params, table, look) };
    });
    const y = runBlocks(inputsEmbeds, blocks, { recompute: this.recompute, trace: options.trace });
    return rmsNorm(y, this.params.get('model.norm.weight'), { eps: rmsNormEps, unitOffset: 0 });
  }

  /** h = x + o_proj(attention(norm1(x))); h + down(silu(gate(n)) * up(n)), n = norm2(h). */
  private block(x: Tensor, layer: number, p: Params, table: RopeTable, look: Look): Tensor {
    const { heads, kvHeads, headDim, rmsNormEps: eps } = this.config;
    const [batch, tokens] = [x.shape[0]!, x.shape[1]!];
    const n1 = rmsNorm(x, p.get('input_layernorm.weight'), { eps, unitOffset: 0 });
    const project = (part: string, count: number) => reshape(linear(n1, p.get(`self_attn.${part}.weight`)), [batch, tokens, count, headDim]);
    const q = rope(project('q_proj', heads), table, { pairs: 'half' }); // [B,N,H,Dh]
    const k = rope(project('k_proj', kvHeads), table, { pairs: 'half' }); // [B,N,Hkv,Dh]
    const mixed = look(layer, q, k, project('v_proj', kvHeads));
    const h = linear(reshape(mixed, [batch, tokens, heads * headDim]), p.get('self_attn.o_proj.weight'), undefined, { residual: x });
    const n2 = rmsNorm(h, p.get('post_attention_layernorm.weight'), { eps, unitOffset: 0 });
    const wide = gatedLinear(n2, p.get('mlp.gate_proj.weight'), p.get('mlp.up_proj.weight'), { activation: 'silu' }); // [B,N,inner]
    return linear(wide, p.get('mlp.down_proj.weight'), undefined, { residual: h });
  }

  /**
   * Next-token logits through the tied token table.
   *
   * @param hidden [B,N,D] output of {@link forward}, causal
   * @returns [B,N,V]
   * @throws ConfigError when the config does not tie the output matrix to the table
   */
  logits(hidden: Tensor): Tensor {
    if (!this.config.tiedTable) throw new ConfigError('Predictor.logits: tie_word_embeddings is false, expected true (the output matrix is the token table)');
    const parts = this.params.table('model.embed_tokens.weight').map((rows) => linear(hidden, rows));
    return parts.length === 1 ? parts[0]! : concat(parts, -1);
  }
}
