import { checkFloat, showShape, ShapeError } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { record } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { rowForm, rowLoads } from './row_loads.ts';
import { l2_normalize, l2_normalize_group } from './wgsl.gen.ts';

const WG = 32;

/**
 * Unit length over the last axis: y = x / max(|x|, eps); its gradient is dx = (dy − y (y · dy)) / |x|. Source: spec 1.5.
 * NaN or Inf in a row makes that row NaN.
 * @param x [..., D] float
 * @param options eps, the shortest length that is divided by, default 1e-12
 * @returns [..., D]
 * @throws ShapeError unless x has an axis of D ≥ 1 and eps > 0
 */
export function l2Normalize(x: Tensor, { eps = 1e-12 }: { eps?: number } = {}): Tensor {
  const cols = x.shape.at(-1) ?? 0;
  if (cols < 1) throw new ShapeError(`l2Normalize: x has shape ${showShape(x.shape)}, expected a last axis of at least 1`);
  if (!(eps >= 1e-37)) throw new ShapeError(`l2Normalize: eps is ${eps}, expected at least 1e-37 (a row of zeros is divided by it)`);
  checkFloat('l2Normalize', 'x', x);
  const { device } = x;
  const rows = x.size / cols;
  const { grouped, options, groups } = rowForm(device, rowLoads(cols), rows, cols, WG);
  const kernel = grouped ? l2_normalize_group : l2_normalize;
  const params = { rows, cols, eps };
  const y = Tensor.empty(device, x.shape);
  const norm = Tensor.empty(device, [rows]);
  if (rows) dispatch(device, kernel, 'forward', { x, y, norm }, params, groups, options);
  return record(y, [[x, dy => {
    const dx = Tensor.empty(device, x.shape);
    if (rows) dispatch(device, kernel, 'backward', { out: y, saved: norm, dy, dx }, params, groups, options);
    return dx;
  }]]);
}
