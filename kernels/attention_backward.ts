// The backward of attention as matrix products over tiles of queries: a bounded workspace holds the weights of a tile, never T×T.
import type { Device } from '../engine/device.ts';
import { dispatch } from '../engine/dispatch.ts';
import { Tensor } from '../engine/tensor.ts';
import { multiply } from './matmul.ts';
import type { Place } from './matmul.ts';
import { groupsFor } from './row_loads.ts';
import { attention_tile } from './wgsl.gen.ts';

/** Sizes and options of one attention, see `attention`. */
export interface AttentionJob {
  q: Tensor;
  k: Tensor;
  v: Tensor;
  dy: Tensor;
  /** [B, H, Tq, 2]: the greatest logit of each row, as the forward saw it, and what it does not need. */
  sums: Tensor;
  keyMask: Tensor;
  masked: boolean;
  causal: boolean;
  /** 0 is none. */
  window: number;
  scale: number;
  /** Bytes of the two tiles together. */
  workspaceBytes?: number;
}

const WORKSPACE_BYTES = 16 * 2 ** 20;
/** Longest sum over queries in one product, and with it the most rows of a tile. */
const MOST_ROWS = 4096;
const WG = 64;

interface Tile { firstBatch: number; batches: number; firstRow: number; rows: number; firstCol: number; cols: number }

/** Tiles of whole batch rows where they fit into the workspace, else of a part of the queries of one batch row; keys that none of its queries sees are left out. */
function tilesOf({ q, k, causal, window, workspaceBytes = WORKSPACE_BYTES }: AttentionJob): Tile[] {
  const [batch, tq, heads] = q.shape as readonly [number, number, number];
  const tk = k.shape[1]!;
  const most = Math.max(1, Math.floor(workspaceBytes / 8 / (heads * tk))); // rows of queries, over all heads
  const rows = Math.min(tq, MOST_ROWS, most >= tq ? tq : Math.max(1, most >= 16 ? Math.floor(most / 16) * 16 : most));
  const together = rows === tq ? Math.min(batch, Math.max(1, Math.floor(most / tq))) : 1;
  const tiles: Tile[] = [];
  for (let b = 0; b < batch; b += together) for (let i = 0; i < tq; i += rows) {
    const last = Math.min(i + rows, tq) - 1;
    const low = window ? Math.max(0, i - window + 1) : 0;
    const high = Math.min(tk, window ? last + window : tk, causal ? last + 1 : tk);
    const firstCol = tk % 4 === 0 ? Math.floor(low / 4) * 4 : low; // keys in fours where rows of k allow it
    const end = tk % 4 === 0 ? Math.ceil(high / 4) * 4 : high;
    tiles.push({ firstBatch: b, batches: Math.min(together, batch - b), firstRow: i, rows: last + 1 - i, firstCol, cols: Math.max(0, end - firstCol) });
  }
  return tiles;
}

function soften(device: Device, job: AttentionJob, tile: Tile, scores: Tensor, slopes: Tensor, stats: Tensor): void {
  const [, tq, heads] = job.q.shape as readonly [number, number, number];
  const size = tile.batches * heads * tile.rows * tile.cols;
  const params = {
    batch: tile.batches, first_batch: tile.firstBatch, heads, tq, tk: job.k.shape[1]!, rows: tile.rows, first_row: tile.firstRow, cols: tile.cols, first_col: tile.firstCol,
    masked: job.masked ? 1 : 0, causal: job.causal ? 1 : 0, window: job.window, scale: job.scale,
  };
  const { sums, keyMask: key_mask } = job;
  const count = size / tile.cols;
  if (tile.cols % 4 === 0) {
    dispatch(device, attention_tile, 'weigh4', { rows: stats, sums, key_mask, scores4: scores, slopes4: slopes }, { ...params, count }, groupsFor(count, WG));
    dispatch(device, attention_tile, 'soften4', { stats, key_mask, scores4: scores, slopes4: slopes }, { ...params, count: size / 4 }, groupsFor(size / 4, WG));
  } else {
    dispatch(device, attention_tile, 'weigh1', { rows: stats, sums, key_mask, scores1: scores, slopes1: slopes }, { ...params, count }, groupsFor(count, WG));
    dispatch(device, attention_tile, 'soften1', { stats, key_mask, scores1: scores, slopes1: slopes }, { ...params, count: size }, groupsFor(size, WG));
  }
}

