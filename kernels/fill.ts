import { dispatch } from '../engine/dispatch.ts';
import type { Device } from '../engine/device.ts';
import type { Storage } from '../engine/memory.ts';
import { Tensor } from '../engine/tensor.ts';
import type { Shape } from '../engine/tensor.ts';
import { fill } from './wgsl.gen.ts';

const word = new DataView(new ArrayBuffer(4));

function launch(x: Tensor, bits: number): void {
  dispatch(x.device, fill, 'forward', { x }, { words: x.size, word: bits }, Math.ceil(x.size / 64));
}

/**
 * A tensor with one value everywhere.
 * @param device where @param shape sizes @param value the value, f32 @returns [shape] f32
 */
export function full(device: Device, shape: Shape, value: number): Tensor {
  const x = Tensor.empty(device, shape);
  word.setFloat32(0, value);
  launch(x, word.getUint32(0));
  return x;
}

/**
 * Fills a pooled buffer with a bit pattern. For tests: set as `device.pool.onAcquire`, it shows kernels that leave gaps in their outputs.
 * @param device where @param storage the buffer @param bits the pattern, one u32 @returns nothing
 */
export function poison(device: Device, storage: Storage, bits: number): void {
  storage.refs++;
  const x = new Tensor(device, storage, [storage.bytes / 4], 'u32');
  launch(x, bits);
  x.dispose();
}
