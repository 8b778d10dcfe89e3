/** Weights from a checkpoint into GPU tensors, chunk by chunk: the host never holds more than a few chunks, whatever the file's size. */
import type { Device } from '../engine/device.ts';
import { keep } from '../engine/memory.ts';
import { Tensor } from '../engine/tensor.ts';
import type { DType } from '../engine/tensor.ts';
import { CHUNK_BYTES, UploadRing } from '../engine/upload_ring.ts';
import { DTYPE_BITS } from '../weights/dtype.ts';
import type { Dtype } from '../weights/dtype.ts';
import { WeightError } from '../weights/error.ts';
import type { Safetensors, TensorInfo } from '../weights/safetensors.ts';
import type { Progress, TensorSpec } from './params.ts';
import { BlockQuantizer, converter, int8Block } from './weight_convert.ts';
import type { Convert, FloatDtype } from './weight_convert.ts';

/**
 * How matrices are held on the GPU; norms, biases and the temperature are always f32. 'f32' (exact from any stored type that f32 can hold), 'bf16' and 'f16' (rounded to nearest even),
 * 'int8' (whole numbers with a scale per 16, frozen), 'stored' (f16 and bf16 as in the file, anything else f32).
 */
export type WeightDtype = 'f32' | 'bf16' | 'f16' | 'int8' | 'stored';

/** All of {@link WeightDtype}, for messages and command lines. */
export const WEIGHT_DTYPES: readonly WeightDtype[] = ['f32', 'bf16', 'f16', 'int8', 'stored'];

/**
 * @param where who asks, for the message
 * @param dtype untrusted
 * @returns the dtype
 * @throws RangeError when it is none of {@link WEIGHT_DTYPES}
 */
export function checkWeightDtype(where: string, dtype: string): WeightDtype {
  if (!(WEIGHT_DTYPES as readonly string[]).includes(dtype)) throw new RangeError(`${where}: dtype is "${dtype}", expected one of ${WEIGHT_DTYPES.join(', ')}`);
  return dtype as WeightDtype;
}

/** A tensor to be filled: its rows lie in one GPU tensor, or in several where a binding cannot hold them. */
interface Target { readonly name: string; readonly info: TensorInfo; readonly dtype: Exclude<DType, 'i4' | 'i32' | 'u32'>; readonly tensor: Tensor; readonly firstElement: number }

interface Chunk { readonly target: Target; readonly start: number; readonly count: number }

/** The type on the GPU. Small tensors stay f32: they cost nothing, and kernels add them to f32 sums. */
function dtypeOf({ kind }: TensorSpec, stored: TensorInfo, wanted: WeightDtype): Target['dtype'] {
  if (kind !== 'linear' && kind !== 'embedding' && kind !== 'patch') return 'f32';
  if (wanted === 'stored') return stored.dtype === 'F16' ? 'f16' : stored.dtype === 'BF16' ? 'bf16' : 'f32';
  if (wanted === 'int8') return kind === 'patch' ? 'f32' : 'i8'; // one scale per row of a kernel of 16 pixels would be no saving
  return wanted;
}

const BYTES = { f32: 4, f16: 2, bf16: 2, i8: 1 } as const;

/** Sizes of the parts of a tensor along its first axis, so that each fits a binding. Only token tables can be cut: everything else is multiplied as a whole. */
function cut(device: Device, where: string, { name, shape, kind }: TensorSpec, bytesPerElement: number): number[] {
  const limit = Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize);
  const rows = shape[0] ?? 1;
  const rowElements = shape.slice(1).reduce((a, b) => a * b, 1);
  const rowBytes = rowElements * bytesPerElement;
  if (rows * rowBytes <= limit) return [rows];
  if (kind !== 'embedding' || rowBytes > limit) throw new WeightError('tensor-too-large', `${where}: ${name} [${shape.join(', ')}] takes ${rows * rowBytes} bytes, expected at most ${limit} (the device's storage binding limit; load it as bf16 or int8)`);
  const most = Math.floor(limit / rowBytes / 128) * 128 || Math.floor(limit / rowBytes);
  return Array.from({ length: Math.ceil(rows / most) }, (_, i) => Math.min(most, rows - i * most));
}

