import { checkDtype, checkFloat, checkSameDevice, checkShape, ShapeError } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { record } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { groupsFor, rowLoads } from './row_loads.ts';
import { mean_pool } from './wgsl.gen.ts';

const WG = 64;

/**
 * Mean over the real tokens of each sequence; a sequence without a real token gives a row of zeros.
 * NaN and infinities of real tokens as in IEEE arithmetic; those of padding do not show.
 * @param x [B, T, D] float
 * @param mask [B, T] u32, not 0 = real token; without it all are real
 * @returns [B, D]
 * @throws ShapeError unless x is [B, T, D] with D ≥ 1 and mask [B, T]
 */
export function meanPool(x: Tensor, mask?: Tensor): Tensor {
  checkShape('meanPool', 'x', x, [null, null, null]);
  const [batch, tokens, dim] = x.shape as [number, number, number];
  if (dim < 1) throw new ShapeError('meanPool: x has a last axis of 0, expected at least 1');
  checkFloat('meanPool', 'x', x);
  if (mask) {
    checkShape('meanPool', 'mask', mask, [batch, tokens], 'the first two axes of x');
    checkDtype('meanPool', 'mask', mask, 'u32');
  }
  checkSameDevice('meanPool', x, mask);

  const { device } = x;
  const loads = rowLoads(dim);
  const options = { header: loads.header, constants: { ...loads.constants, WG, MASKED: mask ? 1 : 0 } };
  const params = { batch, tokens, dim };
  const real = mask ?? Tensor.empty(device, [0], 'u32');
  const y = tokens ? Tensor.empty(device, [batch, dim]) : Tensor.zeros(device, [batch, dim]);
  const share = Tensor.empty(device, [batch]);
  if (x.size) dispatch(device, mean_pool, 'forward', { x, mask: real, y, share }, params, groupsFor(y.size / loads.width, WG), options);
  return record(y, [[x, dy => {
    const dx = Tensor.empty(device, x.shape);
    if (dx.size) dispatch(device, mean_pool, 'backward', { mask: real, saved: share, dy, dx }, params, groupsFor(dx.size / loads.width, WG), options);
    return dx;
  }]]);
}
