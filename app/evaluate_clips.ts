// `vl-jepa eval --clips`: a checkpoint on set MS, every split beside its controls (Node only: drawings come from npm packages).
import { TEST_ARTIST, TRAIN_ARTISTS, loadE4 } from '../data/e4.ts';
import type { Artist, E4 } from '../data/e4.ts';
import { normalizePictures } from '../data/augment.ts';
import { QUESTIONS, clipCaptions } from '../data/questions.ts';
import { CounterRandom, permutation } from '../data/random.ts';
import { MOTIONS, SPRITES, isHeldOutPair, spriteClip } from '../data/sprites.ts';
import { openDevice } from '../engine/device.ts';
import type { Device } from '../engine/device.ts';
import { scope } from '../engine/memory.ts';
import { Tensor } from '../engine/tensor.ts';
import { concat } from '../kernels/concat.ts';
import { VLJEPA } from '../model/vl_jepa.ts';
import { bootstrap, ranks, recall } from '../tasks/metrics.ts';
import type { Recall } from '../tasks/metrics.ts';
import { checkpointFolder, shortPath } from './checkpoint_path.ts';
import { loadArtistSet, smallPictures } from './e4_set.ts';
import { CliError } from './errors.ts';

/** Seed of the clips that are measured with; training has other seeds and other streams. */
const SEED = 2026, STREAM = 193, SHUFFLE = 194;
/** Clips that go through the encoder between two readbacks. */
const AT_ONCE = 64;

/** One clip to measure with. */
interface Item {
  /** Place in the list of set E4. */
  concept: number;
  motion: number;
  drawing: Uint8Array;
  backdrop: Uint8Array;
}

/** Clips of one split with their normalised pixels. */
interface ClipSet {
  items: readonly Item[];
  /** [n, frames, 3, S, S] */
  pixels: Float32Array;
}

/** A share in per cent with its bootstrap interval over clips, 95 per cent. */
export interface Share {
  percent: number;
  interval: [number, number];
  n: number;
}

export interface ClipSplit {
  /** "What is in the video?" against all names. */
  object: Recall & { interval: [number, number] };
  /** "How does it move?" against the eight answers. */
  motion: Share;
  /** "Describe the video." against the captions of the split's clips, and the captions against the clips. */
  captionOfVideo?: Recall;
  videoOfCaption?: Recall;
}

export interface ClipEvalResult {
  checkpoint: string;
  adapter: string;
  splits: Record<string, ClipSplit>;
  /** On the unseen artist: the motion question where the order of frames says nothing, or the opposite. */
  controls: Record<string, Share>;
  /** Motion questions in their other wordings, on the unseen artist. */
  wordings: Record<string, Share>;
  chance: { motion: number; object: number };
}

const shareOf = (hits: readonly boolean[]): Share => {
  const values = hits.map(h => (h ? 100 : 0));
  const sum = values.reduce<number>((a, b) => a + b, 0);
  return { percent: values.length ? sum / values.length : 0, interval: bootstrap(values), n: values.length };
};

/** Items of one artist: every concept once, motions in turn so that all come equally often. */
function itemsOf(drawings: Uint8Array, concepts: readonly number[], side: number, motionOf: (i: number) => number): Item[] {
  const bytes = side * side * 3;
  const at = (i: number): Uint8Array => drawings.subarray(i * bytes, (i + 1) * bytes);
  return concepts.map((concept, i) => ({ concept, motion: motionOf(i), drawing: at(i), backdrop: at((i * 7 + 3) % concepts.length) }));
}

/** Draws the clips; `order` says which frame stands at each place. */
function draw(items: readonly Item[], side: number, order: (item: number) => ArrayLike<number> = () => Array.from({ length: SPRITES.frames }, (_, t) => t)): ClipSet {
  const each = side * side * 3;
  const pixels = new Float32Array(items.length * SPRITES.frames * each);
  items.forEach(({ drawing, backdrop, motion }, i) => {
    const frames = spriteClip({ size: side, levels: drawing }, motion, new CounterRandom(SEED, 0, i, STREAM), side, { backdrop: { size: side, levels: backdrop } });
    normalizePictures(frames, side, pixels.subarray(i * SPRITES.frames * each, (i + 1) * SPRITES.frames * each), order(i));
  });
  return { items, pixels };
}

