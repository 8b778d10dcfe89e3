// Stage 2, query-conditioned training (spec 1.6): every clip is seen once and asked three questions; pictures of stage 1 are replayed, some with a question.
import type { Tensor } from '../engine/tensor.ts';
import { concat } from '../kernels/concat.ts';
import { add, scale } from '../kernels/elementwise.ts';
import { cosineLoss } from '../kernels/regression_loss.ts';
import { embedding } from '../kernels/embedding.ts';
import { infoNCE } from '../kernels/info_nce.ts';
import { slice } from '../kernels/slice.ts';
import { checkBatch, padBatch, queryArrays, sliceBatch } from '../model/token_batch.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';
import { QUESTIONS } from '../data/questions.ts';
import { MOTIONS } from '../data/sprites.ts';
import type { ClipBatch, ClipBatches } from './clips.ts';
import { paddedTexts } from './lesson.ts';
import type { Lesson } from './lesson.ts';
import type { LossParameters } from './losses.ts';
import type { HostArray, HostPiece, Piece } from './step_plans.ts';
import { TaughtTexts } from './taught_texts.ts';
import { teacherVectors } from './teacher.ts';

/** Questions per clip: object, motion, caption. */
const QUESTIONS_EACH = 3;

/** The steps of stage 2. */
export class ClipLesson implements Lesson {
  readonly rows: number;
  private readonly model: VLJEPA;
  private readonly batches: ClipBatches;
  private readonly teachers: readonly VLJEPA[];
  private readonly texts: TaughtTexts | undefined;
  /** Tokens of the longest question. */
  private readonly queryTokens: number;

