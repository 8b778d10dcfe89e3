// Frames of films and animated pictures behind one interface, in Node and in a browser. Nothing here holds more than one frame of a long file.
import { DataError } from './errors.ts';
import { decodePicture, MAX_FILE_BYTES, MAX_PIXELS, readPictureHeader, type Picture } from './picture.ts';
import { IS_NODE } from './platform.ts';
import { KIND_BYTES, mediaKind } from './video_kind.ts';

/** Bytes that `sampleFrames` holds at most: 1 GiB, 40 frames of 4096 × 2160. */
export const MAX_CLIP_BYTES = 1_073_741_824;

/** One decoded frame. */
export interface Frame {
  /** when it is shown, s from the start of the film */
  timeS: number;
  /** [height, width, 3] */
  rgb: Uint8Array;
  width: number;
  height: number;
}

/** A film, an animation, or a picture as one frame. */
export interface FrameSource {
  readonly name: string;
  /** pixels, turned as the file says */
  readonly width: number;
  readonly height: number;
  /** s; a still picture has 0 */
  readonly durationS: number;
  /** who decodes, for people */
  readonly decoder: string;
  /** When each frame is shown, ascending, s. Reads the file's index or its packets, decodes nothing. */
  times(): Promise<readonly number[]>;
  /**
   * Frames in order: all of them, or for each of `times` (ascending) the frame that is shown then, the first before the start and the last after the end.
   * Leaving the loop early stops the decoder.
   */
  frames(times?: Iterable<number>): AsyncGenerator<Frame, void, undefined>;
  /** Stops decoding and gives everything back. */
  close(): Promise<void>;
}

/** What a decoder brings; `openFrames` makes a `FrameSource` of it. */
export interface FrameDecoder {
  readonly width: number;
  readonly height: number;
  readonly durationS: number;
  readonly decoder: string;
  times(): Promise<readonly number[]>;
  /** Frames at these indices (ascending, each once), or all. */
  decode(indices?: readonly number[]): AsyncGenerator<Frame, void, undefined>;
  close(): Promise<void>;
}

/** What `openFrames` may be told. */
export interface FrameOptions {
  /** name for messages; the path or the file's own name when absent */
  name?: string;
  /** pixels of a frame at most, `MAX_PIXELS` when absent */
  maxPixels?: number;
  /** ends every wait and stops decoders */
  signal?: AbortSignal | undefined;
  /** Node: the ffmpeg to run instead of the one on PATH (also VL_JEPA_FFMPEG); then it is preferred to @mediabunny/server */
  ffmpeg?: string | undefined;
}

/** Frames with their times. */
export interface Clip {
  readonly frames: readonly Picture[];
  /** [T] s */
  readonly timesS: readonly number[];
}

/** What a decoder needs to know of a file. */
export interface MediaFile {
  name: string;
  /** Node: where it lies */
  path?: string;
  blob?: Blob;
  maxPixels: number;
  signal: AbortSignal | undefined;
  ffmpeg: string | undefined;
}

/**
 * Opens a film (MP4, WebM, …), an animated GIF or WebP, or a picture. In Node films are decoded by the npm package @mediabunny/server where it is installed, else by `ffmpeg` on PATH; in a
 * browser by the npm package mediabunny with WebCodecs. Pictures need neither.
 * @param source path or URL (Node; `file:` and `http(s):`), URL (browser), `Blob` or `File` @param options name, limits, signal
 * @returns the source, to be closed
 * @throws DataError, one sentence that names the file: missing, empty, no film, without pictures, cut off, too large, no decoder; the signal's reason when cancelled
 */
export async function openFrames(source: string | URL | Blob, options: FrameOptions = {}): Promise<FrameSource> {
  options.signal?.throwIfAborted();
  const { file, release } = await locate(source, options);
  try {
    const head = await headOf(file);
    if (head.length === 0) throw new DataError('openFrames', `${file.name} is empty`);
    const decoder = mediaKind(head) === 'video' ? await openVideo(file) : await openPicture(file);
    if (decoder.width * decoder.height > file.maxPixels) {
      await decoder.close();
      throw new DataError('openFrames', `${file.name} has frames of ${decoder.width}×${decoder.height} pixels, expected at most ${file.maxPixels} pixels`);
    }
    return wrap(file, decoder, release);
  } catch (error) {
    await release();
    throw error;
  }
}

