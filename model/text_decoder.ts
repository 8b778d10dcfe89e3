/** The Y-Decoder (spec section 1.9, option 1): a predicted or encoded unit vector -> K soft prefix tokens -> causal Llama layers -> text. Used at inference only. */
import { Tokenizer } from '../data/tokenizer.ts';
import { ShapeError, checkShape } from '../engine/check.ts';
import { onDevice } from '../engine/device.ts';
import type { Device } from '../engine/device.ts';
import { scope } from '../engine/memory.ts';
import { noGrad } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { concat } from '../kernels/concat.ts';
import { l2Normalize } from '../kernels/l2_normalize.ts';
import { linear } from '../kernels/linear.ts';
import { reshape } from '../kernels/reshape.ts';
import { slice } from '../kernels/slice.ts';
import { WeightError } from '../weights/error.ts';
import { folderSource } from '../weights/folder.ts';
import type { FolderInput, FolderSource } from '../weights/folder.ts';
import { openCheckpoint } from '../weights/safetensors.ts';
import { ConfigError } from './config.ts';
import { decoderConfig } from './config_decoder.ts';
import type { DecoderConfig } from './config_decoder.ts';
import { decodeSettings } from './decode_options.ts';
import type { DecodeOptions } from './decode_options.ts';
import { DecodeSteps } from './decode_steps.ts';
import { DECODER_FOLDER, PROBE_VECTORS, checkWidth, decoderTensors, tokenizerOf } from './decoder_folder.ts';
import type { InitTable } from './init.ts';
import { writeJoint } from './joint_weights.ts';
import type { StoredDtype } from './joint_weights.ts';
import { readJson } from './network_folder.ts';
import { Params, initParams, loadParams } from './params.ts';
import type { Progress } from './params.ts';
import { Predictor, predictorSkip, predictorTensors } from './predictor.ts';
import { checkVocabulary } from './token_batch.ts';
import type { VLJEPA } from './vl_jepa.ts';
import type { WeightDtype } from './weight_stream.ts';

export { decoderConfig } from './config_decoder.ts';
export type { DecoderConfig } from './config_decoder.ts';
export type { DecodeMethod, DecodeOptions } from './decode_options.ts';

/** Least cosine between a probe's vector now and then. Rounding of weights to 8 bits stays above, another training run is far below. */
const SAME_SPACE = 0.98;
const MOST_STEPS = 4;

/** One decoded text. */
export interface Hypothesis {
  readonly text: string;
  /** With the end token, where it was reached. */
  readonly tokens: readonly number[];
  /** Sum of log-probabilities, without temperature. */
  readonly logProbability: number;
  /** False where the text was cut off at `maxTokens`. */
  readonly ended: boolean;
}

export interface LoadDecoderOptions {
  /** The model that it speaks for: gives device and tokenizer, and its space is compared with the decoder's. */
  readonly model?: VLJEPA;
  /** Default: the model's, or a new one. */
  readonly device?: Device;
  /** tokenizer.json, parsed, in place of the folder's. */
  readonly tokenizer?: object;
  /** How matrices are held on the GPU, f32 by default. */
  readonly dtype?: WeightDtype;
  readonly progress?: (event: Progress) => void;
  readonly signal?: AbortSignal;
}

export interface NewDecoderOptions {
  readonly device: Device;
  readonly tokenizer: Tokenizer;
  readonly seed?: number;
  readonly init?: Partial<InitTable>;
  /** A Llama folder whose layers and token table are taken as first weights; the sizes have to be those of the config. */
  readonly llama?: FolderInput;
}

/** Unit vectors -> texts. */
export class TextDecoder {
  readonly device: Device;
  readonly config: DecoderConfig;
  readonly layers: Predictor;
  readonly tokenizer: Tokenizer;
  private readonly params: Params;
  /** Caches and plans by number of vectors and rows, the ones used last at the end. */
  private readonly steps = new Map<string, DecodeSteps>();
  /** Models whose space was compared with the decoder's. */
  private readonly known = new WeakSet<VLJEPA>();
  /** Calls run one after the other: they share caches. */
  private last: Promise<unknown> = Promise.resolve();

