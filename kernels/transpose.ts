import { ShapeError, showShape } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { record } from '../engine/tape.ts';
import { Tensor, size } from '../engine/tensor.ts';
import { cast } from './cast.ts';
import { groupsFor } from './row_loads.ts';
import { transpose as kernel } from './wgsl.gen.ts';
import { wordMoves } from './word_moves.ts';

const WG = 256;

/**
 * Swaps two axes (a copy: tensors are contiguous).
 * NaN and infinities arrive bit for bit.
 * @param x [...] any dtype; what is stored smaller than a word comes out as f32
 * @param axis0 one axis; negative counts from the end
 * @param axis1 the other axis
 * @returns x's shape with the two sizes swapped
 * @throws ShapeError when an axis does not exist
 */
export function transpose(x: Tensor, axis0: number, axis1: number): Tensor {
  const [p, q] = [axis0, axis1].map(a => (a < 0 ? a + x.shape.length : a)).sort((a, b) => a - b) as [number, number];
  const [n, m] = [x.shape[p], x.shape[q]];
  if (n === undefined || m === undefined) throw new ShapeError(`transpose: axes are ${axis0} and ${axis1}, expected axes of x ${showShape(x.shape)}`);
  if (p === q && wordMoves(x.dtype).dtype === x.dtype) return record(x.view(x.shape), [[x, dy => dy]]);
  if (p === q) return cast(x, 'f32');
  const inner = size(x.shape.slice(q + 1));
  const { width, options, dtype } = wordMoves(x.dtype, inner);
  const y = Tensor.empty(x.device, x.shape.map((s, i) => (i === p ? m : i === q ? n : s)), dtype);
  const count = y.size / width;
  const params = { count, n, b: size(x.shape.slice(p + 1, q)), m, c: inner / width };
  if (count) dispatch(x.device, kernel, 'forward', { x, out: y }, params, groupsFor(count, WG), options);
  return record(y, [[x, dy => transpose(dy, p, q)]]);
}
