// The worker's job: frames in, windows of the embedding stream out, text only where the stream changes.
import { loadE4 } from '../../data/e4.ts';
import { openFrames } from '../../data/frame_source.ts';
import type { Picture } from '../../data/picture.ts';
import { QUESTIONS } from '../../data/questions.ts';
import { SPRITES } from '../../data/sprites.ts';
import { rgbOf } from '../../data/video_animation.ts';
import { openDevice } from '../../engine/device.ts';
import { Tensor } from '../../engine/tensor.ts';
import { TextDecoder as YDecoder } from '../../model/text_decoder.ts';
import { VLJEPA } from '../../model/vl_jepa.ts';
import { checkQuestion } from '../../tasks/ask.ts';
import { OnlineDecoder } from '../../tasks/selective.ts';
import type { StableRun } from '../../tasks/selective.ts';
import { folderSource } from '../../weights/folder.ts';
import type { FolderSource } from '../../weights/folder.ts';
import { MOST_WINDOWS } from './protocol.ts';
import { SlidingFrames } from './sliding_frames.ts';
import { TextVectors } from './text_vectors.ts';
import type { Calls, Machine, Scored, StageTime, StreamSettings, Told } from './protocol.ts';

/** Windows embedded at once from a file. */
const AT_ONCE = 8;
/** Small pictures of a stream that are shown beside each other. */
const THUMBS = 16;
const THUMB_SIDE = 96;
/** More labels than this take a while, and progress is shown. */
const MANY_LABELS = 128;

interface Window {
  timeS: number;
  vector: Float32Array;
  /** [N, Dv] visual tokens, for questions. */
  tokens: Float32Array;
}

interface Caption {
  run: StableRun;
  atS: number;
}

interface Stream {
  turn: number;
  settings: StreamSettings;
  decoder: OnlineDecoder;
  windows: Window[];
  captions: Caption[];
  frames: SlidingFrames<{ picture: Picture; timeS: number }>;
  /** Windows that are embedded together. */
  atOnce: number;
  /** Least time between two small pictures, s. */
  thumbGapS: number;
  lastThumbS: number;
  stop: AbortController;
}

const unitOf = (values: Float32Array, row: number, dim: number): Float32Array => values.slice(row * dim, (row + 1) * dim);

export class Watcher {
  private readonly tell: (news: Told, transfer?: Transferable[]) => void;
  private model!: VLJEPA;
  private decoder: YDecoder | undefined;
  private names: TextVectors | undefined;
  private labels: TextVectors | undefined;
  private clipFrames = 0;
  /** Ends the reading of a list of labels when another is wanted. */
  private reading = new AbortController();
  private stream: Stream | undefined;
  private readonly waiting = new Set<Promise<unknown>>();
  private readonly times = new Map<StageTime['stage'], { last: number; sum: number; n: number }>();

  constructor(tell: (news: Told, transfer?: Transferable[]) => void) {
    this.tell = tell;
  }

  async start({ model: place, files }: Calls['start']['in']): Promise<Machine> {
    const folder = listedFolder(folderSource(place), new Set(files));
    const device = await openDevice();
    void device.lost.then(error => this.tell({ tell: 'trouble', message: `${error.message}. Load the page again.`, fatal: true }));
    const model = await VLJEPA.fromPretrained(folder, { device, progress: p => this.tell({ tell: 'progress', what: 'Loading the model', part: p.total ? p.loaded / p.total : 0 }) });
    this.model = model;
    if (files.includes('decoder/config.json')) this.decoder = await YDecoder.fromPretrained(folder, { model });
    const card = JSON.parse((await folder.readText('metrics.json')) ?? '{}') as { clips?: { frames?: number } }; // written beside the weights by what measured them
    this.clipFrames = card.clips === undefined ? 0 : (card.clips.frames ?? SPRITES.frames);
    const { vision } = model.config;
    return {
      adapter: device.adapter.notice, software: device.adapter.class === 'software', side: vision.cropSize, clipFrames: this.clipFrames, decoder: this.decoder !== undefined,
      parameters: [...model.tensors().values()].reduce((n, t) => n + t.size, 0),
    };
  }

