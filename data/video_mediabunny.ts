// Films through mediabunny: WebCodecs in a browser, @mediabunny/server in Node. Both packages are optional.
import type { InputVideoTrack, VideoSample } from 'mediabunny';
import { DataError } from './errors.ts';
import type { Frame, FrameDecoder, MediaFile } from './frame_source.ts';
import { IS_NODE } from './platform.ts';
import { rgbOf } from './video_animation.ts';
import { withinTime } from './video_waits.ts';

type Mediabunny = typeof import('mediabunny');

/** Packets of a film that are listed at most: a day at 60 frames per second. */
const MAX_PACKETS = 5_184_000;

/**
 * Opens a film with mediabunny.
 * @param file path or Blob, name, limits, signal
 * @returns the decoder; undefined in Node where the packages are not installed
 * @throws DataError when the film has no pictures, is damaged, or nothing decodes its codec
 */
export async function openMediabunny(file: MediaFile): Promise<FrameDecoder | undefined> {
  const bunny = IS_NODE ? await serverPackage() : await browserPackage(file);
  if (bunny === undefined) return undefined;
  const { ALL_FORMATS, BlobSource, FilePathSource, Input } = bunny;
  const input = new Input({ source: file.blob ? new BlobSource(file.blob) : new FilePathSource(file.path!), formats: ALL_FORMATS });
  try {
    return await withinTime(decoderOf(bunny, file, input), file);
  } catch (cause) {
    input.dispose();
    if (cause instanceof DataError || file.signal?.aborted) throw cause;
    throw new DataError('openFrames', `${file.name} is a film that cannot be read (cut off, damaged, or of an unknown kind: ${firstLine(cause)})`, cause);
  }
}

const firstLine = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause)).split('\n')[0]!;

/** A film that is open. */
interface Film {
  bunny: Mediabunny;
  track: InputVideoTrack;
  file: MediaFile;
  /** pixels as shown */
  width: number;
  height: number;
  times(): Promise<readonly number[]>;
}

async function decoderOf(bunny: Mediabunny, file: MediaFile, input: InstanceType<Mediabunny['Input']>): Promise<FrameDecoder> {
  const track = await input.getPrimaryVideoTrack();
  if (track === null) throw new DataError('openFrames', `${file.name} has no pictures, expected a film with a video track (is it sound alone?)`);
  const stored = [await track.getCodedWidth(), await track.getCodedHeight()] as const;
  const [width, height] = (await track.getRotation()) % 180 === 0 ? stored : [stored[1], stored[0]];
  if (width * height > file.maxPixels) throw new DataError('openFrames', `${file.name} has frames of ${width}×${height} pixels, expected at most ${file.maxPixels} pixels`);
  const codec = await track.getCodec();
  if (!(await track.canDecode())) throw new DataError('openFrames', `${file.name} is coded as ${codec ?? 'something unknown'}, which ${IS_NODE ? 'the installed decoder' : 'this browser'} cannot decode`);
  const first = await new bunny.EncodedPacketSink(track).getFirstPacket({ metadataOnly: true });
  if (first === null) throw new DataError('openFrames', `${file.name} has a video track without frames, expected at least one`);
  let table: Promise<readonly number[]> | undefined;
  const film: Film = { bunny, track, file, width, height, times: () => (table ??= packetTimes(bunny, track, file)) };
  const decoder = `mediabunny (${codec}, ${IS_NODE ? '@mediabunny/server' : 'WebCodecs'})`;
  return { width, height, durationS: await track.computeDuration(), decoder, times: film.times, decode: indices => decode(film, indices), close: async () => input.dispose() };
}

async function packetTimes(bunny: Mediabunny, track: InputVideoTrack, file: MediaFile): Promise<readonly number[]> {
  const times: number[] = [];
  for await (const packet of new bunny.EncodedPacketSink(track).packets(undefined, undefined, { metadataOnly: true })) {
    file.signal?.throwIfAborted();
    if (packet.timestamp > -1e-6) times.push(Math.max(0, packet.timestamp)); // frames before zero are needed to decode, never shown
    if (times.length > MAX_PACKETS) throw new DataError('FrameSource.times', `${file.name} has more than ${MAX_PACKETS} frames`);
  }
  if (times.length === 0) throw new DataError('FrameSource.times', `${file.name} has a video track without frames, expected at least one`);
  return times.sort((a, b) => a - b);
}