/** Name of part i of a tensor in `count` parts. @param name of the whole @param i which @param count how many @returns the name itself when there is one */
export const partName = (name: string, i: number, count: number): string => (count === 1 ? name : `${name}#${i}`);

function makeTensor(device: Device, shape: readonly number[], dtype: Target['dtype']): Tensor {
  if (dtype !== 'i8') return keep(Tensor.empty(device, shape, dtype, true));
  const size = shape.reduce((a, b) => a * b, 1);
  const words = Tensor.empty(device, [Math.ceil(size / 4)], 'u32', true);
  const tensor = keep(Tensor.quantised(words, keep(Tensor.empty(device, [size / int8Block(shape.at(-1) ?? 1)])), shape, 'i8'));
  words.dispose(); // the tensor holds the same storage
  return tensor;
}

/** Whole blocks for i8; else a multiple of 8 elements whose source and target both fit a chunk. */
function chunksOf(target: Target): Chunk[] {
  const { tensor, info, dtype } = target;
  const wider = Math.max(DTYPE_BITS[info.dtype] / 8, BYTES[dtype], dtype === 'i8' ? 4 : 0);
  const unit = dtype === 'i8' ? int8Block(tensor.shape.at(-1)!) : 8;
  const most = Math.floor(CHUNK_BYTES / wider / unit) * unit;
  if (most === 0) throw new WeightError('tensor-too-large', `${info.file}: rows of ${target.name} have ${unit} elements, expected at most ${CHUNK_BYTES / wider} to be held as int8 (or a multiple of 8)`);
  const aligned = dtype === 'i8' && most > unit * 4 ? Math.floor(most / (unit * 4)) * unit * 4 : most; // chunks of i8 begin at whole words
  return Array.from({ length: Math.ceil(tensor.size / aligned) }, (_, i) => ({ target, start: i * aligned, count: Math.min(aligned, tensor.size - i * aligned) }));
}

/** Times of a load, by what the host did, ms. */
export interface LoadTimes { readMs: number; convertMs: number; uploadMs: number }

/** Reads, converts and uploads one list of chunks; the next chunk is read while one is converted and copied. */
class Stream {
  private readonly ring: UploadRing;
  private readonly checkpoint: Safetensors;
  private readonly scratch = [new Uint8Array(CHUNK_BYTES), new Uint8Array(CHUNK_BYTES)] as const;
  private readonly converts = new Map<string, Convert>();
  private readonly quantizers = new Map<Dtype, BlockQuantizer>();
  readonly times: LoadTimes = { readMs: 0, convertMs: 0, uploadMs: 0 };

  constructor(device: Device, checkpoint: Safetensors) {
    this.ring = new UploadRing(device);
    this.checkpoint = checkpoint;
  }

  private async read({ target, start, count }: Chunk, turn: number): Promise<Uint8Array> {
    const began = performance.now();
    const width = DTYPE_BITS[target.info.dtype] / 8;
    const bytes = this.scratch[turn % 2]!.subarray(0, count * width);
    await this.checkpoint.readPart(target.name, (target.firstElement + start) * width, bytes);
    this.times.readMs += performance.now() - began;
    return bytes;
  }

  private async put({ target, start, count }: Chunk, bytes: Uint8Array): Promise<void> {
    const { dtype, info, tensor } = target;
    const began = performance.now();
    const before = this.times.convertMs;
    if (dtype !== 'i8') {
      const convert = this.converts.get(`${info.dtype} ${dtype}`) ?? this.remember(info.dtype, dtype);
      await this.ring.write(tensor, start * BYTES[dtype], count * BYTES[dtype], to => this.timed(() => convert(bytes, to)));
    } else {
      const block = int8Block(tensor.shape.at(-1)!);
      let scales = new Float32Array(0);
      await this.ring.write(tensor, start, count, to => this.timed(() => { scales = this.quantizer(info.dtype).run(bytes, block, new Int8Array(to.buffer, to.byteOffset, count)) as Float32Array<ArrayBuffer>; }));
      await this.ring.write(tensor.scales!, (start / block) * 4, scales.byteLength, to => to.set(new Uint8Array(scales.buffer, scales.byteOffset, scales.byteLength)));
    }
    this.times.uploadMs += performance.now() - began - (this.times.convertMs - before);
  }

  private timed(work: () => void): void {
    const began = performance.now();
    work();
    this.times.convertMs += performance.now() - began;
  }

