// What a comparison of objectives measures, on the same clips and candidates for both kinds of model: the nearest text for embeddings; what is said, or the most likely label, for tokens (spec 1.11).
import { TEST_ARTIST } from '../data/e4.ts';
import type { E4 } from '../data/e4.ts';
import { movingCaptions, QUESTIONS } from '../data/questions.ts';
import { permutation } from '../data/random.ts';
import { MOTIONS } from '../data/sprites.ts';
import { scope } from '../engine/memory.ts';
import { noGrad } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { concat } from '../kernels/concat.ts';
import type { TokenGenerator } from '../model/token_generator.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';
import { ranks } from '../tasks/metrics.ts';
import { ciderD } from '../tasks/metrics_caption.ts';
import { CLIP_SEED, clipLevels, itemsOf, predictItems, throughClips } from './clip_sets.ts';
import type { ClipItem } from './clip_sets.ts';
import { loadArtistSet, smallPictures } from './e4_set.ts';
import { referencesOf } from './evaluate_captions.ts';
import { nearestTexts } from './figures.ts';

/** Per cent but for CIDEr-D (0 to 10). */
export interface ObjectiveFigures {
  /** "How does it move?": the nearest of eight answers, or said word for word. */
  motion: number;
  /** "What is in the video?": the nearest of all names, or said word for word. */
  object: number;
  /** "Describe the video.": the nearest of all captions, or what is said. */
  ciderD: number;
  /** The motion that is nearest or most likely; at the end of a run. */
  motionRanked?: number;
  /** The true name among the candidates of each clip; at the end of a run. */
  top1?: number;
  top5?: number;
}

/** Clips to measure with. */
export interface ObjectiveItems {
  readonly items: readonly ClipItem[];
  /** Per clip: its concept, then others, for labels to choose from. */
  readonly candidates: readonly (readonly number[])[];
}

const CANDIDATES = 50, ORDER = 196, OTHERS = 197;

/** Clips of the unseen artist, spread over concepts and motions, with candidates. @param model whose preprocessing counts @param e4 the list @param count clips @returns items */
export async function objectiveItems(model: VLJEPA, e4: E4, count: number): Promise<ObjectiveItems> {
  const set = await loadArtistSet(e4, TEST_ARTIST);
  const all = itemsOf(await smallPictures(model, set), set.concepts, model.config.vision.cropSize);
  const items = [...permutation(all.length, CLIP_SEED + ORDER, 0)].slice(0, count).map(i => all[i]!);
  const candidates = items.map(({ concept }, i) => [concept, ...[...permutation(e4.concepts.length, CLIP_SEED + OTHERS, i).subarray(0, CANDIDATES)].filter(c => c !== concept).slice(0, CANDIDATES - 1)]);
  return { items, candidates };
}

const percent = (hits: readonly boolean[]): number => (100 * hits.filter(Boolean).length) / hits.length;
/** Rank of the first of a list; a tie counts against it, as does a NaN. */
const rankOfFirst = (scores: readonly number[]): number => ranks(Float32Array.from(scores), scores.length, [0])[0]!;
const questions = [QUESTIONS.motion[0]!, QUESTIONS.object[0]!, QUESTIONS.caption[0]!];

/** The cosine of every prediction with every text. */
async function cosines(model: VLJEPA, predictions: Tensor, texts: Tensor): Promise<Float32Array> {
  const table = model.similarity(predictions, texts);
  try {
    return await table.read();
  } finally {
    table.dispose();
  }
}

/** A model that predicts embeddings. @param model with a tokenizer @param e4 the list @param items clips @param full also what is ranked @returns figures */
export async function embeddingFigures(model: VLJEPA, e4: E4, { items, candidates }: ObjectiveItems, full: boolean): Promise<ObjectiveFigures> {
  const names = e4.concepts.map(c => c.name);
  const captions = movingCaptions(names);
  const made = scope(() => {
    const [motion, object, caption] = predictItems(model, items, questions) as [Tensor, Tensor, Tensor];
    return { motion, object, caption, motions: model.encodeText(MOTIONS.map(m => m.answer)), names: model.encodeText(names, { batchSize: 256 }), captions: model.encodeText(captions, { batchSize: 256 }) };
  });
  try {
    const moved = await nearestTexts(made.motion, made.motions);
    const named = await nearestTexts(made.object, made.names);
    const described = await nearestTexts(made.caption, made.captions);
    const references = referencesOf(items, names);
    const figures = {
      motion: percent(items.map((item, i) => moved[i] === item.motion)), object: percent(items.map((item, i) => named[i] === item.concept)),
      ciderD: ciderD(items.map((_, i) => ({ caption: described[i]! < 0 ? '' : captions[described[i]!]!, references: references[i]! }))).mean,
    };
    if (!full) return figures;
    const scores = await cosines(model, made.object, made.names);
    const ranked = candidates.map((list, i) => rankOfFirst(list.map(c => scores[i * names.length + c]!)));
    return { ...figures, motionRanked: figures.motion, top1: percent(ranked.map(r => r === 1)), top5: percent(ranked.map(r => r <= 5)) };
  } finally {
    for (const t of Object.values(made)) t.dispose();
  }
}

/** Visual tokens of clips. */
function visualTokens({ vision, device }: TokenGenerator, items: readonly ClipItem[]): Tensor {
  const { cropSize: side } = vision.config;
  return scope(() => noGrad(() => concat(throughClips(device, side, items.length, i => clipLevels(items[i]!, side), pixels => vision.forward(pixels)), 0)));
}

/** A model that generates tokens: greedy answers, and labels by perplexity. @param generator the model @param e4 the list @param items clips @param full also what is ranked @returns figures */
export async function generatorFigures(generator: TokenGenerator, e4: E4, { items, candidates }: ObjectiveItems, full: boolean): Promise<ObjectiveFigures> {
  const names = e4.concepts.map(c => c.name);
  const visual = visualTokens(generator, items);
  const plain = (text: string): string => generator.tokenizer.decode(generator.encode(text));
  try {
    const [moved, named, described] = [await generator.answer(visual, questions[0]!), await generator.answer(visual, questions[1]!), await generator.answer(visual, questions[2]!)];
    const references = referencesOf(items, names);
    const figures = {
      motion: percent(items.map((item, i) => moved[i] === plain(MOTIONS[item.motion]!.answer))), object: percent(items.map((item, i) => named[i] === plain(names[item.concept]!))),
      ciderD: ciderD(items.map((_, i) => ({ caption: described[i]!, references: references[i]! }))).mean,
    };
    if (!full) return figures;
    const motionScores = await generator.scores(visual, questions[0]!, items.map(({ motion }) => [MOTIONS[motion]!.answer, ...MOTIONS.filter((_, m) => m !== motion).map(m => m.answer)]));
    const objectScores = await generator.scores(visual, questions[1]!, candidates.map(list => list.map(c => names[c]!)));
    const ranked = objectScores.map(rankOfFirst);
    return { ...figures, motionRanked: percent(motionScores.map(s => rankOfFirst(s) === 1)), top1: percent(ranked.map(r => r === 1)), top5: percent(ranked.map(r => r <= 5)) };
  } finally {
    visual.dispose();
  }
}
