/** VL-JEPA (arXiv 2512.10942, spec section 1): picture or clip + query -> predicted vector, text -> target vector, both of unit length in one space. */
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
import { matmul } from '../kernels/matmul.ts';
import { meanPool } from '../kernels/mean_pool.ts';
import type { FolderInput } from '../weights/folder.ts';
import { ConfigError, vlJepaConfig } from './config.ts';
import type { VLJEPAConfig } from './config.ts';
import { isThreeFolders, type Backbones } from './backbone_folders.ts';
import { ForwardPlans } from './forward_plans.ts';
import { loadJoint } from './joint_folder.ts';
import { checkTrainable, jointBytes, jointTensors, orderedParams, partOf, TRAIN_ALL, TRAIN_NONE, writeJoint } from './joint_weights.ts';
import type { StoredDtype, TrainParts } from './joint_weights.ts';
import type { BatchOptions, LoadModelOptions, ModelOptions, NewModelOptions } from './model_options.ts';
import { Params, initParams } from './params.ts';
import { pictureCount, pixelsOf } from './pictures.ts';
import type { Pictures } from './pictures.ts';
import { Predictor } from './predictor.ts';
import { TextEncoder, densePair } from './text_encoder.ts';
import { bucketLength, checkBatch, checkVocabulary, isTokenBatch, padBatch, padIds, queryArrays, queryTexts, rowsOf, sliceBatch, textArrays, uploadQueryTokens, uploadTokens } from './token_batch.ts';
import type { Queries, QueryTensors, TextTokenizer, TokenBatch, TokenTensors } from './token_batch.ts';
import { VisionEncoder } from './vision_encoder.ts';

export { TRAIN_ALL, TRAIN_NONE, TRAIN_PAPER } from './joint_weights.ts';
export type { TrainParts } from './joint_weights.ts';
export type { BatchOptions, LoadModelOptions, ModelOptions, NewModelOptions } from './model_options.ts';
export type { Progress } from './params.ts';
export type { Clip, Picture, Pictures } from './pictures.ts';
export type { Queries, QueryTensors, TextTokenizer, TokenBatch, TokenTensors } from './token_batch.ts';

/**
 * The joint model. Results are GPU tensors: `await tensor.read()` for numbers, `tensor.dispose()` (or a scope) when done. `encodeImage`, `encodeText` and `predict` only enqueue, one
 * submit per batch; shapes that come again are recorded and replayed (`plans`, see forward_plans.ts), for which texts are padded to few lengths.
 */
export class VLJEPA {
  readonly device: Device;
  readonly config: VLJEPAConfig;
  readonly vision: VisionEncoder;
  readonly predictor: Predictor;
  readonly text: TextEncoder;
  readonly tokenizer: Tokenizer | undefined;
  readonly queryTokenizer: Tokenizer | undefined;
  /** [1] log of the inverse temperature; losses clamp it at `config.logitScaleMax`. */
  readonly logScale: Tensor;
  /** The recorded forward passes; `plans.dispose()` gives their memory back, and they are made again when needed. */
  readonly plans: ForwardPlans;
  private readonly params: Params;
  private readonly tokenizerFiles: Pick<ModelOptions, 'tokenizer' | 'queryTokenizer'>;

  private constructor(device: Device, config: VLJEPAConfig, params: Params, options: ModelOptions) {
    this.device = device;
    this.config = config;
    this.params = params;
    this.plans = new ForwardPlans(device);
    const { recompute } = options;
    const dense = densePair(config.text, config.dense);
    this.vision = new VisionEncoder(config.vision, this.params.at('vision.'), { recompute });
    this.predictor = new Predictor(config.predictor, this.params.at('predictor.'), { layers: config.predictorLayers, recompute });
    this.text = new TextEncoder(config.text, this.params.at('text.'), { dense, recompute });
    this.logScale = this.params.get('log_scale');
    this.tokenizerFiles = options;
    const { textPrompt: prompt } = config;
    this.tokenizer = options.tokenizer && Tokenizer.fromJSON(options.tokenizer, {}, { prompt });
    const queryFile = options.queryTokenizer ?? (prompt ? options.tokenizer : undefined); // a query has no prompt
    this.queryTokenizer = queryFile ? Tokenizer.fromJSON(queryFile) : this.tokenizer;
    checkVocabulary('text', this.tokenizer, config.text.vocabSize, options.tokenizer);
    checkVocabulary('query', this.queryTokenizer, config.predictor.vocabSize, options.queryTokenizer ?? options.tokenizer);
  }

