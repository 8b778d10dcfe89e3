// Clips without names, for teachers: a drawing with another thing mixed in and other colours moves like any other. A seeded function of the step.
import { augmentBatch, normalizePictures } from '../data/augment.ts';
import { CounterRandom } from '../data/random.ts';
import { isHeldOutPair, MOTIONS, spriteClip } from '../data/sprites.ts';
import type { Drawing } from '../data/sprites.ts';
import { drawingAt } from './pictures.ts';
import type { ClipRecipe } from './clips.ts';
import type { PictureTable } from './pictures.ts';
import type { Recipe } from './recipe.ts';
import type { TeacherRecipe } from './teacher.ts';

/** Streams of random numbers: the clips; what is drawn; the teachers' views; the changes (a seed of their own). */
const CLIP = 95, CHOICE = 96, VIEW = 97, CHANGES = 13;
const THING = 0, OTHER = 1, PICK = 2, MATE = 3, MOTION = 4, BACK = 5;

/** A batch of clips without names on the host. */
export interface FreeBatch {
  /** [U] what moves */
  drawings: Drawing[];
  /** [U, T, 3, S, S] normalised */
  clips: Float32Array;
  /** [U] */
  motions: Uint32Array;
}

/** Makes clips without names. Only things that may move in training occur, and no motion that is kept apart for either of the two. */
export class FreeClips {
  private readonly table: PictureTable;
  private readonly keys: readonly string[];
  private readonly moving: readonly number[];
  private readonly recipe: Recipe & { clips: ClipRecipe & { teacher: TeacherRecipe } };
  private readonly crop: number;

  /** @param table pictures @param keys per concept @param moving concepts that may move @param recipe of stage 2 with teachers @param crop edge of the model's input, pixels */
  constructor(table: PictureTable, keys: readonly string[], moving: readonly number[], recipe: Recipe & { clips: ClipRecipe & { teacher: TeacherRecipe } }, crop: number) {
    this.table = table;
    this.keys = keys;
    this.moving = moving;
    this.recipe = recipe;
    this.crop = crop;
  }

  /** @param step from 0 @returns drawings and clips */
  at(step: number): FreeBatch {
    const { recipe: { seed, clips: { sprites: settings, teacher: { clips: count, augment } } }, table, crop, moving } = this;
    const draws = Array.from({ length: count }, (_, i) => new CounterRandom(seed, step, i, CHOICE));
    const any = (i: number, place: number, length: number): number => Math.floor(draws[i]!.uniform(place) * length);
    const concept = (place: number) => (i: number): number => moving[any(i, place, moving.length)]!;
    const [things, others] = [THING, OTHER].map(place => draws.map((_, i) => concept(place)(i))) as [number[], number[]];
    const drawingOf = (place: number, concepts: readonly number[]): number[] => concepts.map((c, i) => table.byConcept[c]![any(i, place, table.byConcept[c]!.length)]!);
    const each = crop * crop * 3;
    const sprites = new Float32Array(count * each);
    augmentBatch({ pictures: table.pixels, size: table.size, picks: drawingOf(PICK, things), mates: drawingOf(MATE, others) }, augment, { seed: seed + CHANGES, step }, crop, sprites);
    const drawings = draws.map((_, i) => drawingAt(sprites, crop, i));
    const frames = new Uint8Array(count * settings.frames * each);
    const bytes = table.size * table.size * 3;
    const motions = new Uint32Array(count);
    for (let i = 0; i < count; i++) {
      const first = any(i, MOTION, MOTIONS.length);
      const apart = (m: number): boolean => isHeldOutPair(this.keys[things[i]!]!, m) || isHeldOutPair(this.keys[others[i]!]!, m);
      motions[i] = (first + Math.max(0, MOTIONS.findIndex((_, k) => !apart((first + k) % MOTIONS.length)))) % MOTIONS.length;
      const back = any(i, BACK, table.pixels.length / bytes);
      const backdrop = { size: table.size, levels: table.pixels.subarray(back * bytes, (back + 1) * bytes) };
      spriteClip(drawings[i]!, motions[i]!, new CounterRandom(seed, step, i, CLIP), crop, { settings, backdrop, out: frames, from: i * settings.frames * each });
    }
    return { drawings, motions, clips: normalizePictures(frames, crop) };
  }

  /** What the teachers see of a step's drawings. @param step from 0 @param drawings [n] @returns [n · views, 1, 3, S, S] normalised, the views of a drawing one after another */
  views(step: number, drawings: readonly Drawing[]): Float32Array {
    const { recipe: { seed, clips: { teacher: { views: settings } } }, crop } = this;
    const each = settings.frames * crop * crop * 3;
    const pixels = new Uint8Array(drawings.length * each);
    drawings.forEach((drawing, i) => spriteClip(drawing, 0, new CounterRandom(seed, step, i, VIEW), crop, { settings, out: pixels, from: i * each }));
    return normalizePictures(pixels, crop);
  }
}
