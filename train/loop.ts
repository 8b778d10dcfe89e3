// The training loop: query-free caption pretraining with InfoNCE (VL-JEPA stage 1). One step is six visible lines.
import { DeviceError } from '../engine/check.ts';
import { scope } from '../engine/memory.ts';
import { Tensor } from '../engine/tensor.ts';
import { backward } from '../kernels/backward.ts';
import { concat } from '../kernels/concat.ts';
import { infoNCE } from '../kernels/info_nce.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';
import { AdamW, decays } from './adamw.ts';
import { WeightAverage } from './average.ts';
import type { PictureBatch, PictureBatches } from './pictures.ts';
import { checkRecipe, fingerprint } from './recipe.ts';
import type { Recipe } from './recipe.ts';
import { cosine } from './schedule.ts';
import type { WriteOptions } from '../weights/writer.ts';
import { loadState, saveState } from './state.ts';

/** Training cannot go on; the message says at which step and what was saved. */
export class TrainingError extends Error {
  override readonly name = 'TrainingError';
}

/** What one step reports, read back once: the step counts only now. */
export interface StepReport {
  step: number;
  loss: number;
  /** Global gradient norm before clipping. */
  gradNorm: number;
  temperature: number;
  lr: number;
  /** Wall time of this step. */
  timeMs: number;
}

/** The trained model with everything that its training state holds. */
export class Trainer {
  readonly model: VLJEPA;
  readonly recipe: Recipe;
  readonly optimizer: AdamW;
  readonly average: WeightAverage | undefined;
  private readonly batches: PictureBatches;
  private readonly rate: (step: number) => number;
  private prepared: { step: number; batch: PictureBatch } | undefined;
  /** Steps done and read back. */
  step = 0;

  /** @param model with trainable parameters and a tokenizer @param recipe settings @param batches of the recipe @throws RangeError for a broken recipe, DeviceError when nothing is trainable */
  constructor(model: VLJEPA, recipe: Recipe, batches: PictureBatches) {
    checkRecipe(recipe);
    if (!model.tokenizer) throw new DeviceError('train: the model has no tokenizer, expected one (captions are text)', 'validation');
    this.model = model;
    this.recipe = recipe;
    this.batches = batches;
    this.rate = cosine({ lr: recipe.lr, warmup: recipe.warmup, steps: recipe.steps, floor: recipe.floor });
    this.optimizer = new AdamW(model.parameters(), {
      lr: recipe.lr, betas: recipe.betas, weightDecay: recipe.weightDecay, clipNorm: recipe.clipNorm,
      group: (name, t) => ({ lr: name.startsWith('text.') ? recipe.textLr : 1, weightDecay: decays(name, t) ? recipe.weightDecay : 0 }),
    });
    this.average = recipe.average > 0 ? new WeightAverage(this.optimizer, recipe.average) : undefined;
  }

  /** Enqueues one step. Returns [loss, gradient norm, log scale] as one tensor. */
  private enqueue(batch: PictureBatch, lr: number): Tensor {
    const { model, optimizer } = this;
    const { cropSize } = model.config.vision;
    return scope(() => {
      const pixels = Tensor.from(model.device, batch.pixels, [batch.captions.length, 1, 3, cropSize, cropSize]);
      const predictions = model.forwardPrediction(pixels);                                        // [B, dim]
      const targets = model.forwardText(model.tokenizer!.encodeBatch(batch.captions));            // [B, dim]
      const { loss } = infoNCE(predictions, targets, model.logScale, { maxLogScale: model.config.logitScaleMax });
      backward(loss);
      optimizer.step(lr);
      this.average?.update(this.step);
      return concat([loss, optimizer.gradNorm, model.logScale], 0);                               // [3]
    });
  }

  private batchAt(step: number): PictureBatch {
    const batch = this.prepared?.step === step ? this.prepared.batch : this.batches.at(step);
    this.prepared = undefined;
    return batch;
  }

  /**
   * Runs one step and waits for it; the next batch is prepared while the GPU works.
   * @returns loss, gradient norm, temperature @throws TrainingError when the loss is not finite, DeviceError after a loss of the device
   */
  async advance(): Promise<StepReport> {
    const began = performance.now();
    const lr = this.rate(this.step);
    const result = this.enqueue(this.batchAt(this.step), lr);
    const reading = result.read();
    if (this.step + 1 < this.recipe.steps) this.prepared = { step: this.step + 1, batch: this.batches.at(this.step + 1) };
    const [loss, gradNorm, logScale] = await reading;
    result.dispose();
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) {
      throw new TrainingError(`train: the loss of step ${this.step} is ${loss} and the gradient norm ${gradNorm}, expected numbers; the last saved state is unharmed, resume with a lower learning rate`);
    }
    const report = { step: this.step, loss: loss!, gradNorm: gradNorm!, temperature: Math.exp(-Math.min(logScale!, this.model.config.logitScaleMax)), lr, timeMs: performance.now() - began };
    this.step++;
    return report;
  }

  /** Everything that decides the rest of the run. @returns tensors by name: weights, `m.`, `v.`, `rest.` and `ema.` */
  async snapshot(): Promise<Map<string, { shape: readonly number[]; data: Float32Array }>> {
    const { m, v, rest } = this.optimizer.moments();
    const parts = { '': undefined, 'm.': m, 'v.': v, 'rest.': rest, ...(this.average ? { 'ema.': this.average.flat() } : {}) };
    const out = new Map<string, { shape: readonly number[]; data: Float32Array }>();
    for (const [prefix, flats] of Object.entries(parts)) for (const [name, value] of await this.optimizer.read(flats)) out.set(prefix + name, value);
    return out;
  }

  /** Saves the state of now. Node only. @param folder of the run @param options file system to write with @returns path of the file @throws WeightError when the disk refuses */
  async save(folder: string, options: WriteOptions = {}): Promise<string> {
    return saveState(folder, { step: this.step, settings: fingerprint(this.recipe), tensors: await this.snapshot() }, options);
  }

  /** Goes on from the newest whole state of a run. Node only. @param folder of the run @param warn gets sentences about damaged files @returns whether there was one */
  async resume(folder: string, warn: (text: string) => void): Promise<boolean> {
    const state = await loadState(folder, fingerprint(this.recipe), warn);
    if (!state) return false;
    const from = (prefix: string) => (name: string): Float32Array | undefined => state.tensors.get(prefix + name)?.data;
    const { m, v, rest } = this.optimizer.moments();
    this.optimizer.write(this.optimizer.flatParameters(), from(''), 'weights');
    this.optimizer.write(m, from('m.'), 'first moment');
    this.optimizer.write(v, from('v.'), 'second moment');
    this.optimizer.write(rest, from('rest.'), 'rest of rounding');
    if (this.average) this.optimizer.write(this.average.flat(), from('ema.'), 'average');
    this.optimizer.stepCount = this.step = state.step;
    return true;
  }

  /** Runs `fn` with the averaged weights in the model (the last ones without averaging). @param fn work on the model @returns what it returns */
  async withAverage<T>(fn: () => Promise<T>): Promise<T> {
    this.average?.swap();
    try {
      return await fn();
    } finally {
      this.average?.swap();
    }
  }

  /** Gives the optimiser's buffers back; the model keeps its weights. @returns nothing */
  dispose(): void {
    this.average?.dispose();
    this.optimizer.dispose();
  }
}