  /**
   * Loads a joint checkpoint, or the three networks that one is made of, with untrained heads.
   *
   * @param source folder path, base URL, map of files, directory handle, or the files of a file picker; or `{ vision, predictor, text }`, three such folders in the hub's layout
   * @param options device, dtype, progress, signal, what learns; of a URL also cache; for three folders also joint settings and the seed of the heads
   * @throws ConfigError, WeightError, DeviceError; the signal's reason when cancelled
   */
  static async fromPretrained(source: FolderInput | Backbones, options: LoadModelOptions = {}): Promise<VLJEPA> {
    if (isThreeFolders(source)) {
      const { fromBackbones } = await import('./backbones.ts'); // which imports this file
      return onDevice(options.device, (device) => fromBackbones(source, options.joint ?? {}, { train: TRAIN_NONE, ...options, device }));
    }
    const { device, config, params, tokenizers } = await loadJoint(source, options);
    try {
      return VLJEPA.assemble(device, config, params, { train: TRAIN_NONE, ...options, ...tokenizers });
    } catch (error) {
      if (!options.device) device.destroy(); // one that loadJoint opened
      throw error;
    }
  }

  /**
   * An untrained model.
   *
   * @param config our config.json's object, or one already read
   * @param options device, seed and initial values
   * @throws ConfigError
   */
  static fromConfig(config: object, options: NewModelOptions): VLJEPA {
    const read = isRead(config) ? config : vlJepaConfig(config, 'config');
    const init = { ...options.init, log_scale: { value: read.logitScaleInit } };
    const params = initParams(options.device, jointTensors(read), options.seed ?? 0, init);
    return VLJEPA.assemble(options.device, read, params, options);
  }

  /**
   * The joint model of tensors that are already there, for example of three backbones with new heads.
   *
   * @param map every tensor of `jointTensors(config)` by its name; the model owns them from now on
   * @throws WeightError when one is missing, ShapeError when one has another shape
   */
  static fromTensors(config: VLJEPAConfig, map: ReadonlyMap<string, Tensor>, options: NewModelOptions): VLJEPA {
    return VLJEPA.assemble(options.device, config, orderedParams(config, map), options);
  }

  /** Owns the tensors from here on: a tokenizer that does not fit releases them. */
  private static assemble(device: Device, config: VLJEPAConfig, params: Params, options: ModelOptions): VLJEPA {
    try {
      const model = new VLJEPA(device, config, params, options);
      model.setTrainable(options.train ?? TRAIN_ALL);
      return model;
    } catch (error) {
      for (const [, tensor] of params.entries()) tensor.dispose();
      throw error;
    }
  }

  /**
   * Visual tokens of pictures or clips, no gradients.
   * @param pictures f32 [B,T,3,S,S] normalised pixels, or pictures and clips, which are resized and normalised
   * @returns [B,N,Dv] after the encoder's final norm
   */
  encodeImage(pictures: Pictures, options: BatchOptions = {}): Tensor {
    return this.batched(pictureCount(pictures), options, (start, end) => this.plans.run('image', [pixelsOf(this.device, this.config, pictures, start, end)], (pixels) => this.vision.forward(pixels!)));
  }

  /**
   * Vectors of texts, no gradients.
   * @param texts texts or token ids
   * @returns [B,dim] unit rows
   */
  encodeText(texts: readonly string[] | TokenBatch, options: BatchOptions = {}): Tensor {
    const batch = isTokenBatch(texts) ? texts : this.tokenize(texts, 'text');
    const { maxTextTokens, text: { vocabSize, maxPositions } } = this.config;
    return this.batched(rowsOf(batch), options, (start, end) => {
      const rows = sliceBatch(batch, start, end);
      checkBatch('VLJEPA.encodeText', rows, vocabSize, maxTextTokens);
      const { ids, mask } = textArrays(padBatch(rows, Math.min(bucketLength(rows.tokens), maxTextTokens, maxPositions)));
      return this.plans.run('text', [ids, mask], (i, m) => this.forwardText({ ids: i!, mask: m }));
    });
  }

  /**
   * Predicted vectors, no gradients.
   * @param pictures as in `encodeImage`, or its result [B,N,Dv]
   * @param queries one for all, one each, or token ids; '' and a missing query mean the config's default query, or none
   * @returns [B,dim] unit rows
   */
  predict(pictures: Pictures, queries?: Queries, options: BatchOptions = {}): Tensor {
    const count = pictureCount(pictures);
    const batch = this.queryBatch(queries, count);
    return this.batched(count, options, (start, end) => {
      const input = pixelsOf(this.device, this.config, pictures, start, end);
      const query = batch && this.queryInputs(sliceBatch(batch, start, end), input.shape.length === 5 ? this.vision.tokens(input.shape[1]!) : input.shape[1]!);
      return this.plans.run('predict', [input, query?.ids, query?.mask, query?.poolMask], (x, ids, mask, poolMask) =>
        this.forwardPrediction(x!.shape.length === 5 ? this.vision.forward(x!) : x!, ids && { ids, mask, poolMask }));
    });
  }

