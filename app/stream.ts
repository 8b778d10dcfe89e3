// `vl-jepa stream`: a film, an animation or stored embeddings as a live stream; text where its meaning changes.
import { openFrames } from '../data/frame_source.ts';
import { labelBank } from '../tasks/classify.ts';
import type { OnlineOptions } from '../tasks/online_decoder.ts';
import { watchStream, windowEmbeddings } from '../tasks/stream.ts';
import type { TimedPicture, TimedVector } from '../tasks/stream.ts';
import { openSafetensors } from '../weights/safetensors.ts';
import { writeSafetensors } from '../weights/writer.ts';
import { CliError } from './errors.ts';
import { openModel } from './media.ts';
import { textsOf } from './tasks.ts';

export interface StreamOptions extends Required<Omit<OnlineOptions, 'window'>> {
  model?: string | undefined;
  file: string | undefined;
  labels: string;
  query?: string | undefined;
  windowS: number;
  strideS: number;
  frames?: number | undefined;
  /** Embeddings in the decoder's sliding window. */
  window: number;
  /** Safetensors file for the embeddings and their times. */
  output?: string | undefined;
  json: boolean;
}

export interface StreamResult {
  file: string;
  windows: number;
  /** Seconds of the stream. */
  seconds: number;
  decodes: { atS: number; fromS: number; toS: number; label: string; score: number }[];
  windowsPerSecond: number;
}

/** `vl-jepa stream`. @param options file, labels, windows, decoder @returns what was decoded when @throws CliError, DataError for a file that is no film */
export async function streamFile(options: StreamOptions): Promise<StreamResult> {
  const { file, json, query, frames } = options;
  if (!file) throw new CliError('stream: there is no file, expected one film, animation, or .safetensors with vectors and times');
  const labels = await textsOf('stream', 'labels', options.labels);
  const stored = file.endsWith('.safetensors');
  const source = stored ? undefined : await openFrames(file); // a bad file is told before the model is loaded
  try {
    const { model } = await openModel(options.model, 'nano2');
    const bank = labelBank(model, labels);
    const pictures = async function* (): AsyncGenerator<TimedPicture> {
      for await (const { timeS, rgb, width, height } of source!.frames()) yield { timeS, picture: { width, height, data: rgb } };
    };
    const embedded = stored ? storedVectors(file, model.config.embeddingDim)
      : windowEmbeddings(model, pictures(), { windowS: options.windowS, strideS: options.strideS, ...(frames !== undefined && { frames }), ...(query !== undefined && { query }) });
    const kept: TimedVector[] = [];
    const result: StreamResult = { file, windows: 0, seconds: 0, decodes: [], windowsPerSecond: 0 };
    const began = performance.now();
    const counted = async function* (): AsyncGenerator<TimedVector> {
      for await (const now of embedded) {
        result.windows++;
        result.seconds = now.timeS;
        if (options.output) kept.push(now);
        yield now;
      }
    };
    for await (const { timeS, run, label } of watchStream(counted(), { bank, window: options.window, threshold: options.threshold, minGapS: options.minGapS, run: options.run })) {
      if (!run || !label) continue;
      result.decodes.push({ atS: timeS, fromS: run.fromS, toS: run.toS, ...label });
      if (!json) console.log(`${clock(run.fromS)} to ${clock(run.toS)}  ${label.label} (${label.score.toFixed(3)})`);
    }
    result.windowsPerSecond = result.windows / ((performance.now() - began) / 1000);
    if (options.output) await writeVectors(options.output, kept);
    if (!json) console.log(`${result.windows} windows, ${result.decodes.length} decoded; ${result.windowsPerSecond.toFixed(1)} windows per second`);
    return result;
  } finally {
    await source?.close();
  }
}

const clock = (seconds: number): string => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, '0')}`;

async function* storedVectors(path: string, dim: number): AsyncGenerator<TimedVector> {
  const file = await openSafetensors(path);
  try {
    if (!file.has('vectors') || !file.has('times')) throw new CliError(`stream: ${path} lacks vectors or times, expected vectors [T, ${dim}] and times [T] (as --output writes them)`);
    const [{ shape }, times] = [file.info('vectors'), await file.readF32('times')];
    if (shape.length !== 2 || shape[1] !== dim || shape[0] !== times.length) throw new CliError(`stream: ${path} has vectors [${shape.join(', ')}] and ${times.length} times, expected [T, ${dim}] and T`);
    const vectors = await file.readF32('vectors');
    for (let t = 0; t < times.length; t++) yield { timeS: times[t]!, vector: vectors.subarray(t * dim, (t + 1) * dim) };
  } finally {
    await file.close();
  }
}

async function writeVectors(path: string, list: readonly TimedVector[]): Promise<void> {
  const dim = list[0]?.vector.length ?? 0;
  const vectors = new Float32Array(list.length * dim);
  list.forEach(({ vector }, t) => vectors.set(vector, t * dim));
  const times = Float32Array.from(list, v => v.timeS);
  await writeSafetensors(path, [{ name: 'vectors', dtype: 'F32', shape: [list.length, dim], bytes: new Uint8Array(vectors.buffer) }, { name: 'times', dtype: 'F32', shape: [list.length], bytes: new Uint8Array(times.buffer) }]);
}
