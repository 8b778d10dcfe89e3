// Host bytes on their way into tensors: a ring of mapped staging buffers, so that a checkpoint of any size needs a fixed amount of host memory.
import { ShapeError, showShape } from './check.ts';
import type { Device } from './device.ts';
import { GPUBufferUsageBits } from './memory.ts';
import { wait } from './polling.ts';
import type { Tensor } from './tensor.ts';

/** Bytes of one staging buffer. */
export const CHUNK_BYTES = 4 * 1024 * 1024;
const SLOTS = 3;

interface Slot { readonly buffer: GPUBuffer; mapped: Promise<unknown> }

/** A ring of staging buffers of `CHUNK_BYTES` each. Dispose it after use. */
export class UploadRing {
  private readonly device: Device;
  private readonly slots: Slot[] = [];
  private turn = 0;

  /** @param device that of the tensors */
  constructor(device: Device) {
    this.device = device;
  }

  /** The next slot, once the GPU has copied what it held. */
  private async next(): Promise<Slot> {
    const at = this.turn++ % SLOTS;
    const slot = this.slots[at];
    if (!slot) {
      const buffer = this.device.gpu.createBuffer({ size: CHUNK_BYTES, usage: GPUBufferUsageBits.MAP_WRITE | GPUBufferUsageBits.COPY_SRC, mappedAtCreation: true, label: 'upload' });
      return this.slots[at] = { buffer, mapped: Promise.resolve() };
    }
    try {
      await wait(slot.mapped);
    } catch (cause) {
      throw await this.device.explain('upload: the staging buffer could not be mapped', cause);
    }
    return slot;
  }

  /**
   * Writes bytes into a tensor, in order with the kernels. `fill` gets mapped memory and must be done when it returns: a lost device takes the memory away.
   * @param tensor [any] the target @param offset first byte within it, a multiple of 4 @param bytes how many, at most `CHUNK_BYTES`; only the end of the tensor may leave a word unfinished
   * @param fill writes exactly `bytes` bytes
   * @returns when the copy is enqueued, which may wait for an earlier one
   * @throws ShapeError when the range is not the tensor's, DeviceError after a loss or error
   */
  async write(tensor: Tensor, offset: number, bytes: number, fill: (target: Uint8Array<ArrayBuffer>) => void): Promise<void> {
    const { device } = this;
    if (!Number.isInteger(bytes) || bytes < 0 || bytes > CHUNK_BYTES || offset < 0 || offset % 4 !== 0 || offset + bytes > tensor.byteLength) {
      throw new ShapeError(`upload: ${bytes} bytes at ${offset}, expected at most ${CHUNK_BYTES} at a multiple of 4 within the ${tensor.byteLength} of ${tensor.dtype} ${showShape(tensor.shape)}`);
    }
    if (bytes === 0) return;
    device.check();
    const slot = await this.next();
    device.check();
    const words = Math.ceil(bytes / 4) * 4;
    const target = new Uint8Array(slot.buffer.getMappedRange(0, words));
    if (words > bytes) target.fill(0, bytes);
    fill(target.subarray(0, bytes));
    slot.buffer.unmap();
    if (device.recorder.pending(tensor.storage)) device.flush();
    const encoder = device.gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(slot.buffer, 0, tensor.storage.buffer, tensor.offsetBytes + offset, words);
    device.gpu.queue.submit([encoder.finish()]);
    device.recorder.counters.submits++;
    slot.mapped = slot.buffer.mapAsync(2);
    slot.mapped.catch(() => {}); // heard at its next turn, if there is one
  }

  /** Waits until all bytes are in their tensors. @returns nothing @throws DeviceError after a loss or error */
  async finish(): Promise<void> {
    await this.device.sync();
  }

  /** Gives the staging buffers back. @returns nothing */
  dispose(): void {
    for (const { buffer } of this.slots.splice(0)) buffer.destroy();
  }
}
