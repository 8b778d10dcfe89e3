// Selective decoding of a live stream (spec 1.10): a sliding window, a threshold on its variance, a least gap between decodes, the running average of what is stable.
import { unitVector } from './mean_vector.ts';

export interface OnlineOptions {
  /** Embeddings in the sliding window, W; 8 where missing. */
  readonly window?: number;
  /** θ: a variance above it is a shift. Unit vectors have at most 1; 0.05 where missing. */
  readonly threshold?: number;
  /** d: least time between two decodes, s; 2 where missing. */
  readonly minGapS?: number;
  /** What is decoded: the stable run before the shift, when the shift is seen, or the run that follows, as soon as it is stable. 'before' where missing. */
  readonly run?: 'before' | 'after';
}

/** A run of embeddings that mean the same. */
export interface StableRun {
  /** [dim] running average, of unit length. */
  readonly vector: Float32Array;
  /** Times of its first and last embedding, s. */
  readonly fromS: number;
  readonly toS: number;
  /** Embeddings in it. */
  readonly count: number;
}

/** What one embedding of the stream led to. */
export interface Decision {
  readonly timeS: number;
  /** v = (1/W) Σ |s_i − m|² of the window; NaN until it is full. */
  readonly variance: number;
  /** What is to be decoded now, if anything. */
  readonly decode: StableRun | undefined;
}

/** Sum of embeddings with its first and last time. */
class Run {
  readonly sum: Float64Array;
  count = 0;
  fromS = NaN;
  toS = NaN;

  constructor(dim: number) {
    this.sum = new Float64Array(dim);
  }

  clear(): void {
    this.sum.fill(0);
    this.count = 0;
  }

  add(ring: Float32Array, at: number, timeS: number): void {
    const { sum } = this;
    for (let d = 0; d < sum.length; d++) sum[d]! += ring[at * sum.length + d]!;
    if (this.count++ === 0) this.fromS = timeS;
    this.toS = timeS;
  }

  read(): StableRun | undefined {
    return this.count ? { vector: unitVector(this.sum), fromS: this.fromS, toS: this.toS, count: this.count } : undefined;
  }
}

/**
 * Decides, embedding by embedding, when text is worth decoding. Work per embedding is O(dim) and memory O(W · dim), however long the stream.
 * An embedding joins the running average when it leaves the newer half of the window, so that the run before a shift holds nothing of what came after it.
 */
export class OnlineDecoder {
  private readonly dim: number;
  private readonly window: number;
  private readonly threshold: number;
  private readonly minGapS: number;
  private readonly follows: boolean;
  private readonly ring: Float32Array;
  private readonly times: Float64Array;
  private readonly sum: Float64Array;
  /** Sum since the ring began anew: replaces `sum` when it is full, so that rounding does not pile up over hours. */
  private readonly fresh: Float64Array;
  private squares = 0;
  private freshSquares = 0;
  private readonly run: Run;
  private seen = 0;
  private decodedS = -Infinity;
  /** 'after': a shift was seen and its run has not been decoded. */
  private open = true;

  /**
   * @param dim of the embeddings
   * @param options window, threshold, gap
   * @throws RangeError for a setting out of range
   */
  constructor(dim: number, { window = 8, threshold = 0.05, minGapS = 2, run = 'before' }: OnlineOptions = {}) {
    const wrong = (name: string, value: unknown, expected: string): never => { throw new RangeError(`OnlineDecoder: ${name} is ${String(value)}, expected ${expected}`); };
    if (!Number.isInteger(dim) || dim < 1) wrong('dim', dim, 'a whole number of at least 1');
    if (!Number.isInteger(window) || window < 2) wrong('window', window, 'a whole number of at least 2');
    if (!(threshold >= 0)) wrong('threshold', threshold, 'a number of at least 0');
    if (!(minGapS >= 0)) wrong('minGapS', minGapS, 'a number of at least 0');
    if (run !== 'before' && run !== 'after') wrong('run', run, 'before or after');
    this.dim = dim;
    this.window = window;
    this.threshold = threshold;
    this.minGapS = minGapS;
    this.follows = run === 'after';
    this.ring = new Float32Array(window * dim);
    this.times = new Float64Array(window);
    this.sum = new Float64Array(dim);
    this.fresh = new Float64Array(dim);
    this.run = new Run(dim);
  }

