// Tensor: a typed, contiguous, row-major view of a pooled buffer. It has no op methods.
import { DeviceError, ShapeError, checkedSize, showShape } from './check.ts';
import type { Device } from './device.ts';
import { enlist, keep } from './memory.ts';
import type { Storage } from './memory.ts';

/**
 * How elements are stored. Kernels compute in f32 whatever the storage: f16 and bf16 lie two to a u32 word, i8 four and i4 eight, low bits first,
 * and the last two are multiplied by a scale per block of elements (`Tensor.scales`; the op `quantize` makes them).
 */
export type DType = 'f32' | 'f16' | 'bf16' | 'i8' | 'i4' | 'i32' | 'u32';
export type Shape = readonly number[];
export type HostArray = Float32Array | Int32Array | Uint32Array | Uint16Array;

/** Bits per element. */
export const DTYPE_BITS: Readonly<Record<DType, number>> = { f32: 32, f16: 16, bf16: 16, i8: 8, i4: 4, i32: 32, u32: 32 };

const ARRAYS = { f32: Float32Array, i32: Int32Array, u32: Uint32Array } as const;

/** Bytes of elements, up to whole words. */
const bytesFor = (count: number, dtype: DType): number => 4 * Math.ceil((count * DTYPE_BITS[dtype]) / 32);
let nextTensor = 1;

/** Id of the newest tensor. @returns the id; later tensors have higher ones */
export const newestTensor = (): number => nextTensor - 1;

/** Element count of a shape. @param shape sizes @returns their product */
export function size(shape: Shape): number {
  let n = 1;
  for (let i = 0; i < shape.length; i++) n *= shape[i]!;
  return n;
}

/** A tensor on a device. Make it with `Tensor.from`, `empty`, `zeros` or an op; scopes release it. */
export class Tensor {
  readonly device: Device;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly size: number;
  /** Bytes of the elements, up to whole words. */
  readonly byteLength: number;
  readonly id = nextTensor++;
  /** Byte offset of the first element in the storage. */
  offsetBytes: number;
  needsGrad = false;
  grad: Tensor | undefined;
  /** i8 and i4: [size / block] f32, the factor of each run of `block` elements in row-major order. Released with this tensor. */
  readonly scales: Tensor | undefined;
  /** Elements per scale; 0 without scales. */
  readonly block: number;
  /** The tape's node that made this tensor. */
  node: unknown;
  private held: Storage | undefined;

  constructor(device: Device, storage: Storage, shape: Shape, dtype: DType, offsetBytes = 0, scales?: Tensor) {
    this.device = device;
    this.held = storage;
    this.shape = shape;
    this.dtype = dtype;
    this.offsetBytes = offsetBytes;
    this.size = size(shape);
    this.byteLength = bytesFor(this.size, dtype);
    this.scales = scales && keep(scales);
    this.block = scales ? (scales.size ? this.size / scales.size : 1) : 0;
    device.liveTensors++;
    enlist(this);
  }

  /** The storage. @returns pooled buffer @throws DeviceError when the tensor was released */
  get storage(): Storage {
    if (!this.held) throw new DeviceError(`tensor ${this.id} ${showShape(this.shape)} was released, expected a live one (return it from its scope, or keep it)`, 'validation');
    return this.held;
  }

  /** Whether the storage was given back: the tensor can no longer be used. */
  get released(): boolean {
    return this.held === undefined;
  }

  /**
   * A tensor whose contents are undefined: the kernel that gets it as output writes every element.
   * @param device where @param shape sizes @param dtype element type @param exact a buffer of just these bytes, for what stays: others are up to a quarter larger, to be used again
   * @returns [shape] @throws ShapeError for a broken shape, DeviceError above the limits
   */
  static empty(device: Device, shape: Shape, dtype: DType = 'f32', exact = false): Tensor {
    const n = checkedSize('Tensor.empty', shape);
    if (dtype === 'i8' || dtype === 'i4') throw new ShapeError(`Tensor.empty: dtype is ${dtype}, expected one without scales (the op quantize makes ${dtype})`);
    const { pool } = device;
    return new Tensor(device, pool.acquire(Math.max(4, bytesFor(n, dtype)) + 2 * pool.marginBytes, exact), shape.slice(), dtype, pool.marginBytes);
  }

