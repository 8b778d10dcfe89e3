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
import type { DrawnClips } from './clip_sets.ts';
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

/** Rows of clips from one to another: the features of their first frames joined, the mean clip taken off, of length 1. */
function clipRows({ side, levels }: DrawnClips, from: number, to: number, { frames, rows }: (typeof FEATURES)[string]): Rows {
  const [whole, each] = [SPRITES.frames * side * side * 3, frames * side * side * 3];
  const pixels = new Uint8Array((to - from) * each);
  for (let i = from; i < to; i++) pixels.set(levels.subarray(i * whole, i * whole + each), (i - from) * each);
  const { width, data } = rows({ size: side, pixels });
  return centredRows({ n: to - from, width: frames * width, data });
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
 * @param device where the cosines are taken @param asked clips that are asked about @param gallery clips of training artists, one artist after another @param artists how many
 * @returns figures by way of looking, and the nearest clip of each item by the last way, which is the strongest
 */
export async function neighbourFigures(device: Device, asked: DrawnClips, gallery: DrawnClips, artists: number): Promise<{ figures: Record<string, NeighbourFigures>; nearest: number[] }> {
  const { items } = asked;
  const per = gallery.items.length / artists;
  const concepts = gallery.items.map(g => g.concept);
  const figures: Record<string, NeighbourFigures> = {};
  let nearest: number[] = [];
  for (const [name, feature] of Object.entries(FEATURES)) {
    const parts = Array.from({ length: artists }, (_, a) => ({ from: a * per, rows: () => clipRows(gallery, a * per, (a + 1) * per, feature) }));
    const hits = await search(device, clipRows(asked, 0, items.length, feature), parts);
    nearest = hits.map(list => list[0]!.index);
    const { n, r1, r5, r10 } = recall(hits.map((list, i) => rankOfObject(list, concepts, items[i]!.concept)));
    figures[name] = { object: { n, r1, r5, r10 }, motion: shareOf(items.map((item, i) => gallery.items[nearest[i]!]!.motion === item.motion)) };
  }
  return { figures, nearest };
}