/** Predictions [n, dim] for one question each, from visual tokens that are made once. */
function predictAll(model: VLJEPA, { items, pixels }: ClipSet, questions: readonly string[]): Tensor[] {
  const side = model.config.vision.cropSize;
  const each = pixels.length / Math.max(1, items.length);
  return scope(() => {
    const parts: Tensor[][] = questions.map(() => []);
    for (let start = 0; start < items.length; start += AT_ONCE) {
      const count = Math.min(AT_ONCE, items.length - start);
      const tokens = model.encodeImage(Tensor.from(model.device, pixels.subarray(start * each, (start + count) * each), [count, SPRITES.frames, 3, side, side]), { batchSize: AT_ONCE });
      questions.forEach((question, q) => parts[q]!.push(model.predict(tokens, question, { batchSize: AT_ONCE })));
    }
    return parts.map(list => concat(list, 0));
  });
}

/** Ranks of the true text of each row. */
async function ranksOf(model: VLJEPA, predictions: Tensor, texts: Tensor, truth: ArrayLike<number>): Promise<Uint32Array> {
  const similarity = model.similarity(predictions, texts);
  const scores = await similarity.read();
  similarity.dispose();
  return ranks(scores, texts.shape[0]!, truth);
}

/** Texts that every split is compared with. */
interface Banks {
  names: Tensor;
  motions: Tensor;
  /** Names of the concepts, for captions. */
  list: readonly string[];
}

async function evaluateSplit(model: VLJEPA, set: ClipSet, { names, motions, list }: Banks, captions: boolean): Promise<{ split: ClipSplit; object: Uint32Array; motion: boolean[] }> {
  const { items } = set;
  const [object, motion, caption] = predictAll(model, set, [QUESTIONS.object[0]!, QUESTIONS.motion[0]!, QUESTIONS.caption[0]!]);
  const objectRanks = await ranksOf(model, object!, names, items.map(i => i.concept));
  const hits = Array.from(await ranksOf(model, motion!, motions, items.map(i => i.motion)), r => r === 1);
  const split: ClipSplit = { object: { ...recall(objectRanks), interval: bootstrap(Array.from(objectRanks, r => (r === 1 ? 100 : 0))) }, motion: shareOf(hits) };
  if (captions) {
    const texts = model.encodeText(items.map(i => clipCaptions(list[i.concept]!, i.motion)[0]!), { batchSize: 256 });
    const own = items.map((_, i) => i); // one clip per concept: no caption comes twice
    split.captionOfVideo = recall(await ranksOf(model, caption!, texts, own));
    split.videoOfCaption = recall(await ranksOf(model, texts, caption!, own));
    texts.dispose();
  }
  for (const t of [object!, motion!, caption!]) t.dispose();
  return { split, object: objectRanks, motion: hits };
}

async function motionShare(model: VLJEPA, set: ClipSet, motions: Tensor, question: string): Promise<Share> {
  const [predictions] = predictAll(model, set, [question]);
  const hits = Array.from(await ranksOf(model, predictions!, motions, set.items.map(i => i.motion)), r => r === 1);
  predictions!.dispose();
  return shareOf(hits);
}

/** First frame only, frames in another order, and backwards, where the opposite motion is the right answer. */
async function controlsOf(model: VLJEPA, items: readonly Item[], motions: Tensor): Promise<Record<string, Share>> {
  const side = model.config.vision.cropSize;
  const { frames } = SPRITES;
  const question = QUESTIONS.motion[0]!;
  const first = await motionShare(model, draw(items, side, () => new Uint32Array(frames)), motions, question);
  const shuffled = await motionShare(model, draw(items, side, i => permutation(frames, SEED + SHUFFLE, i)), motions, question);
  const backwards = draw(items, side, () => Array.from({ length: frames }, (_, t) => frames - 1 - t));
  const opposite = { ...backwards, items: items.map(item => ({ ...item, motion: item.motion ^ 1 })) }; // motions come in pairs of opposites
  return { 'first frame only': first, 'shuffled frames': shuffled, 'backwards, opposite motion expected': await motionShare(model, opposite, motions, question) };
}

/** One clip per concept of training artists, by turns: of training pairs, or of those kept apart. */
async function trainedItems(model: VLJEPA, e4: E4, heldOut: boolean): Promise<Item[]> {
  const side = model.config.vision.cropSize;
  const all: Item[] = [];
  const sets = await Promise.all(TRAIN_ARTISTS.map(async a => {
    const set = await loadArtistSet(e4, a);
    return { place: new Map(set.concepts.map((c, i) => [c, i])), pixels: await smallPictures(model, set) };
  }));
  const bytes = side * side * 3;
  for (const { index, key, unseen } of e4.concepts) {
    if (unseen) continue;
    const drawn = sets.filter(s => s.place.has(index));
    const { place, pixels } = drawn[index % drawn.length]!;
    const motion = Array.from({ length: MOTIONS.length }, (_, k) => (index + k) % MOTIONS.length).find(m => isHeldOutPair(key, m) === heldOut);
    const at = place.get(index)!;
    if (motion !== undefined) all.push({ concept: index, motion, drawing: pixels.subarray(at * bytes, (at + 1) * bytes), backdrop: pixels.subarray(0, bytes) });
  }
  return all;
}

