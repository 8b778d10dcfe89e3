/** Pictures and clips on their way to the encoder: counting, batching, resizing and normalising to [B,T,3,S,S]. */
import { trimClip } from '../data/trim.ts';
import { ShapeError } from '../engine/check.ts';
import type { Device } from '../engine/device.ts';
import { Tensor } from '../engine/tensor.ts';
import { concat } from '../kernels/concat.ts';
import { preprocess } from '../kernels/preprocess.ts';
import type { Triple } from '../kernels/preprocess.ts';
import { reshape } from '../kernels/reshape.ts';
import { slice } from '../kernels/slice.ts';
import type { VLJEPAConfig } from './config.ts';

/** A decoded picture. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  /** RGB bytes, row-major [height, width, 3]. */
  readonly data: Uint8Array;
}

/** Frames in order, all of one size. */
export type Clip = readonly Picture[];

/** Pixels f32 [B,T,3,S,S], visual tokens f32 [B,N,D] where a function takes them, or pictures and clips. */
export type Pictures = Tensor | readonly (Picture | Clip)[];

const isClip = (item: Picture | Clip): item is Clip => Array.isArray(item);

/** @returns B. */
export function pictureCount(pictures: Pictures): number {
  return pictures instanceof Tensor ? pictures.shape[0] ?? 0 : pictures.length;
}

/**
 * Rows start..end-1 as a tensor; rows that are pictures are resized and normalised as the config says, shorter clips are repeated to the longest of the rows
 * (spec section 1.15: an image in a mixed batch is repeated to the clip length).
 *
 * @returns [end-start,T,3,S,S], or the same rows of a tensor
 * @throws ShapeError
 */
export function pixelsOf(device: Device, config: VLJEPAConfig, pictures: Pictures, start: number, end: number): Tensor {
  if (pictures instanceof Tensor) return start === 0 && end === pictures.shape[0] ? pictures : slice(pictures, 0, start, end);
  const side = config.vision.cropSize;
  const clips = pictures.slice(start, end).map((item, i) => clipPixels(device, config, isClip(item) ? item : [item], start + i)); // [T,3,S,S] each
  if (clips.length === 0) return Tensor.empty(device, [0, 1, 3, side, side]);
  const frames = Math.max(...clips.map((clip) => clip.shape[0]!));
  return concat(clips.map((clip, i) => reshape(repeatTo(clip, frames, start + i), [1, frames, 3, side, side])), 0);
}

/** Repeats a clip's frames as a whole until there are `frames`. */
function repeatTo(clip: Tensor, frames: number, index: number): Tensor {
  const own = clip.shape[0]!;
  if (own === frames) return clip;
  if (frames % own) throw new ShapeError(`VLJEPA: clip ${index} has ${own} frames, expected a divisor of ${frames}, the longest clip of its batch (or use batchSize 1)`);
  return concat(Array.from({ length: frames / own }, () => clip), 0);
}

function clipPixels(device: Device, config: VLJEPAConfig, clip: Clip, index: number): Tensor {
  if (clip.length === 0) throw new ShapeError(`VLJEPA: clip ${index} has no frames, expected at least one`);
  const mode = config.resize === 'crop' ? 'official' : 'direct';
  const frames = config.resize === 'content' ? trimClip(clip) : clip; // one box for all frames: what moves keeps its place
  return preprocess(device, frames, { crop: config.vision.cropSize, mode, mean: config.mean as Triple, std: config.std as Triple });
}
