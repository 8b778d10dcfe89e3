// `vl-jepa eval --clips`: a checkpoint on set MS, every split beside its controls (Node only: drawings come from npm packages).
import { TEST_ARTIST, TRAIN_ARTISTS, loadE4 } from '../data/e4.ts';
import type { Artist, E4 } from '../data/e4.ts';
import { QUESTIONS, clipCaptions } from '../data/questions.ts';
import { permutation } from '../data/random.ts';
import { MOTIONS, SPRITES, isHeldOutPair } from '../data/sprites.ts';
import { openDevice } from '../engine/device.ts';
import type { Device } from '../engine/device.ts';
import type { Tensor } from '../engine/tensor.ts';
import { VLJEPA } from '../model/vl_jepa.ts';
import { bootstrap, ranks, recall } from '../tasks/metrics.ts';
import type { Recall } from '../tasks/metrics.ts';
import { checkpointFolder, shortPath } from './checkpoint_path.ts';
import { CLIP_SEED, itemsOf, predictItems, trainedItems } from './clip_sets.ts';
import type { ClipItem, FrameOrder } from './clip_sets.ts';
import { loadArtistSet, smallPictures } from './e4_set.ts';
import { CliError } from './errors.ts';
import { shareOf } from './figures.ts';
import type { Share } from './figures.ts';

const SHUFFLE = 194;

/** Recall with a bootstrap interval of R@1. */
export type BoundedRecall = Recall & { interval: [number, number] };