  /** The names of the drawings that the model learned: what captions are taken from while there is no text decoder. */
  async loadNames(): Promise<void> {
    const { concepts } = await loadE4();
    this.names = await TextVectors.of(this.model, concepts.map(c => c.name), async part => {
      this.tell({ tell: 'progress', what: 'Reading the names of 1,594 drawings', part });
      while (this.waiting.size > 0) await Promise.race(this.waiting).catch(() => {}); // people first; what failed is told where it was asked
    });
    const { stream } = this;
    if (!this.decoder) for (const key of stream?.captions.keys() ?? []) await this.caption(stream!, key);
    this.tell({ tell: 'names' });
  }

  /** Work that somebody waits for: the names of all drawings are read between. @param work begun @returns its result */
  urgent<T>(work: Promise<T>): Promise<T> {
    this.waiting.add(work);
    return work.finally(() => this.waiting.delete(work));
  }

  async setLabels({ labels }: Calls['labels']['in']): Promise<{ count: number }> {
    this.reading.abort(); // a longer list that was typed before
    const { signal } = (this.reading = new AbortController());
    const many = typeof labels !== 'string' && labels.length > MANY_LABELS;
    const said = (part: number): void => { if (many && !signal.aborted) this.tell({ tell: 'progress', what: `Reading ${labels.length.toLocaleString('en')} labels`, part }); };
    try {
      const read = labels === 'names' ? this.names : await this.timed('text', TextVectors.of(this.model, labels, said, signal));
      if (!signal.aborted) this.labels = read;
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    return { count: this.labels?.texts.length ?? 0 };
  }

  private async timed<T>(stage: StageTime['stage'], work: Promise<T>, count = 1): Promise<T> {
    const began = performance.now();
    const result = await work;
    const ms = (performance.now() - began) / count;
    const t = this.times.get(stage) ?? { last: 0, sum: 0, n: 0 };
    this.times.set(stage, { last: ms, sum: t.sum + ms * count, n: t.n + count });
    return result;
  }

  private begin(turn: number, settings: StreamSettings, durationS: number): Stream {
    this.stop();
    for (const stage of ['decode', 'vision', 'predict'] as const) this.times.delete(stage);
    const { window, threshold, minGapS } = settings;
    this.stream = {
      turn, settings, decoder: new OnlineDecoder(this.model.config.embeddingDim, { window, threshold, minGapS, run: 'after' }), windows: [], captions: [], frames: new SlidingFrames(settings), atOnce: AT_ONCE,
      thumbGapS: Number.isFinite(durationS) ? durationS / THUMBS : 2, lastThumbS: -Infinity, stop: new AbortController(),
    };
    return this.stream;
  }

  private stop(): void {
    this.stream?.stop.abort(new DOMException('another stream began', 'AbortError'));
  }

  async open({ turn, file, name, settings }: Calls['open']['in']): Promise<Calls['open']['out']> {
    const stream = this.begin(turn, settings, 0);
    const { signal } = stream.stop;
    const source = await openFrames(file, { name, signal });
    const times = await source.times().catch(async (error: unknown) => {
      await source.close();
      throw error;
    });
    const { durationS, width, height, decoder } = source;
    stream.thumbGapS = durationS / THUMBS;
    if (times.length === 1) stream.frames = new SlidingFrames((stream.settings = { ...settings, framesPerWindow: 1, strideFrames: 1 })); // a still picture is no clip
    const wanted = sampleTimes(times, durationS, stream.settings);
    void this.urgent((async () => {
      try {
        const frames = source.frames(wanted);
        for (;;) {
          const { value, done } = await this.timed('decode', frames.next());
          if (done || signal.aborted) break;
          await this.take(stream, { name, width: value.width, height: value.height, data: value.rgb }, value.timeS);
        }
        if (!signal.aborted) await this.end(stream);
      } catch (error) {
        if (!signal.aborted) this.tell({ tell: 'trouble', message: (error as Error).message });
      } finally {
        await source.close();
      }
    })());
    return { durationS, frames: times.length, width, height, decoder };
  }

  live({ turn, settings, atOnce }: Calls['live']['in']): null {
    this.begin(turn, settings, Infinity).atOnce = atOnce;
    return null;
  }

  async frame({ bitmap, timeS }: Calls['frame']['in']): Promise<null> {
    const { stream } = this;
    if (!stream || stream.stop.signal.aborted) {
      bitmap.close();
      return null;
    }
    const picture = await this.timed('decode', Promise.resolve(pixelsOf(bitmap)));
    await this.take(stream, picture, timeS);
    return null;
  }

  async finish(): Promise<null> {
    if (this.stream && !this.stream.stop.signal.aborted) await this.end(this.stream);
    return null;
  }

  /** Collects frames until there are windows enough to embed. */
  private async take(stream: Stream, picture: Picture, timeS: number): Promise<void> {
    stream.frames.push({ picture, timeS });
    if (stream.frames.ready >= stream.atOnce) await this.embed(stream);
  }

  private async end(stream: Stream): Promise<void> {
    if (stream.windows.length === 0) stream.frames.fill();
    if (stream.frames.ready > 0) await this.embed(stream);
    const rest = stream.decoder.finish();
    if (rest) await this.addCaption(stream, rest, stream.windows.at(-1)!.timeS);
    this.tell({ tell: 'end', turn: stream.turn });
  }

  private async embed(stream: Stream): Promise<void> {
    const { model } = this;
    const clips = stream.frames.take();
    const count = clips.length;
    const input = clips.map(clip => (clip.length === 1 ? clip[0]!.picture : clip.map(f => f.picture)));
    const visual = await this.timed('vision', (async () => {
      const tensor = model.encodeImage(input, { batchSize: count });
      return { tensor, tokens: await tensor.read() };
    })(), count);
    const vectors = await this.timed('predict', readOf(model.predict(visual.tensor, this.queryOf(stream.settings.framesPerWindow), { batchSize: count })), count);
    visual.tensor.dispose();
    const size = visual.tokens.length / count;
    for (const [i, clip] of clips.entries()) {
      const middle = clip[clip.length >> 1]!;
      if (stream.stop.signal.aborted) return;
      await this.add(stream, { timeS: middle.timeS, vector: unitOf(vectors, i, model.config.embeddingDim), tokens: visual.tokens.slice(i * size, (i + 1) * size) }, middle.picture);
    }
    const { liveBytes, peakBytes } = model.device.memory();
    this.tell({ tell: 'machine', times: [...this.times].map(([stage, t]) => ({ stage, lastMs: t.last, meanMs: t.sum / t.n })), liveBytes, peakBytes });
  }

  /** What is asked of every window: a model that was trained with questions expects one. */
  private queryOf(frames: number): string | undefined {
    return this.clipFrames === 0 ? undefined : QUESTIONS[frames > 1 ? 'object' : 'picture'][0];
  }

  private async add(stream: Stream, window: Window, picture: Picture): Promise<void> {
    const { timeS } = window;
    if (stream.windows.length >= MOST_WINDOWS) throw new RangeError(`the stream has more than ${MOST_WINDOWS} windows; start it again`);
    const index = stream.windows.push(window) - 1;
    const { variance, decode } = stream.decoder.push(window.vector, timeS);
    const shown = timeS - stream.lastThumbS >= stream.thumbGapS;
    if (shown) stream.lastThumbS = timeS;
    const thumb = shown ? await thumbOf(picture) : undefined;
    this.tell({ tell: 'window', turn: stream.turn, index, timeS, variance, ...(thumb ? { thumb } : {}) }, thumb ? [thumb] : []);
    if (decode) await this.addCaption(stream, decode, timeS);
  }

  private async addCaption(stream: Stream, run: StableRun, atS: number): Promise<void> {
    await this.caption(stream, stream.captions.push({ run, atS }) - 1);
  }

  /** Text of a stable run: by the text decoder where the model has one, else the nearest name. */
  private async caption(stream: Stream, key: number): Promise<void> {
    const { run, atS } = stream.captions[key]!;
    const said = this.decoder ? await this.decode(run.vector) : (this.names ?? this.labels)?.nearest(run.vector, 1)[0];
    this.tell({ tell: 'caption', turn: stream.turn, key, fromS: run.fromS, toS: run.toS, atS, text: said?.label || '…', score: said?.score ?? NaN });
  }

  /** What the text decoder says of a vector, with the cosine of its words. */
  private async decode(vector: Float32Array): Promise<Scored> {
    const rows = Tensor.from(this.model.device, vector, [1, vector.length]);
    try {
      const label = (await this.timed('text', this.decoder!.decode(rows)))[0] ?? '';
      return { label, score: label ? (await TextVectors.of(this.model, [label])).cosine(0, vector) : NaN };
    } finally {
      rows.dispose();
    }
  }

  look({ index }: Calls['look']['in']): Calls['look']['out'] {
    const vector = this.stream?.windows[index]?.vector;
    if (!vector) return { labels: [], names: [] };
    return { labels: this.labels?.nearest(vector, 12) ?? [], names: this.names?.nearest(vector, 3) ?? [] };
  }

  async find({ text }: Calls['find']['in']): Promise<Calls['find']['out']> {
    const query = await this.timed('text', TextVectors.of(this.model, [text]));
    const curve = Float32Array.from(this.stream?.windows ?? [], w => query.cosine(0, w.vector));
    return { curve, best: curve.length ? curve.reduce((best, x, i) => (x > curve[best]! ? i : best), 0) : -1 };
  }

  async ask({ index, question, answers }: Calls['ask']['in']): Promise<Scored[]> {
    const window = this.stream?.windows[index];
    if (!window) throw new RangeError('there is no picture yet; open one first');
    if (answers.length === 0 && !this.decoder) throw new RangeError('this checkpoint has no text decoder; write some answers to choose from');
    const { model } = this;
    const width = model.config.vision.hiddenSize;
    const visual = Tensor.from(model.device, window.tokens, [1, window.tokens.length / width, width]);
    try {
      checkQuestion('ask', model, visual, question);
      const vector = await this.timed('predict', readOf(model.predict(visual, question)));
      if (answers.length === 0) return [await this.decode(vector)];
      return (await this.timed('text', TextVectors.of(model, answers))).nearest(vector, answers.length);
    } finally {
      visual.dispose();
    }
  }
}

/** A folder that asks only for files that are known to be there: a browser writes every 404 to its console. */
const listedFolder = (folder: FolderSource, files: ReadonlySet<string>, prefix = ''): FolderSource => ({
  name: folder.name,
  open: async name => (files.has(prefix + name) ? folder.open(name) : undefined),
  readText: async name => (files.has(prefix + name) ? folder.readText(name) : undefined),
  sub: name => listedFolder(folder.sub(name), files, `${prefix}${name}/`),
});

/** When a film is looked at: evenly, at the rate wanted, but no more often than it has frames and never more windows than are kept. */
function sampleTimes(times: readonly number[], durationS: number, { framesPerSecond, strideFrames, framesPerWindow }: StreamSettings): number[] {
  const most = (MOST_WINDOWS - 1) * strideFrames + framesPerWindow;
  const count = Math.min(times.length, most, Math.max(1, Math.ceil(durationS * framesPerSecond)));
  return count === times.length ? [...times] : Array.from({ length: count }, (_, i) => (i * durationS) / count);
}

async function readOf(tensor: Tensor): Promise<Float32Array> {
  try {
    return await tensor.read();
  } finally {
    tensor.dispose();
  }
}

function pixelsOf(bitmap: ImageBitmap): Picture {
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })!;
  context.fillStyle = '#fff';
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { name: 'camera', width, height, data: rgbOf(context.getImageData(0, 0, width, height).data) };
}

/** A small square from the middle of a frame. */
async function thumbOf({ width, height, data }: Picture): Promise<ImageBitmap> {
  const pixels = new ImageData(width, height);
  for (let i = 0, j = 0; j < data.length; i += 4, j += 3) pixels.data.set([data[j]!, data[j + 1]!, data[j + 2]!, 255], i);
  const side = Math.min(width, height);
  return createImageBitmap(pixels, (width - side) >> 1, (height - side) >> 1, side, side, { resizeWidth: THUMB_SIDE, resizeHeight: THUMB_SIDE, resizeQuality: 'medium' });
}