  /**
   * Takes the next embedding.
   * @param vector [dim] unit embedding of a window of the stream @param timeS its time, s, not before the last one
   * @returns the window's variance, and what to decode now
   * @throws RangeError for another length, a value that is not finite, or a time that goes back
   */
  push(vector: ArrayLike<number>, timeS: number): Decision {
    const { window, seen } = this;
    if (vector.length !== this.dim) throw new RangeError(`OnlineDecoder: the embedding has ${vector.length} values, expected ${this.dim}`);
    for (let d = 0; d < this.dim; d++) if (!Number.isFinite(vector[d])) throw new RangeError(`OnlineDecoder: value ${d} of the embedding at ${timeS} s is ${vector[d]}, expected a number`);
    const last = seen ? this.times[(seen - 1) % window]! : -Infinity;
    if (!(timeS >= last)) throw new RangeError(`OnlineDecoder: the time is ${timeS} s after ${last} s, expected times that do not go back`);
    this.store(vector, timeS);
    const half = Math.floor(window / 2);
    if (seen >= half) this.join(seen - half);
    const variance = this.seen < window ? NaN : this.variance();
    return { timeS, variance, decode: this.follows ? this.afterShift(variance, timeS) : this.beforeShift(variance, timeS) };
  }

  /**
   * The end of the stream.
   * @returns what is left to decode: the last run, unless it was decoded
   */
  finish(): StableRun | undefined {
    const from = Math.max(0, this.seen - Math.floor(this.window / 2));
    for (let i = from; i < this.seen; i++) this.join(i);
    const rest = this.follows && !this.open ? undefined : this.run.read();
    this.run.clear();
    this.open = true;
    this.seen = 0;
    this.decodedS = -Infinity;
    for (const list of [this.sum, this.fresh]) list.fill(0);
    this.squares = this.freshSquares = 0;
    return rest;
  }

  private join(index: number): void {
    const at = index % this.window;
    this.run.add(this.ring, at, this.times[at]!);
  }

  private store(vector: ArrayLike<number>, timeS: number): void {
    const { ring, dim, window, sum, fresh } = this;
    const at = this.seen % window;
    if (at === 0) {
      fresh.fill(0);
      this.freshSquares = 0;
    }
    let [added, gone] = [0, 0];
    for (let d = 0; d < dim; d++) {
      const old = this.seen < window ? 0 : ring[at * dim + d]!;
      ring[at * dim + d] = vector[d]!;
      const value = ring[at * dim + d]!; // as f32
      sum[d]! += value - old;
      fresh[d]! += value;
      added += value * value;
      gone += old * old;
    }
    this.squares += added - gone;
    this.freshSquares += added;
    this.times[at] = timeS;
    if (at === window - 1) {
      sum.set(fresh);
      this.squares = this.freshSquares;
    }
    this.seen++;
  }

  private variance(): number {
    let squared = 0;
    for (let d = 0; d < this.dim; d++) squared += (this.sum[d]! / this.window) ** 2;
    return Math.max(0, this.squares / this.window - squared);
  }

  private beforeShift(variance: number, timeS: number): StableRun | undefined {
    if (!(variance > this.threshold) || timeS - this.decodedS < this.minGapS) return undefined;
    const run = this.run.read();
    this.run.clear();
    if (run) this.decodedS = timeS;
    return run;
  }

  private afterShift(variance: number, timeS: number): StableRun | undefined {
    if (variance > this.threshold) {
      this.open = true;
      this.run.clear();
      return undefined;
    }
    if (!this.open || !(variance <= this.threshold) || timeS - this.decodedS < this.minGapS) return undefined;
    this.open = false;
    this.decodedS = timeS;
    return this.run.read();
  }
}
