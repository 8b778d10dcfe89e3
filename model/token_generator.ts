/**
 * The other way to answer, for comparison (spec section 1.11): visual tokens -> linear connector -> causal Llama layers with question and answer behind them -> next tokens. Same vision encoder
 * as VL-JEPA, cross-entropy instead of a shared space.
 */
import type { Tokenizer } from '../data/tokenizer.ts';
import { ShapeError, checkShape } from '../engine/check.ts';
import type { Device } from '../engine/device.ts';
import { scope } from '../engine/memory.ts';
import { noGrad } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { concat } from '../kernels/concat.ts';
import { embedding } from '../kernels/embedding.ts';
import { linear } from '../kernels/linear.ts';
import { reshape } from '../kernels/reshape.ts';
import { slice } from '../kernels/slice.ts';
import { decoderConfig } from './config_decoder.ts';
import type { DecoderConfig } from './config_decoder.ts';
import { visionConfig } from './config_networks.ts';
import type { VisionConfig } from './config_networks.ts';
import { decodeSettings } from './decode_options.ts';
import { DecodeSteps } from './decode_steps.ts';
import type { InitTable } from './init.ts';
import { initParams } from './params.ts';
import type { Params } from './params.ts';
import { Predictor, predictorTensors } from './predictor.ts';
import { checkVocabulary } from './token_batch.ts';
import { VisionEncoder, visionTensors } from './vision_encoder.ts';

/** What a generator is made of. */
export interface TokenGeneratorConfig {
  /** Hub config of a V-JEPA 2 encoder. */
  readonly vision: object;
  /** Hub config of the Llama layers, with a tied token table. */
  readonly llama: object;
  /** Tokens of an answer at most, its end token included. */
  readonly maxTokens: number;
}

export interface NewGeneratorOptions {
  readonly device: Device;
  readonly tokenizer: Tokenizer;
  readonly seed?: number;
  readonly init?: Partial<InitTable>;
}

/** A row of tokens: the question's, then the answer's. */
export interface TokenRow {
  readonly question: readonly number[];
  /** With the end token. */
  readonly answer: readonly number[];
}

/** Sequences of one length on the host, and where each answer's tokens are foretold. */
export interface TokenRows {
  /** [B*T] question and answer without its end token, then padding, which nothing before it sees. */
  readonly ids: Uint32Array;
  /** T */
  readonly tokens: number;
  /** [M] row of the hidden states, [B*(N+T)], that foretells each token of the answers. */
  readonly places: Uint32Array;
  /** [M] */
  readonly targets: Uint32Array;
}

/**
 * Lays rows out for one pass.
 *
 * @param rows questions with answers
 * @param visualTokens N, positions before the question
 * @param tokens T, at least the longest row; the longest by default
 * @throws ShapeError when a row is longer
 */
export function layTokenRows(rows: readonly TokenRow[], visualTokens: number, tokens = rows.reduce((most, r) => Math.max(most, r.question.length + r.answer.length - 1), 0)): TokenRows {
  const ids = new Uint32Array(rows.length * tokens);
  const places: number[] = [], targets: number[] = [];
  rows.forEach(({ question, answer }, row) => {
    const seen = [...question, ...answer.slice(0, -1)];
    if (seen.length > tokens) throw new ShapeError(`layTokenRows: row ${row} has ${seen.length} tokens, expected at most ${tokens}`);
    ids.set(seen, row * tokens);
    answer.forEach((token, i) => {
      places.push(row * (visualTokens + tokens) + visualTokens - 1 + question.length + i);
      targets.push(token);
    });
  });
  return { ids, tokens, places: Uint32Array.from(places), targets: Uint32Array.from(targets) };
}

/** Pictures or clips with a question -> the answer, token by token. */
export class TokenGenerator {
  readonly device: Device;
  readonly vision: VisionEncoder;
  readonly layers: Predictor;
  readonly tokenizer: Tokenizer;
  private readonly decoding: DecoderConfig;
  private readonly params: Params;

