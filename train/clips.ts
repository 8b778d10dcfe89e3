// Batches of stage 2: replayed pictures of stage 1, and clips of set MS with questions and answers. A seeded function of the step, as in pictures.ts.
import { augmentBatch, normalizePictures } from '../data/augment.ts';
import type { AugmentConfig } from '../data/augment.ts';
import { clipCaptions, QUESTIONS } from '../data/questions.ts';
import type { QuestionKind } from '../data/questions.ts';
import { CounterRandom, permutation } from '../data/random.ts';
import { isHeldOutPair, MOTIONS, spriteClip } from '../data/sprites.ts';
import type { Drawing, SpriteSettings } from '../data/sprites.ts';
import type { TrainParts } from '../model/vl_jepa.ts';
import { drawingAt, PictureBatches } from './pictures.ts';
import type { PictureBatch, PictureTable } from './pictures.ts';
import type { Recipe } from './recipe.ts';
import { FreeClips } from './free_clips.ts';
import type { FreeBatch } from './free_clips.ts';
import type { TeacherRecipe } from './teacher.ts';

/** What stage 2 adds to a recipe, plain data. */
export interface ClipRecipe {
  /** SHA-256 of the weights that it starts from, hexadecimal; '' before a run fills it in. */
  start: string;
  /** Clips per step, a multiple of 4; each is asked all three questions. The recipe's `batch` are replayed pictures. */
  clips: number;
  /** How many of the pictures are asked a question as well. */
  asked: number;
  sprites: SpriteSettings;
  /** Changes to the drawings before they move. */
  augment: Partial<AugmentConfig>;
  /** Weight of a second loss over the motion answers alone. */
  motionWeight: number;
  /** Which wording of a question and of a caption is drawn: indices, with repetition. */
  wordings: readonly number[];
  captions: readonly number[];
  /** Size of the first difference between the two frames' patch weights, see temporal_start.ts; 0 leaves them as they are. */
  temporal: number;
  /** Multipliers of the rate for the X-Encoder and for the predictor with the heads. */
  visionLr: number;
  predictorLr: number;
  /** Which parts learn. */
  train: TrainParts;
  /** Frozen models whose view of the still drawings is learned as well. Absent: names and captions alone. */
  teacher?: TeacherRecipe;
}

/** Names of the concepts for sprites, and which may move in training. */
export interface ClipConcepts {
  /** Per concept. */
  readonly keys: readonly string[];
  /** Per concept: never moved in training. */
  readonly unseen: readonly boolean[];
}

/** A batch on the host. Rows of texts: captions of the pictures, names of the clips' objects, captions of the clips, the eight motions. */
export interface ClipBatch {
  pictures: PictureBatch;
  /** [C, T, 3, S, S] normalised */
  clips: Float32Array;
  /** [C] which of the step's drawings moves in each clip */
  objects: Uint32Array;
  /** Where there are teachers: clips without names, and [(O + U) · V, 1, 3, S, S] what the teachers see of the drawings, with names first. */
  free?: FreeBatch;
  views?: Float32Array;
  concepts: Uint32Array;
  motions: Uint32Array;
  /** [A + 3C + U + D] questions: of the first A pictures, then of the objects, the motions and the captions of all clips, then of the objects of the clips without names and of the captions of the first D of them. */
  questions: string[];
  /** [P + 2C + 8] */
  texts: string[];
  /** [P + A + 3C] place of each prediction's answer in `texts`: pictures, asked pictures, objects, motions, captions. */
  answers: Uint32Array;
  /** [P + A + 3C] equal where answers mean the same, so that they are no negatives of each other. */
  groups: Uint32Array;
}

/** Streams of random numbers: clips of training; which drawing, motion and words; the changes to the drawings (a seed of their own). */
const CLIP = 93, CHOICE = 94, ORDER = 11, CHANGES = 12;
const PICK = 0, MATE = 1, MOTION = 2, BACK = 3, WORDING = 4, CAPTION = 7;