  private remember(stored: Dtype, dtype: FloatDtype): Convert {
    const convert = converter(stored, dtype);
    this.converts.set(`${stored} ${dtype}`, convert);
    return convert;
  }

  private quantizer(stored: Dtype): BlockQuantizer {
    const found = this.quantizers.get(stored) ?? new BlockQuantizer(stored);
    this.quantizers.set(stored, found);
    return found;
  }

  async run(chunks: readonly Chunk[], after: (chunk: Chunk, bytes: number) => void, signal: AbortSignal | undefined): Promise<void> {
    let ahead: Promise<Uint8Array> | undefined;
    try {
      for (const [i, chunk] of chunks.entries()) {
        signal?.throwIfAborted();
        const bytes: Uint8Array = await (ahead ?? this.read(chunk, i));
        ahead = i + 1 < chunks.length ? this.read(chunks[i + 1]!, i + 1) : undefined;
        ahead?.catch(() => {}); // heard at the next turn, or when this one failed
        await this.put(chunk, bytes);
        after(chunk, bytes.length);
      }
      signal?.throwIfAborted();
      await this.ring.finish();
    } finally {
      await ahead?.catch(() => {}); // nothing reads on after the caller has closed the file
      this.ring.dispose();
    }
  }
}

/** What {@link streamTensors} wants to know. */
export interface StreamOptions {
  readonly where: string;
  readonly dtype: WeightDtype | ((name: string) => WeightDtype);
  readonly progress: ((event: Progress) => void) | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Fills tensors from an open checkpoint through two chunks on the host and three staging buffers, 20 MiB in all.
 *
 * @param device where the tensors go
 * @param checkpoint an open safetensors file or sharded folder
 * @param found each wanted tensor and the name it is stored under; shapes already compared
 * @param options dtype, progress, cancel
 * @returns the tensors by name; a token table above the binding limit as `name#0`, `name#1`, …
 * @throws WeightError `tensor-too-large`, `dtype-unsupported` and the source's faults, DeviceError, or the reason of the signal; nothing is left on the device then
 */
export async function streamTensors(device: Device, checkpoint: Safetensors, found: ReadonlyMap<TensorSpec, string>, options: StreamOptions): Promise<Map<string, Tensor>> {
  const { where, progress, signal } = options;
  const map = new Map<string, Tensor>();
  const began = performance.now();
  try {
    signal?.throwIfAborted();
    const targets: Target[] = [];
    for (const [spec, name] of found) {
      const info = checkpoint.info(name);
      const dtype = dtypeOf(spec, info, typeof options.dtype === 'function' ? options.dtype(spec.name) : options.dtype);
      converter(info.dtype, 'f32'); // a type that f32 cannot hold is refused before anything is read
      const rowElements = spec.shape.slice(1).reduce((a, b) => a * b, 1);
      const parts = cut(device, where, spec, BYTES[dtype]);
      let firstElement = 0;
      for (const [i, rows] of parts.entries()) {
        const shape = spec.shape.length === 0 ? [] : [rows, ...spec.shape.slice(1)];
        const tensor = makeTensor(device, shape, dtype);
        map.set(partName(spec.name, i, parts.length), tensor);
        targets.push({ name, info, dtype, tensor, firstElement });
        firstElement += rows * rowElements;
      }
    }
    const total = targets.reduce((sum, { tensor, info }) => sum + (tensor.size * DTYPE_BITS[info.dtype]) / 8, 0);
    const stream = new Stream(device, checkpoint);
    let loaded = 0;
    const tell = (status: Progress['status'], name: string): void => {
      const seconds = (performance.now() - began) / 1000;
      const bytesPerSecond = seconds > 0 ? loaded / seconds : 0;
      progress?.({ status, file: where, tensor: name, loaded, total, bytesPerSecond, secondsLeft: bytesPerSecond > 0 ? (total - loaded) / bytesPerSecond : Infinity, ...stream.times });
    };
    await stream.run(targets.flatMap(chunksOf), ({ target }, bytes) => { loaded += bytes; tell('progress', target.name); }, signal);
    tell('done', '');
    return map;
  } catch (error) {
    for (const tensor of map.values()) tensor.dispose(); // half a network is of no use, and nobody else knows these
    throw error;
  }
}
