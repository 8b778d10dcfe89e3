// Baselines without learning on set MS: the nearest clip of a gallery of training artists, by raw pixels and by colours with edges, on first frames and on all frames.
import { centredRows, edgeRows, pixelRows } from '../data/baselines.ts';
import type { PictureSet, Rows } from '../data/baselines.ts';
import { SPRITES } from '../data/sprites.ts';
import type { Device } from '../engine/device.ts';
import { Tensor } from '../engine/tensor.ts';
import { recall } from '../tasks/metrics.ts';
import type { Recall } from '../tasks/metrics.ts';
import type { Hit } from '../tasks/nearest.ts';
import { exactSearcher } from '../tasks/searcher.ts';
import { clipLevels } from './clip_sets.ts';
import type { ClipItem } from './clip_sets.ts';
import { shareOf } from './figures.ts';
import type { Share } from './figures.ts';

/** What the nearest clip says. */
export interface NeighbourFigures {
  /** Its object, by the rank of the nearest clip of the right object. */
  object: Omit<Recall, 'medianRank'>;
  /** Its motion. */
  motion: Share;
}

/** Objects that are looked at per question: recall goes to 10. */
const DEPTH = 10;
/** Thumbnails of raw pixels, which have to divide the side of the frames. */
const thumbnail = (side: number): number => [16, 12, 8].find(s => side % s === 0) ?? side;

/** Ways of looking at a clip. */
const FEATURES: Readonly<Record<string, { frames: number; rows: (set: PictureSet) => Rows }>> = {
  'raw pixels, first frame': { frames: 1, rows: set => pixelRows(set, thumbnail(set.size)) },
  'raw pixels, all frames': { frames: SPRITES.frames, rows: set => pixelRows(set, thumbnail(set.size)) },
  'colour and edge histograms, first frame': { frames: 1, rows: edgeRows },
  'colour and edge histograms, all frames': { frames: SPRITES.frames, rows: edgeRows },
};

/** Rows of clips: the features of their first frames joined, the mean clip taken off, of length 1. */
function clipRows(items: readonly ClipItem[], side: number, { frames, rows }: (typeof FEATURES)[string]): Rows {
  const each = frames * side * side * 3;
  const pixels = new Uint8Array(items.length * each);
  items.forEach((item, i) => pixels.set(clipLevels(item, side).subarray(0, each), i * each));
  const { width, data } = rows({ size: side, pixels });
  return centredRows({ n: items.length, width: frames * width, data });
}

/** The nearest of each artist's clips together, best first. */
async function search(device: Device, queries: Rows, galleries: readonly { from: number; rows: () => Rows }[]): Promise<Hit[][]> {
  const wanted = Tensor.from(device, queries.data, [queries.n, queries.width]);
  const all: Hit[][] = Array.from({ length: queries.n }, () => []);
  for (const { from, rows } of galleries) {
    const { data, width } = rows();
    const searcher = exactSearcher(device, { vectors: data, dim: width });
    (await searcher.search(wanted, DEPTH)).forEach((hits, q) => all[q]!.push(...hits.map(({ index, score }) => ({ index: from + index, score }))));
    searcher.dispose();
  }
  wanted.dispose();
  return all.map(hits => hits.sort((a, b) => b.score - a.score || a.index - b.index));
}

/** Rank of the right object among those of the nearest clips. @param hits best first @param concepts of the gallery @param truth wanted one @returns rank, or one that is beyond every recall */
export function rankOfObject(hits: readonly Hit[], concepts: readonly number[], truth: number): number {
  const rank = [...new Set(hits.map(h => concepts[h.index]!))].indexOf(truth);
  return rank < 0 ? Infinity : rank + 1;
}

/**
 * Looks every clip up among those of the gallery.
 * @param device where the cosines are taken @param items clips that are asked about @param gallery clips of training artists, one artist after another @param artists how many @param side of the frames
 * @returns figures by way of looking, and the nearest clip of each item by the last way, which is the strongest
 */
export async function neighbourFigures(device: Device, items: readonly ClipItem[], gallery: readonly ClipItem[], artists: number, side: number): Promise<{ figures: Record<string, NeighbourFigures>; nearest: number[] }> {
  const per = gallery.length / artists;
  const concepts = gallery.map(g => g.concept);
  const figures: Record<string, NeighbourFigures> = {};
  let nearest: number[] = [];
  for (const [name, feature] of Object.entries(FEATURES)) {
    const parts = Array.from({ length: artists }, (_, a) => ({ from: a * per, rows: () => clipRows(gallery.slice(a * per, (a + 1) * per), side, feature) }));
    const hits = await search(device, clipRows(items, side, feature), parts);
    nearest = hits.map(list => list[0]!.index);
    const { n, r1, r5, r10 } = recall(hits.map((list, i) => rankOfObject(list, concepts, items[i]!.concept)));
    figures[name] = { object: { n, r1, r5, r10 }, motion: shareOf(items.map((item, i) => gallery[nearest[i]!]!.motion === item.motion)) };
  }
  return { figures, nearest };
}