  /** A query batch, checked and padded; none where it has no tokens. */
  private queryInputs(batch: TokenBatch, visualTokens: number): ReturnType<typeof queryArrays> | undefined {
    const { pool, maxQueryTokens, predictor: { vocabSize, maxPositions } } = this.config;
    checkBatch('VLJEPA.predict', batch, vocabSize, maxQueryTokens);
    return batch.tokens === 0 ? undefined : queryArrays(padBatch(batch, Math.min(bucketLength(batch.tokens), maxQueryTokens, maxPositions - visualTokens)), visualTokens, pool);
  }

  /**
   * Cosine of unit rows: a b^T.
   *
   * @param a [A,dim]
   * @param b [B,dim]
   * @returns [A,B]
   */
  similarity(a: Tensor, b: Tensor): Tensor {
    return scope(() => noGrad(() => matmul(a, b, { transposeB: true })));
  }

  /**
   * The prediction, differentiable: visual tokens -> projection, then query tokens, predictor, mean over real positions, head, unit length (spec section 1.3).
   *
   * @param input visual tokens [B,N,Dv], or pixels [B,T,3,S,S], whose encoder records gradients only when it learns
   * @param query ids of one batch; none means no query tokens
   * @returns [B,dim] unit rows
   * @throws ShapeError
   */
  forwardPrediction(input: Tensor, query?: TokenBatch | QueryTensors): Tensor {
    const visual = input.shape.length === 5 ? this.encodePixels(input) : input;
    checkShape('VLJEPA.forwardPrediction', 'visual', visual, [null, null, this.config.vision.hiddenSize], '[batch, tokens, width of the vision encoder]');
    const [rows, tokens] = [visual.shape[0]!, visual.shape[1]!];
    const q = query && ('tokens' in query ? this.uploadQuery({ rows, ...query }, tokens) : query);
    const p = this.params;
    const projected = linear(visual, p.get('visual_projection.weight'), p.get('visual_projection.bias')); // [B,N,D]
    const hasQuery = q !== undefined && q.ids.shape[1]! > 0;
    if (hasQuery) checkShape('VLJEPA.forwardPrediction', 'query', q.ids, [rows, null], 'one row per row of the visual input');
    else if (this.config.pool === 'query') throw new ShapeError('VLJEPA.forwardPrediction: there are no query tokens, expected some (pool is "query"; set default_query or pool "all")');
    const sequence = hasQuery ? concat([projected, this.predictor.embed(q.ids)], 1) : projected; // [B,N+Tq,D]
    const hidden = this.predictor.forward(sequence, { mask: hasQuery ? q.mask : undefined });
    const pooled = meanPool(hidden, hasQuery ? q.poolMask : undefined); // [B,D]
    return l2Normalize(linear(pooled, p.get('predictor_head.weight'), p.get('predictor_head.bias')), { eps: 1e-12 });
  }

  /**
   * The target, differentiable: text encoder, mean over real tokens, Dense layers where they are on, head, unit length (spec section 1.4).
   *
   * @param text ids of one batch
   * @returns [B,dim] unit rows
   * @throws ShapeError
   */
  forwardText(text: TokenBatch | TokenTensors): Tensor {
    const { ids, mask } = 'tokens' in text ? this.uploadText(text) : text;
    if (ids.shape[1] === 0 && ids.shape[0] !== 0) throw new ShapeError('VLJEPA.forwardText: the texts have 0 tokens, expected at least one each');
    const pooled = this.text.pool(this.text.forward(ids, { mask }), mask); // [B,Dt]
    return l2Normalize(linear(pooled, this.params.get('text_head.weight'), this.params.get('text_head.bias')), { eps: 1e-12 });
  }

  private encodePixels(pixels: Tensor): Tensor {
    if (this.vision.params.trainable().length > 0 || pixels.needsGrad) return this.vision.forward(pixels);
    return scope(() => noGrad(() => this.vision.forward(pixels)));
  }

  /**
   * Puts query ids on the GPU, with masks over visual and query positions.
   *
   * @param batch host ids
   * @param visualTokens N
   * @throws ShapeError for an id outside the vocabulary or a row longer than max_query_tokens
   */
  uploadQuery(batch: TokenBatch, visualTokens: number): QueryTensors {
    checkBatch('VLJEPA.uploadQuery', batch, this.config.predictor.vocabSize, this.config.maxQueryTokens);
    return uploadQueryTokens(this.device, batch, visualTokens, this.config.pool);
  }

