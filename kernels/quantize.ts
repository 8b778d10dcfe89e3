import { ShapeError, checkFloat, showShape } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { scope } from '../engine/memory.ts';
import { Tensor } from '../engine/tensor.ts';
import { groupsFor } from './row_loads.ts';
import { quantize as kernel } from './wgsl.gen.ts';

const WG = 64;

/**
 * Weights as whole numbers of 8 or 4 bits with an f32 factor per block of the last axis: scale = max |x| / 127 (or 7), q = round(x / scale). Every op that takes
 * weights or activations reads the result and multiplies in the load; |x − q scale| ≤ scale / 2. Blocks whose largest value is subnormal become zeros.
 * A NaN or infinity makes its whole block NaN. Has no gradient: quantised weights are frozen.
 * @param x [..., K] f32, f16 or bf16
 * @param options bits: 8 (default) or 4; block: elements per scale along the last axis, K (default, one scale per row) or a multiple of 8 that divides K
 * @returns [..., K] i8 or i4, with `scales` [size / block]
 * @throws ShapeError for integers, bits other than 8 and 4, and a block that does not divide the rows
 */
export function quantize(x: Tensor, { bits = 8, block }: { bits?: 8 | 4; block?: number } = {}): Tensor {
  checkFloat('quantize', 'x', x);
  const k = x.shape.at(-1) ?? 1;
  const blockSize = block ?? Math.max(1, k);
  if (bits !== 8 && bits !== 4) throw new ShapeError(`quantize: bits is ${String(bits)}, expected 8 or 4`);
  if (!Number.isInteger(blockSize) || blockSize < 1 || k % blockSize !== 0 || (blockSize !== k && blockSize % 8 !== 0 && k !== 0)) {
    throw new ShapeError(`quantize: block is ${blockSize}, expected ${k}, the last axis of x ${showShape(x.shape)}, or a multiple of 8 that divides it`);
  }
  const { device } = x;
  return scope(() => {
    const count = x.size / blockSize;
    const scales = Tensor.empty(device, [count]);
    const words = Tensor.empty(device, [Math.ceil((x.size * bits) / 32)], 'u32');
    const options = { constants: { BITS: bits } };
    if (count) {
      dispatch(device, kernel, 'find_scales', { x, scales }, { count, size: x.size, block_size: blockSize }, groupsFor(count, WG), options);
      dispatch(device, kernel, 'pack', { x, scale_of: scales, words }, { count: words.size, size: x.size, block_size: blockSize }, groupsFor(words.size, WG), options);
    }
    return Tensor.quantised(words, scales, x.shape, bits === 8 ? 'i8' : 'i4');
  });
}
