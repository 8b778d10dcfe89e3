import { checkDtype, checkSameDevice, checkShape, ShapeError, showShape } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { record } from '../engine/tape.ts';
import { Tensor, size } from '../engine/tensor.ts';
import { groupsFor } from './row_loads.ts';
import { slice } from './slice.ts';
import { concat as kernel } from './wgsl.gen.ts';
import { wordMoves } from './word_moves.ts';

const WG = 256;

/**
 * Tensors one after another along an axis.
 * NaN and infinities arrive bit for bit.
 * @param tensors at least one; equal shapes but for `axis`, one dtype (what is stored smaller than a word comes out as f32)
 * @param axis which; negative counts from the end
 * @returns [..., Σ N, ...]
 * @throws ShapeError when the list is empty, the axis does not exist, or shapes or dtypes differ
 */
export function concat(tensors: readonly Tensor[], axis: number): Tensor {
  const first = tensors[0];
  if (!first) throw new ShapeError('concat: no tensor was given, expected at least one');
  const at = axis < 0 ? axis + first.shape.length : axis;
  if (first.shape[at] === undefined) throw new ShapeError(`concat: axis is ${axis}, expected an axis of the first tensor ${showShape(first.shape)}`);
  tensors.forEach((t, i) => {
    checkShape('concat', `tensor ${i}`, t, first.shape.map((n, k) => (k === at ? null : n)), `that of the first tensor but for axis ${axis}`);
    checkDtype('concat', `tensor ${i}`, t, first.dtype);
  });
  checkSameDevice('concat', ...tensors);

  const inner = size(first.shape.slice(at + 1));
  const total = tensors.reduce((n, t) => n + t.shape[at]!, 0);
  const out = Tensor.empty(first.device, first.shape.map((n, k) => (k === at ? total : n)), wordMoves(first.dtype).dtype);
  const starts: number[] = [];
  let start = 0;
  for (const x of tensors) {
    const n = x.shape[at]!;
    const { width, options } = wordMoves(first.dtype, n * inner, total * inner, start * inner);
    const count = x.size / width;
    if (count) dispatch(x.device, kernel, 'forward', { x, out }, { count, length: (n * inner) / width, stride: (total * inner) / width, start: (start * inner) / width }, groupsFor(count, WG), options);
    starts.push(start);
    start += n;
  }
  return record(out, tensors.map((t, i) => [t, dy => slice(dy, at, starts[i]!, starts[i]! + t.shape[at]!)] as const));
}
