// Stage 2, query-conditioned training (spec 1.6): every clip is seen once and asked three questions; pictures of stage 1 are replayed, some with a question.
import type { Tensor } from '../engine/tensor.ts';
import { concat } from '../kernels/concat.ts';
import { add, scale } from '../kernels/elementwise.ts';
import { embedding } from '../kernels/embedding.ts';
import { infoNCE } from '../kernels/info_nce.ts';
import { slice } from '../kernels/slice.ts';
import { checkBatch, padBatch, queryArrays, sliceBatch } from '../model/token_batch.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';
import { QUESTIONS } from '../data/questions.ts';
import type { ClipBatches } from './clips.ts';
import { paddedTexts } from './lesson.ts';
import type { Lesson } from './lesson.ts';
import type { LossParameters } from './losses.ts';
import type { HostArray, HostPiece, Piece } from './step_plans.ts';

/** Questions per clip: object, motion, caption. */
const QUESTIONS_EACH = 3;

/** The steps of stage 2. */
export class ClipLesson implements Lesson {
  readonly rows: number;
  private readonly model: VLJEPA;
  private readonly batches: ClipBatches;
  /** Tokens of the longest question. */
  private readonly queryTokens: number;

  /** @param model with tokenizers @param batches of the recipe */
  constructor(model: VLJEPA, batches: ClipBatches) {
    this.model = model;
    this.batches = batches;
    const { batch, clips: { clips, asked } } = batches.recipe;
    this.rows = batch + asked + QUESTIONS_EACH * clips;
    this.queryTokens = model.tokenize(Object.values(QUESTIONS).flat(), 'query').tokens;
  }

  /** Ids and mask of questions behind `visualTokens` positions, always as long as the longest question and always masked: one plan for all. */
  private queryInputs(questions: readonly string[], visualTokens: number): { ids: HostArray; mask: HostArray } {
    const { model, queryTokens } = this;
    const batch = padBatch(model.tokenize(questions, 'query'), queryTokens);
    checkBatch('train', batch, model.config.predictor.vocabSize, model.config.maxQueryTokens);
    const rows = questions.length, width = visualTokens + queryTokens;
    const { ids, mask } = queryArrays(batch, visualTokens, 'all');
    return { ids, mask: mask ?? { data: new Uint32Array(rows * width).fill(1), shape: [rows, width] } };
  }

  /**
   * @param step from 0
   * @returns one piece: pictures [P, 1, 3, S, S], clips [C, T, 3, S, S], questions of asked pictures [A, Tq] and of clips [3C, Tq] with masks, texts [U, T] with mask, answers and groups [rows]
   */
  at(step: number): HostPiece[] {
    const { model, batches: { recipe: { clips: { asked, sprites } } } } = this;
    const batch = this.batches.at(step);
    const { cropSize: side } = model.config.vision;
    const [P, C] = [batch.pictures.captions.length, batch.concepts.length];
    const ofPictures = this.queryInputs(batch.questions.slice(0, asked), model.vision.tokens(1));
    const ofClips = this.queryInputs(batch.questions.slice(asked), model.vision.tokens(sprites.frames));
    const whole = model.tokenizer!.encodeBatch(batch.texts);
    const { ids, mask, tokens } = paddedTexts(model, sliceBatch(whole, 0, batch.texts.length));
    return [{
      pictures: { data: batch.pictures.pixels, shape: [P, 1, 3, side, side] },
      clips: { data: batch.clips, shape: [C, sprites.frames, 3, side, side] },
      pictureQuery: ofPictures.ids, pictureMask: ofPictures.mask, clipQuery: ofClips.ids, clipMask: ofClips.mask,
      ids: { data: ids, shape: [batch.texts.length, tokens] }, mask: { data: mask, shape: [batch.texts.length, tokens] },
      answers: { data: batch.answers, shape: [this.rows] }, groups: { data: batch.groups, shape: [this.rows] },
    }];
  }

  /** @param piece see `at` @returns predictions and their answers [rows, dim]: pictures, asked pictures, objects, motions, captions */
  embed({ pictures, clips, pictureQuery, pictureMask, clipQuery, clipMask, ids, mask, answers }: Piece): [Tensor, Tensor] {
    const { model } = this;
    const still = model.vision.forward(pictures!); // [P, 1, Dv] where a picture is one token
    const moving = model.vision.forward(clips!); // [C, N, Dv]
    const asked = pictureQuery!.shape[0]!;
    const p = concat([
      model.forwardPrediction(still),
      ...(asked ? [model.forwardPrediction(slice(still, 0, 0, asked), { ids: pictureQuery!, mask: pictureMask, poolMask: pictureMask })] : []),
      model.forwardPrediction(concat(Array.from({ length: QUESTIONS_EACH }, () => moving), 0), { ids: clipQuery!, mask: clipMask, poolMask: clipMask }),
    ], 0);
    return [p, embedding(model.forwardText({ ids: ids!, mask }), answers!)];
  }

  /**
   * InfoNCE over all pairs, where answers that mean the same are no negatives of each other, and once more over the motions alone.
   * @param p [rows, dim] @param y [rows, dim] @param pieces for the groups @param parameters temperature @returns [1]
   */
  loss(p: Tensor, y: Tensor, [piece]: readonly Piece[], { logScale, maxLogScale }: LossParameters): Tensor {
    const { clips: { clips, motionWeight } } = this.batches.recipe;
    const groups = piece!.groups!;
    const all = infoNCE(p, y, logScale, { maxLogScale, groups }).loss;
    if (motionWeight === 0) return all;
    const start = this.rows - 2 * clips;
    const part = (t: Tensor): Tensor => slice(t, 0, start, start + clips);
    const motions = infoNCE(part(p), part(y), logScale, { maxLogScale, groups: part(groups) }).loss;
    return add(all, scale(motions, motionWeight));
  }
}
