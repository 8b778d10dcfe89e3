/**
 * Incremental decoding on the GPU: keys and values of all positions stay in caches, one step is one replay of a recorded plan, and one tensor is read per step, which
 * tells when all texts have ended. The first plan takes the vectors in, the second one token after the other; position, settings and seed are asked anew at every replay.
 */
import type { Device } from '../engine/device.ts';
import { keep } from '../engine/memory.ts';
import { plan } from '../engine/plan.ts';
import type { Plan } from '../engine/plan.ts';
import { noGrad } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { attention } from '../kernels/attention.ts';
import { NO_BEAM, beamStep } from '../kernels/beam_step.ts';
import { readRows, writeRows } from '../kernels/cache_rows.ts';
import { concat } from '../kernels/concat.ts';
import { embedding } from '../kernels/embedding.ts';
import { reshape } from '../kernels/reshape.ts';
import type { RopeTable } from '../kernels/rope.ts';
import { sampleToken } from '../kernels/sample_token.ts';
import { slice } from '../kernels/slice.ts';
import type { DecoderConfig } from './config_decoder.ts';
import type { DecodeSettings } from './decode_options.ts';
import type { AttentionMemory, Predictor } from './predictor.ts';
import { sequenceRope } from './rope_tables.ts';

/** What the steps need of a decoder. */
export interface DecodingParts {
  readonly device: Device;
  readonly config: DecoderConfig;
  readonly layers: Predictor;
  /** [N,dim] -> [N,K,D]. */
  prefix(vectors: Tensor): Tensor;
}

/** What the texts of one batch came to. */
export interface DecodedRows {
  /** Tokens of each row, end token included where there is one; the rows of a vector lie together, best first for beams. */
  readonly tokens: readonly (readonly number[])[];
  /** [rows, 3] log-probability, length (0: cut off at the limit), key. */
  readonly state: Float32Array;
  /** How often a plan was replayed. */
  readonly steps: number;
}

/** Where each row of beams starts: the first of a group is alive, the others do not exist yet; draws all start alike. Groups that stand for no vector have ended. */
function startState(rows: number, width: number, used: number, method: DecodeSettings['method']): Float32Array {
  const state = new Float32Array(rows * 3);
  for (let row = 0; row < rows; row++) {
    if (row >= used) state.set([0, 1, 0], row * 3);
    else if (method !== 'sample' && row % width !== 0) state.set([NO_BEAM, 0, NO_BEAM], row * 3);
  }
  return state;
}

/** Caches and plans for one number of vectors and rows per vector. */
export class DecodeSteps {
  private readonly parts: DecodingParts;
  private readonly groups: number;
  private readonly width: number;
  private readonly rows: number;
  /** K + T. */
  private readonly length: number;
  private readonly sampled: boolean;
  private readonly table: RopeTable;
  private readonly vectors: Tensor;
  private readonly caches: readonly { readonly k: Tensor; readonly v: Tensor }[];
  /** u32 [rows, length, 1]: 1 where a position has been written. */
  private readonly seen: Tensor;
  private readonly tokens: Tensor;
  private readonly state: Tensor;
  /** u32 [1, T, 2 rows]: tokens and parents of every step. */
  private readonly history: Tensor;
  private plans: { readonly first: Plan<Tensor>; readonly next: Plan<Tensor> } | undefined;
  private settings: DecodeSettings | undefined;
  private firstRow = 0;
  /** Tokens that the rows have with the step that runs. */
  private step = 1;

  /** @param parts of the decoder @param groups vectors @param width rows per vector @param sampled whether tokens are drawn; otherwise rows are beams */
  constructor(parts: DecodingParts, groups: number, width: number, sampled: boolean) {
    const { device, config: { llama: { kvHeads, headDim, rope }, embeddingDim, prefixTokens, maxTokens }, layers: { layers: [first, end] } } = parts;
    this.parts = parts;
    this.groups = groups;
    this.width = width;
    this.sampled = sampled;
    this.rows = groups * width;
    this.length = prefixTokens + maxTokens;
    this.table = sequenceRope(device, this.length, headDim, rope);
    const own = (shape: readonly number[], dtype: 'f32' | 'u32' = 'f32'): Tensor => keep(Tensor.zeros(device, shape, dtype));
    this.vectors = own([groups, embeddingDim]);
    this.caches = Array.from({ length: end - first }, () => ({ k: own([this.rows, this.length, kvHeads * headDim]), v: own([this.rows, this.length, kvHeads * headDim]) }));
    this.seen = own([this.rows, this.length, 1], 'u32');
    this.tokens = own([this.rows], 'u32');
    this.state = own([this.rows, 3]);
    this.history = own([1, maxTokens, 2 * this.rows], 'u32');
  }