  private constructor(device: Device, config: DecoderConfig, params: Params, tokenizer: Tokenizer) {
    checkVocabulary('decoder', tokenizer, config.llama.vocabSize);
    this.device = device;
    this.config = config;
    this.params = params;
    this.tokenizer = tokenizer;
    this.layers = new Predictor(config.llama, params);
  }

  /**
   * Loads `decoder/` of a model's folder.
   *
   * @param source the model's folder in any form that `VLJEPA.fromPretrained` takes
   * @param options the model, device, dtype, progress, signal
   * @throws WeightError when there is no decoder, ConfigError when it is wrong or was trained for another model
   */
  static async fromPretrained(source: FolderInput, options: LoadDecoderOptions = {}): Promise<TextDecoder> {
    const { model, signal } = options;
    const folder = folderSource(source, signal ? { signal } : {});
    const own = folder.sub(DECODER_FOLDER);
    const json = await readJson(own, 'config.json');
    if (json === undefined) throw new WeightError('checkpoint-missing', `${folder.name}: ${DECODER_FOLDER}/config.json is missing, expected a model with a decoder (train one: vl-jepa train --stage decoder --from ${folder.name})`);
    const config = decoderConfig(json, `${own.name}/config.json`);
    if (model) checkWidth(config, model);
    const tokenizer = options.tokenizer ? Tokenizer.fromJSON(options.tokenizer) : await tokenizerOf(config, folder, model);
    return onDevice(model?.device ?? options.device, (device) => TextDecoder.loaded(device, own, config, tokenizer, options));
  }

  private static async loaded(device: Device, own: FolderSource, config: DecoderConfig, tokenizer: Tokenizer, { model, signal, progress, dtype = 'f32' }: LoadDecoderOptions): Promise<TextDecoder> {
    const checkpoint = await openCheckpoint(own);
    try {
      const params = await loadParams(device, checkpoint, decoderTensors(config), { where: own.name, dtype: (name) => (name === PROBE_VECTORS ? 'f32' : dtype), progress, signal });
      const decoder = TextDecoder.assemble(device, config, params, tokenizer);
      await (model && decoder.check(model))?.catch((error: unknown) => { decoder.dispose(); throw error; });
      return decoder;
    } finally {
      await checkpoint.close();
    }
  }

  /**
   * An untrained decoder whose parts all learn.
   *
   * @param config our config.json's object
   * @param options device, tokenizer, seed and initial values, or a Llama folder to begin with
   * @throws ConfigError, WeightError
   */
  static async create(config: object, options: NewDecoderOptions): Promise<TextDecoder> {
    const { device, tokenizer, seed = 0, init, llama } = options;
    const read = decoderConfig(config, 'decoder config');
    const map = new Map(initParams(device, decoderTensors(read).filter(({ name }) => !llama || !name.startsWith('model.')), seed, init, 'decoder.').entries());
    try {
      if (llama) {
        const folder = folderSource(llama);
        const checkpoint = await openCheckpoint(folder);
        try {
          const skip = predictorSkip(read.llama, [0, read.llama.layers], true);
          for (const [name, tensor] of (await loadParams(device, checkpoint, predictorTensors(read.llama), { where: folder.name, skip })).entries()) map.set(name, tensor);
        } finally {
          await checkpoint.close();
        }
      }
    } catch (error) {
      for (const tensor of map.values()) tensor.dispose();
      throw error;
    }
    const decoder = TextDecoder.assemble(device, read, new Params(map), tokenizer);
    for (const tensor of decoder.parameters().values()) tensor.needsGrad = true;
    return decoder;
  }

  /** Owns the tensors from here on: a tokenizer that does not fit releases them. */
  private static assemble(device: Device, config: DecoderConfig, params: Params, tokenizer: Tokenizer): TextDecoder {
    try {
      return new TextDecoder(device, config, params, tokenizer);
    } catch (error) {
      for (const [, tensor] of params.entries()) tensor.dispose();
      throw error;
    }
  }

