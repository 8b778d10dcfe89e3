/** Texts to the sentence vectors of a text folder on its own, as sentence-transformers makes them: prompts by name, length limit, Matryoshka sizes (spec sections 4.4 to 4.6). */
import { Tokenizer } from '../data/tokenizer.ts';
import { ShapeError } from '../engine/check.ts';
import { onDevice } from '../engine/device.ts';
import type { Device } from '../engine/device.ts';
import { scope } from '../engine/memory.ts';
import { noGrad } from '../engine/tape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { concat } from '../kernels/concat.ts';
import { l2Normalize } from '../kernels/l2_normalize.ts';
import { slice } from '../kernels/slice.ts';
import type { FolderInput } from '../weights/folder.ts';
import { ConfigError } from './config_reader.ts';
import { reachFolder, readJson } from './network_folder.ts';
import type { NetworkOptions } from './network_folder.ts';
import { readSentenceSettings } from './sentence_folder.ts';
import type { SentenceSettings } from './sentence_folder.ts';
import { TextEncoder } from './text_encoder.ts';
import { checkBatch, checkVocabulary, padIds, sliceBatch, uploadTokens } from './token_batch.ts';
import type { TokenBatch } from './token_batch.ts';

/** How texts are encoded. */
export interface SentenceOptions {
  /** Text put before every text, prompts and texts sharing one row of tokens; '' for none. Goes before `promptName`. */
  readonly prompt?: string | undefined;
  /** Name of one of the folder's prompts; the folder's default prompt when neither is given. */
  readonly promptName?: string | undefined;
  /** First components that are kept, brought to unit length again where the folder normalises (Matryoshka: 768, 512, 256, 128 for EmbeddingGemma). */
  readonly truncateDim?: number | undefined;
  /** Rows per forward pass, 16 by default. */
  readonly batchSize?: number | undefined;
}

/** A text encoder with its tokenizer, prompts and limit. */
export class SentenceEncoder {
  readonly text: TextEncoder;
  readonly tokenizer: Tokenizer;
  readonly settings: SentenceSettings;
  /** Tokens of a text at most, its ends included. */
  readonly maxTokens: number;
  /** Width of a whole vector. */
  readonly dim: number;

  /**
   * @param text the network
   * @param tokenizer of its vocabulary
   * @param settings prompts and limit
   */
  constructor(text: TextEncoder, tokenizer: Tokenizer, settings: SentenceSettings) {
    this.text = text;
    this.tokenizer = tokenizer;
    this.settings = settings;
    this.maxTokens = Math.min(settings.maxTokens ?? Infinity, text.config.maxPositions);
    this.dim = text.dense.at(-1)?.outFeatures ?? text.config.hiddenSize;
  }

  /**
   * @param input folder in sentence-transformers' layout, or of a plain Gemma 3 text network, with tokenizer.json
   * @param options device (a new one by default), dtype, progress, signal; window as in `TextEncoder.load`
   * @returns the encoder
   * @throws ConfigError, WeightError, DataError, DeviceError
   */
  static async load(input: FolderInput, options: NetworkOptions & { device?: Device; window?: 'whole' | 'halved' } = {}): Promise<SentenceEncoder> {
    const folder = reachFolder(input, options);
    const settings = await readSentenceSettings(folder);
    const json = await readJson(folder, 'tokenizer.json');
    if (json === undefined) throw new ConfigError(`${folder.name}/tokenizer.json: the file is missing, expected the vocabulary of the text encoder`);
    const tokenizer = Tokenizer.fromJSON(json as object);
    return onDevice(options.device, async (device) => {
      const text = await TextEncoder.load(device, folder, options);
      try {
        checkVocabulary('text', tokenizer, text.config.vocabSize, json as object);
        return new SentenceEncoder(text, tokenizer, settings);
      } catch (error) {
        for (const [, tensor] of text.params.entries()) tensor.dispose();
        throw error;
      }
    });
  }

