// What `vl-jepa bench model` runs: the paper's networks at full size with random weights, and the shipped model.
import type { Device } from '../engine/device.ts';
import { keep } from '../engine/memory.ts';
import { Tensor } from '../engine/tensor.ts';
import { visionConfig, vlJepaConfig } from '../model/config.ts';
import type { PredictorConfig, TextConfig, VLJEPAConfig, VisionConfig } from '../model/config.ts';
import { jointTensors } from '../model/joint_weights.ts';
import { Params } from '../model/params.ts';
import type { TensorSpec } from '../model/params.ts';
import { Predictor, predictorTensors } from '../model/predictor.ts';
import { PAPER } from '../model/presets.ts';
import { TextEncoder, textTensors } from '../model/text_encoder.ts';
import { VisionEncoder, visionTensors } from '../model/vision_encoder.ts';
import { VLJEPA } from '../model/vl_jepa.ts';
import { PRESETS } from '../train/presets.ts';
import { valuesOf } from './case.ts';

/** One forward pass to be measured. */
export interface ModelCase {
  /** What `--preset` says. */
  readonly preset: string;
  readonly name: string;
  /** Of the formulas, a multiply-add counted as two. */
  readonly flop: number;
  /** Numbers in its weights. */
  readonly weights: number;
  /** Makes weights and inputs. */
  build(device: Device): { run(): Tensor; dispose(): void };
}

/** Layer i of N tokens: products and the two of attention. */
const layerFlop = (n: number, d: number, qkv: number, attended: number, mlp: number): number => 2 * n * (d * qkv + attended * d + mlp) + 4 * n * n * attended;
const visionFlop = (c: VisionConfig, n: number): number =>
  c.layers * layerFlop(n, c.hiddenSize, 3 * c.hiddenSize, c.hiddenSize, 2 * c.hiddenSize * c.mlpSize) + 2 * n * 3 * c.tubeletSize * c.patchSize ** 2 * c.hiddenSize;
const llamaFlop = (c: PredictorConfig | TextConfig, layers: number, n: number): number =>
  layers * layerFlop(n, c.hiddenSize, (c.heads + 2 * c.kvHeads) * c.headDim, c.heads * c.headDim, 3 * c.hiddenSize * c.intermediateSize);

/** Random numbers are drawn once and used again from another place on in every tensor: a billion of them would take a minute. */
const TABLE = 1_000_003;
/** Token tables are shorter than the paper's: looking a row up costs the same, and 128 MiB is all that some adapters bind. */
const TABLE_ROWS = 16_384;

function randomParams(device: Device, specs: readonly TensorSpec[]): Params {
  const table = valuesOf({ shape: [TABLE], scale: 0.02 }, 1) as Float32Array;
  const map = new Map<string, Tensor>();
  let at = 0;
  for (const { name, shape, kind } of specs) {
    const values = new Float32Array(shape.reduce((n, s) => n * s, 1));
    if (kind === 'norm') values.fill(1);
    else if (kind === 'log_scale') values.fill(Math.log(1 / 0.07));
    else if (kind !== 'bias' && kind !== 'norm_offset') {
      for (let i = 0; i < values.length;) {
        const piece = table.subarray(at, at + values.length - i);
        values.set(piece, i);
        i += piece.length;
        at = (at + piece.length) % TABLE;
      }
    }
    map.set(name, keep(Tensor.from(device, values, shape)));
  }
  return new Params(map);
}

const count = (specs: readonly TensorSpec[]): number => specs.reduce((n, { shape }) => n + shape.reduce((a, b) => a * b, 1), 0);
const input = (device: Device, shape: readonly number[]): Tensor => Tensor.from(device, valuesOf({ shape }, 2) as Float32Array, shape);
const ids = (device: Device, tokens: number, vocabulary: number): Tensor => Tensor.from(device, valuesOf({ shape: [1, tokens], kind: 'ids', below: vocabulary }, 3) as Uint32Array, [1, tokens]);