  private constructor(device: Device, vision: VisionConfig, decoding: DecoderConfig, params: Params, tokenizer: Tokenizer) {
    this.device = device;
    this.decoding = decoding;
    this.params = params;
    this.tokenizer = tokenizer;
    this.vision = new VisionEncoder(vision, params.at('vision.'));
    this.layers = new Predictor(decoding.llama, params.at('generator.'));
  }

  /**
   * An untrained generator whose parts all learn.
   *
   * @param config of the parts
   * @param options device, tokenizer, seed and initial values
   * @throws ConfigError for a config or a tokenizer that does not fit
   */
  static create({ vision, llama, maxTokens }: TokenGeneratorConfig, { device, tokenizer, seed = 0, init }: NewGeneratorOptions): TokenGenerator {
    const seen = visionConfig(vision, 'vision config');
    const { eos = 1 } = tokenizer;
    const decoding = decoderConfig({ model_type: 'vl_jepa_decoder', embedding_dim: 1, prefix_tokens: 1, max_tokens: maxTokens, eos_token_id: eos, pad_token_id: 0, decoder_config: llama }, 'generator config');
    checkVocabulary('generator', tokenizer, decoding.llama.vocabSize);
    const under = (prefix: string, specs: ReturnType<typeof visionTensors>) => specs.map((spec) => ({ ...spec, name: prefix + spec.name }));
    const specs = [
      ...under('vision.', visionTensors(seen)), ...under('generator.', predictorTensors(decoding.llama)),
      { name: 'connector.weight', shape: [decoding.llama.hiddenSize, seen.hiddenSize], kind: 'linear' as const }, { name: 'connector.bias', shape: [decoding.llama.hiddenSize], kind: 'bias' as const },
    ];
    const generator = new TokenGenerator(device, seen, decoding, initParams(device, specs, seed, init), tokenizer);
    for (const tensor of generator.parameters().values()) tensor.needsGrad = true;
    return generator;
  }

  /** @param text any @returns its tokens without start and end */
  encode(text: string): number[] {
    const { bos, eos } = this.tokenizer;
    return this.tokenizer.encode(text).filter((id) => id !== bos && id !== eos);
  }

  /** @param question '' for none @param answer any @returns both as tokens, the answer cut to fit and with its end token */
  row(question: string, answer: string): TokenRow {
    return { question: question === '' ? [] : this.encode(question), answer: [...this.encode(answer).slice(0, this.decoding.maxTokens - 1), this.decoding.eos] };
  }

  private connect(visual: Tensor): Tensor {
    return linear(visual, this.params.get('connector.weight'), this.params.get('connector.bias'));
  }

  /**
   * Logits of the answers' tokens, causal and differentiable.
   *
   * @param visual [B,N,Dv] visual tokens
   * @param ids u32 [B,T] see {@link layTokenRows}
   * @param places u32 [M]
   * @returns [M,V]
   * @throws ShapeError
   */
  forward(visual: Tensor, ids: Tensor, places: Tensor): Tensor {
    checkShape('TokenGenerator.forward', 'visual', visual, [null, null, this.vision.config.hiddenSize], '[batch, tokens, width of the vision encoder]');
    checkShape('TokenGenerator.forward', 'ids', ids, [visual.shape[0]!, null], 'a row per row of the visual input');
    const { hiddenSize, vocabSize } = this.decoding.llama;
    const hidden = this.layers.forward(concat([this.connect(visual), this.layers.embed(ids)], 1), { causal: true }); // [B,N+T,D]
    const asked = embedding(reshape(hidden, [hidden.size / hiddenSize, hiddenSize]), places); // [M,D]
    return reshape(this.layers.logits(reshape(asked, [1, ...asked.shape])), [places.size, vocabSize]);
  }

