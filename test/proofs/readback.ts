// How values get to the device and back in bulk: inputs with guards on both sides in one write each, all results of a batch with their guards in one read.
import type { Device } from '../../engine/device.ts';
import { dispatch } from '../../engine/dispatch.ts';
import { GPUBufferUsageBits } from '../../engine/memory.ts';
import type { Storage } from '../../engine/memory.ts';
import { wait } from '../../engine/polling.ts';
import { Tensor } from '../../engine/tensor.ts';
import type { DType, Shape } from '../../engine/tensor.ts';
import { fill } from '../../kernels/wgsl.gen.ts';
import { bf16ToF32, f16ToF32 } from '../../weights/dtype.ts';
import type { Stored } from './values.ts';

/** Guard on either side of a tensor: a binding's offset has to be a multiple of it. */
export const MARGIN = 256;

/** Of one staging buffer, below the default limit of 256 MiB. */
const MOST_BYTES = 2 ** 27;

/** A NaN, and 42: a result that hangs on memory which nobody wrote differs between them. */
export const PATTERNS = [0x7fc0dead, 0x42280000] as const;

/** What the guards of a buffer hold. */
const guards = new WeakMap<Storage, number>();

/** Fills a fresh buffer, guards and slack included. The binding is wider than its tensor by the guard behind it. */
function poison(device: Device, storage: Storage, bits: number): void {
  storage.refs++;
  guards.set(storage, bits);
  const words = storage.bytes / 4;
  const x = new Tensor(device, storage, [words - device.pool.marginBytes / 4], 'u32');
  dispatch(device, fill, 'forward', { x }, { words, word: bits }, Math.ceil(words / 64));
  x.dispose();
}

/**
 * Runs `fn` with guards around every tensor and every fresh buffer filled with what `pattern` holds then.
 * @param device where @param pattern the poison of now @param fn the work @returns what `fn` returns
 */
export function guarded<T>(device: Device, pattern: { bits: number }, fn: () => T): T {
  const { pool } = device;
  const before = { margin: pool.marginBytes, hook: pool.onAcquire };
  pool.marginBytes = MARGIN;
  pool.onAcquire = storage => poison(device, storage, pattern.bits);
  try {
    return fn();
  } finally {
    pool.marginBytes = before.margin;
    pool.onAcquire = before.hook;
  }
}

/** A tensor whose bytes and guards come from the host in one write; the poisoning kernel would cost a submit per input. */
function write(device: Device, words: Uint32Array, shape: Shape, dtype: DType, bits: number): Tensor {
  const hook = device.pool.onAcquire;
  device.pool.onAcquire = undefined;
  const t = Tensor.empty(device, shape, dtype);
  device.pool.onAcquire = hook;
  const margin = t.offsetBytes / 4;
  const all = new Uint32Array(Math.min(t.storage.bytes / 4, 2 * margin + Math.max(1, words.length))).fill(bits);
  all.set(words, margin);
  guards.set(t.storage, bits);
  if (device.recorder.pending(t.storage)) device.flush();
  device.gpu.queue.writeBuffer(t.storage.buffer, 0, all);
  return t;
}

/**
 * Puts one input onto the device. Each input of a case has guards of its own: a kernel that copies on behind the end of one would otherwise write over a guard what it held before.
 * @param device where @param stored bits, type and shape @param poison of the run @param at number of the input, from 0 @returns [input.shape]
 */
export function place(device: Device, stored: Stored, poison: number, at: number): Tensor {
  const { input, dtype, words, scales } = stored;
  const bits = poison ^ (at + 1);
  if (!scales) return write(device, words, input.shape, dtype, bits);
  const packed = write(device, words, [words.length], 'u32', bits);
  const factors = write(device, new Uint32Array(scales.buffer), [scales.length], 'f32', bits);
  return Tensor.quantised(packed, factors, input.shape, dtype as 'i8' | 'i4');
}

/** One result as it was read: its elements as bits, and whether its guards are whole. */
export interface Result {
  readonly shape: Shape;
  readonly dtype: DType;
  /** One word per element. */
  readonly bits: Uint32Array;
  /** What is wrong around it, or nothing. */
  readonly breach: string | undefined;
}

