import { ShapeError, checkFloat } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { record } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { groupsFor } from './row_loads.ts';
import { cast as kernel } from './wgsl.gen.ts';

const WG = 64;

/** The types that `cast` writes. */
export type FloatDType = 'f32' | 'f16' | 'bf16';

/**
 * x in another storage type, rounded to the nearest value, ties to even: values beyond the range become ±Inf (f16: from 65,520), NaN stays NaN, subnormals and −0 are kept.
 * From i8 and i4 it multiplies by the scales. The gradient passes as it is, in f32.
 * @param x [...] f32, f16, bf16, i8 or i4
 * @param dtype 'f32', 'f16' or 'bf16'
 * @returns [...] of that dtype; x's own storage when it has it already
 * @throws ShapeError for integers and for another dtype
 */
export function cast(x: Tensor, dtype: FloatDType): Tensor {
  checkFloat('cast', 'x', x);
  if (dtype !== 'f32' && dtype !== 'f16' && dtype !== 'bf16') throw new ShapeError(`cast: dtype is ${String(dtype)}, expected f32, f16 or bf16 (the op quantize makes i8 and i4)`);
  if (x.dtype === dtype) return record(x.view(x.shape), [[x, dy => dy]]);
  const { device } = x;
  const y = Tensor.empty(device, x.shape, dtype);
  const quad = x.size % 4 === 0;
  const options = dtype === 'f32' ? {} : { constants: { HALF: dtype === 'f16' ? 1 : 0 } };
  const count = quad ? x.size / 4 : dtype === 'f32' ? x.size : Math.ceil(x.size / 2);
  const params = { count, size: x.size };
  if (count === 0) return record(y, [[x, dy => dy]]);
  if (dtype === 'f32') {
    if (quad) dispatch(device, kernel, 'widen4', { x4: x, wide4: y }, params, groupsFor(count, WG));
    else dispatch(device, kernel, 'widen', { x1: x, wide1: y }, params, groupsFor(count, WG));
  } else if (quad) dispatch(device, kernel, 'narrow4', { x4: x, words2: y }, params, groupsFor(count, WG), options);
  else dispatch(device, kernel, 'narrow', { x1: x, words1: y }, params, groupsFor(count, WG), options);
  return record(y, [[x, dy => dy]]);
}
