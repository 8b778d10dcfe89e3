// CIDEr-D of decoded captions on set MS beside what needs no decoder: the text bank (the oracle), the caption of the nearest clip, and one caption for all.
import { clipCaptions } from '../data/questions.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { TextDecoder } from '../model/text_decoder.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';
import { rerankTexts } from '../tasks/caption.ts';
import { bootstrap } from '../tasks/metrics.ts';
import { ciderD } from '../tasks/metrics_caption.ts';
import { nearest } from '../tasks/nearest.ts';
import type { ClipItem } from './clip_sets.ts';
import type { SplitPredictions } from './evaluate_clips.ts';
import { shareOf } from './figures.ts';
import type { Share } from './figures.ts';

/** How good one way of captioning is. */
export interface CaptionFigure {
  /** Mean CIDEr-D over clips, 0 to 10, with five references per clip. */
  ciderD: number;
  /** Bootstrap interval over clips, 95 per cent. */
  interval: [number, number];
  /** The first reference word for word. */
  exact: Share;
}

/** Five sentences per clip. @param items clips @param names of the concepts @returns references */
export const referencesOf = (items: readonly ClipItem[], names: readonly string[]): string[][] => items.map(i => clipCaptions(names[i.concept]!, i.motion));

/**
 * Scores captions. @param captions [n] @param references [n] @param plain how a text comes back from the tokenizer, for word-for-word counts @returns figure
 */
export function captionFigure(captions: readonly string[], references: readonly (readonly string[])[], plain: (text: string) => string = t => t): CaptionFigure {
  const { mean, perItem } = ciderD(captions.map((caption, i) => ({ caption, references: references[i]! })));
  return { ciderD: mean, interval: bootstrap(perItem), exact: shareOf(captions.map((c, i) => plain(c) === plain(references[i]![0]!))) };
}

/** Beams, all of which are kept for reranking. */
const BEAMS = 4;
/** Candidates for the one caption, and clips that they are tried on. */
const CANDIDATES = 48, TRIED = 384;

/** Some of a list, evenly spread. */
const some = <T>(list: readonly T[], most: number): T[] => list.filter((_, i) => i % Math.max(1, Math.floor(list.length / most)) === 0).slice(0, most);

/**
 * The one caption that agrees best with those of training clips. Every caption comes equally often in set MS, so the most frequent one is the one whose words are.
 * @param references of training clips @returns a caption
 */
export function commonCaption(references: readonly (readonly string[])[]): string {
  const tried = some(references, TRIED);
  let best = { caption: '', score: -Infinity };
  for (const [caption] of some(references, CANDIDATES)) {
    const score = ciderD(tried.map(r => ({ caption: caption!, references: r }))).mean;
    if (score > best.score) best = { caption: caption!, score };
  }
  return best.caption;
}

/** Clips with the predictions for them when their description is asked for. */
export type Described = Pick<SplitPredictions, 'items' | 'caption'>;

/** The decoder on one split. @param model the model @param decoder of this model @param predictions of the split @param names of the concepts @param beams whether beams are tried too @returns figures by way, and the captions of the last way */
export async function decodedFigures(model: VLJEPA, decoder: TextDecoder, { items, caption }: Described, names: readonly string[], beams: boolean): Promise<{ ways: Record<string, CaptionFigure>; captions: string[] }> {
  const references = referencesOf(items, names);
  const captions = await decoder.decode(caption, { batchSize: 256 });
  const plain = (text: string): string => decoder.spell(text);
  const ways: Record<string, CaptionFigure> = { greedy: captionFigure(captions, references, plain) };
  if (!beams) return { ways, captions };
  const proposed = await decoder.hypotheses(caption, { batchSize: 128, method: 'beam', width: BEAMS, nBest: BEAMS });
  const best = (lists: readonly (readonly { text: string }[])[]): string[] => lists.map(([first]) => first!.text);
  const [beam, reranked] = [best(proposed), best(await rerankTexts(model, caption, proposed))];
  return { ways: { ...ways, beam: captionFigure(beam, references, plain), reranked: captionFigure(reranked, references, plain) }, captions: reranked };
}

const nearestRows = async (rows: Tensor, bank: Tensor): Promise<number[]> => (await nearest(rows, bank, 1)).map(([hit]) => hit!.index);

/** The text bank, which a decoder can be measured by. @param clips described @param names of the concepts @param bank every caption with its vector @returns one figure */
export async function bankFigure({ items, caption }: Described, names: readonly string[], bank: { texts: readonly string[]; vectors: Tensor }): Promise<Record<string, CaptionFigure>> {
  return { 'text bank (oracle: the nearest of all captions)': captionFigure((await nearestRows(caption, bank.vectors)).map(i => bank.texts[i]!), referencesOf(items, names)) };
}

/**
 * What says a training clip's caption again.
 * @param clips described @param names of the concepts @param gallery every thing with every motion by training artists, described @param alike the clip of the gallery that is nearest in colours and edges to each clip
 * @returns figures by way
 */
export async function retrievedFigures({ items, caption }: Described, names: readonly string[], gallery: Described, alike: readonly number[]): Promise<Record<string, CaptionFigure>> {
  const [references, shown] = [referencesOf(items, names), referencesOf(gallery.items, names)];
  const constant = commonCaption(shown);
  return {
    'caption of the nearest clip of training artists, by the model': captionFigure((await nearestRows(caption, gallery.caption)).map(i => shown[i]![0]!), references),
    'caption of the nearest clip of training artists, by colours and edges': captionFigure(alike.map(i => shown[i]![0]!), references),
    [`one caption for all ("${constant}")`]: captionFigure(items.map(() => constant), references),
  };
}
