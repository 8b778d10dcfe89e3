// Clips of set MS to measure with, drawn when they are needed: every concept once, with seeds that training never has (Node only: drawings come from npm packages).
import { normalizePictures } from '../data/augment.ts';
import { GALLERY_ARTISTS, TRAIN_ARTISTS } from '../data/e4.ts';
import type { Artist, E4 } from '../data/e4.ts';
import { CounterRandom } from '../data/random.ts';
import { MOTIONS, SPRITES, isHeldOutPair, spriteClip } from '../data/sprites.ts';
import type { Device } from '../engine/device.ts';
import { scope } from '../engine/memory.ts';
import { Tensor } from '../engine/tensor.ts';
import { concat } from '../kernels/concat.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';
import { loadArtistSet, smallPictures } from './e4_set.ts';

/** Seed of the clips that are measured with; training has other seeds and other streams. */
export const CLIP_SEED = 2026;
const STREAM = 193, GALLERY_STREAM = 195;
/** Clips that go through the encoder between two readbacks. */
const AT_ONCE = 64;

/** One clip to measure with. */
export interface ClipItem {
  /** Place in the list of set E4. */
  readonly concept: number;
  readonly motion: number;
  /** [S, S, 3] */
  readonly drawing: Uint8Array;
  readonly backdrop: Uint8Array;
  /** Its random numbers. */
  readonly random: CounterRandom;
}

/** Which frame stands at each place of an item's clip; in order where missing. */
export type FrameOrder = (item: number) => ArrayLike<number>;

/**
 * Items of one artist: every concept once, motions in turn so that all come equally often.
 * @param drawings [n, S, S, 3] @param concepts [n] place of each in the list @param side S @returns [n]
 */
export function itemsOf(drawings: Uint8Array, concepts: readonly number[], side: number): ClipItem[] {
  const bytes = side * side * 3;
  const at = (i: number): Uint8Array => drawings.subarray(i * bytes, (i + 1) * bytes);
  return concepts.map((concept, i) => ({ concept, motion: i % MOTIONS.length, drawing: at(i), backdrop: at((i * 7 + 3) % concepts.length), random: new CounterRandom(CLIP_SEED, 0, i, STREAM) }));
}

/** Drawings of one artist at the model's size. */
interface Small { readonly artist: Artist; readonly concepts: readonly number[]; readonly place: ReadonlyMap<number, number>; readonly pixels: Uint8Array }

/** Drawings by model and artist: several splits take the same ones. */
const drawn = new WeakMap<VLJEPA, Map<Artist, Promise<Small>>>();

function smallSet(model: VLJEPA, e4: E4, artist: Artist): Promise<Small> {
  const known = drawn.get(model) ?? new Map<Artist, Promise<Small>>();
  drawn.set(model, known);
  const found = known.get(artist) ?? (async () => {
    const set = await loadArtistSet(e4, artist);
    return { artist, concepts: set.concepts, place: new Map(set.concepts.map((c, i) => [c, i])), pixels: await smallPictures(model, set) };
  })();
  known.set(artist, found);
  return found;
}

const smallSets = (model: VLJEPA, e4: E4, artists: readonly Artist[]): Promise<Small[]> => Promise.all(artists.map(artist => smallSet(model, e4, artist)));

/**
 * One clip per concept of training artists, by turns.
 * @param model whose preprocessing counts @param e4 the list @param heldOut of pairs kept apart from training, or of training pairs @returns items; concepts that never moved in training are not among them
 */
export async function trainedItems(model: VLJEPA, e4: E4, heldOut: boolean): Promise<ClipItem[]> {
  const bytes = model.config.vision.cropSize ** 2 * 3;
  const sets = await smallSets(model, e4, TRAIN_ARTISTS);
  const all: ClipItem[] = [];
  for (const { index, key, unseen } of e4.concepts) {
    if (unseen) continue;
    const drawn = sets.filter(s => s.place.has(index));
    const { place, pixels } = drawn[index % drawn.length]!;
    const motion = Array.from({ length: MOTIONS.length }, (_, k) => (index + k) % MOTIONS.length).find(m => isHeldOutPair(key, m) === heldOut);
    const at = place.get(index)!;
    if (motion !== undefined) all.push({ concept: index, motion, drawing: pixels.subarray(at * bytes, (at + 1) * bytes), backdrop: pixels.subarray(0, bytes), random: new CounterRandom(CLIP_SEED, 0, all.length, STREAM) });
  }
  return all;
}

/**
 * Every thing with every motion once, artists by turns, in parts of one artist in which no thing comes twice.
 * @param things how many @param artists how many @returns parts with their artist, and thing and motion of each clip
 */
