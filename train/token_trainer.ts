// Training of the token-generating counterpart (spec 1.11) on the batches of stage 2: the same pictures, clips, questions and answers, and cross-entropy of the answers' tokens.
import type { Tensor } from '../engine/tensor.ts';
import { backward } from '../kernels/backward.ts';
import { concat } from '../kernels/concat.ts';
import { crossEntropy } from '../kernels/cross_entropy.ts';
import { slice } from '../kernels/slice.ts';
import { layTokenRows } from '../model/token_generator.ts';
import type { TokenGenerator, TokenRow } from '../model/token_generator.ts';
import { AdamW, decays } from './adamw.ts';
import { WeightAverage } from './average.ts';
import type { ClipBatch, ClipBatches } from './clips.ts';
import { IGNORED } from './decoder_batches.ts';
import { TrainingError } from './loop.ts';
import { checkRecipe, rateOf } from './recipe.ts';
import { cosine } from './schedule.ts';
import { StepPlans } from './step_plans.ts';
import type { HostPiece, Piece } from './step_plans.ts';

/** Sequences are padded to a multiple of so many tokens, and answers to so many: few plans. */
const TOKENS_STEP = 8, ANSWERS_STEP = 256;
/** Pictures without a question, with one, and clips with three. */
const GROUPS = ['still', 'asked', 'moving'] as const;

/** What one step reports. */
export interface TokenStep {
  step: number;
  /** Nats per token. */
  loss: number;
  gradNorm: number;
  timeMs: number;
}

/** Question and answer of every row of a batch, by group. @param generator whose tokens @param batch of stage 2 @returns rows: pictures, asked pictures, clips with the three questions one after another */
export function tokenRowsOf(generator: Pick<TokenGenerator, 'row'>, { pictures, concepts, questions, texts, answers }: ClipBatch): TokenRow[][] {
  const [P, C] = [pictures.captions.length, concepts.length];
  const asked = answers.length - P - 3 * C;
  const rows = Array.from(answers, (a, i) => generator.row(i < P ? '' : questions[i - P]!, texts[a]!));
  return [rows.slice(0, P), rows.slice(P, P + asked), rows.slice(P + asked)];
}

/** The generator with its optimiser. */
export class TokenTrainer {
  readonly generator: TokenGenerator;
  readonly optimizer: AdamW;
  readonly average: WeightAverage | undefined;
  private readonly batches: ClipBatches;
  private readonly plans: StepPlans;
  private readonly rate: (step: number) => number;
  /** Steps done and read back. */
  step = 0;

  /** @param generator whose parameters learn @param batches of stage 2 with the recipe @throws RangeError for a broken recipe */
  constructor(generator: TokenGenerator, batches: ClipBatches) {
    const { recipe } = batches;
    checkRecipe(recipe);
    this.generator = generator;
    this.batches = batches;
    this.rate = cosine(recipe);
    this.optimizer = new AdamW(generator.parameters(), {
      lr: recipe.lr, betas: recipe.betas, weightDecay: recipe.weightDecay, clipNorm: recipe.clipNorm,
      group: (name, t) => ({ lr: rateOf(recipe, name), weightDecay: decays(name, t) ? recipe.weightDecay : 0 }),
    });
    this.average = recipe.average > 0 ? new WeightAverage(this.optimizer, recipe.average) : undefined;
    this.plans = new StepPlans(generator.device, ([piece]) => this.work(piece!));
  }

  /** Inputs of a step on the host. */
  private inputsAt(step: number): HostPiece {
    const { generator, batches } = this;
    const batch = batches.at(step);
    const { cropSize: side } = generator.vision.config;
    const { frames } = batches.recipe.clips.sprites;
    const piece: Record<string, HostPiece[string]> = {
      pictures: { data: batch.pictures.pixels, shape: [batch.pictures.captions.length, 1, 3, side, side] },
      clips: { data: batch.clips, shape: [batch.concepts.length, frames, 3, side, side] },
    };
    const targets: number[] = [];
    tokenRowsOf(generator, batch).forEach((rows, g) => {
      if (rows.length === 0) return;
      const visualTokens = generator.vision.tokens(g < 2 ? 1 : frames);
      const longest = Math.max(...rows.map(r => r.question.length + r.answer.length - 1));
      const laid = layTokenRows(rows, visualTokens, Math.max(1, Math.ceil(longest / TOKENS_STEP)) * TOKENS_STEP);
      const answers = Math.ceil(laid.places.length / ANSWERS_STEP) * ANSWERS_STEP;
      const [places, wanted] = [new Uint32Array(answers), new Uint32Array(answers).fill(IGNORED)];
      places.set(laid.places);
      wanted.set(laid.targets);
      targets.push(...wanted);
      piece[`${GROUPS[g]!}Ids`] = { data: laid.ids, shape: [rows.length, laid.tokens] };
      piece[`${GROUPS[g]!}Places`] = { data: places, shape: [answers] };
    });
    return { ...piece, targets: { data: Uint32Array.from(targets), shape: [targets.length] } };
  }

  /** One step, which a plan records. Returns loss and gradient norm. */
  private work(piece: Piece): Tensor {
    const { generator, optimizer } = this;
    const still = generator.vision.forward(piece.pictures!);
    const moving = generator.vision.forward(piece.clips!);
    const seen = (group: (typeof GROUPS)[number], rows: number): Tensor =>
      group === 'still' ? still : group === 'asked' ? slice(still, 0, 0, rows) : concat(Array.from({ length: rows / moving.shape[0]! }, () => moving), 0);
    const logits = GROUPS.flatMap(group => {
      const ids = piece[`${group}Ids`];
      return ids ? [generator.forward(seen(group, ids.shape[0]!), ids, piece[`${group}Places`]!)] : [];
    });
    const loss = crossEntropy(concat(logits, 0), piece.targets!, { ignoreIndex: IGNORED });
    backward(loss);
    optimizer.update();
    this.average?.update(() => this.step);
    return concat([loss, optimizer.gradNorm], 0);
  }

  /** Runs one step and waits for it. @returns loss and gradient norm @throws TrainingError when the loss is not finite */
  async advance(): Promise<TokenStep> {
    const began = performance.now();
    const host = this.inputsAt(this.step);
    this.optimizer.begin(this.rate(this.step));
    const [loss, gradNorm] = await (await this.plans.enqueue([host], false)).read() as unknown as [number, number];
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) throw new TrainingError(`train: the loss of step ${this.step} is ${loss} and the gradient norm ${gradNorm}, expected numbers (a lower learning rate may help)`);
    return { step: this.step++, loss, gradNorm, timeMs: performance.now() - began };
  }

  /** Runs `fn` with the averaged weights in the generator. @param fn work @returns what it returns */
  async withAverage<T>(fn: () => Promise<T>): Promise<T> {
    this.average?.swap();
    try {
      return await fn();
    } finally {
      this.average?.swap();
    }
  }

  /** Gives plans and the optimiser's buffers back; the generator keeps its weights. @returns nothing */
  dispose(): void {
    this.plans.dispose();
    this.average?.dispose();
    this.optimizer.dispose();
  }
}