export interface ClipSplit {
  /** "What is in the video?" against all names. */
  object: BoundedRecall;
  /** "How does it move?" against the eight answers. */
  motion: Share;
  /** "Describe the video." against the captions of the split's clips, and the captions against the clips. */
  captionOfVideo?: BoundedRecall;
  videoOfCaption?: BoundedRecall;
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

/** What is measured with: a model, the list, and the clips of one artist. */
export interface ClipStage {
  model: VLJEPA;
  e4: E4;
  artist: Artist;
  items: readonly ClipItem[];
  /** Clips of a split, at most. */
  most: number;
}

/** Predictions for the first wording of three questions, [n, dim] each. */
export interface SplitPredictions { items: readonly ClipItem[]; object: Tensor; motion: Tensor; caption: Tensor }

/** Figures of set MS with the predictions that they are made of, by split; dispose them when done. */
export interface ClipFigures extends Pick<ClipEvalResult, 'splits' | 'controls' | 'wordings' | 'chance'> { predictions: Record<string, SplitPredictions> }

/** The split that a model has to show itself on. */
export const UNSEEN = 'unseen artist';

/** Ranks of the true text of each row. */
async function ranksOf(model: VLJEPA, predictions: Tensor, texts: Tensor, truth: ArrayLike<number>): Promise<Uint32Array> {
  const similarity = model.similarity(predictions, texts);
  const scores = await similarity.read();
  similarity.dispose();
  return ranks(scores, texts.shape[0]!, truth);
}

const bounded = (rank: Uint32Array): BoundedRecall => ({ ...recall(rank), interval: bootstrap(Array.from(rank, r => (r === 1 ? 100 : 0))) });

/** Texts that every split is compared with. */
interface Banks {
  names: Tensor;
  motions: Tensor;
  /** Names of the concepts, for captions. */
  list: readonly string[];
}

interface SplitResult { split: ClipSplit; object: Uint32Array; motion: boolean[]; wordings: Record<string, Share>; predictions: SplitPredictions }

/** One split; with `more` also retrieval by captions and the other wordings of the motion question. */
async function evaluateSplit(model: VLJEPA, items: readonly ClipItem[], { names, motions, list }: Banks, more: boolean): Promise<SplitResult> {
  const others = more ? QUESTIONS.motion.slice(1) : [];
  const [object, motion, caption, ...worded] = predictItems(model, items, [QUESTIONS.object[0]!, QUESTIONS.motion[0]!, QUESTIONS.caption[0]!, ...others]) as [Tensor, Tensor, Tensor, ...Tensor[]];
  const moves = items.map(i => i.motion);
  const objectRanks = await ranksOf(model, object, names, items.map(i => i.concept));
  const right = async (predictions: Tensor): Promise<boolean[]> => Array.from(await ranksOf(model, predictions, motions, moves), r => r === 1);
  const hits = await right(motion);
  const split: ClipSplit = { object: bounded(objectRanks), motion: shareOf(hits) };
  const wordings: Record<string, Share> = {};
  for (const [k, predictions] of worded.entries()) {
    wordings[others[k]!] = shareOf(await right(predictions));
    predictions.dispose();
  }
  if (more) {
    const texts = model.encodeText(items.map(i => clipCaptions(list[i.concept]!, i.motion)[0]!), { batchSize: 256 });
    const own = items.map((_, i) => i); // one clip per concept: no caption comes twice
    split.captionOfVideo = bounded(await ranksOf(model, caption, texts, own));
    split.videoOfCaption = bounded(await ranksOf(model, texts, caption, own));
    texts.dispose();
  }
  return { split, object: objectRanks, motion: hits, wordings, predictions: { items, object, motion, caption } };
}

/** First frame only, frames in another order (and what is right of that: which value moves, and which way), and backwards, where the opposite motion is the right answer. */
async function controlsOf(model: VLJEPA, items: readonly ClipItem[], motions: Tensor): Promise<Record<string, Share>> {
  const { frames } = SPRITES;
  const right = async (order: FrameOrder): Promise<{ right: boolean[]; opposite: boolean[] }> => {
    const [predictions] = predictItems(model, items, [QUESTIONS.motion[0]!], order);
    const first = async (motionOf: (item: ClipItem) => number): Promise<boolean[]> => Array.from(await ranksOf(model, predictions!, motions, items.map(motionOf)), r => r === 1);
    const found = { right: await first(i => i.motion), opposite: await first(i => i.motion ^ 1) }; // motions come in pairs of opposites
    predictions!.dispose();
    return found;
  };
  const shuffled = await right(i => permutation(frames, CLIP_SEED + SHUFFLE, i));
  const axis = shuffled.right.map((r, i) => r || shuffled.opposite[i]!);
  return {
    'first frame only': shareOf((await right(() => new Uint32Array(frames))).right),
    'shuffled frames': shareOf(shuffled.right),
    'shuffled frames, what changes (place across, place down, size or turn; chance 25)': shareOf(axis),
    'shuffled frames, which way it goes where that is right (chance 50)': shareOf(shuffled.right.filter((_, i) => axis[i])),
    'backwards, opposite motion expected': shareOf((await right(() => Array.from({ length: frames }, (_, t) => frames - 1 - t))).opposite),
  };
}

/**
 * Opens what set MS is measured with. @param model the model @param artist of the unseen split @param most clips of a split @returns the stage @throws CliError for an unknown artist
 */
export async function clipStage(model: VLJEPA, artist: string, most = Infinity): Promise<ClipStage> {
  const known = ([TEST_ARTIST, ...TRAIN_ARTISTS] as const).find(a => a === artist);
  if (!known) throw new CliError(`eval: --artist is ${artist}, expected one of ${[TEST_ARTIST, ...TRAIN_ARTISTS].join(', ')}`);
  const e4 = await loadE4();
  const set = await loadArtistSet(e4, known);
  return { model, e4, artist: known, most, items: itemsOf(await smallPictures(model, set), set.concepts, model.config.vision.cropSize).slice(0, most) };
}

/** All figures of set MS. @param stage from `clipStage` @returns by split, with predictions */
export async function clipFigures({ model, e4, items, most }: ClipStage): Promise<ClipFigures> {
  const list = e4.concepts.map(c => c.name);
  const banks: Banks = { list, names: model.encodeText(list, { batchSize: 256 }), motions: model.encodeText(MOTIONS.map(m => m.answer)) };
  const whole = await evaluateSplit(model, items, banks, true);
  const part = (keep: (item: ClipItem) => boolean): ClipSplit => {
    const places = items.flatMap((item, i) => (keep(item) ? [i] : []));
    return { object: bounded(Uint32Array.from(places, i => whole.object[i]!)), motion: shareOf(places.map(i => whole.motion[i]!)) };
  };
  const never = (item: ClipItem): boolean => e4.concepts[item.concept]!.unseen;
  const apart = (item: ClipItem): boolean => isHeldOutPair(e4.concepts[item.concept]!.key, item.motion);
  const seeds = await evaluateSplit(model, (await trainedItems(model, e4, false)).slice(0, most), banks, false);
  const pairs = await evaluateSplit(model, (await trainedItems(model, e4, true)).slice(0, most), banks, false);
  const splits: Record<string, ClipSplit> = {
    'trained artists, new seeds': seeds.split,
    'trained artists, held-out pairs': pairs.split,
    [UNSEEN]: whole.split,
    'unseen artist, objects that never moved in training': part(never),
    'unseen artist, held-out pairs': part(item => !never(item) && apart(item)),
  };
  const controls = await controlsOf(model, items, banks.motions);
  banks.names.dispose();
  banks.motions.dispose();
  return {
    splits, controls, wordings: whole.wordings, chance: { motion: 100 / MOTIONS.length, object: 100 / list.length },
    predictions: { 'trained artists, new seeds': seeds.predictions, 'trained artists, held-out pairs': pairs.predictions, [UNSEEN]: whole.predictions },
  };
}

/** Gives predictions back. @param predictions of `clipFigures` @returns nothing */
export function releasePredictions(predictions: Record<string, SplitPredictions>): void {
  for (const { object, motion, caption } of Object.values(predictions)) for (const t of [object, motion, caption]) t.dispose();
}

/**
 * Measures a checkpoint on set MS.
 * @param options checkpoint folder, artist of the unseen split, whether JSON is wanted, most clips of a split (all), device
 * @returns figures by split, controls and wordings @throws CliError for an unknown artist
 */
export async function evaluateClips(options: { model?: string | undefined; artist: string; json: boolean; most?: number; device?: Device }): Promise<ClipEvalResult> {
  const checkpoint = await checkpointFolder(options.model, 'nano2');
  const device = options.device ?? (await openDevice());
  const model = await VLJEPA.fromPretrained(checkpoint, { device });
  try {
    const { predictions, ...figures } = await clipFigures(await clipStage(model, options.artist, options.most));
    releasePredictions(predictions);
    const result: ClipEvalResult = { checkpoint: shortPath(checkpoint), adapter: device.adapter.notice, ...figures };
    if (!options.json) for (const line of clipLines(result)) console.log(line);
    return result;
  } finally {
    model.dispose();
  }
}

/** Figures of set MS for people. @param figures of `clipFigures` @returns lines */
export function clipLines({ splits, controls, wordings, chance }: Omit<ClipFigures, 'predictions'>): string[] {
  const range = ([low, high]: [number, number]): string => `${low.toFixed(1)} to ${high.toFixed(1)}`;
  const lines: string[] = [];
  for (const [name, { object, motion, captionOfVideo, videoOfCaption }] of Object.entries(splits)) {
    lines.push(`${name}: object R@1 ${object.r1.toFixed(1)} (${range(object.interval)})  R@5 ${object.r5.toFixed(1)}  R@10 ${object.r10.toFixed(1)}; motion ${motion.percent.toFixed(1)} (${range(motion.interval)})  ${motion.n} clips`);
    if (captionOfVideo && videoOfCaption) lines.push(`  caption of the video R@1 ${captionOfVideo.r1.toFixed(1)}  R@5 ${captionOfVideo.r5.toFixed(1)}; video of the caption R@1 ${videoOfCaption.r1.toFixed(1)}  R@5 ${videoOfCaption.r5.toFixed(1)}`);
  }
  for (const [name, share] of [...Object.entries(controls), ...Object.entries(wordings)]) lines.push(`${name}: motion ${share.percent.toFixed(1)} (${range(share.interval)})`);
  lines.push(`chance: motion ${chance.motion.toFixed(1)}, object ${chance.object.toFixed(2)} (R@1, per cent; intervals are 95 % over clips)`);
  return lines;
}