  /** Keys and values of the newest positions go into the caches; then attention over all that have been written. */
  private memory(tokens: number, position: () => number): AttentionMemory {
    const { device, config: { llama: { headDim, kvHeads } } } = this.parts;
    const { rows, length } = this;
    const at = (table: Tensor): Tensor => reshape(readRows(table.view([1, ...table.shape]), position, tokens), [tokens, headDim]);
    writeRows(this.seen, Tensor.from(device, new Uint32Array(rows * tokens).fill(1), [rows, tokens, 1]), position);
    return {
      table: { cos: at(this.table.cos), sin: at(this.table.sin) },
      attend: (layer, q, k, v) => {
        const cache = this.caches[layer]!;
        for (const [into, from] of [[cache.k, k], [cache.v, v]] as const) writeRows(into, reshape(from, [rows, tokens, kvHeads * headDim]), position);
        if (tokens > 1) return attention(q, k, v, { causal: true }); // the prefix: nothing lies before it
        const seen = (t: Tensor): Tensor => reshape(t, [rows, length, kvHeads, headDim]);
        return attention(q, seen(cache.k), seen(cache.v), { mask: reshape(this.seen, [rows, length]) });
      },
    };
  }

  /** Chooses the next tokens and puts rows in the order of the beams. */
  private choose(logits: Tensor, first: boolean): void {
    const { device, config: { eos, pad } } = this.parts;
    const { rows, width } = this;
    const step = (): number => this.step;
    const said = (): DecodeSettings => this.settings!;
    const own = Uint32Array.from({ length: rows }, (_, i) => i);
    const { tokens, state, parents } = this.sampled
      ? { ...sampleToken(logits, this.state, { eos, pad, step, seed: () => said().seed, temperature: () => said().temperature, topK: () => said().topK, topP: () => said().topP, firstRow: () => this.firstRow }), parents: Tensor.from(device, own) }
      : beamStep(logits, this.state, { width, eos, pad, step, lengthPenalty: () => said().lengthPenalty });
    device.copy(tokens, this.tokens);
    device.copy(state, this.state);
    writeRows(this.history, reshape(concat([tokens, parents], 0), [1, 1, 2 * rows]), () => this.step - 1);
    if (this.sampled || width === 1 || first) return; // after the prefix all rows of a vector are alike
    for (const cache of this.caches.flatMap(({ k, v }) => [k, v])) {
      const moved = embedding(reshape(cache, [rows, cache.size / rows]), parents);
      device.copy(reshape(moved, cache.shape), cache);
    }
  }

  /** The prefix of every row, and the first tokens. Returns the logits [rows,V]. */
  private begin(): Tensor {
    const { device, layers, config: { prefixTokens, llama: { hiddenSize, vocabSize } } } = this.parts;
    for (const { k, v } of this.caches) for (const t of [k, v]) device.clear(t); // what an earlier text left behind could be NaN, which a mask does not hide
    device.clear(this.seen);
    const prefix = this.parts.prefix(this.vectors); // [N,K,D]
    const rowOf = Uint32Array.from({ length: this.rows }, (_, row) => Math.floor(row / this.width));
    const x = this.width === 1 ? prefix : reshape(embedding(reshape(prefix, [this.groups, prefixTokens * hiddenSize]), Tensor.from(device, rowOf)), [this.rows, prefixTokens, hiddenSize]);
    const hidden = layers.forward(x, { memory: this.memory(prefixTokens, () => 0) });
    const logits = reshape(layers.logits(slice(hidden, 1, prefixTokens - 1)), [this.rows, vocabSize]);
    this.choose(logits, true);
    return logits;
  }