async function* decode(film: Film, indices?: readonly number[]): AsyncGenerator<Frame, void, undefined> {
  const { bunny, file, track, width, height } = film;
  const sink = new bunny.VideoSampleSink(track);
  const wanted = indices && (await film.times().then(table => indices.map(i => table[i]!)));
  const samples: AsyncGenerator<VideoSample | null, void, unknown> = wanted ? sink.samplesAtTimestamps(wanted.map(t => t + 1e-6)) : sink.samples();
  const read = IS_NODE ? readBytes : drawOn(width, height, file);
  let got = 0;
  try {
    for (;;) {
      const { value: sample, done } = await withinTime(samples.next(), file);
      if (done) break;
      if (!sample) throw new DataError('FrameSource.frames', `${file.name} has no frame at ${wanted?.[got]} s, expected one (is it cut off?)`);
      const timeS = sample.timestamp;
      try {
        if (timeS <= -1e-6) continue;
        const rgb = await withinTime(read(sample), file);
        if (rgb.length !== width * height * 3) throw new DataError('FrameSource.frames', `${file.name} changes its size at ${timeS} s, expected ${width}×${height} throughout`);
        got++;
        yield { timeS: Math.max(0, timeS), rgb, width, height };
      } finally {
        sample.close();
      }
    }
    const expected = wanted?.length ?? (await film.times()).length;
    if (got < expected) throw new DataError('FrameSource.frames', `${file.name} ends after ${got} of ${expected} frames (is it cut off?)`);
  } catch (cause) {
    if (cause instanceof DataError || file.signal?.aborted) throw cause;
    throw new DataError('FrameSource.frames', `${file.name} cannot be decoded after ${got} frames (cut off or damaged: ${firstLine(cause)})`, cause);
  } finally {
    void samples.return(); // a stalled decoder must not stall the caller
  }
}

/** Node: the decoder's own conversion to RGB, then the turn that the file asks for. */
async function readBytes(sample: VideoSample): Promise<Uint8Array> {
  const rgba = new Uint8Array(sample.allocationSize({ format: 'RGBA' }));
  await sample.copyTo(rgba, { format: 'RGBA' });
  const { width, height } = sample.visibleRect;
  return turnPixels(rgbOf(rgba), width, height, sample.rotation, sample.flip);
}

/** Browser: a canvas turns and converts; transparent parts are white. */
function drawOn(width: number, height: number, file: MediaFile): (sample: VideoSample) => Promise<Uint8Array> {
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (context === null) throw new DataError('FrameSource.frames', `${file.name} cannot be drawn (the browser gave no canvas of ${width}×${height})`);
  return async sample => {
    context.fillStyle = '#ffffff';
    context.fillRect(0, 0, width, height);
    sample.draw(context, 0, 0, width, height);
    return rgbOf(context.getImageData(0, 0, width, height).data);
  };
}

/**
 * Turns a picture by quarter turns to the right, then mirrors it about its vertical axis.
 * @param rgb [height, width, 3] @param width before the turn @param height before the turn @param degrees 0, 90, 180 or 270 @param mirror whether to mirror
 * @returns [height, width, 3], sides exchanged after one or three quarter turns
 */
export function turnPixels(rgb: Uint8Array, width: number, height: number, degrees: number, mirror = false): Uint8Array {
  if (degrees === 0 && !mirror) return rgb;
  const out = new Uint8Array(rgb.length);
  const [w, h] = degrees % 180 === 0 ? [width, height] : [height, width];
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const u = mirror ? w - 1 - x : x;
      const [sx, sy] = degrees === 90 ? [y, height - 1 - u] : degrees === 180 ? [width - 1 - u, height - 1 - y] : degrees === 270 ? [width - 1 - y, u] : [u, y];
      const from = (sy * width + sx) * 3;
      const to = (y * w + x) * 3;
      out[to] = rgb[from]!;
      out[to + 1] = rgb[from + 1]!;
      out[to + 2] = rgb[from + 2]!;
    }
  }
  return out;
}

async function browserPackage(file: MediaFile): Promise<Mediabunny> {
  try {
    return await import('mediabunny');
  } catch (cause) {
    throw new DataError('openFrames', `${file.name} is a film, which needs the npm package mediabunny (install mediabunny@1.61.0 and give its address in the page's import map)`, cause);
  }
}

let server: Promise<Mediabunny | undefined> | undefined;

/** Both packages, where they are installed. The name is a variable because the server part is nobody's dependency. */
function serverPackage(): Promise<Mediabunny | undefined> {
  const name = '@mediabunny/server';
  return (server ??= (async () => {
    try {
      const { registerMediabunnyServer } = (await import(name)) as { registerMediabunnyServer(): void };
      registerMediabunnyServer();
      return await import('mediabunny');
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND') return undefined;
      throw new DataError('openFrames', `the npm package ${name} is installed but does not load (${firstLine(cause)})`, cause);
    }
  })());
}