/** A network of its own: weights, one input, one function. */
function network(preset: string, name: string, flop: number, specs: readonly TensorSpec[], make: (device: Device, params: Params) => { inputs: Tensor[]; run: () => Tensor }): ModelCase {
  return {
    preset, name, flop, weights: count(specs),
    build(device) {
      const params = randomParams(device, specs);
      const { inputs, run } = make(device, params);
      return { run, dispose: () => [...inputs, ...params.entries().map(([, t]) => t)].forEach(t => t.dispose()) };
    },
  };
}

function visionCase(preset: string, name: string, config: VisionConfig, tokens: number): ModelCase {
  const frames = (tokens * config.tubeletSize) / (config.cropSize / config.patchSize) ** 2;
  return network(preset, `${name}, ${tokens} tokens`, visionFlop(config, tokens), visionTensors(config), (device, params) => {
    const x = input(device, [1, frames, 3, config.cropSize, config.cropSize]);
    const encoder = new VisionEncoder(config, params);
    return { inputs: [x], run: () => encoder.forward(x) };
  });
}

/** The whole image embedding: encoder, query of `queryTokens`, predictor, head. */
function embeddingCase(preset: string, name: string, config: VLJEPAConfig, frames: number, rows: number, queryTokens: number): ModelCase {
  const { vision, predictor, predictorLayers: [first, end] } = config;
  const tokens = Math.max(1, frames / vision.tubeletSize) * (vision.cropSize / vision.patchSize) ** 2;
  const heads = 2 * tokens * vision.hiddenSize * predictor.hiddenSize + 2 * predictor.hiddenSize * config.embeddingDim;
  const specs = jointTensors(config);
  return network(preset, name, rows * (visionFlop(vision, tokens) + llamaFlop(predictor, end - first, tokens + queryTokens) + heads), specs, (device, params) => {
    const model = VLJEPA.fromTensors(config, new Map(params.entries()), { device });
    const x = input(device, [rows, frames, 3, vision.cropSize, vision.cropSize]);
    const query = queryTokens ? { ids: ids(device, queryTokens, predictor.vocabSize), mask: undefined, poolMask: undefined } : undefined;
    return { inputs: query ? [x, query.ids] : [x], run: () => model.forwardPrediction(model.vision.forward(x), query) };
  });
}

/**
 * Every forward pass that can be asked for.
 * @param tokens of the ViT-L alone @returns the cases, small ones first
 */
export function modelCases(tokens: readonly number[]): ModelCase[] {
  const vitL = visionConfig(PAPER.vision_config, 'ViT-L');
  const paper = vlJepaConfig({ ...PAPER, predictor_config: { ...PAPER.predictor_config, vocab_size: TABLE_ROWS }, text_config: { ...PAPER.text_config, vocab_size: TABLE_ROWS } }, 'paper');
  const { predictor: llama, text: gemma } = paper;
  const nano = vlJepaConfig(PRESETS.nano!.model, 'nano');
  const layers = PAPER.predictor_layers as [number, number];
  const embed = (device: Device, params: Params, length: number): { inputs: Tensor[]; run: () => Tensor } => {
    const x = ids(device, length, gemma.vocabSize);
    const encoder = new TextEncoder(gemma, params);
    return { inputs: [x], run: () => encoder.embedSentence(x) };
  };
  return [
    embeddingCase('nano', 'nano embedding, 16 pictures', nano, 1, 16, 0),
    visionCase('block', 'ViT-L block', { ...vitL, layers: 1 }, 256),
    ...tokens.map(n => visionCase('vit-l', 'ViT-L', vitL, n)),
    network('predictor', 'predictor, 320 tokens', llamaFlop(llama, layers[1] - layers[0], 320), predictorTensors(llama, { layers, tokens: false }), (device, params) => {
      const x = input(device, [1, 320, llama.hiddenSize]);
      const predictor = new Predictor(llama, params, { layers });
      return { inputs: [x], run: () => predictor.forward(x) };
    }),
    network('text', 'EmbeddingGemma, 64 tokens', llamaFlop(gemma, gemma.layers, 64), textTensors(gemma), (device, params) => embed(device, params, 64)),
    embeddingCase('embedding', 'VL-JEPA embedding, 256 + 64 tokens', paper, 2, 1, 64),
  ];
}
