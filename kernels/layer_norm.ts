import { checkFloat, checkSameDevice, checkShape, showShape, ShapeError } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { record } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { columnSum } from './column_sum.ts';
import { groupsFor, rowForm, rowLoads, rowOptions } from './row_loads.ts';
import { layer_norm, layer_norm_group } from './wgsl.gen.ts';

const WG = 32;
/** Rows that one invocation sums for the weight's gradient: 32 keeps the partial sums at 3 % of x. */
const CHUNK_ROWS = 32;

/**
 * Layer normalisation over the last axis: y = (x − mean) / √(var + eps) · weight + bias, with the biased variance.
 * Source: Ba, Kiros, Hinton 2016 (arXiv 1607.06450); V-JEPA 2 uses eps 1e-6.
 * NaN or Inf in a row makes that row NaN; in weight or bias, its column is not finite.
 * @param x [..., D] float
 * @param weight [D] float
 * @param bias [D] float
 * @param options eps, added to the variance, default 1e-6
 * @returns [..., D]
 * @throws ShapeError unless x has an axis of D ≥ 1 and weight and bias are [D]
 */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, { eps = 1e-6 }: { eps?: number } = {}): Tensor {
  const cols = x.shape.at(-1) ?? 0;
  if (cols < 1) throw new ShapeError(`layerNorm: x has shape ${showShape(x.shape)}, expected a last axis of at least 1`);
  checkShape('layerNorm', 'weight', weight, [cols], 'the last axis of x', x);
  checkShape('layerNorm', 'bias', bias, [cols], 'the last axis of x', x);
  checkFloat('layerNorm', 'x', x);
  checkFloat('layerNorm', 'weight', weight);
  checkFloat('layerNorm', 'bias', bias);
  checkSameDevice('layerNorm', x, weight, bias);

  const { device } = x;
  const rows = x.size / cols;
  const loads = rowLoads(cols);
  const { grouped, options, groups } = rowForm(device, loads, rows, cols, WG);
  const kernel = grouped ? layer_norm_group : layer_norm;
  const params = { rows, cols, eps, chunk_rows: CHUNK_ROWS };
  const y = Tensor.empty(device, x.shape);
  const stats = Tensor.empty(device, [rows, 2]);
  if (rows) dispatch(device, kernel, 'forward', { x, weight, bias, y, stats }, params, groups, options);

  const dX = (dy: Tensor): Tensor => {
    const dx = Tensor.empty(device, x.shape);
    if (rows) dispatch(device, kernel, 'backward_x', { x, weight, saved: stats, dy, dx }, params, groups, options);
    return dx;
  };
  const dWeight = (dy: Tensor): Tensor => {
    if (!rows) return Tensor.zeros(device, [cols]);
    const partials = Tensor.empty(device, [Math.ceil(rows / CHUNK_ROWS), cols]);
    dispatch(device, layer_norm, 'backward_weight', { x, saved: stats, dy, partials }, params, groupsFor(partials.size / loads.width, WG), rowOptions(loads, WG));
    return columnSum(partials);
  };
  const dBias = (dy: Tensor): Tensor => (rows ? columnSum(dy.view([rows, cols])) : Tensor.zeros(device, [cols]));
  return record(y, [[x, dX], [weight, dWeight], [bias, dBias]]);
}