  /**
   * What is bound where a kernel has a binding that it does not touch. One for all, in no count and never released; two of them, because one dispatch may not read and write one buffer.
   * @param device where @param role how the kernel declares the binding @returns [4], NaN
   */
  static placeholder(device: Device, role: 'read' | 'written'): Tensor {
    const { placeholders } = device.pool;
    let found = placeholders[role];
    if (!found) {
      placeholders[role] = found = keep(new Tensor(device, device.pool.spare(), [4], 'f32'));
      device.liveTensors--;
    }
    return found;
  }

  /**
   * A quantised tensor: whole numbers of 8 or 4 bits, and a factor per block. Takes the scales over: they are released with it.
   * @param words [⌈size · bits / 32⌉] u32, elements in row-major order, low bits first @param scales [size / block] f32 @param shape sizes @param dtype 'i8' or 'i4'
   * @returns [shape] sharing the storage of words @throws ShapeError when words or scales do not fit the shape
   */
  static quantised(words: Tensor, scales: Tensor, shape: Shape, dtype: 'i8' | 'i4'): Tensor {
    const n = checkedSize('Tensor.quantised', shape);
    const wanted = bytesFor(n, dtype) / 4;
    if (words.dtype !== 'u32' || words.size !== wanted) throw new ShapeError(`Tensor.quantised: words are ${words.dtype} ${showShape(words.shape)}, expected u32 [${wanted}] for ${dtype} ${showShape(shape)}`);
    if (scales.dtype !== 'f32' || (n > 0 && (scales.size === 0 || n % scales.size !== 0))) throw new ShapeError(`Tensor.quantised: scales are ${scales.dtype} ${showShape(scales.shape)}, expected f32 and a count that divides ${n}`);
    words.storage.refs++;
    return new Tensor(words.device, words.storage, [...shape], dtype, words.offsetBytes, scales);
  }

  /** A tensor of zeros, cleared on the GPU. @param device where @param shape sizes @param dtype element type @returns [shape] */
  static zeros(device: Device, shape: Shape, dtype: DType = 'f32'): Tensor {
    const t = Tensor.empty(device, shape, dtype);
    device.clear(t);
    return t;
  }

  /**
   * Uploads host data.
   * @param device where @param data elements in row-major order; for f16 and bf16 their bits as u16 (numbers: upload f32 and `cast`)
   * @param shape sizes, default [data.length] @param dtype element type, default that of the array (numbers: f32)
   * @returns [shape] @throws ShapeError when the element count differs, a number does not fit an integer type or the array does not go with the dtype
   */
  static from(device: Device, data: HostArray | readonly number[], shape: Shape = [data.length], dtype?: DType): Tensor {
    const type = dtype ?? (data instanceof Int32Array ? 'i32' : data instanceof Uint32Array ? 'u32' : 'f32');
    const n = checkedSize('Tensor.from', shape);
    if (n !== data.length) throw new ShapeError(`Tensor.from: ${data.length} values were given, expected ${n} for shape ${showShape(shape)}`);
    if (data instanceof Uint16Array !== (type === 'f16' || type === 'bf16') || type === 'i8' || type === 'i4') {
      throw new ShapeError(`Tensor.from: ${data.constructor.name} cannot become ${type}, expected the bits as Uint16Array for f16 and bf16 (or f32 and the op cast), and the op quantize for i8 and i4`);
    }
    if (data instanceof Uint16Array) {
      const t = Tensor.empty(device, shape, type);
      device.upload(t, data);
      return t;
    }
    const Numbers = ARRAYS[type as keyof typeof ARRAYS];
    const array = data instanceof Numbers ? data : new Numbers(data);
    if (array !== data && type !== 'f32') {
      const bad = array.findIndex((v, i) => v !== data[i]);
      if (bad >= 0) throw new ShapeError(`Tensor.from: value ${bad} is ${data[bad]}, expected a whole number that fits ${type}`);
    }
    const t = Tensor.empty(device, shape, type);
    device.upload(t, array);
    return t;
  }