  /**
   * The text that goes before every text.
   *
   * @param options prompt or its name
   * @returns '' for none
   * @throws ConfigError for a name that the folder lacks
   */
  promptOf({ prompt, promptName }: SentenceOptions): string {
    if (prompt !== undefined) return prompt;
    const { prompts, defaultPrompt, where } = this.settings;
    const name = promptName ?? defaultPrompt;
    if (name === undefined) return '';
    const found = prompts.get(name);
    if (found === undefined) throw new ConfigError(`${where}: there is no prompt ${JSON.stringify(name)}, expected one of ${[...prompts.keys()].join(', ') || 'none'}`);
    return found;
  }

  /**
   * Texts to ids, with prompt and ends, at most `maxTokens` each; prompt tokens count like any others in the mean.
   *
   * @param texts one row each
   * @param options prompt
   * @returns rows padded at the end
   */
  tokenize(texts: readonly string[], options: SentenceOptions = {}): TokenBatch {
    const prompt = this.promptOf(options);
    return padIds(texts.map((text) => this.tokenizer.encode(prompt + text, { maxLength: this.maxTokens })), this.tokenizer.pad);
  }

  /**
   * Sentence vectors: tokens, network, mean over real tokens, Dense layers, unit length; nothing is recorded for gradients.
   *
   * @param texts one row each
   * @param options prompt, kept components, batch
   * @returns [B, truncateDim or dim]
   * @throws ConfigError for an unknown prompt, ShapeError for a truncateDim that is no size of a vector
   */
  encodeText(texts: readonly string[], options: SentenceOptions = {}): Tensor {
    const { truncateDim = this.dim, batchSize = 16 } = options;
    if (!Number.isInteger(truncateDim) || truncateDim < 1 || truncateDim > this.dim) throw new ShapeError(`SentenceEncoder.encodeText: truncateDim is ${truncateDim}, expected 1 to ${this.dim}`);
    if (!Number.isInteger(batchSize) || batchSize < 1) throw new ShapeError(`SentenceEncoder.encodeText: batchSize is ${batchSize}, expected an integer of at least 1`);
    const batch = this.tokenize(texts, options);
    const { device } = this.text.params.table('embed_tokens.weight')[0]!;
    return scope(() => noGrad(() => {
      const parts: Tensor[] = [];
      for (let start = 0; start === 0 || start < texts.length; start += batchSize) {
        const rows = sliceBatch(batch, start, Math.min(texts.length, start + batchSize));
        checkBatch('SentenceEncoder.encodeText', rows, this.text.config.vocabSize, this.maxTokens);
        parts.push(scope(() => this.embed(device, rows, truncateDim)));
        device.flush();
      }
      return parts.length === 1 ? parts[0]! : concat(parts, 0);
    }));
  }

  private embed(device: Device, rows: TokenBatch, width: number): Tensor {
    const { ids, mask } = uploadTokens(device, rows);
    const pooled = this.text.pool(this.text.forward(ids, { mask }), mask); // [b, dim]
    return this.text.finish(width === this.dim ? pooled : slice(pooled, 1, 0, width));
  }

  /**
   * Vectors of what is searched for: the prompt `query` where the folder has one.
   *
   * @param texts one row each
   * @param options as for {@link encodeText}
   * @returns [B, truncateDim or dim]
   */
  encodeQuery(texts: readonly string[], options: SentenceOptions = {}): Tensor {
    return this.encodeText(texts, this.withPrompt(options, ['query']));
  }

  /**
   * Vectors of what is found: the first of the prompts `document`, `passage`, `corpus` that the folder has.
   *
   * @param texts one row each
   * @param options as for {@link encodeText}
   * @returns [B, truncateDim or dim]
   */
  encodeDocument(texts: readonly string[], options: SentenceOptions = {}): Tensor {
    return this.encodeText(texts, this.withPrompt(options, ['document', 'passage', 'corpus']));
  }

  private withPrompt(options: SentenceOptions, names: readonly string[]): SentenceOptions {
    if (options.prompt !== undefined || options.promptName !== undefined) return options;
    return { ...options, promptName: names.find((name) => this.settings.prompts.has(name)) };
  }

  /** Releases the network's tensors. */
  dispose(): void {
    for (const [, tensor] of this.text.params.entries()) tensor.dispose();
  }
}