export function galleryPairs(things: number, artists: number): { artist: number; pairs: { thing: number; motion: number }[] }[] {
  return Array.from({ length: artists * Math.ceil(MOTIONS.length / artists) }, (_, part) => {
    const [artist, turn] = [part % artists, Math.floor(part / artists)];
    const pairs = Array.from({ length: things }, (_, thing) => ({ thing, motion: ((artist + thing) % artists) + turn * artists }));
    return { artist, pairs: pairs.filter(({ motion }) => motion < MOTIONS.length) };
  });
}

/**
 * What neighbours are looked up in: the asked pair of thing and motion is there beside the seven other motions of the thing, as in a bank of all captions.
 * @param model whose preprocessing counts @param e4 the list @param artists who have drawn every concept @returns parts as `galleryPairs` has them, [8 · concepts] in all
 */
export async function galleryItems(model: VLJEPA, e4: E4, artists: readonly Artist[] = GALLERY_ARTISTS): Promise<ClipItem[][]> {
  const bytes = model.config.vision.cropSize ** 2 * 3;
  const sets = await smallSets(model, e4, artists);
  return galleryPairs(e4.concepts.length, artists.length).map(({ artist, pairs }) => {
    const { concepts, pixels } = sets[artist]!;
    const at = (k: number): Uint8Array => pixels.subarray(k * bytes, (k + 1) * bytes);
    return pairs.map(({ thing: i, motion }) => ({ concept: concepts[i]!, motion, drawing: at(i), backdrop: at((i * 7 + 3) % concepts.length), random: new CounterRandom(CLIP_SEED, motion, i, GALLERY_STREAM) }));
  });
}

/** Frames of one clip. @param item which @param side S @returns [frames, S, S, 3] levels */
export const clipLevels = ({ drawing, backdrop, motion, random }: ClipItem, side: number): Uint8Array => spriteClip({ size: side, levels: drawing }, motion, random, side, { backdrop: { size: side, levels: backdrop } });

const IN_ORDER: FrameOrder = () => Array.from({ length: SPRITES.frames }, (_, t) => t);

/**
 * Clips a few at a time through networks, each few inside a scope of its own.
 * @param device where @param side S @param count n @param levelsOf levels [frames, S, S, 3] of a clip @param use what is made of normalised pixels [some, frames, 3, S, S] @param order of frames
 * @returns what `use` returned, in order
 */
export function throughClips<T extends Tensor | readonly Tensor[]>(device: Device, side: number, count: number, levelsOf: (item: number) => Uint8Array, use: (pixels: Tensor) => T, order: FrameOrder = IN_ORDER): T[] {
  const { frames } = SPRITES;
  const each = frames * side * side * 3;
  const parts: T[] = [];
  for (let start = 0; start < count; start += AT_ONCE) {
    const some = Math.min(AT_ONCE, count - start);
    const pixels = new Float32Array(some * each);
    for (let i = 0; i < some; i++) normalizePictures(levelsOf(start + i), side, pixels.subarray(i * each, (i + 1) * each), order(start + i));
    parts.push(scope(() => use(Tensor.from(device, pixels, [some, frames, 3, side, side]))));
  }
  return parts;
}

/**
 * Predictions for clips whose levels are made a few at a time; the visual tokens of a clip are made once for all questions.
 * @param model the model @param count n @param levelsOf levels [frames, S, S, 3] of a clip @param questions one prediction each @param order of frames
 * @returns per question [n, dim]
 */
export function predictClips(model: VLJEPA, count: number, levelsOf: (item: number) => Uint8Array, questions: readonly string[], order: FrameOrder = IN_ORDER): Tensor[] {
  return scope(() => {
    const parts = throughClips(model.device, model.config.vision.cropSize, count, levelsOf, pixels => {
      const tokens = model.encodeImage(pixels, { batchSize: AT_ONCE });
      return questions.map(question => model.predict(tokens, question, { batchSize: AT_ONCE }));
    }, order);
    return questions.map((_, q) => concat(parts.map(part => part[q]!), 0));
  });
}

/** Predictions of items. @param model the model @param items clips @param questions one prediction each @param order of frames @returns per question [n, dim] */
export const predictItems = (model: VLJEPA, items: readonly ClipItem[], questions: readonly string[], order?: FrameOrder): Tensor[] =>
  predictClips(model, items.length, i => clipLevels(items[i]!, model.config.vision.cropSize), questions, order);

/** Clips that are drawn: everything that looks at them again takes their levels. */
export interface DrawnClips {
  readonly items: readonly ClipItem[];
  readonly side: number;
  /** [n, frames, S, S, 3] */
  readonly levels: Uint8Array;
}

/** Draws all clips. @param items which @param side S @returns items with levels */
export function drawClips(items: readonly ClipItem[], side: number): DrawnClips {
  const each = SPRITES.frames * side * side * 3;
  const levels = new Uint8Array(items.length * each);
  items.forEach((item, i) => levels.set(clipLevels(item, side), i * each));
  return { items, side, levels };
}