/** Makes the batches of stage 2. */
export class ClipBatches {
  readonly recipe: Recipe & { clips: ClipRecipe };
  /** All names, in the order of the concepts. */
  readonly names: readonly string[];
  private readonly table: PictureTable;
  private readonly keys: readonly string[];
  private readonly crop: number;
  private readonly moving: readonly number[];
  private readonly pictures: PictureBatches;
  private readonly free: FreeClips | undefined;
  /** Control: names belong to other concepts. */
  private readonly nameOf: Uint32Array;

  /** @param table pictures @param concepts keys, and which never move @param recipe settings with those of stage 2 @param crop edge of the model's input, pixels @throws RangeError for a recipe without clips or with more objects than concepts */
  constructor(table: PictureTable, { keys, unseen }: ClipConcepts, recipe: Recipe, crop: number) {
    const { clips } = recipe;
    if (!clips) throw new RangeError('train: the recipe has no clips, expected those of stage 2');
    this.recipe = { ...recipe, clips };
    this.table = table;
    this.names = table.names;
    this.keys = keys;
    this.crop = crop;
    this.moving = keys.flatMap((_, c) => (table.byConcept[c]!.length && !unseen[c] ? [c] : []));
    if (this.objects > this.moving.length) throw new RangeError(`train: clips is ${clips.clips}, expected at most ${Math.floor(this.moving.length / 3) * 4} for ${this.moving.length} concepts`);
    this.pictures = new PictureBatches(table, recipe, crop);
    if (clips.teacher) this.free = new FreeClips(table, keys, this.moving, { ...recipe, clips: { ...clips, teacher: clips.teacher } }, crop);
    this.nameOf = recipe.shuffleTexts ? permutation(keys.length, recipe.seed + 7, 0) : Uint32Array.from(keys, (_, i) => i); // as PictureBatches has it
  }

  /** Objects of a step: half of the clips come in pairs that show the same drawing and begin alike. */
  private get objects(): number {
    return (this.recipe.clips.clips / 4) * 3;
  }

  /** Concepts of the objects of a step, all different. */
  private conceptsAt(step: number): Uint32Array {
    const perEpoch = Math.floor(this.moving.length / this.objects);
    const order = permutation(this.moving.length, this.recipe.seed + ORDER, Math.floor(step / perEpoch));
    const from = (step % perEpoch) * this.objects;
    return order.subarray(from, from + this.objects).map(i => this.moving[i]!);
  }

  /** The drawings of a step's objects, by random artists, changed. */
  private drawingsAt(step: number, concepts: Uint32Array): Drawing[] {
    const { recipe: { seed, clips }, table, crop } = this;
    const mates = new Int32Array(concepts.length).fill(-1);
    const picks = Uint32Array.from(concepts, (c, i) => {
      const draw = new CounterRandom(seed, step, i, CHOICE);
      const choices = table.byConcept[c]!;
      const first = Math.floor(draw.uniform(PICK) * choices.length);
      if (choices.length > 1) mates[i] = choices[(first + 1 + Math.floor(draw.uniform(MATE) * (choices.length - 1))) % choices.length]!;
      return choices[first]!;
    });
    const pixels = new Float32Array(concepts.length * 3 * crop * crop);
    augmentBatch({ pictures: table.pixels, size: table.size, picks, mates }, clips.augment, { seed: seed + CHANGES, step }, crop, pixels);
    return Array.from(concepts, (_, i) => drawingAt(pixels, crop, i));
  }

  /** A motion of the step's clip that is not kept apart for the concept. */
  private motionAt(step: number, clip: number, concept: number): number {
    const shift = Math.floor(new CounterRandom(this.recipe.seed, step, 0, CHOICE).uniform(MOTION) * MOTIONS.length);
    for (let k = 0; k < MOTIONS.length; k++) {
      const motion = (shift + clip * 3 + k) % MOTIONS.length; // neighbours differ, every motion comes equally often
      if (!isHeldOutPair(this.keys[concept]!, motion)) return motion;
    }
    return shift; // all eight are kept apart: one concept in 10^8
  }

