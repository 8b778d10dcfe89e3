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
import { drawClips } from './clip_sets.ts';
import type { ClipItem, DrawnClips } from './clip_sets.ts';
import { shareOf } from './figures.ts';
import type { Share } from './figures.ts';

/** What the nearest clip says. */
export interface NeighbourFigures {
  /** Its object, by the rank of the nearest clip of the right object. */
  object: Omit<Recall, 'medianRank'>;
  /** Its motion. */
  motion: Share;
}

/** Objects that are looked at per question and part: recall goes to 10. */
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
function clipRows({ items, side, levels }: DrawnClips, { frames, rows }: (typeof FEATURES)[string]): Rows {
  const [whole, each] = [SPRITES.frames * side * side * 3, frames * side * side * 3];
  const pixels = new Uint8Array(items.length * each);
  for (let i = 0; i < items.length; i++) pixels.set(levels.subarray(i * whole, i * whole + each), i * each);
  const { width, data } = rows({ size: side, pixels });
  return centredRows({ n: items.length, width: frames * width, data });
}

/** The nearest rows of a part for each wanted row, best first. @param from place of the part in the gallery */
async function search(device: Device, wanted: Rows, { data, width }: Rows, from: number): Promise<Hit[][]> {
  const queries = Tensor.from(device, wanted.data, [wanted.n, wanted.width]);
  const searcher = exactSearcher(device, { vectors: data, dim: width });
  try {
    return (await searcher.search(queries, DEPTH)).map(hits => hits.map(({ index, score }) => ({ index: from + index, score })));
  } finally {
    searcher.dispose();
    queries.dispose();
  }
}

/** Rank of the right object among those of the nearest clips. @param hits best first @param concepts of the gallery @param truth wanted one @returns rank, or one that is beyond every recall */
export function rankOfObject(hits: readonly Hit[], concepts: readonly number[], truth: number): number {
  const rank = [...new Set(hits.map(h => concepts[h.index]!))].indexOf(truth);
  return rank < 0 ? Infinity : rank + 1;
}

/**
 * Looks every clip up among those of the gallery.
 * @param device where the cosines are taken @param asked clips that are asked about @param gallery parts of one training artist in which an object comes once @param side S of the clips
 * @returns figures by way of looking, and the nearest clip of each item by the last way, which is the strongest
 */
export async function neighbourFigures(device: Device, asked: readonly ClipItem[], gallery: readonly (readonly ClipItem[])[], side: number): Promise<{ figures: Record<string, NeighbourFigures>; nearest: number[] }> {
  const ways = Object.entries(FEATURES);
  const drawn = drawClips(asked, side);
  const wanted = ways.map(([, feature]) => clipRows(drawn, feature));
  const hits: Hit[][][] = ways.map(() => asked.map(() => []));
  let from = 0;
  for (const part of gallery) {
    const shown = drawClips(part, side);
    for (const [w, [, feature]] of ways.entries()) (await search(device, wanted[w]!, clipRows(shown, feature), from)).forEach((found, q) => hits[w]![q]!.push(...found));
    from += part.length;
  }
  const items = gallery.flat();
  const concepts = items.map(g => g.concept);
  const sorted = hits.map(lists => lists.map(list => list.sort((a, b) => b.score - a.score || a.index - b.index)));
  const nearest = sorted.map(lists => lists.map(([first]) => first!.index));
  const figures = Object.fromEntries(ways.map(([name], w) => {
    const { n, r1, r5, r10 } = recall(sorted[w]!.map((list, i) => rankOfObject(list, concepts, asked[i]!.concept)));
    return [name, { object: { n, r1, r5, r10 }, motion: shareOf(asked.map((item, i) => items[nearest[w]![i]!]!.motion === item.motion)) }];
  }));
  return { figures, nearest: nearest.at(-1)! };
}
