// Training of the Y-Decoder (spec 1.9, option 1): cross-entropy of the next token, given the vector of a text or of a prediction; the model itself is frozen.
import { keep } from '../engine/memory.ts';
import { plan } from '../engine/plan.ts';
import type { Plan } from '../engine/plan.ts';
import { Tensor } from '../engine/tensor.ts';
import { backward } from '../kernels/backward.ts';
import { concat } from '../kernels/concat.ts';
import { crossEntropy } from '../kernels/cross_entropy.ts';
import { reshape } from '../kernels/reshape.ts';
import type { TextDecoder } from '../model/text_decoder.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';
import type { WriteOptions } from '../weights/writer.ts';
import { AdamW, decays } from './adamw.ts';
import { WeightAverage } from './average.ts';
import { DecoderBatches, IGNORED } from './decoder_batches.ts';
import type { DecoderBatch, DecoderLesson } from './decoder_batches.ts';
import { checkDecoderRecipe } from './decoder_recipe.ts';
import type { DecoderRecipe } from './decoder_recipe.ts';
import { TrainingError } from './loop.ts';
import { cosine } from './schedule.ts';
import { loadState, saveState } from './state.ts';

/** What one step reports, read back once. */
export interface DecoderStep {
  step: number;
  /** Nats per token. */
  loss: number;
  gradNorm: number;
  lr: number;
  timeMs: number;
}

/** A recorded step for one length of texts. */
interface Recorded {
  readonly vectors: Tensor;
  readonly ids: Tensor;
  readonly targets: Tensor;
  readonly plan: Plan<Tensor>;
}

/**
 * Vectors of texts by the frozen Y-Encoder, computed once.
 * @param model with a tokenizer @param texts [n] @param share of the samples @returns the lesson with vectors [n, dim]
 */
export async function textLesson(model: VLJEPA, texts: readonly string[], share: number): Promise<DecoderLesson> {
  const rows = model.encodeText(texts, { batchSize: 256 });
  try {
    return { share, texts, vectors: await rows.read() };
  } finally {
    rows.dispose();
  }
}

/** The decoder with everything that its training state holds. */
export class DecoderTrainer {
  readonly decoder: TextDecoder;
  readonly recipe: DecoderRecipe;
  readonly optimizer: AdamW;
  readonly average: WeightAverage | undefined;
  private readonly batches: DecoderBatches;
  private readonly rate: (step: number) => number;
  private readonly plans = new Map<number, Recorded>();
  private readonly settings: string;
  private prepared: { step: number; batch: DecoderBatch } | undefined;
  /** Steps done and read back. */
  step = 0;

  /**
   * @param decoder whose parameters learn @param recipe settings @param lessons vectors with texts @param space what tells the model's space from others; a run resumes only in its own
   * @throws RangeError for a broken recipe or lesson, DeviceError when nothing is trainable
   */
  constructor(decoder: TextDecoder, recipe: DecoderRecipe, lessons: readonly DecoderLesson[], space = '') {
    checkDecoderRecipe(recipe);
    this.decoder = decoder;
    this.recipe = recipe;
    this.batches = new DecoderBatches(lessons, decoder.config.embeddingDim, text => decoder.encode(text), recipe);
    this.rate = cosine(recipe);
    this.settings = JSON.stringify({ ...recipe, space, texts: lessons.map(l => [l.share, l.texts.length]) });
    this.optimizer = new AdamW(decoder.parameters(), {
      lr: recipe.lr, betas: recipe.betas, weightDecay: recipe.weightDecay, clipNorm: recipe.clipNorm, group: (name, t) => ({ weightDecay: decays(name, t) ? recipe.weightDecay : 0 }),
    });
    this.average = recipe.average > 0 ? new WeightAverage(this.optimizer, recipe.average) : undefined;
  }

  /** One step, which a plan records. Returns loss and gradient norm in one tensor. */
  private work(vectors: Tensor, ids: Tensor, targets: Tensor): Tensor {
    const logits = this.decoder.forward(vectors, ids); // [B,T+1,V]
    const loss = crossEntropy(reshape(logits, [targets.size, logits.shape[2]!]), targets, { ignoreIndex: IGNORED });
    backward(loss);
    this.optimizer.update();
    this.average?.update(() => this.step);
    return concat([loss, this.optimizer.gradNorm], 0);
  }

