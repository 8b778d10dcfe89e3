// Figures with their intervals, for evaluations.
import { Tensor } from '../engine/tensor.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';
import type { E4 } from '../data/e4.ts';
import { bootstrap, ranks } from '../tasks/metrics.ts';
import { nearest } from '../tasks/nearest.ts';

/** A share in per cent with its bootstrap interval over items, 95 per cent. */
export interface Share {
  percent: number;
  interval: [number, number];
  n: number;
}

/** @param hits per item whether it is right @returns their share */
export function shareOf(hits: readonly boolean[]): Share {
  const values = hits.map(h => (h ? 100 : 0));
  const sum = values.reduce<number>((a, b) => a + b, 0);
  return { percent: values.length ? sum / values.length : 0, interval: bootstrap(values), n: values.length };
}

/** Classification with names as candidates. */
export interface NameFigures {
  /** Of all names. */
  names: Share;
  /** Pictures of objects (groups 3 to 7) among the names of objects. */
  objects: Share;
  /** Among the subgroups by their own names, such as "food fruit". */
  subgroups: Share;
  /** The subgroup that the nearest name belongs to. */
  subgroupOfNearest: Share;
  candidates: { names: number; objects: number; subgroups: number };
}

/** Whether a concept is an object: groups 3 to 7 of the list, animals to objects. */
const isObject = ({ group }: { group: number }): boolean => group >= 3 && group <= 7;

/**
 * Top-1 accuracy of predictions among names, of objects, and of subgroups. A tie is wrong.
 * @param model the model @param predictions [n, dim] @param concepts [n] place of each in the list @param e4 the list @returns per cent
 */
export async function nameFigures(model: VLJEPA, predictions: Tensor, concepts: readonly number[], e4: E4): Promise<NameFigures> {
  const scoresOf = async (texts: readonly string[]): Promise<Float32Array> => {
    const rows = model.encodeText([...texts], { batchSize: 256 });
    const similarity = model.similarity(predictions, rows);
    try {
      return await similarity.read();
    } finally {
      similarity.dispose();
      rows.dispose();
    }
  };
  const list = e4.concepts;
  const all = await scoresOf(list.map(c => c.name));
  const keys = [...new Set(list.map(c => c.subgroup))];
  const place = new Map(keys.map((k, i) => [k, i]));
  const truth = concepts.map(c => place.get(list[c]!.subgroup)!);
  const first = (rank: Uint32Array): Share => shareOf(Array.from(rank, r => r === 1));
  const objects = list.flatMap((c, i) => (isObject(c) ? [i] : []));
  const seat = new Map(objects.map((c, i) => [c, i]));
  const shown = concepts.flatMap((c, i) => (seat.has(c) ? [i] : []));
  const among = new Float32Array(shown.length * objects.length);
  shown.forEach((row, r) => objects.forEach((c, i) => { among[r * objects.length + i] = all[row * list.length + c]!; }));
  return {
    names: first(ranks(all, list.length, concepts)),
    objects: first(ranks(among, objects.length, shown.map(i => seat.get(concepts[i]!)!))),
    subgroups: first(ranks(await scoresOf(keys.map(k => subgroupName(e4, k))), keys.length, truth)),
    subgroupOfNearest: shareOf(concepts.map((_, i) => allNearestOf(all.subarray(i * list.length, (i + 1) * list.length), c => place.get(list[c]!.subgroup) === truth[i]))),
    candidates: { names: list.length, objects: objects.length, subgroups: keys.length },
  };
}

/**
 * Whether the nearest of all candidates is a right one. A wrong one that is equally near makes it wrong, as does a NaN.
 * @param scores [C] of one query @param right which candidates are @returns whether it is
 */
export function allNearestOf(scores: Float32Array, right: (candidate: number) => boolean): boolean {
  const best = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  return scores.length > 0 && !Number.isNaN(best) && scores.every((s, c) => s !== best || right(c));
}

/** A subgroup in words. @param e4 the list @param key of the subgroup @returns such as "food fruit" */
export const subgroupName = (e4: E4, key: number): string => e4.subgroups[key]!.replaceAll('-', ' ');

/**
 * The nearest text of each prediction; equal cosines with another text count as none.
 * @param predictions [n, dim] @param bank [C, dim] @returns [n] places in the bank, −1 for a tie
 */
export async function nearestTexts(predictions: Tensor, bank: Tensor): Promise<number[]> {
  return (await nearest(predictions, bank, 2)).map(([a, b]) => (b && b.score === a!.score ? -1 : a!.index));
}
