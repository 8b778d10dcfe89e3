import { checkDtype, checkSameDevice, checkShape, ShapeError } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import type { Device } from '../engine/device.ts';
import type { Tensor } from '../engine/tensor.ts';
import { groupsFor } from './row_loads.ts';
import { adamw } from './wgsl.gen.ts';

const WG = 64;

/** Floats per block: a parameter's segment starts at a multiple of this (256 bytes, the alignment of a binding), and a block has one group. */
export const ADAMW_BLOCK = 64;

/** The flat buffers of `adamwStep`. `param`, `m`, `v` and `rest` are updated in place. */
export interface AdamwBuffers {
  /** [total] f32, total a multiple of 64; the padding between segments has gradient 0 and stays what it is (times the decay). */
  readonly param: Tensor;
  /** [total] f32, before clipping. */
  readonly grad: Tensor;
  /** [total] f32, running mean of the gradient, 0 before the first step. */
  readonly m: Tensor;
  /** [total] f32, running mean of its square, 0 before the first step. */
  readonly v: Tensor;
  /** [total] f32, what rounding cut off the updates so far and the next step adds, 0 before the first step. */
  readonly rest: Tensor;
  /** [total / 64] u32, the group of each block of 64 floats. Values must be below G: a GPU cannot throw. */
  readonly blockGroup: Tensor;
  /** [G, 2] f32: learning rate, weight decay. */
  readonly groups: Tensor;
  /** [1] f32, factor on every gradient (`clipFactor`), so that clipping needs no readback. */
  readonly clip: Tensor;
}

/** Settings of one step. */
export interface AdamwSettings {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** Number of this step, from 1; in a plan a function, asked before every run. */
  readonly step: number | (() => number);
}

/**
 * One step of AdamW with decoupled decay, in the order of torch.optim.AdamW:
 * p ← p (1 − lr wd); m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; p ← p − lr m̂ / (√v̂ + eps), with m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ).
 * Updates are summed with compensation (Kahan 1965), so that f32 weights follow float64 ones. Source: Loshchilov & Hutter 2019 (arXiv 1711.05101). The corrections are computed in float64.
 * A NaN or an infinity in param, grad, m, v or rest makes what depends on it, element by element, NaN or infinite.
 * @param device where the buffers live
 * @param buffers flat buffers, see `AdamwBuffers`
 * @param settings beta1, beta2 in [0, 1), eps > 0, step ≥ 1
 * @returns nothing; param, m, v and rest are changed
 * @throws ShapeError for a total that is no multiple of 64, or shapes or settings out of range
 */
export function adamwStep(device: Device, buffers: AdamwBuffers, { beta1, beta2, eps, step }: AdamwSettings): void {
  const { param, grad, m, v, rest, blockGroup, groups, clip } = buffers;
  const at = (): number => (typeof step === 'function' ? step() : step);
  const total = param.size;
  if (total % ADAMW_BLOCK !== 0) throw new ShapeError(`adamwStep: param has ${total} elements, expected a multiple of ${ADAMW_BLOCK} (segments are padded)`);
  const blocks = total / ADAMW_BLOCK;
  for (const [name, t] of [['param', param], ['grad', grad], ['m', m], ['v', v], ['rest', rest]] as const) {
    checkShape('adamwStep', name, t, [total], 'the flat size of param');
    checkDtype('adamwStep', name, t, 'f32');
  }
  checkShape('adamwStep', 'blockGroup', blockGroup, [blocks], `one per ${ADAMW_BLOCK} floats`);
  checkDtype('adamwStep', 'blockGroup', blockGroup, 'u32');
  checkShape('adamwStep', 'groups', groups, [null, 2], 'learning rate and weight decay');
  checkShape('adamwStep', 'clip', clip, [1]);
  checkSameDevice('adamwStep', param, grad, m, v, rest, blockGroup, groups, clip);
  if (!(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1 && eps > 0 && Number.isInteger(at()) && at() >= 1)) {
    throw new ShapeError(`adamwStep: beta1 ${beta1}, beta2 ${beta2}, eps ${eps}, step ${at()}, expected betas in [0, 1), eps > 0 and a whole step ≥ 1`);
  }
  if (!blocks) return;
  const params = { blocks, rest1: 1 - beta1, beta2, rest2: 1 - beta2, eps, bias1: () => 1 - beta1 ** at(), sqrt_bias2: () => Math.sqrt(1 - beta2 ** at()), zero: 0 };
  dispatch(device, adamw, 'step', { param, grad, m, v, rest, block_group: blockGroup, groups, clip }, params, groupsFor(total / 4, WG), { constants: { WG } });
}