async function openVideo(file: MediaFile): Promise<FrameDecoder> {
  const viaMediabunny = async (): Promise<FrameDecoder | undefined> => (await import('./video_mediabunny.ts')).openMediabunny(file);
  const viaFfmpeg = async (): Promise<FrameDecoder | undefined> => (await import('./video_ffmpeg.ts')).openFfmpeg(file);
  for (const open of !IS_NODE ? [viaMediabunny] : file.ffmpeg === undefined ? [viaMediabunny, viaFfmpeg] : [viaFfmpeg]) {
    const decoder = await open();
    if (decoder) return decoder;
  }
  throw new DataError('openFrames', `${file.name} is a film, and nothing here decodes films (install the npm packages mediabunny and @mediabunny/server, or put ffmpeg on PATH)`);
}

async function openPicture(file: MediaFile): Promise<FrameDecoder> {
  const bytes = await bytesOf(file);
  const header = readPictureHeader(bytes, file.name);
  if ((header.frames ?? 1) > 1 && (header.format === 'gif' || header.format === 'webp')) return (await import('./video_animation.ts')).openAnimation(file, bytes, header);
  const picture = await decodePicture(bytes, { name: file.name, maxPixels: file.maxPixels });
  const frame = { timeS: 0, rgb: picture.data, width: picture.width, height: picture.height };
  return { width: picture.width, height: picture.height, durationS: 0, decoder: 'picture', times: async () => [0], decode: async function* () { yield frame; }, close: async () => {} };
}

function wrap(file: MediaFile, decoder: FrameDecoder, release: () => Promise<void>): FrameSource {
  let closed = false;
  async function* frames(times?: Iterable<number>): AsyncGenerator<Frame, void, undefined> {
    const check = (): void => {
      file.signal?.throwIfAborted();
      if (closed) throw new DataError('FrameSource.frames', `${file.name} is closed`);
    };
    check();
    if (times === undefined) {
      for await (const frame of decoder.decode()) {
        check();
        yield frame;
      }
      return;
    }
    const wanted = indicesAt(await decoder.times(), [...times], file.name);
    const unique = wanted.filter((index, i) => i === 0 || index !== wanted[i - 1]);
    let at = 0;
    let u = 0;
    for await (const frame of decoder.decode(unique)) {
      for (; at < wanted.length && wanted[at] === unique[u]; at++) {
        check();
        yield frame;
      }
      u++;
    }
    if (at < wanted.length) throw new DataError('FrameSource.frames', `${file.name} ends after ${u} of the ${unique.length} frames asked for (is it cut off?)`);
  }
  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    await decoder.close();
    await release();
  };
  return { name: file.name, width: decoder.width, height: decoder.height, durationS: decoder.durationS, decoder: decoder.decoder, times: () => decoder.times(), frames, close };
}

/** For each time the last frame that starts at or before it. */
function indicesAt(starts: readonly number[], times: readonly number[], name: string): number[] {
  let index = 0;
  return times.map((t, i) => {
    if (!Number.isFinite(t) || t < (times[i - 1] ?? -Infinity)) throw new DataError('FrameSource.frames', `times of ${name} have ${t} at place ${i}, expected finite seconds in ascending order`);
    while (index + 1 < starts.length && starts[index + 1]! <= t + 1e-6) index++;
    return index;
  });
}

/**
 * Frames at even distances over a whole film: index floor(i (N−1) / (n−1)) of its N frames, so the first and the last are among them (spec section 1.15); for n = 1 the one in the middle.
 * A film of fewer than n frames gives some of them several times.
 * @param source from `openFrames` @param n frames wanted
 * @returns frames [H, W, 3] and their times
 * @throws DataError when they would not fit into `MAX_CLIP_BYTES`, or the film is damaged
 */