  /**
   * The soft prefix: a linear map of the vectors, which are brought to unit length first (means of segments are shorter).
   *
   * @param vectors [N,dim]
   * @returns [N,K,D]
   */
  prefix(vectors: Tensor): Tensor {
    const { prefixTokens, llama: { hiddenSize } } = this.config;
    const y = linear(l2Normalize(vectors, { eps: 1e-12 }), this.params.get('prefix.weight'), this.params.get('prefix.bias'));
    return reshape(y, [vectors.shape[0]!, prefixTokens, hiddenSize]);
  }

  /**
   * Logits of every next token, causal and differentiable: what stands at position t has seen the vector and the tokens before t.
   *
   * @param vectors [N,dim]
   * @param ids u32 [N,T] tokens of the texts without start or end token; 0 columns ask for the first token alone
   * @returns [N,T+1,V]
   * @throws ShapeError
   */
  forward(vectors: Tensor, ids: Tensor): Tensor {
    checkShape('TextDecoder.forward', 'vectors', vectors, [null, this.config.embeddingDim], '[N, embedding_dim of the config]');
    checkShape('TextDecoder.forward', 'ids', ids, [vectors.shape[0]!, null], 'a row per vector');
    const prefix = this.prefix(vectors);
    const sequence = ids.shape[1] === 0 ? prefix : concat([prefix, this.layers.embed(ids)], 1); // [N,K+T,D]
    const hidden = this.layers.forward(sequence, { causal: true });
    return this.layers.logits(slice(hidden, 1, this.config.prefixTokens - 1));
  }

  /**
   * @param text any text
   * @returns its tokens as the decoder writes them: without the start token, cut to fit, with the end token
   */
  encode(text: string): number[] {
    const { eos, maxTokens } = this.config;
    const { bos, eos: end } = this.tokenizer;
    const ids = this.tokenizer.encode(text);
    const from = ids[0] === bos && bos !== undefined ? 1 : 0;
    const to = ids.length > from && (ids.at(-1) === end || ids.at(-1) === eos) ? ids.length - 1 : ids.length;
    return [...ids.slice(from, to).slice(0, maxTokens - 1), eos];
  }

  /**
   * @param text any text
   * @returns the text that the decoder would write for it: as the tokenizer spells it
   */
  spell(text: string): string {
    return this.tokenizer.decode(this.encode(text));
  }

  /**
   * The best text of every vector.
   *
   * @param vectors [N,dim], on this decoder's device
   * @param options greedy (default), beam or sample, with their settings
   * @returns [N]
   * @throws ShapeError for a setting that does not fit or vectors of another width
   */
  async decode(vectors: Tensor, options: DecodeOptions = {}): Promise<string[]> {
    return (await this.hypotheses(vectors, options)).map(([best]) => best!.text);
  }

  /**
   * The texts of every vector: the n best beams, best first, or n draws.
   *
   * @param vectors [N,dim], on this decoder's device
   * @param options greedy (default), beam or sample, with their settings
   * @param watch sees the logits [rows,V] of every step; tests compare them
   * @returns [N][nBest]
   * @throws ShapeError for a setting that does not fit, vectors of another width, or a vector that is not finite
   */
  hypotheses(vectors: Tensor, options: DecodeOptions = {}, watch?: (logits: Tensor, step: number) => Promise<void>): Promise<Hypothesis[][]> {
    const settings = decodeSettings(options, this.config.maxTokens);
    checkShape('TextDecoder.decode', 'vectors', vectors, [null, this.config.embeddingDim], '[N, embedding_dim of the decoder]');
    const { width, nBest } = settings;
    if (settings.method === 'beam' && width > this.config.llama.vocabSize) throw new ShapeError(`decode: width is ${width}, expected at most the ${this.config.llama.vocabSize} tokens there are`);
    const count = vectors.shape[0]!;
    const work = async (): Promise<Hypothesis[][]> => {
      const out: Hypothesis[][] = [];
      for (let start = 0; start < count; start += settings.batchSize) {
        const part = scope(() => noGrad(() => slice(vectors, 0, start, Math.min(count, start + settings.batchSize))));
        try {
          const { tokens, state } = await this.stepsFor(part.shape[0]!, settings.batchSize, width, settings.method === 'sample').run(part, settings, start * width, watch);
          for (let row = 0; row < tokens.length; row += width) out.push(Array.from({ length: nBest }, (_, i) => this.hypothesis(tokens[row + i]!, state.subarray((row + i) * 3), out.length)));
        } finally {
          part.dispose();
        }
      }
      return out;
    };
    const result = this.last.then(work, work);
    this.last = result.catch(() => undefined);
    return result;
  }

