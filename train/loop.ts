// The training loop of every stage: what a step teaches is a lesson (lesson.ts, clip_lesson.ts), the rest is the same.
import { DeviceError } from '../engine/check.ts';
import { keep, scope } from '../engine/memory.ts';
import { debugLevel } from '../engine/profile.ts';
import { Tensor } from '../engine/tensor.ts';
import { backward } from '../kernels/backward.ts';
import { concat } from '../kernels/concat.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';
import { AdamW, decays } from './adamw.ts';
import { WeightAverage } from './average.ts';
import { cachedGradient } from './cached_gradient.ts';
import { CollapseAlarm, meterSums, metersOf } from './collapse.ts';
import type { CollapseOptions, CollapseWarning, Meters } from './collapse.ts';
import { PictureLesson } from './lesson.ts';
import type { Lesson } from './lesson.ts';
import { SIGLIP_START } from './losses.ts';
import { PictureBatches } from './pictures.ts';
import { checkRecipe, fingerprint, rateOf } from './recipe.ts';
import type { Recipe } from './recipe.ts';
import { cosine } from './schedule.ts';
import type { WriteOptions } from '../weights/writer.ts';
import { loadState, saveState } from './state.ts';
import { StepPlans, uploadPieces } from './step_plans.ts';
import type { HostPiece, Piece } from './step_plans.ts';

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
  /** Of the embeddings, at the steps that the alarm measures. */
  meters?: Meters;
  /** What is to be said aloud about this step. */
  warnings?: readonly CollapseWarning[];
}

/** Settings that decide no weight. */
export interface TrainerOptions {
  /** Whether steps are recorded and replayed (default), or enqueued op by op: the bits are the same. */
  plans?: boolean;
  /** When embeddings count as collapsed. Default: after the warm-up, see `CollapseOptions`. */
  collapse?: CollapseOptions;
}

/** The trained model with everything that its training state holds. */
export class Trainer {
  readonly model: VLJEPA;
  readonly recipe: Recipe;
  readonly optimizer: AdamW;
  readonly average: WeightAverage | undefined;
  private readonly lesson: Lesson;
  private readonly rate: (step: number) => number;
  private readonly alarm: CollapseAlarm;
  /** Offset of SigLIP's logits. */
  private readonly bias: Tensor;
  /** The recorded steps; undefined when every step is enqueued op by op. */
  readonly plans: StepPlans | undefined;
  private prepared: { step: number; pieces: readonly HostPiece[] } | undefined;
  /** Steps done and read back. */
  step = 0;

  /** @param model with trainable parameters and a tokenizer @param recipe settings @param source pictures of stage 1, or the lesson of another stage @param options the alarm's thresholds @throws RangeError for a broken recipe, DeviceError when nothing is trainable */
  constructor(model: VLJEPA, recipe: Recipe, source: PictureBatches | Lesson, { collapse, plans = true }: TrainerOptions = {}) {
    checkRecipe(recipe);
    if (!model.tokenizer) throw new DeviceError('train: the model has no tokenizer, expected one (captions are text)', 'validation');
    this.model = model;
    this.recipe = recipe;
    this.lesson = source instanceof PictureBatches ? new PictureLesson(model, recipe, source) : source;
    this.rate = cosine({ lr: recipe.lr, warmup: recipe.warmup, steps: recipe.steps, floor: recipe.floor });
    this.alarm = new CollapseAlarm({ from: recipe.warmup, ...collapse });
    this.bias = keep(Tensor.from(model.device, [recipe.loss === 'siglip' ? SIGLIP_START.bias : 0]));
    if (recipe.loss === 'siglip') model.device.upload(model.logScale, Float32Array.of(SIGLIP_START.logScale));
    if (recipe.clips) model.setTrainable(recipe.clips.train);
    if (recipe.freezeText) for (const [name, t] of model.tensors()) if (name.startsWith('text.') || name.startsWith('text_head.')) t.needsGrad = false;
    this.optimizer = new AdamW(this.parameters(), {
      lr: recipe.lr, betas: recipe.betas, weightDecay: recipe.weightDecay, clipNorm: recipe.clipNorm,
      group: (name, t) => ({ lr: rateOf(recipe, name), weightDecay: decays(name, t) ? recipe.weightDecay : 0 }),
    });
    this.average = recipe.average > 0 ? new WeightAverage(this.optimizer, recipe.average) : undefined;
    this.plans = plans ? new StepPlans(model.device, (pieces, measured) => this.work(pieces, measured)) : undefined;
  }