/** The products of one tile: s = q kᵀ and dp = dy vᵀ, then dv += pᵀ dy, dq = ds k, dk += dsᵀ q. */
function backwardTile(device: Device, job: AttentionJob, tile: Tile, [scores, slopes, stats]: readonly [Tensor, Tensor, Tensor], { dq, dk, dv }: { dq: Tensor | undefined; dk: Tensor | undefined; dv: Tensor | undefined }): void {
  const { q, k, v, dy } = job;
  const [, tq, heads, headDim] = q.shape as readonly [number, number, number, number];
  const [, tk, kvHeads] = k.shape as readonly [number, number, number];
  const { batches, rows, cols } = tile;
  const group = heads / kvHeads;
  const queries: Place = { row: heads * headDim, stride: tq * heads * headDim, head: headDim, first: (tile.firstBatch * tq + tile.firstRow) * heads * headDim };
  const keys: Place = { row: kvHeads * headDim, stride: tk * kvHeads * headDim, head: headDim, first: (tile.firstBatch * tk + tile.firstCol) * kvHeads * headDim };
  const square: Place = { row: cols, stride: heads * rows * cols, head: rows * cols };
  const toKeys = { m: rows, n: cols, k: headDim, transposeB: true, batch: batches * heads, places: { a: queries, b: keys, y: square, heads, group } };
  multiply(device, { ...toKeys, a: q, b: k, into: scores }, scores.shape);
  multiply(device, { ...toKeys, a: dy, b: v, into: slopes }, slopes.shape);
  soften(device, job, tile, scores, slopes, stats);
  if (dq) multiply(device, { a: slopes, b: k, m: rows, n: headDim, k: cols, batch: batches * heads, places: { a: square, b: keys, y: queries, heads, group }, into: dq }, dq.shape);
  for (let g = 0; g < group; g++) { // query heads that share a key head follow each other, in order
    const a: Place = { row: cols, stride: heads * rows * cols, head: group * rows * cols, first: g * rows * cols };
    const b: Place = { ...queries, head: group * headDim, first: queries.first! + g * headDim };
    const fromQueries = { m: cols, n: headDim, k: rows, transposeA: true, batch: batches * kvHeads, places: { a, b, y: keys, heads: kvHeads }, add: true };
    if (dv) multiply(device, { ...fromQueries, a: scores, b: dy, into: dv }, dv.shape);
    if (dk) multiply(device, { ...fromQueries, a: slopes, b: q, into: dk }, dk.shape);
  }
}

/**
 * Gradients of attention by matrix products, tile by tile: five products where the streaming kernels need seven. Every sum has a fixed order.
 * @param device where @param job operands and options @param needs which of q, k, v want a gradient
 * @returns dq [B, Tq, H, Dh], dk and dv [B, Tk, Hkv, Dh], undefined where not wanted
 */
export function backwardByProducts(device: Device, job: AttentionJob, needs: readonly boolean[]): [Tensor | undefined, Tensor | undefined, Tensor | undefined] {
  const { q, k } = job;
  const tiles = tilesOf(job);
  const heads = q.shape[2]!;
  const most = Math.max(...tiles.map(t => t.batches * heads * t.rows * t.cols));
  const workspace = [Tensor.empty(device, [Math.max(4, most)]), Tensor.empty(device, [Math.max(4, most)]), Tensor.empty(device, job.sums.shape)] as const;
  const dq = needs[0] ? (tiles.some(t => t.cols === 0) ? Tensor.zeros(device, q.shape) : Tensor.empty(device, q.shape)) : undefined; // rows that see no key
  const [dk, dv] = [1, 2].map(i => (needs[i] ? Tensor.zeros(device, k.shape) : undefined));
  for (const tile of tiles) if (tile.cols > 0) backwardTile(device, job, tile, workspace, { dq, dk, dv });
  return [dq, dk, dv];
}
