import { DeviceError, ShapeError } from '../engine/check.ts';
import type { Device } from '../engine/device.ts';
import { dispatch } from '../engine/dispatch.ts';
import { Tensor } from '../engine/tensor.ts';
import { resampleTable } from './resample_table.ts';
import type { ResampleTable } from './resample_table.ts';
import { groupsFor } from './row_loads.ts';
import { preprocess as kernel } from './wgsl.gen.ts';

const WG = 64;
/** ImageNet statistics, which the processor of V-JEPA 2 uses (spec section 2.5). */
const MEAN: Triple = [0.485, 0.456, 0.406];
const STD: Triple = [0.229, 0.224, 0.225];
/** Bytes of frames on the device at a time: a long clip goes through in parts. */
const CHUNK_BYTES = 32 * 2 ** 20;
/** Beyond this the resized long edge is a broken picture rather than a panorama. */
const MAX_EDGE = 65_536;

/** Decoded RGB bytes, row-major. */
export interface PreprocessPicture {
  readonly width: number;
  readonly height: number;
  /** [height, width, 3], or the frames of a clip [T, height, width, 3]. */
  readonly data: Uint8Array;
}

/** One number per colour channel. */
export type Triple = readonly [number, number, number];

export interface PreprocessOptions {
  /** Side S of the result in pixels. */
  readonly crop: number;
  /**
   * 'official' (default): as `VJEPA2VideoProcessor` does, 8-bit levels after each pass of the resize, then the centre crop.
   * 'float': the same geometry without rounding. 'direct': both edges straight to S, no crop, 8-bit levels.
   */
  readonly mode?: 'official' | 'float' | 'direct';
  /** Per channel, of values in 0 … 1. */
  readonly mean?: Triple;
  readonly std?: Triple;
}

/** Splits pictures into frames of height · width · 3 bytes, all of one size. */
function framesOf(pictures: readonly PreprocessPicture[]): Uint8Array[] {
  const first = pictures[0];
  if (!first) throw new ShapeError('preprocess: no picture was given, expected at least one');
  const { width, height } = first;
  if (!(Number.isSafeInteger(width) && Number.isSafeInteger(height) && width >= 1 && height >= 1)) throw new ShapeError(`preprocess: picture is ${width}x${height}, expected at least 1x1`);
  const bytes = width * height * 3;
  return pictures.flatMap((p, i) => {
    if (p.width !== width || p.height !== height) throw new ShapeError(`preprocess: picture ${i} is ${p.width}x${p.height}, expected ${width}x${height} as picture 0 (frames of one clip)`);
    if (p.data.length === 0 || p.data.length % bytes) throw new ShapeError(`preprocess: picture ${i} has ${p.data.length} bytes, expected ${bytes} per frame (${height}x${width}x3)`);
    return Array.from({ length: p.data.length / bytes }, (_, t) => p.data.subarray(t * bytes, (t + 1) * bytes));
  });
}

interface Axis {
  readonly resized: number;
  readonly first: number;
}

/** Spec section 2.5: shortest edge to ⌊S · 256 / 224⌋, long edge truncated, crop offset ⌊(size - S) / 2⌋. @returns rows and columns of the resize */
function geometry(width: number, height: number, size: number, mode: string): { rows: Axis; columns: Axis } {
  if (mode === 'direct') return { rows: { resized: size, first: 0 }, columns: { resized: size, first: 0 } };
  const short = Math.floor((size * 256) / 224);
  const [tall, wide] = height <= width ? [short, Math.trunc((short * width) / height)] : [Math.trunc((short * height) / width), short];
  if (Math.max(tall, wide) > MAX_EDGE) throw new ShapeError(`preprocess: picture is ${width}x${height}, expected an aspect ratio that keeps the resized long edge within ${MAX_EDGE} (it would be ${Math.max(tall, wide)})`);
  return { rows: { resized: tall, first: Math.floor((tall - size) / 2) }, columns: { resized: wide, first: Math.floor((wide - size) / 2) } };
}

/** Per-channel numbers in levels 0 … 255. */
function levelsOf(name: string, values: readonly number[], above: number): [number, number, number] {
  if (values.length !== 3 || values.some(v => !(v > above && Number.isFinite(v)))) throw new ShapeError(`preprocess: ${name} is [${values.join(', ')}], expected three numbers${above === 0 ? ' above 0' : ''}`);
  return values.map(v => v * 255) as [number, number, number];
}