  /** What learns: the model's parameters, and the bias of a loss that has one. */
  private parameters(): Map<string, Tensor> {
    this.bias.needsGrad = this.recipe.loss === 'siglip';
    return this.bias.needsGrad ? new Map([...this.model.parameters(), ['loss.bias', this.bias]]) : this.model.parameters();
  }

  /** Gradients of the whole batch into the parameters, with the activations of all samples or of one piece at a time. */
  private differentiate(pieces: readonly Piece[]): { loss: Tensor; embeddings: readonly Tensor[] } {
    const { model, lesson, bias } = this;
    const embed = (part: number): [Tensor, Tensor] => lesson.embed(pieces[part]!); // [b, dim] each
    const lossOf = ([p, y]: readonly Tensor[]): Tensor => lesson.loss(p!, y!, pieces, { logScale: model.logScale, bias, maxLogScale: model.config.logitScaleMax });
    if (pieces.length > 1) return cachedGradient({ parts: pieces.length, embed, loss: lossOf, parameters: [...this.parameters().values()] });
    const embeddings = embed(0);
    const loss = lossOf(embeddings);
    backward(loss);
    return { loss, embeddings };
  }

  /** One step, which a plan may record. Returns loss, gradient norm and log scale in one tensor, and behind them what the alarm wants to know. */
  private work(pieces: readonly Piece[], measured: boolean): Tensor {
    const { model, optimizer } = this;
    const { loss, embeddings: [p, y] } = this.differentiate(pieces);
    const meters = measured ? [meterSums(p!, y!)] : [];
    optimizer.update();
    this.average?.update(() => this.step);
    return concat([loss, optimizer.gradNorm, model.logScale, ...meters], 0);                      // [3] or [3 + 4 dim + 5]
  }

  /** Enqueues one step and starts reading what it returns: one submit when it is replayed. */
  private async enqueue(host: readonly HostPiece[], lr: number): Promise<{ reading: Promise<Float32Array> }> {
    const measured = this.alarm.wants(this.step);
    this.optimizer.begin(lr);
    if (this.plans && debugLevel() < 4) return { reading: (await this.plans.enqueue(host, measured)).read() }; // level 4 looks at every kernel's output
    const result = scope(() => this.work(uploadPieces(this.model.device, host), measured));
    return { reading: result.read().finally(() => result.dispose()) };
  }

  /** Meters and warnings of a step out of what it read back. */
  private judge(sums: Float32Array): Pick<StepReport, 'meters' | 'warnings'> {
    if (sums.length === 0) return {};
    const { rows } = this.lesson;
    const meters = metersOf(sums, rows);
    const most = Math.min(rows - 1, this.model.config.embeddingDim);
    const warnings = (['predictions', 'texts'] as const).flatMap(side => this.alarm.observe(this.step, side, meters[side], most) ?? []);
    return { meters, ...(warnings.length ? { warnings } : {}) };
  }

  private inputsAt(step: number): readonly HostPiece[] {
    const pieces = this.prepared?.step === step ? this.prepared.pieces : this.lesson.at(step);
    this.prepared = undefined;
    return pieces;
  }

  /**
   * Runs one step and waits for it; the next batch is prepared while the GPU works.
   * @returns loss, gradient norm, temperature @throws TrainingError when the loss is not finite, DeviceError after a loss of the device
   */
  async advance(): Promise<StepReport> {
    const began = performance.now();
    const lr = this.rate(this.step);
    const { reading } = await this.enqueue(this.inputsAt(this.step), lr);
    if (this.step + 1 < this.recipe.steps) this.prepared = { step: this.step + 1, pieces: this.lesson.at(this.step + 1) };
    const values = await reading;
    const [loss, gradNorm, logScale] = values;
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) {
      throw new TrainingError(`train: the loss of step ${this.step} is ${loss} and the gradient norm ${gradNorm}, expected numbers; the last saved state is unharmed, resume with a lower learning rate`);
    }
    const report: StepReport = { step: this.step, loss: loss!, gradNorm: gradNorm!, temperature: Math.exp(-Math.min(logScale!, this.model.config.logitScaleMax)), lr, timeMs: performance.now() - began, ...this.judge(values.subarray(3)) };
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

  /** Gives plans and the optimiser's buffers back; the model keeps its weights. @returns nothing */
  dispose(): void {
    this.plans?.dispose();
    this.lesson.dispose?.();
    this.average?.dispose();
    this.optimizer.dispose();
    this.bias.dispose();
  }
}

