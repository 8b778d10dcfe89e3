// How losses over all pairs of rows cut their [N, N] matrix into square tiles and hold one of them at a time.
import type { Device } from '../engine/device.ts';
import { scope } from '../engine/memory.ts';
import { gradEnabled } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { cast } from './cast.ts';
import { matmul, multiply } from './matmul.ts';

/** Sides of tiles among several: products that add to a gradient are not cut, and longer sums would lose digits. */
const LARGEST_SIDE = 4096;

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
  return n <= side ? n : Math.max(64, Math.floor(Math.min(side, LARGEST_SIDE) / 64) * 64);
}

/** Cuts an axis. @param n its length @param side of a tile @returns spans in order */
export const spans = (n: number, side: number): Span[] => Array.from({ length: Math.ceil(n / side) }, (_, k) => ({ start: k * side, length: Math.min(side, n - k * side) }));

/** Rows of a span. @param x [N, D] @param span which rows @returns [length, D] sharing the storage */
export const rowsOf = (x: Tensor, { start, length }: Span): Tensor => x.view([length, x.shape[1]!], start * x.shape[1]!);

/** One tile of p yᵀ. @param p [N, D] @param y [N, D] @param r rows of p @param c rows of y @returns [r, c] */
export const tileOf = (p: Tensor, y: Tensor, r: Span, c: Span): Tensor => matmul(rowsOf(p, r), rowsOf(y, c), { transposeB: true });

/**
 * Invocations that share four rows of a tile. Processors run them one vector after the other, so fewer of them start less often: 16 rather than 32 saves a tenth
 * to a quarter at 512 × 512 on lavapipe; a GPU has a thousand times as many to fill.
 * @param device where @returns how many
 */
export const lanesFor = (device: Device): number => (device.adapter.class === 'software' ? 16 : 32);

/** Whether a gradient can be asked for. @param inputs of an op @returns whether the op is recorded */
export const wantsGradient = (...inputs: readonly Tensor[]): boolean => gradEnabled() && inputs.some(t => t.needsGrad);

/**
 * A tile that the forward pass leaves for the backward pass, which writes over it, so it serves one gradient; a further one of the same loss computes it again.
 * So does a gradient that was recorded in a plan when the forward pass was not, or the other way round: replays would find what the first one wrote.
 * @param tile [N, N] or none @returns gives the tile away
 */
export function onceUsed(tile: Tensor | undefined): () => Tensor | undefined {
  let left = tile;
  return () => {
    const found = left;
    left = undefined;
    if (!found || found.released) return undefined;
    return found.storage.virtual === (found.device.recorder.sink ? true : undefined) ? found : undefined;
  };
}

/**
 * Gradients of a loss over all pairs: lets `turn` make each tile the gradient of the products in place, and feeds the two products dp = G y, dy = Gᵀ p,
 * which add to the gradients of their rows.
 * @param p [N, D] @param y [N, D] @param side of a tile @param needs whether p and y want gradients @param ready [N, N] the only tile, where the forward pass left it; else tiles are computed again
 * @param turn gets the tile [r, c], its spans and whether it is the first of all @returns dp [N, D] and dy [N, D], where wanted
 */
export function pairGradients(p: Tensor, y: Tensor, side: number, needs: readonly boolean[], ready: Tensor | undefined, turn: (tile: Tensor, r: Span, c: Span, first: boolean) => void): (Tensor | undefined)[] {
  const { device } = p;
  const [n, dim] = p.shape as [number, number];
  if (n <= side) {
    const whole = { start: 0, length: n };
    return scope(() => {
      const gradient = ready ?? tileOf(p, y, whole, whole);
      turn(gradient, whole, whole, true);
      const products = [needs[0] ? matmul(gradient, y) : undefined, needs[1] ? matmul(gradient, p, { transposeA: true }) : undefined];
      ready?.dispose();
      return products;
    });
  }
  const dp = needs[0] ? Tensor.empty(device, p.shape) : undefined;
  const dy = needs[1] ? Tensor.empty(device, y.shape) : undefined;
  for (const r of spans(n, side)) {
    for (const c of spans(n, side)) {
      scope(() => {
        const gradient = tileOf(p, y, r, c);
        turn(gradient, r, c, r.start === 0 && c.start === 0);
        if (dp) multiply(device, { a: gradient, b: rowsOf(y, c), m: r.length, n: dim, k: c.length, into: rowsOf(dp, r), add: c.start > 0 }, [r.length, dim]);
        if (dy) multiply(device, { a: gradient, b: rowsOf(p, r), m: c.length, n: dim, k: r.length, transposeA: true, into: rowsOf(dy, c), add: r.start > 0 }, [c.length, dim]);
      });
    }
    device.flush(); // a display driver resets a submission that takes seconds
  }
  return [dp, dy];
}
