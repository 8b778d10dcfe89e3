// Tensor: a typed, contiguous, row-major view of a pooled buffer. It has no op methods.
import { DeviceError, ShapeError, checkedSize, showShape } from './check.ts';
import type { Device } from './device.ts';
import { enlist } from './memory.ts';
import type { Storage } from './memory.ts';

export type DType = 'f32' | 'i32' | 'u32';
export type Shape = readonly number[];
export type HostArray = Float32Array | Int32Array | Uint32Array;

const ARRAYS = { f32: Float32Array, i32: Int32Array, u32: Uint32Array } as const;
let nextTensor = 1;

/** Id of the newest tensor. @returns the id; later tensors have higher ones */
export const newestTensor = (): number => nextTensor - 1;

/** Element count of a shape. @param shape sizes @returns their product */
export const size = (shape: Shape): number => shape.reduce((n, s) => n * s, 1);

/** A tensor on a device. Make it with `Tensor.from`, `empty`, `zeros` or an op; scopes release it. */
export class Tensor {
  readonly device: Device;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly size: number;
  readonly id = nextTensor++;
  /** Byte offset of the first element in the storage. */
  offsetBytes: number;
  needsGrad = false;
  grad: Tensor | undefined;
  /** The tape's node that made this tensor. */
  node: unknown;
  private held: Storage | undefined;

  constructor(device: Device, storage: Storage, shape: Shape, dtype: DType, offsetBytes = 0) {
    this.device = device;
    this.held = storage;
    this.shape = shape;
    this.dtype = dtype;
    this.offsetBytes = offsetBytes;
    this.size = size(shape);
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

  /** Bytes of the elements. */
  get byteLength(): number {
    return this.size * 4;
  }

  /**
   * A tensor whose contents are undefined: the kernel that gets it as output writes every element.
   * @param device where @param shape sizes @param dtype element type @returns [shape] @throws ShapeError for a broken shape, DeviceError above the limits
   */
  static empty(device: Device, shape: Shape, dtype: DType = 'f32'): Tensor {
    const n = checkedSize('Tensor.empty', shape);
    return new Tensor(device, device.pool.acquire(Math.max(4, n * 4)), [...shape], dtype);
  }

  /** A tensor of zeros, cleared on the GPU. @param device where @param shape sizes @param dtype element type @returns [shape] */
  static zeros(device: Device, shape: Shape, dtype: DType = 'f32'): Tensor {
    const t = Tensor.empty(device, shape, dtype);
    device.clear(t);
    return t;
  }

  /**
   * Uploads host data.
   * @param device where @param data elements in row-major order @param shape sizes, default [data.length] @param dtype element type, default that of the array (numbers: f32)
   * @returns [shape] @throws ShapeError when the element count differs or a number does not fit an integer type
   */
  static from(device: Device, data: HostArray | readonly number[], shape: Shape = [data.length], dtype?: DType): Tensor {
    const type = dtype ?? (data instanceof Int32Array ? 'i32' : data instanceof Uint32Array ? 'u32' : 'f32');
    const n = checkedSize('Tensor.from', shape);
    if (n !== data.length) throw new ShapeError(`Tensor.from: ${data.length} values were given, expected ${n} for shape ${showShape(shape)}`);
    const array = data instanceof ARRAYS[type] ? data : new ARRAYS[type](data);
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
   * @param shape sizes @param offset first element, a multiple of 64 @returns [shape] sharing the storage @throws ShapeError when it does not fit
   */
  view(shape: Shape, offset = 0): Tensor {
    const n = checkedSize('view', shape);
    if (offset + n > this.size || offset < 0) throw new ShapeError(`view: shape ${showShape(shape)} at element ${offset} does not fit into ${showShape(this.shape)}`);
    if (offset % 64 !== 0) throw new ShapeError(`view: offset is ${offset}, expected a multiple of 64 elements (bindings start at multiples of 256 bytes)`);
    this.storage.refs++;
    return new Tensor(this.device, this.storage, [...shape], this.dtype, this.offsetBytes + (n ? offset * 4 : 0)); // nothing at the very end could not be bound
  }

  /**
   * Moves this tensor into the place of another: copies its elements there on the GPU and shares that storage from now on. Optimisers lay parameters out flat this way.
   * @param place [any] a tensor of the same byte length @returns nothing @throws DeviceError when the lengths differ
   */
  moveTo(place: Tensor): void {
    this.device.copy(this, place);
    const before = this.storage;
    place.storage.refs++;
    this.held = place.storage;
    this.offsetBytes = place.offsetBytes;
    this.device.pool.release(before);
  }

  /** Waits for the GPU and returns the elements. @returns [size] f32 values @throws DeviceError after a loss or error, ShapeError for another dtype */
  async read(): Promise<Float32Array> {
    if (this.dtype !== 'f32') throw new ShapeError(`read: tensor is ${this.dtype}, expected f32 (use readU32 or readI32)`);
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

  /** Gives the storage back. Harmless when called twice. @returns nothing */
  dispose(): void {
    if (!this.held) return;
    const storage = this.held;
    this.held = undefined;
    this.node = undefined;
    this.device.liveTensors--;
    this.device.pool.release(storage);
  }
}