  /**
   * The answer that greedy decoding gives, no gradients.
   *
   * @param visual [B,N,Dv]
   * @param question one for all
   * @param batchSize rows at a time
   * @returns [B] texts
   */
  async answer(visual: Tensor, question: string, batchSize = 64): Promise<string[]> {
    const { device, decoding, layers } = this;
    const { llama: { hiddenSize }, maxTokens } = decoding;
    const ids = this.encode(question);
    const [count, prefixTokens] = [visual.shape[0]!, visual.shape[1]! + ids.length];
    const config = { ...decoding, prefixTokens, embeddingDim: prefixTokens * hiddenSize };
    if (prefixTokens + maxTokens > this.decoding.llama.maxPositions) throw new ShapeError(`TokenGenerator.answer: question and visual tokens are ${prefixTokens} positions, expected at most ${this.decoding.llama.maxPositions - maxTokens} (the answer takes up to ${maxTokens})`);
    const rows = Math.min(batchSize, count);
    const steps = new DecodeSteps({ device, config, layers, prefix: (flat) => reshape(flat, [flat.shape[0]!, prefixTokens, hiddenSize]) }, rows, 1, false);
    const settings = decodeSettings({ method: 'greedy', batchSize: rows }, maxTokens);
    const texts: string[] = [];
    try {
      for (let start = 0; start < count; start += rows) {
        const end = Math.min(count, start + rows);
        const prefix = scope(() => noGrad(() => {
          const asked = this.layers.embed(Tensor.from(device, Uint32Array.from({ length: (end - start) * ids.length }, (_, i) => ids[i % ids.length]!), [end - start, ids.length]));
          return reshape(concat([this.connect(slice(visual, 0, start, end)), asked], 1), [end - start, config.embeddingDim]);
        }));
        try {
          const { tokens } = await steps.run(prefix, settings, start);
          texts.push(...tokens.map((t) => this.tokenizer.decode(t)));
        } finally {
          prefix.dispose();
        }
      }
    } finally {
      steps.dispose();
    }
    return texts;
  }

  /**
   * How likely each candidate is as an answer, no gradients: the mean log-probability of its tokens, minus the log of its perplexity (spec section 1.11 ranks labels by it).
   *
   * @param visual [B,N,Dv]
   * @param question one for all
   * @param candidates [B][C] texts; every row has its own
   * @returns [B][C]
   */
  async scores(visual: Tensor, question: string, candidates: readonly (readonly string[])[]): Promise<number[][]> {
    const { device, decoding: { llama: { vocabSize } } } = this;
    const [count, visualTokens] = [visual.shape[0]!, visual.shape[1]!];
    const out: number[][] = [];
    for (let start = 0; start < count; start += 4) {
      const some = candidates.slice(start, Math.min(count, start + 4));
      const rows = some.flatMap((texts) => texts.map((text) => this.row(question, text)));
      const laid = layTokenRows(rows, visualTokens);
      const owner = Uint32Array.from(some.flatMap((texts, i) => texts.map(() => start + i)));
      const logits = scope(() => noGrad(() => {
        const each = visual.size / count;
        const seen = reshape(embedding(reshape(visual, [count, each]), Tensor.from(device, owner)), [rows.length, visualTokens, each / visualTokens]);
        return this.forward(seen, Tensor.from(device, laid.ids, [rows.length, laid.tokens]), Tensor.from(device, laid.places));
      }));
      const values = await logits.read();
      logits.dispose();
      let at = 0;
      const likely = rows.map(({ answer }) => {
        let sum = 0;
        for (const token of answer) sum += logProbability(values.subarray(at * vocabSize, ++at * vocabSize), token);
        return sum / answer.length;
      });
      let from = 0;
      for (const texts of some) out.push(likely.slice(from, (from += texts.length)));
    }
    return out;
  }

  /** @returns the tensors that an optimiser trains, by name. */
  parameters(): Map<string, Tensor> {
    return new Map(this.params.entries());
  }

  /** Releases the weights. @returns nothing */
  dispose(): void {
    for (const [, tensor] of this.params.entries()) tensor.dispose();
  }
}

/** log softmax of one row at one token. */
function logProbability(logits: Float32Array, token: number): number {
  let top = -Infinity;
  for (const v of logits) top = Math.max(top, v);
  let sum = 0;
  for (const v of logits) sum += Math.exp(v - top);
  return logits[token]! - top - Math.log(sum);
}