/** Copies frames side by side into whole words. */
function packed(frames: readonly Uint8Array[]): Uint32Array {
  const bytes = frames[0]!.length;
  const words = new Uint32Array(Math.ceil((frames.length * bytes) / 4));
  const target = new Uint8Array(words.buffer);
  frames.forEach((f, t) => target.set(f, t * bytes));
  return words;
}

/**
 * Decoded pictures to what the vision encoder reads: antialiased bilinear resize, centre crop, (v / 255 - mean) / std. Source: spec section 2.5; bit-exact
 * levels with `VJEPA2VideoProcessor` in 'official' mode. Records no gradient.
 * @param device where
 * @param picture a picture, a clip in one array, or a list of pictures of one size, the frames of one clip
 * @param options crop, the side S in pixels; mode; mean and std per channel, default those of ImageNet
 * @returns [T, 3, S, S] f32
 * @throws ShapeError for sizes that do not fit or an extreme aspect ratio, DeviceError when one frame is larger than a storage binding
 */
export function preprocess(device: Device, picture: PreprocessPicture | readonly PreprocessPicture[], { crop, mode = 'official', mean = MEAN, std = STD }: PreprocessOptions): Tensor {
  if (!Number.isSafeInteger(crop) || crop < 1) throw new ShapeError(`preprocess: crop is ${crop}, expected a whole number of pixels ≥ 1`);
  const [meanR, meanG, meanB] = levelsOf('mean', mean, -Infinity);
  const [stdR, stdG, stdB] = levelsOf('std', std, 0);
  const pictures: readonly PreprocessPicture[] = 'data' in picture ? [picture] : picture;
  const frames = framesOf(pictures);
  const { width, height } = pictures[0]!;
  const { rows, columns } = geometry(width, height, crop, mode);
  const fixed = mode !== 'float';
  const across = resampleTable(width, columns.resized, columns.first, crop, fixed);
  const down = resampleTable(height, rows.resized, rows.first, crop, fixed);

  const frameBytes = Math.max(width * height * 3, down.span * crop * (fixed ? 4 : 12));
  const limit = Math.min(device.limits.maxStorageBufferBindingSize, device.limits.maxBufferSize) - 4;
  if (frameBytes > limit) throw new DeviceError(`preprocess: one frame of ${width}x${height} needs ${frameBytes} bytes in one buffer, expected at most ${limit} (the device's storage binding limit)`, 'limit');
  const perChunk = Math.max(1, Math.floor(Math.min(CHUNK_BYTES, limit) / frameBytes));
  const out = Tensor.empty(device, [frames.length, 3, crop, crop]);
  const tables = { across: upload(device, across), down: upload(device, down) };
  const shared = {
    width, height, size: crop, first_row: down.first, rows: down.span,
    mean_r: meanR, mean_g: meanG, mean_b: meanB, std_r: stdR, std_g: stdG, std_b: stdB,
  };
  for (let start = 0; start < frames.length; start += perChunk) {
    const part = frames.slice(start, start + perChunk);
    const bytes = Tensor.from(device, packed(part));
    const first = { ...shared, first_frame: start, count: part.length * down.span * crop, stride: across.stride, bits: across.bits };
    const second = { ...shared, first_frame: start, count: part.length * crop * crop, stride: down.stride, bits: down.bits };
    const middle = Tensor.empty(device, [first.count * (fixed ? 1 : 3)], fixed ? 'u32' : 'f32');
    if (fixed) {
      dispatch(device, kernel, 'columns_levels', { frames: bytes, table: tables.across, levels: middle }, first, groupsFor(first.count, WG));
      dispatch(device, kernel, 'rows_levels', { levels_in: middle, table: tables.down, out }, second, groupsFor(second.count, WG));
    } else {
      dispatch(device, kernel, 'columns', { frames: bytes, table: tables.across, middle }, first, groupsFor(first.count, WG));
      dispatch(device, kernel, 'rows', { middle_in: middle, table: tables.down, out }, second, groupsFor(second.count, WG));
    }
    bytes.dispose();
    middle.dispose();
  }
  tables.across.dispose();
  tables.down.dispose();
  return out;
}

const upload = (device: Device, table: ResampleTable): Tensor => Tensor.from(device, table.words);

/** `preprocess` under the name that says what it does to a picture. */
export { preprocess as resizeCropNormalize };