  /** @param model with tokenizers @param batches of the recipe @param teachers frozen, as many as the recipe names @throws RangeError when there are teachers and no recipe for them, or the other way round */
  constructor(model: VLJEPA, batches: ClipBatches, teachers: readonly VLJEPA[] = []) {
    if ((batches.recipe.clips.teacher !== undefined) !== (teachers.length > 0)) throw new RangeError(`train: there are ${teachers.length} teachers, expected ${batches.recipe.clips.teacher ? 'at least one' : 'none'} for this recipe`);
    this.teachers = teachers;
    this.model = model;
    this.batches = batches;
    const { batch, clips: { clips, asked, teacher } } = batches.recipe;
    this.rows = batch + asked + QUESTIONS_EACH * clips;
    if (teacher && (teacher.names.weight > 0 || teacher.captions.clips > 0)) {
      this.texts = new TaughtTexts(model, batches.names, { temperature: teacher.names.temperature, rows: batch + asked + clips + teacher.clips, captions: teacher.captions.clips > 0 ? teacher.captions.temperature : undefined });
    }
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

  /** Inputs of the teachers: views of the drawings, whose vector each picture, asked picture and object (with a name and without) is to have, clips without names and their questions. */
  private taughtInputs({ pictures, views, objects, free, questions }: ClipBatch): HostPiece {
    if (!free || !views) return {};
    const { model, batches: { recipe: { clips: { asked, clips, teacher, sprites: { frames } } } } } = this;
    const { cropSize: side } = model.config.vision;
    const each = 3 * side * side;
    const [P, V, U] = [pictures.captions.length, views.length / each, free.clips.length / each / frames];
    const O = Math.max(...objects) + 1;
    const count = (n: number, from = 0): number[] => Array.from({ length: n }, (_, i) => from + i);
    const described = teacher!.captions.clips;
    const { ids, mask } = this.queryInputs(questions.slice(asked + QUESTIONS_EACH * clips), model.vision.tokens(frames));
    return {
      views: { data: views, shape: [V, 1, 3, side, side] }, free: { data: free.clips, shape: [U, frames, 3, side, side] }, freeQuery: ids, freeMask: mask,
      ...(described > 0 && { freeMotions: { data: free.motions.subarray(0, described).map((motion, i) => i * MOTIONS.length + motion), shape: [described] } }),
      taught: { data: Uint32Array.from([...count(P), ...count(asked), ...Array.from(objects, o => P + o), ...count(U, P + O)]), shape: [P + asked + objects.length + U] },
    };
  }

  /**
   * @param step from 0
   * @returns one piece: pictures [P, 1, 3, S, S], clips [C, T, 3, S, S], questions of asked pictures [A, Tq] and of clips [3C, Tq] with masks, texts [N, T] with mask, answers and groups [rows]; with teachers also theirs
   */
  at(step: number): HostPiece[] {
    const { model, batches: { recipe: { clips: { asked, sprites } } } } = this;
    const batch = this.batches.at(step);
    const { cropSize: side } = model.config.vision;
    const [P, C] = [batch.pictures.captions.length, batch.concepts.length];
    const ofPictures = this.queryInputs(batch.questions.slice(0, asked), model.vision.tokens(1));
    const ofClips = this.queryInputs(batch.questions.slice(asked, asked + QUESTIONS_EACH * C), model.vision.tokens(sprites.frames));
    const whole = model.tokenizer!.encodeBatch(batch.texts);
    const { ids, mask, tokens } = paddedTexts(model, sliceBatch(whole, 0, batch.texts.length));
    return [{
      pictures: { data: batch.pictures.pixels, shape: [P, 1, 3, side, side] },
      clips: { data: batch.clips, shape: [C, sprites.frames, 3, side, side] },
      pictureQuery: ofPictures.ids, pictureMask: ofPictures.mask, clipQuery: ofClips.ids, clipMask: ofClips.mask,
      ids: { data: ids, shape: [batch.texts.length, tokens] }, mask: { data: mask, shape: [batch.texts.length, tokens] },
      answers: { data: batch.answers, shape: [this.rows] }, groups: { data: batch.groups, shape: [this.rows] }, ...this.taughtInputs(batch),
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
   * The teachers' part, between what the student says of pictures and of the objects of clips, and what the teachers say of the same drawings standing still: the mean of 1 − cosine, and
   * the divergences of the names and of the captions that are near, by their weights.
   * @param p [rows, dim] @param piece inputs @returns [1]
   */
  private taughtLoss(p: Tensor, { pictures, views, free, freeQuery, freeMask, freeMotions, taught }: Piece): Tensor {
    const { model, texts, teachers, batches: { recipe: { clips } } } = this;
    const teacher = clips.teacher!;
    const U = free!.shape[0]!;
    const named = taught!.shape[0]! - U; // pictures, asked pictures and objects are the first rows
    const moving = U ? model.vision.forward(free!) : undefined;
    const described = teacher.captions.clips; // the first of them are asked twice
    const unnamed = moving && model.forwardPrediction(described > 0 ? concat([moving, slice(moving, 0, 0, described)], 0) : moving, { ids: freeQuery!, mask: freeMask, poolMask: freeMask });
    const wanted = embedding(concat([teacherVectors(teachers, pictures!, 1), teacherVectors(teachers, views!, teacher.views.frames)], 0), taught!);
    const said = concat([slice(p, 0, 0, named), ...(unnamed ? [slice(unnamed, 0, 0, U)] : [])], 0);
    const parts = [scale(cosineLoss(said, wanted), teacher.weight)];
    if (teacher.names.weight > 0) parts.push(scale(texts!.divergence(said, wanted), teacher.names.weight));
    if (described > 0 && unnamed) parts.push(scale(texts!.captionDivergence(slice(unnamed, 0, U), slice(wanted, 0, named, named + described), freeMotions!), teacher.captions.weight));
    return parts.reduce((a, b) => add(a, b));
  }

  /** Gives back the vectors of texts that the teachers' part keeps. @returns nothing */
  dispose(): void {
    this.texts?.dispose();
  }

  /**
   * InfoNCE over all pairs, where answers that mean the same are no negatives of each other, once more over the motions alone, and the teachers' part.
   * @param p [rows, dim] @param y [rows, dim] @param pieces for the groups @param parameters temperature @returns [1]
   */
  loss(p: Tensor, y: Tensor, [piece]: readonly Piece[], { logScale, maxLogScale }: LossParameters): Tensor {
    const { clips: { clips, motionWeight, teacher } } = this.batches.recipe;
    const groups = piece!.groups!;
    const named = infoNCE(p, y, logScale, { maxLogScale, groups }).loss;
    const all = teacher ? add(named, this.taughtLoss(p, piece!)) : named;
    if (motionWeight === 0) return all;
    const start = this.rows - 2 * clips;
    const part = (t: Tensor): Tensor => slice(t, 0, start, start + clips);
    const motions = infoNCE(part(p), part(y), logScale, { maxLogScale, groups: part(groups) }).loss;
    return add(all, scale(motions, motionWeight));
  }
}