  private hypothesis(tokens: readonly number[], [logProbability, length]: Float32Array, index: number): Hypothesis {
    if (!Number.isFinite(logProbability)) throw new ShapeError(`TextDecoder.decode: the log-probability of vector ${index} is ${logProbability}, expected a number (the vector, or a weight, is not finite)`);
    return { text: this.tokenizer.decode(tokens), tokens, logProbability: logProbability!, ended: length! > 0 };
  }

  /** Caches and plans that hold so many vectors; sizes are rounded up so that few are made. */
  private stepsFor(vectors: number, batchSize: number, width: number, sampled: boolean): DecodeSteps {
    const groups = Math.min(batchSize, 2 ** Math.ceil(Math.log2(vectors)));
    const key = `${groups}x${width} ${sampled}`;
    const steps = this.steps.get(key) ?? new DecodeSteps(this, groups, width, sampled);
    this.steps.delete(key);
    this.steps.set(key, steps);
    for (const [oldest, unused] of this.steps) {
      if (this.steps.size <= MOST_STEPS) break;
      this.steps.delete(oldest);
      unused.dispose();
    }
    return steps;
  }

  /**
   * Stores what a model makes of the probes: from now on the decoder is one for this model's space.
   *
   * @param model with a tokenizer
   * @throws ConfigError when the widths differ
   */
  bind(model: VLJEPA): void {
    checkWidth(this.config, model);
    const vectors = model.encodeText([...this.config.probes]);
    this.device.copy(vectors, this.params.get(PROBE_VECTORS));
    vectors.dispose();
  }

  /**
   * Refuses a model in whose space this decoder was not trained. Each model is looked at once.
   *
   * @param model with a tokenizer
   * @throws ConfigError that says how far its probes are off
   */
  async check(model: VLJEPA): Promise<void> {
    if (this.known.has(model)) return;
    checkWidth(this.config, model);
    const { probes, embeddingDim: dim } = this.config;
    const now = model.encodeText([...probes]);
    const [a, b] = [await now.read(), await this.params.get(PROBE_VECTORS).read()];
    now.dispose();
    probes.forEach((text, i) => {
      let dot = 0;
      for (let j = i * dim; j < (i + 1) * dim; j++) dot += a[j]! * b[j]!;
      if (!(dot >= SAME_SPACE)) throw new ConfigError(`TextDecoder: the model's vector of "${text}" has cosine ${dot.toFixed(3)} with the one that the decoder was trained for, expected at least ${SAME_SPACE} (a decoder of another model, or the model was trained on since)`);
    });
    this.known.add(model);
  }

  /** @returns every tensor by its name in the checkpoint. */
  tensors(): Map<string, Tensor> {
    return new Map(this.params.entries());
  }

  /** @returns the tensors that an optimiser may train, by name. */
  parameters(): Map<string, Tensor> {
    return new Map(this.params.entries().filter(([name]) => name !== PROBE_VECTORS));
  }

  /**
   * Writes `decoder/config.json` and `decoder/model.safetensors` into a model's folder. Node only.
   *
   * @param folder of the model
   * @param options.dtype how values are stored, F32 by default
   */
  async save(folder: string, options: { dtype?: StoredDtype } = {}): Promise<void> {
    await writeJoint(`${folder}/${DECODER_FOLDER}`, this.tensors(), { config: this.config.json }, options.dtype);
  }

  /** Releases weights, caches and plans. @returns nothing */
  dispose(): void {
    for (const steps of this.steps.values()) steps.dispose();
    this.steps.clear();
    for (const [, tensor] of this.params.entries()) tensor.dispose();
  }
}
