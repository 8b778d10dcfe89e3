import { checkFloat, showShape, ShapeError } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { record } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { rowForm, rowLoads } from './row_loads.ts';
import { softmax as rowKernel, softmax_group } from './wgsl.gen.ts';

const WG = 32;

/**
 * Softmax over the last axis: y = exp(x − max x) / Σ exp(x − max x).
 * NaN or +Inf in a row makes that row NaN; −Inf gives 0, and a row of nothing else NaN.
 * @param x [..., C] f32
 * @returns [..., C], each row sums to 1
 * @throws ShapeError unless x has an axis of C ≥ 1
 */
export function softmax(x: Tensor): Tensor {
  const cols = x.shape.at(-1) ?? 0;
  if (cols < 1) throw new ShapeError(`softmax: x has shape ${showShape(x.shape)}, expected a last axis of at least 1`);
  checkFloat('softmax', 'x', x);
  const { device } = x;
  const rows = x.size / cols;
  const { grouped, options, groups } = rowForm(device, rowLoads(cols), rows, cols, WG);
  const kernel = grouped ? softmax_group : rowKernel;
  const y = Tensor.empty(device, x.shape);
  if (rows) dispatch(device, kernel, 'forward', { x, y }, { rows, cols }, groups, options);
  return record(y, [[x, dy => {
    const dx = Tensor.empty(device, x.shape);
    if (rows) dispatch(device, kernel, 'backward', { out: y, dy, dx }, { rows, cols }, groups, options);
    return dx;
  }]]);
}
