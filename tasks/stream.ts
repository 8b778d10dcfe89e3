// A live stream (spec 1.7, 1.10): frames → sliding windows → embeddings → decisions of selective decoding → the nearest label, or text from a callback. Memory does not grow.
import { MAX_CLIP_BYTES } from '../data/frame_source.ts';
import type { Picture, VLJEPA } from '../model/vl_jepa.ts';
import type { LabelBank, Scored } from './classify.ts';
import { dotRows } from './mean_vector.ts';
import { OnlineDecoder } from './online_decoder.ts';
import type { OnlineOptions, StableRun } from './online_decoder.ts';

/** A decoded frame with its time. */
export interface TimedPicture {
  readonly timeS: number;
  readonly picture: Picture;
}

/** An embedding with its time. */
export interface TimedVector {
  /** Middle of its window, s. */
  readonly timeS: number;
  /** [dim] unit vector. */
  readonly vector: Float32Array;
}

export interface WindowOptions {
  /** Length of a window, s; 2 where missing. */
  readonly windowS?: number;
  /** From one window to the next, s; 0.5 where missing. */
  readonly strideS?: number;
  /** Frames of a window, evenly spaced in time; the encoder's frames_per_clip where missing. */
  readonly frames?: number;
  /** Asked of every window. */
  readonly query?: string;
}

/**
 * Embeddings of sliding windows over frames. Holds the frames of one window, whatever the length of the stream; a stream shorter than a window gives one of what it has.
 * @param model the model @param frames by growing time @param options window, stride, query @returns one embedding per stride, once a window is full
 * @throws RangeError for a setting out of range, times that go back, frames of a window that are too large to be held together, or no frame at all
 */
export async function* windowEmbeddings(model: VLJEPA, frames: AsyncIterable<TimedPicture> | Iterable<TimedPicture>, options: WindowOptions = {}): AsyncGenerator<TimedVector, void, undefined> {
  const { windowS = 2, strideS = 0.5, frames: count = model.config.vision.framesPerClip, query } = options;
  for (const [name, value] of [['windowS', windowS], ['strideS', strideS]] as const) if (!(value > 0) || !Number.isFinite(value)) throw new RangeError(`stream: ${name} is ${value}, expected seconds above 0`);
  if (!Number.isInteger(count) || count < 1) throw new RangeError(`stream: frames is ${count}, expected a whole number of at least 1`);
  const step = windowS / count;
  const finer = Math.max(1, Math.ceil(step / strideS - 1e-9)); // frames that are held for one that a window shows, so that windows may begin in between
  const grid = step / finer;
  const most = (count - 1) * finer + 1;
  const held: TimedPicture[] = [];
  let [last, kept, next, given] = [-Infinity, -Infinity, -Infinity, 0];
  const embed = async (): Promise<TimedVector> => {
    const clip = Array.from({ length: count }, (_, i) => held[Math.floor((i * (held.length - 1)) / Math.max(1, count - 1))]!.picture); // repeats frames while there are few
    const prediction = model.predict([clip], query);
    try {
      const vector = await prediction.read();
      given++;
      return { timeS: (held[0]!.timeS + held.at(-1)!.timeS) / 2, vector };
    } finally {
      prediction.dispose();
    }
  };
  for await (const frame of frames) {
    if (!(frame.timeS >= last)) throw new RangeError(`stream: a frame at ${frame.timeS} s comes after one at ${last} s, expected times that do not go back`);
    if (last === -Infinity) next = frame.timeS + windowS - step;
    last = frame.timeS;
    if (frame.timeS < kept + grid * 0.999) continue; // denser than the windows need
    kept = frame.timeS - kept < 2 * grid ? kept + grid : frame.timeS; // keeps to the grid; a gap begins it anew
    held.push(frame);
    if (held.length > most) held.shift();
    const { picture: { width, height, data } } = frame;
    if (held.length * data.length > MAX_CLIP_BYTES) throw new RangeError(`stream: the frames of a window, ${most} of ${width}×${height}, need ${most * data.length} bytes, expected at most ${MAX_CLIP_BYTES} (take fewer frames, or smaller ones)`);
    if (frame.timeS < next - grid * 1e-3) continue;
    next = Math.max(next + strideS, frame.timeS + grid * 1e-3);
    yield await embed();
  }
  if (held.length === 0) throw new RangeError('stream: there is no frame, expected at least one');
  if (given === 0) yield await embed();
}

export interface WatchOptions extends OnlineOptions {
  /** Labels: each decoded run gets the nearest. */
  readonly bank?: LabelBank;
  /** Text of a run's vector: a decoder. */
  readonly text?: (vector: Float32Array) => string | Promise<string>;
}

/** One embedding of a watched stream and what came of it. */
export interface StreamEvent extends TimedVector {
  /** Of the decoder's sliding window; NaN until that is full. */
  readonly variance: number;
  /** The run that was decoded now, if one was. */
  readonly run: StableRun | undefined;
  /** The label nearest to the run. */
  readonly label: Scored | undefined;
  readonly text: string | undefined;
}

/**
 * Watches an embedding stream and decodes where its meaning changed. The last run is decoded at the end of the stream, in an event that repeats the last embedding.
 * @param vectors by growing time @param options decoder, labels, text @returns an event per embedding, and one for the end when a run was left
 * @throws RangeError for broken settings or input
 */
export async function* watchStream(vectors: AsyncIterable<TimedVector> | Iterable<TimedVector>, { bank, text, ...options }: WatchOptions = {}): AsyncGenerator<StreamEvent, void, undefined> {
  const rows = bank && (await bank.vectors.read());
  const answer = async (now: TimedVector, variance: number, run: StableRun | undefined): Promise<StreamEvent> => ({
    ...now, variance, run, label: run && bank && nearestLabel(bank, rows!, run.vector), text: run && text ? await text(run.vector) : undefined,
  });
  let decoder: OnlineDecoder | undefined;
  let last: TimedVector | undefined;
  for await (const now of vectors) {
    decoder ??= new OnlineDecoder(now.vector.length, options);
    const { variance, decode } = decoder.push(now.vector, now.timeS);
    last = now;
    yield answer(now, variance, decode);
  }
  const rest = decoder?.finish();
  if (last && rest) yield answer(last, NaN, rest);
}

function nearestLabel({ labels, vectors }: LabelBank, rows: Float32Array, vector: Float32Array): Scored {
  const dim = vectors.shape[1]!;
  if (vector.length !== dim) throw new RangeError(`stream: the embeddings are ${vector.length} wide, expected ${dim} as the labels`);
  let best = { label: labels[0]!, score: -Infinity };
  for (let c = 0; c < labels.length; c++) {
    const score = dotRows(rows, c, vector, 0, dim);
    if (score > best.score) best = { label: labels[c]!, score };
  }
  return best;
}