export async function sampleFrames(source: FrameSource, n: number): Promise<Clip> {
  if (!Number.isInteger(n) || n < 1) throw new DataError('sampleFrames', `n is ${n}, expected a whole number of at least 1`);
  const bytes = n * source.width * source.height * 3;
  if (bytes > MAX_CLIP_BYTES) throw new DataError('sampleFrames', `${n} frames of ${source.width}×${source.height} of ${source.name} need ${bytes} bytes, expected at most ${MAX_CLIP_BYTES} (take fewer frames)`);
  const times = await source.times();
  const wanted = Array.from({ length: n }, (_, i) => times[n === 1 ? (times.length - 1) >> 1 : Math.floor((i * (times.length - 1)) / (n - 1))]!);
  const frames: Picture[] = [];
  const timesS: number[] = [];
  for await (const frame of source.frames(wanted)) {
    frames.push({ name: `${source.name} at ${frame.timeS.toFixed(3)} s`, width: frame.width, height: frame.height, data: frame.rgb });
    timesS.push(frame.timeS);
  }
  return { frames, timesS };
}

/** Turns what the caller has into a file that decoders can read; a browser's URL is fetched, a Blob in Node is written down only by a decoder that needs it. */
async function locate(source: string | URL | Blob, options: FrameOptions): Promise<{ file: MediaFile; release: () => Promise<void> }> {
  const about = { maxPixels: options.maxPixels ?? MAX_PIXELS, signal: options.signal, ffmpeg: options.ffmpeg ?? (IS_NODE ? process.env.VL_JEPA_FFMPEG : undefined) };
  const release = async (): Promise<void> => {};
  if (source instanceof Blob) return { file: { ...about, name: options.name ?? ('name' in source && typeof source.name === 'string' ? source.name : 'the film'), blob: source }, release };
  const text = String(source);
  const name = options.name ?? text;
  if (IS_NODE && !/^https?:/.test(text)) {
    const path = text.startsWith('file:') ? (await import('node:url')).fileURLToPath(text) : text;
    const { stat } = await import('node:fs/promises');
    const found = await stat(path).catch(() => undefined);
    if (!found?.isFile()) throw new DataError('openFrames', found ? `${name} is not a file${found.isDirectory() ? ' but a folder' : ''}` : `there is no file ${name}`);
    return { file: { ...about, name, path }, release };
  }
  let answer: Response;
  try {
    answer = await fetch(text, options.signal ? { signal: options.signal } : {});
  } catch (cause) {
    options.signal?.throwIfAborted();
    throw new DataError('openFrames', `${name} cannot be fetched (${String(cause)})`, cause);
  }
  if (!answer.ok) throw new DataError('openFrames', `there is no file ${name} (the server answered ${answer.status})`);
  return { file: { ...about, name, blob: await answer.blob() }, release };
}

async function headOf(file: MediaFile): Promise<Uint8Array> {
  if (file.blob) return new Uint8Array(await readBlob(file.blob.slice(0, KIND_BYTES), file.name));
  const { open } = await import('node:fs/promises');
  const handle = await open(file.path!);
  try {
    const bytes = new Uint8Array(KIND_BYTES);
    const { bytesRead } = await handle.read(bytes, 0, KIND_BYTES, 0);
    return bytes.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

async function bytesOf(file: MediaFile): Promise<Uint8Array> {
  const check = (size: number): void => {
    if (size > MAX_FILE_BYTES) throw new DataError('openFrames', `${file.name} has ${size} bytes, expected at most ${MAX_FILE_BYTES} for a picture`);
  };
  if (file.blob) {
    check(file.blob.size);
    return new Uint8Array(await readBlob(file.blob, file.name));
  }
  const { readFile, stat } = await import('node:fs/promises');
  check((await stat(file.path!)).size);
  return readFile(file.path!);
}

async function readBlob(blob: Blob, name: string): Promise<ArrayBuffer> {
  try {
    return await blob.arrayBuffer();
  } catch (cause) {
    throw new DataError('openFrames', `${name} cannot be read (was the file moved or changed?)`, cause);
  }
}