/**
 * Measures a checkpoint on set MS.
 * @param options checkpoint folder, artist of the unseen split, whether JSON is wanted, most clips of a split (all), device
 * @returns figures by split, controls and wordings @throws CliError for an unknown artist
 */
export async function evaluateClips(options: { model?: string | undefined; artist: string; json: boolean; most?: number; device?: Device }): Promise<ClipEvalResult> {
  const artists: readonly Artist[] = [TEST_ARTIST, ...TRAIN_ARTISTS];
  const artist = artists.find(a => a === options.artist);
  if (!artist) throw new CliError(`eval: --artist is ${options.artist}, expected one of ${artists.join(', ')}`);
  const checkpoint = await checkpointFolder(options.model, 'nano2');
  const device = options.device ?? (await openDevice());
  const model = await VLJEPA.fromPretrained(checkpoint, { device });
  const e4 = await loadE4();
  const list = e4.concepts.map(c => c.name);
  const side = model.config.vision.cropSize;
  const banks: Banks = { list, names: model.encodeText(list, { batchSize: 256 }), motions: model.encodeText(MOTIONS.map(m => m.answer)) };
  const set = await loadArtistSet(e4, artist);
  const { most = Infinity } = options;
  const items = itemsOf(await smallPictures(model, set), set.concepts, side, i => i % MOTIONS.length).slice(0, most);
  const whole = await evaluateSplit(model, draw(items, side), banks, true);
  const part = (keep: (item: Item) => boolean): ClipSplit => {
    const places = items.flatMap((item, i) => (keep(item) ? [i] : []));
    const object = Uint32Array.from(places, i => whole.object[i]!);
    return { object: { ...recall(object), interval: bootstrap(Array.from(object, r => (r === 1 ? 100 : 0))) }, motion: shareOf(places.map(i => whole.motion[i]!)) };
  };
  const never = (item: Item): boolean => e4.concepts[item.concept]!.unseen;
  const apart = (item: Item): boolean => isHeldOutPair(e4.concepts[item.concept]!.key, item.motion);
  const splits: Record<string, ClipSplit> = {
    'trained artists, new seeds': (await evaluateSplit(model, draw((await trainedItems(model, e4, false)).slice(0, most), side), banks, false)).split,
    'trained artists, held-out pairs': (await evaluateSplit(model, draw((await trainedItems(model, e4, true)).slice(0, most), side), banks, false)).split,
    'unseen artist': whole.split,
    'unseen artist, objects that never moved in training': part(never),
    'unseen artist, held-out pairs': part(item => !never(item) && apart(item)),
  };
  const wordings: Record<string, Share> = {};
  for (const question of QUESTIONS.motion.slice(1)) wordings[question] = await motionShare(model, draw(items, side), banks.motions, question);
  const result: ClipEvalResult = {
    checkpoint: shortPath(checkpoint), adapter: device.adapter.notice, splits, controls: await controlsOf(model, items, banks.motions), wordings,
    chance: { motion: 100 / MOTIONS.length, object: 100 / list.length },
  };
  banks.names.dispose();
  banks.motions.dispose();
  model.dispose();
  if (!options.json) print(result);
  return result;
}

function print({ splits, controls, wordings, chance }: ClipEvalResult): void {
  const range = ([low, high]: [number, number]): string => `${low.toFixed(1)} to ${high.toFixed(1)}`;
  for (const [name, { object, motion, captionOfVideo, videoOfCaption }] of Object.entries(splits)) {
    console.log(`${name}: object R@1 ${object.r1.toFixed(1)} (${range(object.interval)})  R@5 ${object.r5.toFixed(1)}  R@10 ${object.r10.toFixed(1)}; motion ${motion.percent.toFixed(1)} (${range(motion.interval)})  ${motion.n} clips`);
    if (captionOfVideo && videoOfCaption) console.log(`  caption of the video R@1 ${captionOfVideo.r1.toFixed(1)}  R@5 ${captionOfVideo.r5.toFixed(1)}; video of the caption R@1 ${videoOfCaption.r1.toFixed(1)}  R@5 ${videoOfCaption.r5.toFixed(1)}`);
  }
  for (const [name, share] of [...Object.entries(controls), ...Object.entries(wordings)]) console.log(`${name}: motion ${share.percent.toFixed(1)} (${range(share.interval)})`);
  console.log(`chance: motion ${chance.motion.toFixed(1)}, object ${chance.object.toFixed(2)} (R@1, per cent; intervals are 95 % over clips)`);
}