  private async recorded(tokens: number): Promise<Recorded> {
    const known = this.plans.get(tokens);
    if (known) return known;
    const { decoder: { device, config }, recipe: { batch } } = this;
    const vectors = keep(Tensor.zeros(device, [batch, config.embeddingDim]));
    const ids = keep(Tensor.zeros(device, [batch, tokens], 'u32'));
    const targets = keep(Tensor.zeros(device, [batch * (tokens + 1)], 'u32'));
    const made = { vectors, ids, targets, plan: await plan(device, () => this.work(vectors, ids, targets)) };
    this.plans.set(tokens, made);
    return made;
  }

  private batchAt(step: number): DecoderBatch {
    const batch = this.prepared?.step === step ? this.prepared.batch : this.batches.at(step);
    this.prepared = undefined;
    return batch;
  }

  /**
   * Runs one step and waits for it; the next batch is prepared while the GPU works.
   * @returns loss and gradient norm @throws TrainingError when the loss is not finite, DeviceError after a loss of the device
   */
  async advance(): Promise<DecoderStep> {
    const began = performance.now();
    const { device } = this.decoder;
    const lr = this.rate(this.step);
    const batch = this.batchAt(this.step);
    const recorded = await this.recorded(batch.tokens);
    this.optimizer.begin(lr);
    device.upload(recorded.vectors, batch.vectors);
    device.upload(recorded.ids, batch.ids);
    device.upload(recorded.targets, batch.targets);
    const reading = recorded.plan.enqueue().read();
    if (this.step + 1 < this.recipe.steps) this.prepared = { step: this.step + 1, batch: this.batches.at(this.step + 1) };
    const [loss, gradNorm] = await reading;
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) throw new TrainingError(`train decoder: the loss of step ${this.step} is ${loss} and the gradient norm ${gradNorm}, expected numbers; the last saved state is unharmed, resume with a lower learning rate`);
    return { step: this.step++, loss: loss!, gradNorm: gradNorm!, lr, timeMs: performance.now() - began };
  }

  /** Saves the state of now. Node only. @param folder of the run @param options file system to write with @returns path of the file @throws WeightError when the disk refuses */
  async save(folder: string, options: WriteOptions = {}): Promise<string> {
    const { m, v, rest } = this.optimizer.moments();
    const tensors = new Map<string, { shape: readonly number[]; data: Float32Array }>();
    for (const [prefix, flats] of [['', undefined], ['m.', m], ['v.', v], ['rest.', rest], ...(this.average ? [['ema.', this.average.flat()] as const] : [])] as const) {
      for (const [name, value] of await this.optimizer.read(flats)) tensors.set(prefix + name, value);
    }
    return saveState(folder, { step: this.step, settings: this.settings, tensors }, options);
  }

  /** Goes on from the newest whole state of a run. Node only. @param folder of the run @param warn gets sentences about damaged files @returns whether there was one @throws StateError for a state of other settings or another model */
  async resume(folder: string, warn: (text: string) => void): Promise<boolean> {
    const state = await loadState(folder, this.settings, warn);
    if (!state) return false;
    const { m, v, rest } = this.optimizer.moments();
    const parts: [readonly Tensor[], string, string][] = [[this.optimizer.flatParameters(), '', 'weights'], [m, 'm.', 'first moment'], [v, 'v.', 'second moment'], [rest, 'rest.', 'rest of rounding']];
    if (this.average) parts.push([this.average.flat(), 'ema.', 'average']);
    for (const [flats, prefix, what] of parts) this.optimizer.write(flats, name => state.tensors.get(prefix + name)?.data, what);
    this.optimizer.stepCount = this.step = state.step;
    return true;
  }

  /** Runs `fn` with the averaged weights in the decoder (the last ones without averaging). @param fn work on the decoder @returns what it returns */
  async withAverage<T>(fn: () => Promise<T>): Promise<T> {
    this.average?.swap();
    try {
      return await fn();
    } finally {
      this.average?.swap();
    }
  }

  /** Gives plans and the optimiser's buffers back; the decoder keeps its weights. @returns nothing */
  dispose(): void {
    for (const { plan: made, vectors, ids, targets } of this.plans.values()) {
      made.dispose();
      for (const t of [vectors, ids, targets]) t.dispose();
    }
    this.plans.clear();
    this.average?.dispose();
    this.optimizer.dispose();
  }
}
