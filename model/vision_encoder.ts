/** V-JEPA 2 video encoder (spec section 2): tubelet patches, pre-norm blocks with 3-D RoPE, final LayerNorm. */
import { ShapeError, checkShape } from '../engine/check.ts';
import type { Device } from '../engine/device.ts';
import type { Tensor } from '../engine/tensor.ts';
import { attention } from '../kernels/attention.ts';
import { concat } from '../kernels/concat.ts';
import { layerNorm } from '../kernels/layer_norm.ts';
import { linear } from '../kernels/linear.ts';
import { patchEmbed } from '../kernels/patch_embed.ts';
import { reshape } from '../kernels/reshape.ts';
import { rope } from '../kernels/rope.ts';
import type { RopeTable } from '../kernels/rope.ts';
import type { FolderInput } from '../weights/folder.ts';
import { runBlocks } from './blocks.ts';
import type { BlockOptions } from './blocks.ts';
import { visionConfig } from './config.ts';
import type { VisionConfig } from './config.ts';
import { openNetwork } from './network_folder.ts';
import type { NetworkOptions } from './network_folder.ts';
import { loadParams } from './params.ts';
import type { Params, TensorSpec } from './params.ts';
import { videoRope } from './rope_tables.ts';

/** Stored beside the encoder and not part of it: V-JEPA's own predictor, the probes' pooler and classifier, a leftover position table. */
export const VISION_SKIP: readonly RegExp[] = [/^predictor\./, /^pooler\./, /^classifier\./, /^pos_embed$/];

/**
 * The encoder's tensors (spec section 2.2).
 *
 * @param config sizes
 * @returns names and shapes as in the checkpoint
 */
export function visionTensors(config: VisionConfig): TensorSpec[] {
  const { hiddenSize: d, mlpSize, tubeletSize, patchSize, layers } = config;
  const specs: TensorSpec[] = [
    { name: 'encoder.embeddings.patch_embeddings.proj.weight', shape: [d, 3, tubeletSize, patchSize, patchSize], kind: 'patch' },
    { name: 'encoder.embeddings.patch_embeddings.proj.bias', shape: [d], kind: 'bias' },
  ];
  const norm = (name: string) => specs.push({ name: `${name}.weight`, shape: [d], kind: 'norm' }, { name: `${name}.bias`, shape: [d], kind: 'bias' });
  const dense = (name: string, out: number, inner: number) =>
    specs.push({ name: `${name}.weight`, shape: [out, inner], kind: 'linear' }, { name: `${name}.bias`, shape: [out], kind: 'bias' });
  for (let i = 0; i < layers; i++) {
    const layer = `encoder.layer.${i}`;
    norm(`${layer}.norm1`);
    for (const part of ['query', 'key', 'value', 'proj']) dense(`${layer}.attention.${part}`, d, d);
    norm(`${layer}.norm2`);
    dense(`${layer}.mlp.fc1`, mlpSize, d);
    dense(`${layer}.mlp.fc2`, d, mlpSize);
  }
  norm('encoder.layernorm');
  return specs;
}

/** Pixels -> visual tokens. */
export class VisionEncoder {
  readonly config: VisionConfig;
  readonly params: Params;
  private readonly recompute: boolean;

  /**
   * @param config sizes
   * @param params the tensors of {@link visionTensors}
   * @param options.recompute compute blocks again in the backward pass instead of storing their inside
   */
  constructor(config: VisionConfig, params: Params, options: { recompute?: boolean | undefined } = {}) {
    this.config = config;
    this.params = params;
    this.recompute = options.recompute ?? false;
  }

  /**
   * Reads a V-JEPA 2 folder, or the vision part of a joint one.
   * @throws ConfigError, WeightError
   */
  static async load(device: Device, folder: FolderInput, options: NetworkOptions = {}): Promise<VisionEncoder> {
    const source = await openNetwork(folder, 'vision', options);
    try {
      const config = visionConfig(source.json, source.where);
      const params = await loadParams(device, source.checkpoint, visionTensors(config), { ...options, ...source.load, skip: VISION_SKIP });
      return new VisionEncoder(config, params);
    } finally {
      await source.checkpoint.close();
    }
  }