/** The elements as numbers. @param result as read @returns [size] */
export function numbers({ dtype, bits }: Result): ArrayLike<number> {
  if (dtype === 'u32') return bits;
  if (dtype === 'i32') return new Int32Array(bits.buffer, bits.byteOffset, bits.length);
  if (dtype === 'bf16') return bf16ToF32(Uint16Array.from(bits));
  if (dtype === 'f16') return f16ToF32(Uint16Array.from(bits));
  return new Float32Array(bits.buffer, bits.byteOffset, bits.length);
}

interface Region { readonly storage: Storage; readonly start: number; readonly bytes: number; readonly front: number; readonly stage: number; readonly at: number; readonly tensor: Pick<Tensor, 'shape' | 'dtype' | 'size' | 'byteLength'>; readonly guard: number | undefined }

/** Results of many cases, read in one go. Add tensors while they live, then `enqueue`, release them, and `read`. */
export class Readback {
  private readonly device: Device;
  private readonly regions: Region[] = [];
  /** Bytes of each staging buffer: one is enough but for heavy cases. */
  private readonly sizes: number[] = [0];
  private stages: GPUBuffer[] = [];

  constructor(device: Device) {
    this.device = device;
  }

  /** Notes a tensor. @param tensor [any] a result @returns its number for `read` */
  add(tensor: Tensor): number {
    if (tensor.scales) throw new Error(`a result is ${tensor.dtype}, expected one without scales (cast it)`);
    const { storage, offsetBytes, shape, dtype, size, byteLength } = tensor;
    const whole = offsetBytes === MARGIN && storage.bytes >= 2 * MARGIN + Math.max(4, byteLength); // a view into the middle of another tensor has no guards of its own
    const start = whole ? 0 : offsetBytes;
    const bytes = whole ? 2 * MARGIN + Math.max(4, byteLength) : Math.max(4, byteLength);
    if (this.sizes.at(-1)! + bytes > MOST_BYTES && this.sizes.at(-1)! > 0) this.sizes.push(0);
    const stage = this.sizes.length - 1;
    const at = this.sizes[stage]!;
    this.regions.push({ storage, start, bytes, front: whole ? MARGIN : 0, stage, at, tensor: { shape, dtype, size, byteLength }, guard: guards.get(storage) });
    this.sizes[stage] = at + bytes;
    return this.regions.length - 1;
  }

  /** Copies everything noted behind the commands so far. @returns nothing */
  enqueue(): void {
    const { device } = this;
    this.stages = this.sizes.map(size => device.gpu.createBuffer({ size: Math.max(4, size), usage: GPUBufferUsageBits.MAP_READ | GPUBufferUsageBits.COPY_DST }));
    for (const { storage, start, bytes, stage, at } of this.regions) {
      device.recorder.commands().copyBufferToBuffer(storage.buffer, start, this.stages[stage]!, at, bytes);
      device.recorder.touch(storage);
    }
    device.flush();
  }

  /** Waits for the device. @returns the results in the order of `add` @throws DeviceError after a loss or an error */
  async read(): Promise<Result[]> {
    const { device, stages } = this;
    try {
      await wait(Promise.all(stages.map(stage => stage.mapAsync(1))));
    } catch (cause) {
      await new Promise(done => setTimeout(done, 50)); // the reason comes on the side
      device.check();
      throw cause;
    }
    const words = stages.map(stage => new Uint32Array(stage.getMappedRange().slice(0)));
    for (const stage of stages) stage.destroy();
    device.check();
    return this.regions.map(region => resultOf(region, words[region.stage]!.subarray(region.at / 4, (region.at + region.bytes) / 4)));
  }
}

function resultOf({ front, tensor, guard }: Region, words: Uint32Array): Result {
  const { shape, dtype, size, byteLength } = tensor;
  const first = front / 4;
  const data = words.slice(first, first + byteLength / 4);
  const half = dtype === 'f16' || dtype === 'bf16';
  let breach: string | undefined;
  if (front) {
    const behind = first + Math.max(1, byteLength / 4);
    for (let i = 0; i < words.length && !breach; i++) {
      if (i >= first && i < behind) continue;
      if (words[i] !== guard) breach = `guard word ${i < first ? i - first : i - behind} ${i < first ? 'before' : 'behind'} the result was overwritten with 0x${words[i]!.toString(16)}`;
    }
  }
  return { shape, dtype, bits: half ? Uint32Array.from(new Uint16Array(data.buffer, 0, size)) : data, breach };
}