  /**
   * The same storage under another shape. Carries no gradient (the op `reshape` does).
   * @param shape sizes @param offset first element, a multiple of 64 (f16, bf16: 128); i8 and i4 can only be seen whole @returns [shape] sharing the storage @throws ShapeError when it does not fit
   */
  view(shape: Shape, offset = 0): Tensor {
    const n = checkedSize('view', shape);
    if (offset + n > this.size || offset < 0) throw new ShapeError(`view: shape ${showShape(shape)} at element ${offset} does not fit into ${showShape(this.shape)}`);
    const step = 2048 / DTYPE_BITS[this.dtype];
    if (offset % step !== 0) throw new ShapeError(`view: offset is ${offset}, expected a multiple of ${step} elements (bindings start at multiples of 256 bytes)`);
    if (this.scales && n !== this.size) throw new ShapeError(`view: shape ${showShape(shape)} is a part of ${this.dtype} ${showShape(this.shape)}, expected all of it (its scales go with the whole)`);
    this.storage.refs++;
    const start = n ? (offset * DTYPE_BITS[this.dtype]) / 8 : 0; // nothing at the very end could not be bound
    return new Tensor(this.device, this.storage, [...shape], this.dtype, this.offsetBytes + start, this.scales?.view(this.scales.shape));
  }

  /**
   * Moves this tensor into the place of another: copies its elements there on the GPU and shares that storage from now on. Optimisers lay parameters out flat this way.
   * @param place [any] a tensor of the same byte length @returns nothing @throws DeviceError when the lengths differ
   */
  moveTo(place: Tensor): void {
    if (place.dtype !== this.dtype || this.scales) throw new DeviceError(`moveTo: the place is ${place.dtype}, expected ${this.dtype} without scales`, 'validation');
    this.device.copy(this, place);
    const before = this.storage;
    before.moved = true;
    place.storage.refs++;
    this.held = place.storage;
    this.offsetBytes = place.offsetBytes;
    this.device.pool.release(before);
  }

  /** Waits for the GPU and returns the elements. @returns [size] f32 values @throws DeviceError after a loss or error, ShapeError for another dtype */
  async read(): Promise<Float32Array> {
    if (this.dtype !== 'f32') throw new ShapeError(`read: tensor is ${this.dtype}, expected f32 (use readU32, readI32, readBits, or the op cast first)`);
    return new Float32Array(await this.device.readBytes(this));
  }

  /** Like `read`, for u32 tensors. @returns [size] u32 values @throws DeviceError after a loss or error */
  async readU32(): Promise<Uint32Array> {
    return new Uint32Array(await this.device.readBytes(this));
  }

  /** Like `read`, for i32 tensors. @returns [size] i32 values @throws DeviceError after a loss or error */
  async readI32(): Promise<Int32Array> {
    return new Int32Array(await this.device.readBytes(this));
  }

  /** Like `read`, for f16 and bf16 tensors. @returns [size] their bits @throws DeviceError after a loss or error, ShapeError for another dtype */
  async readBits(): Promise<Uint16Array> {
    if (DTYPE_BITS[this.dtype] !== 16) throw new ShapeError(`readBits: tensor is ${this.dtype}, expected f16 or bf16`);
    return new Uint16Array(await this.device.readBytes(this), 0, this.size);
  }

  /** Gives the storage back. Harmless when called twice. @returns nothing */
  dispose(): void {
    if (!this.held) return;
    const storage = this.held;
    this.held = undefined;
    this.node = undefined;
    this.device.liveTensors--;
    this.device.pool.release(storage);
    this.scales?.dispose();
  }
}
