import { checkFloat, ShapeError, showShape } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { record } from '../engine/tape.ts';
import { Tensor, size } from '../engine/tensor.ts';
import type { Shape } from '../engine/tensor.ts';
import { groupsFor } from './row_loads.ts';
import { sum as kernel } from './wgsl.gen.ts';

const WG = 64;
/** Terms that one invocation adds into four accumulators: short enough for rounding, long enough to be worth a thread. */
const CHUNK = 128;

/** [outer, n, inner] → [outer, inner] · factor, in as many rounds as n needs. */
function reduce(x: Tensor, outer: number, n: number, inner: number, factor: number, shape: Shape): Tensor {
  const { device } = x;
  if (outer * inner === 0) return Tensor.empty(device, shape);
  if (n === 0) return Tensor.zeros(device, shape);
  for (let rows = x, left = n; ; ) {
    const chunks = left > 2 * CHUNK ? Math.ceil(left / CHUNK) : 1;
    const count = outer * chunks * inner;
    const out = Tensor.empty(device, chunks === 1 ? shape : [count]);
    dispatch(device, kernel, 'partial_sums', { x: rows, out }, { count, n: left, inner, chunks, factor: chunks === 1 ? factor : 1 }, groupsFor(count, WG));
    if (rows !== x) rows.dispose();
    if (chunks === 1) return out;
    rows = out;
    left = chunks;
  }
}

/** [outer, inner] → [outer, n, inner] · factor. */
function expand(x: Tensor, outer: number, n: number, inner: number, factor: number, shape: Shape): Tensor {
  const out = Tensor.empty(x.device, shape);
  const count = outer * n * inner;
  if (count) dispatch(x.device, kernel, 'expand', { x, out }, { count, n, inner, chunks: 1, factor }, groupsFor(count, WG));
  return out;
}

function sumAll(op: string, x: Tensor, factor: number): Tensor {
  checkFloat(op, 'x', x);
  return record(reduce(x, 1, x.size, 1, factor, [1]), [[x, dy => expand(dy, 1, x.size, 1, factor, x.shape)]]);
}

/**
 * Σ x over all elements, in a fixed order.
 * NaN and infinities add up as in IEEE arithmetic.
 * @param x [...] float
 * @returns [1]; 0 for an empty x
 * @throws ShapeError unless x is f32
 */
export const sum = (x: Tensor): Tensor => sumAll('sum', x, 1);

/**
 * Σ x / size over all elements, in a fixed order.
 * NaN and infinities add up as in IEEE arithmetic.
 * @param x [...] f32, at least one element
 * @returns [1]
 * @throws ShapeError when x is empty or not f32
 */
export function mean(x: Tensor): Tensor {
  if (!x.size) throw new ShapeError(`mean: x has shape ${showShape(x.shape)}, expected at least one element`);
  return sumAll('mean', x, 1 / x.size);
}

/**
 * Σ over one axis, which goes.
 * NaN and infinities add up as in IEEE arithmetic.
 * @param x [..., N, ...] float
 * @param axis which; negative counts from the end
 * @returns x's shape without that axis
 * @throws ShapeError when the axis does not exist or x is not f32
 */
export function sumAxis(x: Tensor, axis: number): Tensor {
  const at = axis < 0 ? axis + x.shape.length : axis;
  if (!Number.isInteger(at) || at < 0 || at >= x.shape.length) throw new ShapeError(`sumAxis: axis is ${axis}, expected an axis of x ${showShape(x.shape)}`);
  checkFloat('sumAxis', 'x', x);
  const outer = size(x.shape.slice(0, at));
  const inner = size(x.shape.slice(at + 1));
  const n = x.shape[at]!;
  const shape = [...x.shape.slice(0, at), ...x.shape.slice(at + 1)];
  return record(reduce(x, outer, n, inner, 1, shape), [[x, dy => expand(dy, outer, n, inner, 1, x.shape)]]);
}

/**
 * The gradient of broadcasting: sums over the axes that `shape` lacks or has as 1. Records nothing.
 * NaN and infinities add up as in IEEE arithmetic.
 * @param x [...] float
 * @param shape a shape that broadcasts to that of x
 * @returns [shape], x itself where nothing is to be summed
 */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  const missing = x.shape.length - shape.length;
  const summed = x.shape.map((n, i) => n !== 1 && (i < missing || shape[i - missing] === 1));
  if (!summed.includes(true)) return missing === 0 ? x : x.view(shape);
  let now = x;
  for (let start = 0; start < x.shape.length; start++) { // runs of neighbouring summed axes are one axis
    if (!summed[start]) continue;
    let end = start;
    while (summed[end + 1] || (x.shape[end + 1] === 1 && end + 1 < x.shape.length)) end++;
    const outer = size(x.shape.slice(0, start).map((n, i) => (summed[i] ? 1 : n)));
    const inner = size(x.shape.slice(end + 1));
    const next = reduce(now, outer, size(x.shape.slice(start, end + 1)), inner, 1, summed.includes(true, end + 1) ? [outer * inner] : shape);
    if (now !== x) now.dispose();
    now = next;
    start = end;
  }
  return now;
}
