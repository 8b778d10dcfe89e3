// Batches of pictures and captions: a seeded function of the step, so that a resumed run sees exactly what the uninterrupted one would have.
import { augmentBatch, MEAN, STD } from '../data/augment.ts';
import { CounterRandom, permutation } from '../data/random.ts';
import type { Drawing } from '../data/sprites.ts';
import { fillTemplate } from '../data/templates.ts';
import type { Recipe } from './recipe.ts';

/** Drawings of concepts by several artists, u8 RGB. */
export interface PictureTable {
  size: number;
  /** [n, size, size, 3] */
  pixels: Uint8Array;
  /** Per concept: indices of its pictures. Concepts without a picture have an empty list. */
  byConcept: readonly (readonly number[])[];
  /** Per concept: its name. */
  names: readonly string[];
}

/** One batch on the host. */
export interface PictureBatch {
  /** [B, 1, 3, S, S] normalised pixels. */
  pixels: Float32Array;
  captions: string[];
  concepts: Uint32Array;
}

/** Places of this file's draws among the random numbers of a sample. */
const STREAM = 91, PICK = 0, MATE = 1, TEMPLATE = 2;

/**
 * Puts pictures of several artists into one table.
 * @param names per concept @param artists pictures of each artist, with the concept of each picture @param size edge in pixels
 * @returns the table @throws RangeError when pixels and concepts do not fit
 */
export function pictureTable(names: readonly string[], artists: readonly { concepts: readonly number[]; pixels: Uint8Array }[], size: number): PictureTable {
  const each = size * size * 3;
  const total = artists.reduce((n, a) => n + a.concepts.length, 0);
  const pixels = new Uint8Array(total * each);
  const byConcept: number[][] = names.map(() => []);
  let at = 0;
  for (const artist of artists) {
    if (artist.pixels.length !== artist.concepts.length * each) throw new RangeError(`pictureTable: ${artist.pixels.length} bytes, expected ${artist.concepts.length} pictures of ${size} x ${size} x 3`);
    pixels.set(artist.pixels, at * each);
    for (const c of artist.concepts) byConcept[c]!.push(at++);
  }
  return { size, pixels, byConcept, names };
}

/** One picture out of many. @param pixels [n, 1, 3, S, S] normalised @param side S @param index which @returns the picture as levels [S, S, 3] */
export function drawingAt(pixels: Float32Array, side: number, index: number): Drawing {
  const plane = side * side;
  const levels = new Float32Array(plane * 3);
  for (let c = 0; c < 3; c++) {
    const from = (index * 3 + c) * plane;
    for (let i = 0; i < plane; i++) levels[i * 3 + c] = Math.min(255, Math.max(0, 255 * (pixels[from + i]! * STD[c]! + MEAN[c]!)));
  }
  return { size: side, levels };
}

/** Makes the batches of a recipe. */
export class PictureBatches {
  private readonly table: PictureTable;
  private readonly recipe: Recipe;
  private readonly crop: number;
  private readonly concepts: readonly number[];
  private readonly captionOf: Uint32Array;
  private order: { epoch: number; concepts: Uint32Array } | undefined;

  /** @param table pictures @param recipe settings @param crop edge of the model's input, pixels @throws RangeError when the batch is larger than the number of concepts */
  constructor(table: PictureTable, recipe: Recipe, crop: number) {
    this.table = table;
    this.recipe = recipe;
    this.crop = crop;
    this.concepts = table.byConcept.flatMap((list, c) => (list.length ? [c] : []));
    if (recipe.batch > this.concepts.length) throw new RangeError(`train: batch is ${recipe.batch}, expected at most ${this.concepts.length}, the number of concepts (each occurs once in a batch)`);
    this.captionOf = Uint32Array.from(table.names, (_, i) => i);
    if (recipe.shuffleTexts) this.captionOf = permutation(table.names.length, recipe.seed + 7, 0);
  }

  /** Whole batches in one pass over the concepts. */
  get stepsPerEpoch(): number {
    return Math.floor(this.concepts.length / this.recipe.batch);
  }

  private conceptsAt(step: number): Uint32Array {
    const epoch = Math.floor(step / this.stepsPerEpoch);
    if (this.order?.epoch !== epoch) this.order = { epoch, concepts: permutation(this.concepts.length, this.recipe.seed, epoch) };
    const from = (step % this.stepsPerEpoch) * this.recipe.batch;
    return this.order.concepts.subarray(from, from + this.recipe.batch).map(i => this.concepts[i]!);
  }

  /**
   * The batch of a step: distinct concepts, a random artist of each, augmented; a drawing by another artist goes along for mixing.
   * @param step from 0 @returns pixels [B, 1, 3, S, S], captions and concepts
   */
  at(step: number): PictureBatch {
    const { recipe, table } = this;
    const concepts = this.conceptsAt(step);
    const picks = new Uint32Array(concepts.length);
    const mates = new Int32Array(concepts.length).fill(-1);
    const captions: string[] = [];
    concepts.forEach((c, i) => {
      const draw = new CounterRandom(recipe.seed, step, i, STREAM);
      const choices = table.byConcept[c]!;
      const first = Math.floor(draw.uniform(PICK) * choices.length);
      picks[i] = choices[first]!;
      if (choices.length > 1) mates[i] = choices[(first + 1 + Math.floor(draw.uniform(MATE) * (choices.length - 1))) % choices.length]!;
      const template = recipe.templates[Math.floor(draw.uniform(TEMPLATE) * recipe.templates.length)]!;
      captions.push(fillTemplate(template, table.names[this.captionOf[c]!]!));
    });
    const pixels = new Float32Array(concepts.length * 3 * this.crop * this.crop);
    augmentBatch({ pictures: table.pixels, size: table.size, picks, mates }, recipe.augment, { seed: recipe.seed, step }, this.crop, pixels);
    return { pixels, captions, concepts };
  }
}
