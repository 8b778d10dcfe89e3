import { checkDtype, checkShape, ShapeError } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { Tensor } from '../engine/tensor.ts';
import { groupsFor } from './row_loads.ts';
import { grad_norm } from './wgsl.gen.ts';

const WG = 64;
/** Invocations of the first stage: 16,384 fill a large GPU, fewer leave each at least 16 loads. */
const MOST_LANES = 16_384;
const LOADS_PER_LANE = 16;
/** Partial results that one invocation merges. */
const MERGE = 128;

/**
 * Euclidean length of a flat buffer, √Σx², in a fixed order and without overflow up to 1e37 (each partial sum is kept in units of its largest element).
 * NaN makes it NaN, and an infinity does not come out finite.
 * @param x [n] f32, n a multiple of 4 (flat gradients come in segments of 64)
 * @returns [1]
 * @throws ShapeError unless n is a multiple of 4
 */
export function gradNorm(x: Tensor): Tensor {
  checkDtype('gradNorm', 'x', x, 'f32');
  if (x.size % 4 !== 0) throw new ShapeError(`gradNorm: x has ${x.size} elements, expected a multiple of 4 (flat gradients come in segments of 64)`);
  const { device } = x;
  if (!x.size) return Tensor.zeros(device, [1]);
  const options = { constants: { WG } };
  let count = x.size / 4;
  let lanes = Math.min(MOST_LANES, Math.ceil(count / LOADS_PER_LANE));
  let partials = Tensor.empty(device, [lanes, 2]);
  dispatch(device, grad_norm, 'reduce', { x, partials }, { count, lanes, max_norm: 0 }, groupsFor(lanes, WG), options);
  if (lanes > MERGE) {
    count = lanes;
    lanes = Math.ceil(count / MERGE);
    const fewer = Tensor.empty(device, [lanes, 2]);
    dispatch(device, grad_norm, 'merge_partials', { merged_from: partials, partials: fewer }, { count, lanes, max_norm: 0 }, groupsFor(lanes, WG), options);
    partials.dispose();
    partials = fewer;
  }
  const norm = Tensor.empty(device, [1]);
  dispatch(device, grad_norm, 'finish', { merged_from: partials, norm }, { count: lanes, lanes: 1, max_norm: 0 }, 1);
  partials.dispose();
  return norm;
}

/**
 * Factor that shortens gradients to a length: min(1, maxNorm / (norm + 1e-6)), exactly as torch.nn.utils.clip_grad_norm_. It stays on the GPU (`adamwStep` reads it there).
 * A norm of NaN gives NaN, one of Inf gives 0.
 * @param norm [1] f32, from `gradNorm`
 * @param maxNorm longest allowed length, > 0
 * @returns [1]
 * @throws ShapeError unless norm is [1] and maxNorm > 0
 */
export function clipFactor(norm: Tensor, maxNorm: number): Tensor {
  checkShape('clipFactor', 'norm', norm, [1]);
  if (!(maxNorm > 0)) throw new ShapeError(`clipFactor: maxNorm is ${maxNorm}, expected a positive length`);
  const factor = Tensor.empty(norm.device, [1]);
  dispatch(norm.device, grad_norm, 'clip_factor', { measured: norm, factor }, { count: 0, lanes: 0, max_norm: maxNorm }, 1);
  return factor;
}