  /** One token more. Returns the logits [rows,V]. */
  private go(): Tensor {
    const { layers, config: { prefixTokens, llama: { vocabSize } } } = this.parts;
    const x = layers.embed(reshape(this.tokens, [this.rows, 1])); // [rows,1,D]
    const hidden = layers.forward(x, { memory: this.memory(1, () => prefixTokens + this.step - 2) });
    const logits = reshape(layers.logits(hidden), [this.rows, vocabSize]);
    this.choose(logits, false);
    return logits;
  }

  private async recorded(): Promise<{ readonly first: Plan<Tensor>; readonly next: Plan<Tensor> }> {
    if (this.plans && (this.plans.first.stale || this.plans.next.stale)) this.release();
    if (this.plans) return this.plans;
    const { device } = this.parts;
    this.step = 1;
    const first = await plan(device, () => noGrad(() => this.begin()));
    this.step = Math.min(2, this.parts.config.maxTokens);
    const next = await plan(device, () => noGrad(() => this.go())).catch((error: unknown) => {
      first.dispose();
      throw error;
    });
    for (const { outputs } of [first, next]) keep(outputs);
    return (this.plans = { first, next });
  }

  /** Whether no text can change any more: all have ended, or the best beams have and no other can pass them. */
  private done(state: Float32Array, { nBest, lengthPenalty, maxTokens }: DecodeSettings): boolean {
    const { width } = this;
    for (let group = 0; group < this.groups; group++) {
      const at = (b: number, field: number): number => state[(group * width + b) * 3 + field]!;
      const alive = Array.from({ length: width }, (_, b) => b).filter((b) => at(b, 1) === 0);
      if (alive.length === 0) continue;
      if (this.sampled || alive.some((b) => b < nBest)) return false;
      if (Math.max(...alive.map((b) => at(b, 0) * maxTokens ** -lengthPenalty)) > at(nBest - 1, 2)) return false;
    }
    return true;
  }

  /**
   * Decodes one batch.
   *
   * @param vectors [n,dim], n at most the number of vectors that this was made for
   * @param settings of the method that this was made for
   * @param firstRow number of the first row among all that are decoded
   * @param watch sees the logits [rows,V] of every step, before the next one overwrites them
   * @returns texts as tokens; rows of the missing vectors are left out
   */
  async run(vectors: Tensor, settings: DecodeSettings, firstRow: number, watch?: (logits: Tensor, step: number) => Promise<void>): Promise<DecodedRows> {
    const { device } = this.parts;
    const used = vectors.shape[0]! * this.width;
    this.settings = settings;
    this.firstRow = firstRow;
    const { first, next } = await this.recorded();
    const place = this.vectors.view(vectors.shape);
    device.copy(vectors, place);
    place.dispose();
    device.upload(this.state, startState(this.rows, this.width, used, settings.method));
    let state: Float32Array = new Float32Array(0);
    for (this.step = 1; ; this.step++) {
      const logits = (this.step === 1 ? first : next).enqueue();
      await watch?.(logits, this.step);
      state = await this.state.read(); // the one readback of a step
      if (this.step === settings.maxTokens || this.done(state, settings)) break;
    }
    const steps = this.step;
    return { tokens: this.trace(await this.history.readU32(), state, used, steps), state: state.subarray(0, used * 3), steps };
  }

  /** Follows every row back through its parents. */
  private trace(history: Uint32Array, state: Float32Array, used: number, steps: number): number[][] {
    const line = 2 * this.rows;
    return Array.from({ length: used }, (_, row) => {
      const tokens: number[] = [];
      for (let s = steps - 1, at = row; s >= 0; s--) {
        tokens.push(history[s * line + at]!);
        at = history[s * line + this.rows + at]!;
      }
      return tokens.reverse().slice(0, state[row * 3 + 1]! || steps);
    });
  }

  private release(): void {
    this.plans?.first.dispose();
    this.plans?.next.dispose();
    this.plans = undefined;
  }

  /** Gives caches and plans back. @returns nothing */
  dispose(): void {
    this.release();
    for (const t of [this.vectors, this.seen, this.tokens, this.state, this.history, ...this.caches.flatMap(({ k, v }) => [k, v])]) t.dispose();
  }
}