  private moveAll(step: number): Pick<ClipBatch, 'clips' | 'objects' | 'concepts' | 'motions'> & { drawings: Drawing[] } {
    const { recipe: { seed, clips: { clips: count, sprites } }, table, crop } = this;
    const concepts = this.conceptsAt(step);
    const drawings = this.drawingsAt(step, concepts);
    const each = sprites.frames * crop * crop * 3;
    const frames = new Uint8Array(count * each);
    const objectOf = Array.from({ length: count }, (_, i) => (i < count / 2 ? i >> 1 : i - count / 4));
    const motions = Uint32Array.from(objectOf, (o, i) => this.motionAt(step, i, concepts[o]!));
    const size = table.size;
    const bytes = size * size * 3;
    objectOf.forEach((o, i) => {
      const back = Math.floor(new CounterRandom(seed, step, o, CHOICE).uniform(BACK) * (table.pixels.length / bytes));
      const backdrop = { size, levels: table.pixels.subarray(back * bytes, (back + 1) * bytes) };
      spriteClip(drawings[o]!, motions[i]!, new CounterRandom(seed, step, o, CLIP), crop, { settings: sprites, backdrop, out: frames, from: i * each });
    });
    return { clips: normalizePictures(frames, crop), drawings, objects: Uint32Array.from(objectOf), concepts: Uint32Array.from(objectOf, o => concepts[o]!), motions };
  }

  /** Questions of asked pictures and of clips, in the order of `ClipBatch.questions`. */
  private questionsAt(step: number): string[] {
    const { seed, clips: { clips, asked, wordings, teacher } } = this.recipe;
    const kinds: [QuestionKind, number][] = [['picture', asked], ['object', clips], ['motion', clips], ['caption', clips], ['object', teacher?.clips ?? 0], ['caption', teacher?.captions.clips ?? 0]];
    return kinds.flatMap(([kind, count], k) => Array.from({ length: count }, (_, i) => {
      const texts = QUESTIONS[kind];
      return texts[wordings[Math.floor(new CounterRandom(seed, step, i, CHOICE).uniform(WORDING + 16 * k) * wordings.length)]! % texts.length]!;
    }));
  }

  /**
   * The batch of a step.
   * @param step from 0 @returns pixels, questions, texts, and which text answers which question
   */
  at(step: number): ClipBatch {
    const { table: { names }, recipe: { seed, shuffleTexts, clips: { asked, captions } } } = this;
    const pictures = this.pictures.at(step);
    const { drawings, ...moved } = this.moveAll(step);
    const { concepts, motions } = moved;
    const free = this.free?.at(step);
    const [P, C] = [pictures.captions.length, concepts.length];
    const said = shuffleTexts ? permutation(C, seed + ORDER, step).map(i => motions[i]!) : motions; // control: the motion of another clip
    const nameAt = (i: number): string => names[this.nameOf[concepts[i]!]!]!;
    const texts = [
      ...pictures.captions,
      ...Array.from({ length: C }, (_, i) => nameAt(i)),
      ...Array.from({ length: C }, (_, i) => clipCaptions(nameAt(i), said[i]!)[captions[Math.floor(new CounterRandom(seed, step, i, CHOICE).uniform(CAPTION) * captions.length)]!]!),
      ...MOTIONS.map(m => m.answer),
    ];
    const rows = (count: number, of: (i: number) => number): number[] => Array.from({ length: count }, (_, i) => of(i));
    const N = names.length, M = MOTIONS.length;
    return {
      pictures, ...moved, texts, questions: this.questionsAt(step), ...(free && { free, views: this.free!.views(step, [...drawings, ...free.drawings]) }),
      answers: Uint32Array.from([...rows(P, i => i), ...rows(asked, i => i), ...rows(C, i => P + i), ...rows(C, i => P + 2 * C + said[i]!), ...rows(C, i => P + C + i)]),
      groups: Uint32Array.from([...pictures.concepts, ...pictures.concepts.subarray(0, asked), ...concepts, ...rows(C, i => N + said[i]!), ...rows(C, i => N + M + concepts[i]! * M + said[i]!)]),
    };
  }
}
