// How losses over all pairs of rows cut their [N, N] matrix into square tiles and hold one of them at a time.
import { dispatch } from '../engine/dispatch.ts';
import { scope } from '../engine/memory.ts';
import { Tensor } from '../engine/tensor.ts';
import { cast } from './cast.ts';
import { matmul } from './matmul.ts';
import { groupsFor } from './row_loads.ts';
import { similarity_tiles } from './wgsl.gen.ts';

const WG = 64;

/** Bytes of one tile where the caller names none: 2048 × 2048 floats. */
export const WORKSPACE_BYTES = 16 * 2 ** 20;

/** What is stored smaller than f32 as f32: tiles start at rows, where small elements cannot be bound. @param x [...] float @returns [...] f32, x itself where it is */
export const widened = (x: Tensor): Tensor => (x.dtype === 'f32' ? x : cast(x, 'f32'));

/** Part of one axis: a tile covers one span of the rows and one of the columns. */
export interface Span {
  readonly start: number;
  readonly length: number;
}

/**
 * Side of the square tiles: all of N where it fits, else a multiple of 64, so that the rows of a tile start where a binding may.
 * @param n rows and columns of the whole matrix @param workspaceBytes of one tile @returns rows and columns of a tile
 */
export function tileSide(n: number, workspaceBytes: number): number {
  const side = Math.floor(Math.sqrt(workspaceBytes / 4));
  return n <= side ? n : Math.max(64, Math.floor(side / 64) * 64);
}

/** Cuts an axis. @param n its length @param side of a tile @returns spans in order */
export const spans = (n: number, side: number): Span[] => Array.from({ length: Math.ceil(n / side) }, (_, k) => ({ start: k * side, length: Math.min(side, n - k * side) }));

/** Rows of a span. @param x [N, D] @param span which rows @returns [length, D] sharing the storage */
export const rowsOf = (x: Tensor, { start, length }: Span): Tensor => x.view([length, x.shape[1]!], start * x.shape[1]!);

/** One tile of p yᵀ. @param p [N, D] @param y [N, D] @param r rows of p @param c rows of y @returns [r, c] */
export const tileOf = (p: Tensor, y: Tensor, r: Span, c: Span): Tensor => matmul(rowsOf(p, r), rowsOf(y, c), { transposeB: true });

function accumulate(target: Tensor, span: Span, addend: Tensor, first: boolean): void {
  dispatch(target.device, similarity_tiles, 'accumulate', { addend, target_sum: rowsOf(target, span) }, { count: addend.size, first: first ? 1 : 0 }, groupsFor(addend.size, WG), { constants: { WG } });
}

/**
 * Gradients of a loss over all pairs: recomputes each tile, lets `turn` make it the gradient of the products in place, and feeds the two products dp = G y, dy = Gᵀ p.
 * @param p [N, D] @param y [N, D] @param side of a tile @param needs whether p and y want gradients
 * @param turn gets the tile [r, c], its spans and whether it is the first of all @returns dp [N, D] and dy [N, D], where wanted
 */
export function pairGradients(p: Tensor, y: Tensor, side: number, needs: readonly boolean[], turn: (tile: Tensor, r: Span, c: Span, first: boolean) => void): (Tensor | undefined)[] {
  const { device } = p;
  const all = spans(p.shape[0]!, side);
  const one = all.length === 1; // the products of a single tile are the gradients
  const dp = needs[0] && !one ? Tensor.empty(device, p.shape) : undefined;
  const dy = needs[1] && !one ? Tensor.empty(device, y.shape) : undefined;
  let products: (Tensor | undefined)[] = [];
  for (const r of all) {
    for (const c of all) {
      products = scope(() => {
        const gradient = tileOf(p, y, r, c);
        turn(gradient, r, c, r.start === 0 && c.start === 0);
        const dpPart = needs[0] ? matmul(gradient, rowsOf(y, c)) : undefined;
        if (dp) accumulate(dp, r, dpPart!, c.start === 0);
        const dyPart = needs[1] ? matmul(gradient, rowsOf(p, r), { transposeA: true }) : undefined;
        if (dy) accumulate(dy, c, dyPart!, r.start === 0);
        return one ? [dpPart, dyPart] : [];
      });
    }
    if (!one) device.flush(); // a display driver resets a submission that takes seconds
  }
  return one ? products : [dp, dy];
}
