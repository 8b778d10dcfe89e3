// What a step teaches: the inputs of a step on the host, the networks on them, and the loss. The trainer knows no more of a stage than this.
import type { Tensor } from '../engine/tensor.ts';
import { bucketLength, checkBatch, padBatch } from '../model/token_batch.ts';
import type { TokenBatch } from '../model/token_batch.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';
import { LOSSES } from './losses.ts';
import type { LossParameters } from './losses.ts';
import type { PictureBatches } from './pictures.ts';
import type { Recipe } from './recipe.ts';
import type { HostPiece, Piece } from './step_plans.ts';

/** One stage's steps. */
export interface Lesson {
  /** Pairs of prediction and text in a step. */
  readonly rows: number;
  /** Inputs of a step in pieces that go through the networks one after another, a function of the step alone. @param step from 0 @returns pieces with the same names and shapes */
  at(step: number): readonly HostPiece[];
  /** The networks on one piece, differentiable. @param piece inputs @returns predictions and texts, [rows, dim] each */
  embed(piece: Piece): [Tensor, Tensor];
  /** The loss of the whole step. @param p [rows, dim] predictions @param y [rows, dim] texts @param pieces inputs @param parameters of the loss @returns [1] */
  loss(p: Tensor, y: Tensor, pieces: readonly Piece[], parameters: LossParameters): Tensor;
  /** Gives back what it keeps on the GPU. @returns nothing */
  dispose?(): void;
}

/**
 * Texts padded to a length that many batches share, checked.
 * @param model whose tokenizer and limits count @param batch tokens @param least length to pad to at least @returns the batch at its shared length @throws ShapeError for a text that is too long
 */
export function paddedTexts({ config }: VLJEPA, batch: TokenBatch, least = batch.tokens): TokenBatch {
  checkBatch('train', batch, config.text.vocabSize, config.maxTextTokens);
  return padBatch(batch, Math.max(least, Math.min(bucketLength(least), config.maxTextTokens, config.text.maxPositions)));
}

/** Stage 1: pictures and captions, no question (spec 1.6). */
export class PictureLesson implements Lesson {
  readonly rows: number;
  private readonly model: VLJEPA;
  private readonly recipe: Recipe;
  private readonly batches: Pick<PictureBatches, 'at'>;

  /** @param model with a tokenizer @param recipe settings @param batches of the recipe */
  constructor(model: VLJEPA, recipe: Recipe, batches: Pick<PictureBatches, 'at'>) {
    this.model = model;
    this.recipe = recipe;
    this.batches = batches;
    this.rows = recipe.batch;
  }

  /** @param step from 0 @returns the batch in pieces of `microBatch`: pixels [b, 1, 3, S, S], ids and mask [b, T] */
  at(step: number): HostPiece[] {
    const { pixels, captions } = this.batches.at(step);
    const { model: { tokenizer, config }, recipe: { microBatch = Infinity } } = this;
    const rows = captions.length;
    const count = microBatch < rows ? Math.ceil(rows / microBatch) : 1;
    const each = pixels.length / rows;
    const cut = (part: number): [number, number] => (count === 1 ? [0, rows] : [part * microBatch, Math.min(rows, (part + 1) * microBatch)]);
    const texts = Array.from({ length: count }, (_, part) => tokenizer!.encodeBatch(captions.slice(...cut(part))));
    const longest = Math.max(...texts.map(t => t.tokens));
    return texts.map((t, part) => {
      const [start, end] = cut(part);
      const { ids, mask, tokens } = paddedTexts(this.model, t, longest);
      const side = config.vision.cropSize;
      return {
        pixels: { data: pixels.subarray(start * each, end * each), shape: [end - start, 1, 3, side, side] },
        ids: { data: ids, shape: [end - start, tokens] }, mask: { data: mask, shape: [end - start, tokens] },
      };
    });
  }

  /** @param piece pixels, ids and mask @returns predictions and texts [b, dim] */
  embed({ pixels, ids, mask }: Piece): [Tensor, Tensor] {
    return [this.model.forwardPrediction(pixels!), this.model.forwardText({ ids: ids!, mask })];
  }

  /** @param p predictions [rows, dim] @param y texts [rows, dim] @param _pieces not needed @param parameters of the loss @returns [1] the recipe's loss */
  loss(p: Tensor, y: Tensor, _pieces: readonly Piece[], parameters: LossParameters): Tensor {
    return LOSSES[this.recipe.loss ?? 'info-nce'].of(p, y, parameters);
  }
}
