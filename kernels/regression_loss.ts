import { checkFloat, checkSameDevice, checkShape, ShapeError, showShape } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { scope } from '../engine/memory.ts';
import { noGrad, record } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { scale } from './elementwise.ts';
import { l2Normalize } from './l2_normalize.ts';
import { groupsFor } from './row_loads.ts';
import { sum } from './sum.ts';
import { regression_loss } from './wgsl.gen.ts';

const WG = 64;
/** Terms that one invocation adds: short enough for rounding. */
const CHUNK = 128;

/** Options of `l1Loss` and `l2Loss`. The paper names neither choice (spec 1.5), so both are offered. */
export interface RegressionOptions {
  /** Whether rows are brought to unit length first. Default false. */
  readonly normalize?: boolean;
  /** Over the last axis; the mean over rows always follows. Default 'mean'. */
  readonly reduction?: 'mean' | 'sum';
}

function check(op: string, names: readonly [string, string], a: Tensor, b: Tensor): void {
  const dim = a.shape.at(-1) ?? 0;
  if (dim < 1 || a.size < 1) throw new ShapeError(`${op}: ${names[0]} has shape ${showShape(a.shape)}, expected at least one row of at least one element`);
  checkShape(op, names[1], b, a.shape, `the shape of ${names[0]}`);
  checkFloat(op, names[0], a);
  checkFloat(op, names[1], b);
  checkSameDevice(op, a, b);
}

function elementLoss(op: string, form: 0 | 1, a: Tensor, b: Tensor, { normalize = false, reduction = 'mean' }: RegressionOptions): Tensor {
  check(op, ['a', 'b'], a, b);
  if (reduction !== 'mean' && reduction !== 'sum') throw new ShapeError(`${op}: reduction is ${String(reduction)}, expected 'mean' or 'sum'`);
  const [u, v] = normalize ? [l2Normalize(a), l2Normalize(b)] : [a, b];
  const { device, size: count } = a;
  const dims = a.shape.at(-1)!;
  const factor = reduction === 'mean' ? 1 / count : dims / count;
  const chunks = Math.ceil(count / CHUNK);
  const params = { count, chunks, dims, factor };
  const options = { constants: { WG, FORM: form } };
  const loss = scope(() => noGrad(() => {
    const parts = Tensor.empty(device, [chunks]);
    dispatch(device, regression_loss, 'forward', { a: u, b: v, parts }, params, groupsFor(chunks, WG), options);
    return scale(sum(parts), factor);
  }));
  const pullback = (one: Tensor, other: Tensor) => (dloss: Tensor): Tensor => {
    const da = Tensor.empty(device, one.shape);
    dispatch(device, regression_loss, 'backward', { a: one, b: other, dloss, da }, params, groupsFor(count, WG), options);
    return da;
  };
  return record(loss, [[u, pullback(u, v)], [v, pullback(v, u)]]);
}

/**
 * Mean absolute error: mean over rows of the mean (or sum) over the last axis of |a − b|; the gradient at a tie is 0. Source: spec 1.5 (ablated losses).
 * Only with frozen targets: nothing keeps two trained networks from agreeing on one constant vector.
 * @param a [..., D] float
 * @param b [..., D] float
 * @param options normalize, reduction: see `RegressionOptions`
 * @returns [1] the loss, differentiable in a and b
 * @throws ShapeError unless the shapes agree and hold an element
 */
export const l1Loss = (a: Tensor, b: Tensor, options: RegressionOptions = {}): Tensor => elementLoss('l1Loss', 0, a, b, options);

/**
 * Mean squared error: mean over rows of the mean (or sum) over the last axis of (a − b)². Source: spec 1.5 (ablated losses).
 * Only with frozen targets: nothing keeps two trained networks from agreeing on one constant vector.
 * @param a [..., D] float
 * @param b [..., D] float
 * @param options normalize, reduction: see `RegressionOptions`
 * @returns [1] the loss, differentiable in a and b
 * @throws ShapeError unless the shapes agree and hold an element
 */
export const l2Loss = (a: Tensor, b: Tensor, options: RegressionOptions = {}): Tensor => elementLoss('l2Loss', 1, a, b, options);

/**
 * Cosine distance: mean over rows of 1 − p·y / (max(|p|, 1e-12) max(|y|, 1e-12)). Source: spec 1.5 (ablated losses).
 * Only with frozen targets: nothing keeps two trained networks from agreeing on one constant vector.
 * @param p [..., D] float, predictions, any length
 * @param y [..., D] float, targets, any length
 * @returns [1] the loss, between 0 and 2, differentiable in p and y
 * @throws ShapeError unless the shapes agree and hold an element
 */
export function cosineLoss(p: Tensor, y: Tensor): Tensor {
  check('cosineLoss', ['p', 'y'], p, y);
  const [u, v] = [l2Normalize(p), l2Normalize(y)];
  const { device, size: count } = p;
  const dims = p.shape.at(-1)!;
  const rows = count / dims;
  const params = { count, chunks: rows, dims, factor: 1 / rows };
  const options = { constants: { WG } };
  const { loss, unit } = scope(() => noGrad(() => {
    const [parts, unit] = [Tensor.empty(device, [rows]), Tensor.empty(device, [rows])];
    dispatch(device, regression_loss, 'forward_cosine', { a: u, b: v, parts, is_unit: unit }, params, groupsFor(rows, WG), options);
    return { loss: scale(sum(parts), 1 / rows), unit };
  }));
  const pullback = (one: Tensor, other: Tensor) => (dloss: Tensor): Tensor => {
    const da = Tensor.empty(device, one.shape);
    dispatch(device, regression_loss, 'backward_cosine', { a: one, b: other, was_unit: unit, dloss, da }, params, groupsFor(count, WG), options);
    return da;
  };
  return record(loss, [[u, pullback(u, v)], [v, pullback(v, u)]]);
}
