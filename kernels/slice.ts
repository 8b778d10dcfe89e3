import { ShapeError, showShape } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { record } from '../engine/tape.ts';
import { Tensor, size } from '../engine/tensor.ts';
import { groupsFor } from './row_loads.ts';
import { slice as kernel } from './wgsl.gen.ts';
import { wordMoves } from './word_moves.ts';

const WG = 256;

/**
 * The elements start … end - 1 of one axis.
 * NaN and infinities arrive bit for bit.
 * @param x [..., N, ...] any dtype; what is stored smaller than a word comes out as f32
 * @param axis which; negative counts from the end
 * @param start first index, 0 ≤ start ≤ end
 * @param end one past the last index, ≤ N; default N
 * @returns [..., end - start, ...]
 * @throws ShapeError when the axis or the range does not exist
 */
export function slice(x: Tensor, axis: number, start: number, end?: number): Tensor {
  const at = axis < 0 ? axis + x.shape.length : axis;
  const n = x.shape[at];
  if (n === undefined) throw new ShapeError(`slice: axis is ${axis}, expected an axis of x ${showShape(x.shape)}`);
  const stop = end ?? n;
  if (!Number.isInteger(start) || !Number.isInteger(stop) || start < 0 || stop < start || stop > n) {
    throw new ShapeError(`slice: range is ${start} to ${stop}, expected 0 ≤ start ≤ end ≤ ${n}, the size of axis ${axis} of x ${showShape(x.shape)}`);
  }
  const inner = size(x.shape.slice(at + 1));
  const { width, options, dtype } = wordMoves(x.dtype, (stop - start) * inner, n * inner, start * inner);
  const y = Tensor.empty(x.device, x.shape.map((m, i) => (i === at ? stop - start : m)), dtype);
  const rows = { length: ((stop - start) * inner) / width, stride: (n * inner) / width, start: (start * inner) / width };
  if (y.size) dispatch(x.device, kernel, 'forward', { x, out: y }, { ...rows, count: y.size / width }, groupsFor(y.size / width, WG), options);
  return record(y, [[x, dy => {
    if (!y.size) return Tensor.zeros(x.device, x.shape);
    const dx = Tensor.empty(x.device, x.shape);
    dispatch(x.device, kernel, 'backward_x', { dy, out: dx }, { ...rows, count: dx.size / width }, groupsFor(dx.size / width, WG), options);
    return dx;
  }]]);
}
