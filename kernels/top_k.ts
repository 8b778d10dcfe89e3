import { checkDtype, checkSameDevice, checkShape, ShapeError, showShape } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { Tensor } from '../engine/tensor.ts';
import { groupsFor } from './row_loads.ts';
import { top_k as kernel } from './wgsl.gen.ts';

const WG = 64;
/** Invocations that keep an adapter busy: a row is cut into parts until there are so many. Merging costs, so processors, which run few at a time, get few. */
const BUSY = { software: 64, other: 16_384 } as const;
/** Columns of a part, at least, in lists: shorter parts would mostly fill their lists. */
const LISTS_PER_PART = 8;
const MOST_PARTS = 256;

/** The best of each row. */
export interface TopK {
  /** [Q, k] f32, best first; −Infinity where the row has fewer than k columns. */
  readonly values: Tensor;
  /** [Q, k] u32 columns; 4,294,967,295 where there is none. */
  readonly indices: Tensor;
}

export interface TopKOptions {
  /** The best of columns before these, [Q, k] each: the result covers both. */
  readonly seen?: TopK;
  /** Column that the first one here counts as, so that chunks of a long row go on counting. */
  readonly base?: number;
  /** How many parts a row is cut into; chosen by the adapter where missing. */
  readonly parts?: number;
}

/**
 * The k largest numbers of each row with their columns, best first; equal numbers by the lower column, exact. No gradient.
 * A NaN comes after every number; infinities are numbers.
 * @param scores [Q, C] f32
 * @param k how many, at least 1
 * @param options the best so far and the columns' first number, for rows that come in chunks
 * @returns values [Q, k] f32 and columns [Q, k] u32
 * @throws ShapeError for another type or shape, or a k that is no whole number of at least 1
 */
export function topKRows(scores: Tensor, k: number, { seen, base = 0, parts }: TopKOptions = {}): TopK {
  if (!Number.isInteger(k) || k < 1) throw new ShapeError(`topKRows: k is ${k}, expected a whole number of at least 1`);
  if (!Number.isInteger(base) || base < 0) throw new ShapeError(`topKRows: base is ${base}, expected a whole number of at least 0`);
  if (scores.shape.length !== 2) throw new ShapeError(`topKRows: scores has shape ${showShape(scores.shape)}, expected [Q, C]`);
  checkDtype('topKRows', 'scores', scores, 'f32');
  checkSameDevice('topKRows', scores, seen?.values, seen?.indices);
  const { device } = scores;
  const [rows, cols] = scores.shape as [number, number];
  if (seen) {
    checkShape('topKRows', 'seen.values', seen.values, [rows, k], '[Q, k]');
    checkShape('topKRows', 'seen.indices', seen.indices, [rows, k], '[Q, k]');
    checkDtype('topKRows', 'seen.values', seen.values, 'f32');
    checkDtype('topKRows', 'seen.indices', seen.indices, 'u32');
  }
  const cut = parts ?? partsFor(rows, cols, k, device.adapter.class === 'software' ? BUSY.software : BUSY.other);
  if (!Number.isInteger(cut) || cut < 1) throw new ShapeError(`topKRows: parts is ${cut}, expected a whole number of at least 1`);
  const result = { values: Tensor.empty(device, [rows, k]), indices: Tensor.empty(device, [rows, k], 'u32') };
  if (rows === 0) return result;
  const lists = cut === 1 ? result : { values: Tensor.empty(device, [rows, cut, k]), indices: Tensor.empty(device, [rows, cut, k], 'u32') };
  const params = { rows, cols, k, parts: cut, base, seen: seen ? 1 : 0 };
  const before = seen ?? { values: scores, indices: scores }; // bound, not read
  dispatch(device, kernel, 'select_columns', { scores, seen_values: before.values, seen_indices: before.indices, ...lists }, params, groupsFor(rows * cut, WG));
  if (lists !== result) {
    dispatch(device, kernel, 'merge', { part_values: lists.values, part_indices: lists.indices, ...result }, params, groupsFor(rows, WG));
    lists.values.dispose();
    lists.indices.dispose();
  }
  return result;
}

function partsFor(rows: number, cols: number, k: number, busy: number): number {
  return Math.max(1, Math.min(MOST_PARTS, Math.ceil(busy / Math.max(1, rows)), Math.floor(cols / (LISTS_PER_PART * k))));
}