  /**
   * Puts text ids on the GPU.
   *
   * @param batch host ids
   * @throws ShapeError for an id outside the vocabulary or a row longer than max_text_tokens
   */
  uploadText(batch: TokenBatch): TokenTensors {
    checkBatch('VLJEPA.uploadText', batch, this.config.text.vocabSize, this.config.maxTextTokens);
    return uploadTokens(this.device, batch);
  }

  /**
   * Texts to padded ids.
   *
   * @param texts '' gives a row without tokens
   * @param use which tokenizer and length limit
   * @throws ConfigError without a tokenizer
   */
  tokenize(texts: readonly string[], use: 'text' | 'query'): TokenBatch {
    const tokenizer: TextTokenizer | undefined = use === 'text' ? this.tokenizer : this.queryTokenizer;
    if (!tokenizer) throw new ConfigError(`VLJEPA.tokenize: the ${use} is given as text, expected token ids (the checkpoint has no tokenizer.json)`);
    const maxLength = use === 'text' ? this.config.maxTextTokens : this.config.maxQueryTokens;
    return padIds(texts.map((text) => (text === '' && use === 'query' ? [] : tokenizer.encode(text, { maxLength }))));
  }

  private queryBatch(queries: Queries | undefined, count: number): TokenBatch | undefined {
    if (isTokenBatch(queries)) {
      if (queries.tokens > 0 && rowsOf(queries) !== count) throw new ShapeError(`VLJEPA.predict: the query has ${rowsOf(queries)} rows, expected ${count}, one per picture`);
      return queries;
    }
    const texts = queryTexts(queries, count, this.config.defaultQuery);
    return texts && this.tokenize(texts, 'query');
  }

  /** Runs rows in batches without gradients; one submit per batch. */
  private batched(count: number, { batchSize = 16 }: BatchOptions, run: (start: number, end: number) => Tensor): Tensor {
    if (!Number.isInteger(batchSize) || batchSize < 1) throw new ShapeError(`VLJEPA: batchSize is ${batchSize}, expected an integer of at least 1`);
    return scope(() => noGrad(() => {
      const parts: Tensor[] = [];
      for (let start = 0; start === 0 || start < count; start += batchSize) {
        parts.push(scope(() => run(start, Math.min(count, start + batchSize))));
        this.device.flush();
      }
      return parts.length === 1 ? parts[0]! : concat(parts, 0);
    }));
  }

  /** @returns every tensor by its full name, in the order of the checkpoint. */
  tensors(): Map<string, Tensor> {
    return new Map(this.params.entries());
  }

  /** @returns the tensors that learn, by full name. */
  parameters(): Map<string, Tensor> {
    return new Map(this.params.entries().filter(([, tensor]) => tensor.needsGrad));
  }

  /** Chooses which parts learn; call it before an optimiser is made. @throws ConfigError when a part is to learn that is not f32 */
  setTrainable(train: TrainParts): void {
    checkTrainable(this.params.entries(), train);
    for (const [name, tensor] of this.params.entries()) tensor.needsGrad = train[partOf(name)];
  }

  /**
   * Writes a folder that `fromPretrained` reads: config.json, model.safetensors and the tokenizers. Node only.
   *
   * @param folder made when it is missing
   * @param options.dtype how values are stored, F32 by default
   * @param options.parts each network in a folder of its own (vision, predictor, text) that the official libraries load, with the heads beside them; false by default
   */
  async save(folder: string, { dtype, parts = false }: { dtype?: StoredDtype; parts?: boolean } = {}): Promise<void> {
    if (parts) return (await import('./joint_parts.ts')).writeParts(folder, this.tensors(), this.config, this.tokenizerFiles, dtype);
    const { parts: _layout, ...config } = this.config.json;
    await writeJoint(folder, this.tensors(), { config, ...this.tokenizerFiles }, dtype);
  }

  /** @returns the bytes of model.safetensors, for a download in a page. */
  stateBytes(options: { dtype?: StoredDtype } = {}): Promise<Uint8Array> {
    return jointBytes(this.tensors(), options.dtype);
  }

  /** Releases every tensor of the model, and its plans. */
  dispose(): void {
    this.plans.dispose();
    for (const [, tensor] of this.params.entries()) tensor.dispose();
  }
}

function isRead(config: object): config is VLJEPAConfig {
  return 'json' in config && 'predictorLayers' in config;
}
