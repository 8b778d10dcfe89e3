import { checkFloat, checkSameDevice, checkShape, showShape, ShapeError } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { record } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { columnSum } from './column_sum.ts';
import { groupsFor, rowForm, rowLoads, rowOptions } from './row_loads.ts';
import { rms_norm, rms_norm_group } from './wgsl.gen.ts';

const WG = 32;
/** Rows that one invocation sums for the weight's gradient: 32 keeps the partial sums at 3 % of x. */
const CHUNK_ROWS = 32;

/**
 * RMSNorm over the last axis: y = x / √(mean(x²) + eps) · (weight + unitOffset).
 * Llama stores the factor itself (unitOffset 0), Gemma stores it minus one (unitOffset 1). Source: Zhang & Sennrich 2019 (arXiv 1910.07467).
 * NaN in a row makes that row NaN; Inf becomes NaN and the rest of its row 0.
 * @param x [..., D] float
 * @param weight [D] float
 * @param options eps, added to the mean square, default 1e-6; unitOffset, added to the weight, default 0
 * @returns [..., D]
 * @throws ShapeError unless x has an axis of D ≥ 1 and weight is [D]
 */
export function rmsNorm(x: Tensor, weight: Tensor, { eps = 1e-6, unitOffset = 0 }: { eps?: number; unitOffset?: number } = {}): Tensor {
  const cols = x.shape.at(-1) ?? 0;
  if (cols < 1) throw new ShapeError(`rmsNorm: x has shape ${showShape(x.shape)}, expected a last axis of at least 1`);
  checkShape('rmsNorm', 'weight', weight, [cols], 'the last axis of x', x);
  checkFloat('rmsNorm', 'x', x);
  checkFloat('rmsNorm', 'weight', weight);
  checkSameDevice('rmsNorm', x, weight);

  const { device } = x;
  const rows = x.size / cols;
  const loads = rowLoads(cols);
  const { grouped, options, groups } = rowForm(device, loads, rows, cols, WG);
  const kernel = grouped ? rms_norm_group : rms_norm;
  const params = { rows, cols, eps, unit_offset: unitOffset, chunk_rows: CHUNK_ROWS };
  const y = Tensor.empty(device, x.shape);
  const rstd = Tensor.empty(device, [rows]);
  if (rows) dispatch(device, kernel, 'forward', { x, weight, y, rstd }, params, groups, options);

  const dX = (dy: Tensor): Tensor => {
    const dx = Tensor.empty(device, x.shape);
    if (rows) dispatch(device, kernel, 'backward_x', { x, weight, saved: rstd, dy, dx }, params, groups, options);
    return dx;
  };
  const dWeight = (dy: Tensor): Tensor => {
    if (!rows) return Tensor.zeros(device, [cols]);
    const partials = Tensor.empty(device, [Math.ceil(rows / CHUNK_ROWS), cols]);
    dispatch(device, rms_norm, 'backward_weight', { x, saved: rstd, dy, partials }, params, groupsFor(partials.size / loads.width, WG), rowOptions(loads, WG));
    return columnSum(partials);
  };
  return record(y, [[x, dX], [weight, dWeight]]);
}
