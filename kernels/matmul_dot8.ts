import { DeviceError, ShapeError, showShape } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { scope } from '../engine/memory.ts';
import { gradEnabled } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { ACTIVATIONS } from './matmul.ts';
import type { Activation } from './matmul.ts';
import { quantize } from './quantize.ts';
import { matmul_dot8 } from './wgsl.gen.ts';

/** What the shader language has to have. */
export const DOT8_FEATURE = 'packed_4x8_integer_dot_product';
/** Bytes that one load takes. */
const QUANTUM = 16;

/** The bytes of an i8 tensor as words. */
function wordsOf(t: Tensor): Tensor {
  t.storage.refs++;
  return new Tensor(t.device, t.storage, [t.size / 4], 'u32', t.offsetBytes);
}

/**
 * What `linear` does with `int8`: y = act(q(x) Wᵀ + bias) by exact sums of bytes, four products an instruction. x is rounded to bytes in the blocks of the weight
 * first (op `quantize`), so |error| grows by |W| max |x| / 254 per term; an x that is i8 in such blocks already is taken as it is. For inference: no gradient.
 * A NaN or infinity makes the factor of its block NaN, and so every result that reads the block.
 * @param x [..., K] float, or i8 in the blocks of the weight @param weight [N, K] i8; K and its blocks in multiples of 16 @param bias [N] float, or none @param activation what follows
 * @returns [..., N] f32
 * @throws DeviceError when the shader language has no packed_4x8_integer_dot_product or a gradient is wanted, ShapeError for other weights and blocks
 */
export function linearInt8(x: Tensor, weight: Tensor, bias: Tensor | undefined, activation: Activation): Tensor {
  const { device } = weight;
  const [n, k] = weight.shape as readonly [number, number];
  if (!device.language.has(DOT8_FEATURE)) throw new DeviceError(`linear: int8 needs the shader language feature ${DOT8_FEATURE}, expected it on ${device.adapter.description}`, 'unavailable');
  if (weight.dtype !== 'i8') throw new ShapeError(`linear: weight is ${weight.dtype}, expected i8 for int8 (the op quantize makes it)`);
  if (k % QUANTUM !== 0 || (weight.size > 0 && weight.block % QUANTUM !== 0)) throw new ShapeError(`linear: weight ${showShape(weight.shape)} has blocks of ${weight.block}, expected K and blocks in multiples of ${QUANTUM} for int8`);
  if (gradEnabled() && (x.needsGrad || bias?.needsGrad)) throw new DeviceError('linear: a gradient through int8 is wanted, expected none (rounded activations are for inference; leave int8 out to train)', 'validation');
  const lead = x.shape.slice(0, -1);
  return scope(() => {
    const y = Tensor.empty(device, [...lead, n]);
    if (y.size === 0) return y;
    const m = y.size / n;
    const unused = Tensor.placeholder(device, 'read');
    const w = k === 0 ? unused : wordsOf(weight);
    const same = x.dtype === 'i8' && x.block === weight.block;
    if (x.dtype === 'i8' && !same) throw new ShapeError(`linear: x is i8 in blocks of ${x.block}, expected ${weight.block}, those of the weight, or floats`);
    const bytes = k === 0 || same ? x : quantize(x, { block: weight.block });
    const [tiles_m, tiles_n] = [Math.ceil(m / 32), Math.ceil(n / 32)];
    dispatch(device, matmul_dot8, 'forward', {
      x: k === 0 ? unused : wordsOf(bytes), w, x_scales: bytes.scales ?? unused, w_scales: weight.scales ?? unused, bias: bias ?? unused, y,
    }, { m, n, sixteens: k / QUANTUM, per_block: Math.max(1, weight.block / QUANTUM), tiles_m, tiles_n }, tiles_m * tiles_n, { constants: { HAS_BIAS: bias ? 1 : 0, ACTIVATION: ACTIVATIONS[activation] } });
    return y;
  });
}
