// Frames of animated GIF and WebP: sharp in Node, ImageDecoder in a browser. Times come from the file's own blocks, the same in both.
import { DataError } from './errors.ts';
import type { Frame, FrameDecoder, MediaFile } from './frame_source.ts';
import type { PictureHeader } from './picture_header.ts';
import { importSharp, IS_NODE } from './platform.ts';
import { animationDelays } from './video_kind.ts';

/** Pixels that are decoded at once: frames build on each other, so sharp decodes a block of them from the start of the file. */
const BLOCK_PIXELS = 16_777_216;

/** Pixels that sharp draws for one reading at most, some minutes: every block begins again at the first frame, so a long animation costs the square of its length. */
const MAX_DRAWN_PIXELS = 3e10;

/** Frames of an animation at most. */
const MAX_FRAMES = 100_000;

type Read = (indices: readonly number[]) => AsyncGenerator<Uint8Array, void, undefined>;

/**
 * An animated picture as a decoder of frames; parts never painted are white.
 * @param file name, limits and signal @param bytes the file @param header its size and number of frames
 * @returns the decoder @throws DataError when frames are missing or it cannot be decoded here
 */
export async function openAnimation(file: MediaFile, bytes: Uint8Array, header: PictureHeader): Promise<FrameDecoder> {
  const delays = animationDelays(bytes);
  const { width, height, format } = header;
  if (delays.length === 0 || delays.length > MAX_FRAMES) throw new DataError('openFrames', `${file.name} holds ${delays.length} whole frames, expected 1 to ${MAX_FRAMES}`);
  if (width * height > file.maxPixels) throw new DataError('openFrames', `${file.name} has frames of ${width}×${height} pixels, expected at most ${file.maxPixels} pixels`);
  const starts: number[] = [];
  const durationS = delays.reduce((t, delay) => (starts.push(t), t + delay), 0);
  const { read, close, decoder } = IS_NODE ? await withSharp(file, bytes, header) : await withImageDecoder(file, bytes, header);
  async function* decode(indices: readonly number[] = starts.map((_, i) => i)): AsyncGenerator<Frame, void, undefined> {
    let at = 0;
    try {
      for await (const rgb of read(indices)) {
        file.signal?.throwIfAborted();
        yield { timeS: starts[indices[at++]!]!, rgb, width, height };
      }
    } catch (cause) {
      if (cause instanceof DataError || file.signal?.aborted) throw cause;
      throw new DataError('FrameSource.frames', `${file.name} is a ${format} file whose frame ${indices[at]} cannot be decoded (cut off or damaged: ${firstLine(cause)})`, cause);
    }
  }
  return { width, height, durationS, decoder, times: async () => starts, decode, close };
}

const firstLine = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause)).split('\n')[0]!;

interface Reader {
  read: Read;
  close(): Promise<void>;
  decoder: string;
}

async function withSharp(file: MediaFile, bytes: Uint8Array, { width, height }: PictureHeader): Promise<Reader> {
  const sharp = await importSharp('openFrames');
  const size = width * height * 3;
  const most = Math.max(1, Math.floor(BLOCK_PIXELS / (width * height)));
  async function* read(indices: readonly number[]): AsyncGenerator<Uint8Array, void, undefined> {
    const blocks = blocksOf(indices, most);
    const drawn = blocks.reduce((n, { last }) => n + last + 1, 0);
    if (drawn * width * height > MAX_DRAWN_PIXELS) {
      throw new DataError('FrameSource.frames', `${file.name} is too long an animation: ${indices.length} of its frames of ${width}×${height} take ${drawn} drawings, as each lies over all before it, expected at most ${Math.floor(MAX_DRAWN_PIXELS / (width * height))} (make a film of it, MP4 or WebM, or take fewer frames)`);
    }
    let i = 0;
    for (const { page, last, next } of blocks) {
      const pages = last - page + 1;
      file.signal?.throwIfAborted();
      const { data, info } = await sharp(bytes, { page, pages, failOn: 'truncated', limitInputPixels: false })
        .flatten({ background: '#ffffff' }).toColourspace('srgb').removeAlpha().raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
      if (info.channels !== 3 || data.length !== pages * size) throw new DataError('FrameSource.frames', `${file.name} gave ${data.length} bytes for ${pages} frames of ${width}×${height}, expected ${pages * size}`);
      for (; i < next; i++) yield new Uint8Array(data.subarray((indices[i]! - page) * size, (indices[i]! - page + 1) * size));
    }
  }
  return { read, close: async () => {}, decoder: 'sharp' };
}

/** Runs of frames that are decoded at once: the first and the last, and the place in the list where the next run begins. */
function blocksOf(indices: readonly number[], most: number): { page: number; last: number; next: number }[] {
  const blocks: { page: number; last: number; next: number }[] = [];
  for (let i = 0; i < indices.length; ) {
    const page = indices[i]!;
    while (i < indices.length && indices[i]! - page < most) i++;
    blocks.push({ page, last: indices[i - 1]!, next: i });
  }
  return blocks;
}

async function withImageDecoder(file: MediaFile, bytes: Uint8Array, { format, width, height }: PictureHeader): Promise<Reader> {
  if (typeof ImageDecoder === 'undefined') throw new DataError('openFrames', `${file.name} is an animation, and this browser cannot decode its frames (it has no ImageDecoder)`);
  const decoder = new ImageDecoder({ data: bytes as Uint8Array<ArrayBuffer>, type: `image/${format}` });
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (context === null) throw new DataError('openFrames', `${file.name} cannot be drawn (the browser gave no canvas of ${width}×${height})`);
  async function* read(indices: readonly number[]): AsyncGenerator<Uint8Array, void, undefined> {
    for (const frameIndex of indices) {
      const { image } = await decoder.decode({ frameIndex });
      context!.fillStyle = '#ffffff';
      context!.fillRect(0, 0, width, height);
      context!.drawImage(image, 0, 0);
      image.close();
      yield rgbOf(context!.getImageData(0, 0, width, height).data);
    }
  }
  return { read, close: async () => decoder.close(), decoder: 'ImageDecoder' };
}

/**
 * Leaves the fourth channel out.
 * @param rgba [H, W, 4] @returns [H, W, 3]
 */
export function rgbOf(rgba: Uint8Array | Uint8ClampedArray): Uint8Array {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let i = 0, j = 0; j < rgb.length; i += 4, j += 3) {
    rgb[j] = rgba[i]!;
    rgb[j + 1] = rgba[i + 1]!;
    rgb[j + 2] = rgba[i + 2]!;
  }
  return rgb;
}
