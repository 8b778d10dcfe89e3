// Films in Node through an ffmpeg on PATH: packets are listed first, then raw frames come over a pipe, as fast as they are taken.
import type { ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import { DataError } from './errors.ts';
import type { Frame, FrameDecoder, MediaFile } from './frame_source.ts';
import { withinTime } from './video_waits.ts';

/** Frames further apart than this are sought instead of decoding all between, s. */
const SEEK_GAP_S = 20;

/** Packets of a film that are listed at most: a day at 60 frames per second. */
const MAX_PACKETS = 5_184_000;

/** Clock of the frames that come over the pipe, ticks per second. */
const TICKS = 1_000_000;

interface Film {
  ffmpeg: string;
  /** libavutil ≥ 58 knows -fps_mode, older ones -vsync */
  passthrough: readonly string[];
  file: MediaFile;
  /** `file:` and a path: no other protocol, and never an option */
  input: string;
  children: Set<ChildProcess>;
}

/**
 * Opens a film with ffmpeg.
 * @param file path or Blob (written to a temporary file), limits, signal
 * @returns the decoder; undefined when there is no ffmpeg
 * @throws DataError when the film has no pictures or cannot be read
 */
export async function openFfmpeg(file: MediaFile): Promise<FrameDecoder | undefined> {
  const ffmpeg = file.ffmpeg ?? 'ffmpeg';
  const version = await versionOf(ffmpeg);
  if (version === undefined) {
    if (file.ffmpeg !== undefined) throw new DataError('openFrames', `${ffmpeg} does not run, expected an ffmpeg`);
    return undefined;
  }
  const { input, remove } = await onDisk(file);
  const film: Film = { ffmpeg, passthrough: version >= 58 ? ['-fps_mode', 'passthrough'] : ['-vsync', 'passthrough'], file, input, children: new Set() };
  const close = async (): Promise<void> => {
    for (const child of film.children) child.kill('SIGKILL');
    await remove();
  };
  try {
    const { times, durationS, width, height } = await listPackets(film);
    return { width, height, durationS, decoder: 'ffmpeg', times: async () => times, decode: indices => decode(film, times, indices), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** @returns libavutil's major version */
async function versionOf(ffmpeg: string): Promise<number | undefined> {
  const { execFile } = await import('node:child_process');
  return new Promise(done => execFile(ffmpeg, ['-hide_banner', '-version'], { timeout: 10_000 }, (error, stdout) => done(error ? undefined : Number(/libavutil\s+(\d+)\./.exec(stdout)?.[1] ?? 0))));
}

async function onDisk(file: MediaFile): Promise<{ input: string; remove: () => Promise<void> }> {
  const { resolve, join } = await import('node:path');
  if (file.path !== undefined) return { input: `file:${resolve(file.path)}`, remove: async () => {} };
  const { mkdtemp, rm, writeFile } = await import('node:fs/promises');
  const { tmpdir } = await import('node:os');
  const folder = await mkdtemp(join(tmpdir(), 'vl-jepa-film-'));
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    await writeFile(join(folder, 'film'), file.blob!.stream() as unknown as AsyncIterable<Uint8Array>, file.signal ? { signal: file.signal } : {});
  } catch (error) {
    await remove();
    throw error;
  }
  return { input: `file:${join(folder, 'film')}`, remove };
}

/** A running ffmpeg: `pipes[0]` is its stdout, `pipes[1]` its descriptor 3. */
interface Run {
  pipes: readonly [Readable, Readable];
  /** Kills it. */
  stop(): void;
  /** Waits for the end. @throws DataError with its last words when it failed */
  ended(): Promise<void>;
}

async function start(film: Film, args: readonly string[]): Promise<Run> {
  const { spawn } = await import('node:child_process');
  const { file, children } = film;
  file.signal?.throwIfAborted();
  const child = spawn(film.ffmpeg, ['-hide_banner', '-nostdin', '-v', 'error', '-protocol_whitelist', 'file,pipe', ...args], { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });
  children.add(child);
  let words = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => { words = (words + text).slice(-4000); });
  const end = new Promise<number | null>((done, fail) => child.once('error', fail).once('close', done)).finally(() => children.delete(child));
  end.catch(() => {});
  const stop = (): void => { child.kill('SIGKILL'); };
  file.signal?.addEventListener('abort', stop, { once: true });
  const ended = async (): Promise<void> => {
    const code = await withinTime(end, file).finally(() => { stop(); file.signal?.removeEventListener('abort', stop); });
    file.signal?.throwIfAborted();
    if (code !== 0) throw new DataError('openFrames', reason(film.file.name, words));
  };
  return { pipes: [child.stdout!, child.stdio[3] as Readable], stop, ended };
}

function reason(name: string, words: string): string {
  if (/matches no streams/.test(words)) return `${name} has no pictures, expected a film with a video track (is it sound alone?)`;
  const lines = words.split('\n').map(line => line.replace(/^\[[^\]]*\] /, '').trim()).filter(Boolean);
  return `${name} is a film that cannot be decoded (cut off, damaged, or of an unknown kind: ${lines.find(line => !/^(Error|Conversion|To ignore)/.test(line)) ?? lines.at(-1) ?? 'ffmpeg gave no reason'})`;
}

async function* lines(stream: Readable, file: MediaFile): AsyncGenerator<string> {
  let rest = '';
  const chunks = (stream.setEncoding('utf8') as AsyncIterable<string>)[Symbol.asyncIterator]();
  for (;;) {
    const { value, done } = await withinTime(chunks.next(), file);
    if (done) break;
    const parts = (rest + value).split('\n');
    rest = parts.pop()!;
    yield* parts;
  }
  if (rest) yield rest;
}

/** One line of the framecrc muxer: stream, dts, pts, duration, size, sum, and flags where the packet is no plain key frame. */
const numbersOf = (line: string): number[] => line.split(',').slice(0, 5).map(Number);

/** Packets that an edit list cuts off are decoded and not shown (AV_PKT_FLAG_DISCARD). */
const isDiscarded = (line: string): boolean => (Number(/F=(0x[0-9a-f]+)/i.exec(line)?.[1] ?? 0) & 4) !== 0;

async function listPackets(film: Film): Promise<{ times: readonly number[]; durationS: number; width: number; height: number }> {
  const { file } = film;
  const run = await start(film, ['-i', film.input, '-map', '0:V:0', '-c', 'copy', '-f', 'framecrc', 'pipe:1']);
  let tick = 1;
  let [width, height] = [0, 0];
  let end = 0;
  const times: number[] = [];
  try {
    for await (const line of lines(run.pipes[0], file)) {
      const header = /^#(tb|dimensions) 0: (\d+)[/x](\d+)/.exec(line);
      if (header?.[1] === 'tb') tick = Number(header[2]) / Number(header[3]);
      else if (header) [width, height] = [Number(header[2]), Number(header[3])];
      if (line.startsWith('#') || isDiscarded(line)) continue;
      const [, , pts, duration] = numbersOf(line);
      if (pts! >= 0) times.push(pts! * tick);
      end = Math.max(end, (pts! + Math.max(0, duration!)) * tick);
      if (times.length > MAX_PACKETS) throw new DataError('openFrames', `${file.name} has more than ${MAX_PACKETS} frames`);
    }
    await run.ended();
  } finally {
    run.stop();
  }
  if (times.length === 0) throw new DataError('openFrames', `${file.name} has a video track without frames, expected at least one`);
  if (width * height > file.maxPixels) throw new DataError('openFrames', `${file.name} has frames of ${width}×${height} pixels, expected at most ${file.maxPixels} pixels`);
  return { times: times.sort((a, b) => a - b), durationS: end, ...(await shownSize(film)) };
}

/** Size of the first frame as it comes out: turned as the file says. */
async function shownSize(film: Film): Promise<{ width: number; height: number }> {
  for await (const { width, height } of frames(film, 0)) return { width, height };
  throw new DataError('openFrames', `${film.file.name} gives no frame, expected at least one (is it cut off?)`);
}

/**
 * Frames from a time on. Their bytes come over stdout, size and times over descriptor 3, one line per frame, which is flushed before the bytes
 * (the other way round both sides would wait when a frame is larger than the pipe).
 */
async function* frames(film: Film, fromS: number): AsyncGenerator<Frame, void, undefined> {
  const { file } = film;
  const seek = fromS > 0 ? ['-ss', fromS.toFixed(6)] : [];
  const run = await start(film, [...seek, '-i', film.input, '-map', '0:V:0', '-c:v', 'rawvideo', '-pix_fmt', 'rgb24', ...film.passthrough, '-enc_time_base', `1/${TICKS}`, '-f', 'tee', '[f=framecrc:flush_packets=1]pipe:3|[f=rawvideo]pipe:1']);
  const take = taker(run.pipes[0], file);
  let [width, height] = [0, 0];
  try {
    for await (const line of lines(run.pipes[1], file)) {
      const size = /^#dimensions 0: (\d+)x(\d+)/.exec(line);
      if (size) [width, height] = [Number(size[1]), Number(size[2])];
      if (line.startsWith('#')) continue;
      const [, , pts, , bytes] = numbersOf(line);
      if (bytes !== width * height * 3) throw new DataError('FrameSource.frames', `${file.name} gave ${bytes} bytes for a frame of ${width}×${height}, expected ${width * height * 3}`);
      yield { timeS: Math.max(0, fromS + pts! / TICKS), rgb: await take(bytes), width, height };
    }
    await run.ended();
  } finally {
    run.stop();
  }
}

/** Reads exact numbers of bytes from a stream. */
function taker(stream: Readable, file: MediaFile): (bytes: number) => Promise<Uint8Array> {
  const chunks = (stream as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array();
  return async bytes => {
    const out = new Uint8Array(bytes);
    for (let at = 0; at < bytes; ) {
      if (rest.length === 0) {
        const { value, done } = await withinTime(chunks.next(), file);
        if (done) throw new DataError('FrameSource.frames', `${file.name} ends inside a frame (is it cut off?)`);
        rest = value;
      }
      const part = rest.subarray(0, bytes - at);
      out.set(part, at);
      rest = rest.subarray(part.length);
      at += part.length;
    }
    return out;
  };
}

async function* decode(film: Film, times: readonly number[], indices?: readonly number[]): AsyncGenerator<Frame, void, undefined> {
  if (indices === undefined) {
    let got = 0;
    for await (const frame of frames(film, 0)) {
      got++;
      yield frame;
    }
    if (got < times.length) throw new DataError('FrameSource.frames', `${film.file.name} ends after ${got} of ${times.length} frames (is it cut off?)`);
    return;
  }
  for (let i = 0; i < indices.length; ) {
    const first = times[indices[i]!]!;
    let next = i + 1;
    while (next < indices.length && times[indices[next]!]! - times[indices[next - 1]!]! <= SEEK_GAP_S) next++;
    const from = Math.max(0, first - 0.0005); // ffmpeg drops frames before the time it seeks
    for await (const frame of frames(film, from)) {
      if (frame.timeS < times[indices[i]!]! - 0.0015) continue;
      yield frame;
      if (++i === next) break;
    }
    if (i < next) throw new DataError('FrameSource.frames', `${film.file.name} ends before ${times[indices[i]!]!.toFixed(3)} s, expected a frame there (is it cut off?)`);
  }
}