  /**
   * Number of tokens of a clip: floor(T/tubelet)(S/patch)^2, frames beyond the last whole tubelet dropped; T frames below a tubelet are played `tubelet` times and make T of them.
   *
   * @param frames T
   * @returns tokens
   */
  tokens(frames: number): number {
    const [time, rows, columns] = this.grid(frames);
    return time * rows * columns;
  }

  private grid(frames: number): [number, number, number] {
    const { tubeletSize, cropSize, patchSize } = this.config;
    const side = cropSize / patchSize;
    return [frames < tubeletSize ? frames : Math.floor(frames / tubeletSize), side, side];
  }

  /**
   * LayerNorm(blocks(patches(pixels))), no pooling (spec section 2.3).
   *
   * @param pixels [B,T,3,S,S] normalised, S the config's crop size; T below the tubelet size is repeated along time
   * @param options.trace gets `embeddings` and `layers.i`
   * @returns [B,N,D] tokens, time outermost, then row, then column
   * @throws ShapeError
   */
  forward(pixels: Tensor, options: Pick<BlockOptions, 'trace'> = {}): Tensor {
    const { cropSize, tubeletSize, patchSize, layers, headDim, layerNormEps } = this.config;
    checkShape('VisionEncoder.forward', 'pixels', pixels, [null, null, 3, cropSize, cropSize], `[batch, frames, RGB, crop, crop] of the config`);
    const frames = pixels.shape[1]!;
    if (frames === 0) throw new ShapeError(`VisionEncoder.forward: pixels has shape [${pixels.shape.join(', ')}], expected at least one frame`);
    const clip = frames < tubeletSize ? concat(Array.from({ length: tubeletSize }, () => pixels), 1) : pixels;
    const patches = this.params.at('encoder.embeddings.patch_embeddings.proj.');
    const x = patchEmbed(clip, patches.get('weight'), patches.get('bias'), { tubelet: tubeletSize, patch: patchSize }); // [B,N,D]
    options.trace?.('embeddings', x);
    const table = videoRope(pixels.device, this.grid(frames), headDim);
    const blocks = Array.from({ length: layers }, (_, i) => {
      const params = this.params.at(`encoder.layer.${i}.`);
      return { name: `layers.${i}`, weights: params.trainable(), run: (h: Tensor) => this.block(h, params, table) };
    });
    const y = runBlocks(x, blocks, { recompute: this.recompute, ...options });
    const norm = this.params.at('encoder.layernorm.');
    return layerNorm(y, norm.get('weight'), norm.get('bias'), { eps: layerNormEps });
  }

  /** x += proj(attention(norm1(x))); x += fc2(gelu(fc1(norm2(x)))). */
  private block(x: Tensor, p: Params, table: RopeTable): Tensor {
    const eps = this.config.layerNormEps;
    const mixed = this.attend(x, layerNorm(x, p.get('norm1.weight'), p.get('norm1.bias'), { eps }), p.at('attention.'), table);
    const h = layerNorm(mixed, p.get('norm2.weight'), p.get('norm2.bias'), { eps });
    const wide = linear(h, p.get('mlp.fc1.weight'), p.get('mlp.fc1.bias'), { activation: 'gelu' }); // [B,N,mlp]
    return linear(wide, p.get('mlp.fc2.weight'), p.get('mlp.fc2.bias'), { residual: mixed });
  }

  /** residual + proj(attention(x)). */
  private attend(residual: Tensor, x: Tensor, p: Params, table: RopeTable): Tensor {
    const { heads, headDim } = this.config;
    const [batch, tokens] = [x.shape[0]!, x.shape[1]!];
    const project = (part: string) => reshape(linear(x, p.get(`${part}.weight`), p.get(`${part}.bias`)), [batch, tokens, heads, headDim]);
    const q = rope(project('query'), table, { pairs: 'adjacent' }); // [B,N,H,Dh]
    const k = rope(project('key'), table, { pairs: 'adjacent' });
    const mixed = reshape(attention(q, k, project('value')), x.shape); // [B,N,D]
    return linear(mixed, p.get('proj.weight'), p.get('proj.bias'), { residual });
  }
}
