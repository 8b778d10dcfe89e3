// Batches for the Y-Decoder: vectors with noise, and the tokens to say. A seeded function of the step, so that a resumed run sees what the uninterrupted one would have.
import { CounterRandom } from '../data/random.ts';

/** Vectors and the texts that they stand for: encoded texts, or predictions of pictures and clips with their answers. */
export interface DecoderLesson {
  /** Share of the samples, relative to the other lessons. */
  readonly share: number;
  /** [n, dim] unit rows. */
  readonly vectors: Float32Array;
  /** [n] */
  readonly texts: readonly string[];
  /** Longest noise on these vectors in place of the recipe's. */
  readonly noise?: number;
}

/** One batch on the host; every row of a batch has nearly the same length. */
export interface DecoderBatch {
  /** [B, dim] unit rows with noise. */
  readonly vectors: Float32Array;
  /** [B, T] tokens that are seen. */
  readonly ids: Uint32Array;
  /** [B, T + 1] tokens that are to come; IGNORED behind the end. */
  readonly targets: Uint32Array;
  /** T */
  readonly tokens: number;
}

/** Target of a position that does not count. */
export const IGNORED = 0xffffffff;

/** Places of this file's draws among the random numbers of a sample. */
const STREAM = 93, ROW = 0, LENGTH = 1, CLASS = 92;
/** Longest rows, end token included, of the classes that batches are drawn from; one plan each. */
const CLASSES = [3, 4, 6, 9, 13, 20, 32, 64, 128, 512] as const;

interface Row { readonly vectors: Float32Array; readonly at: number; readonly ids: readonly number[]; readonly noise: number }
/** Rows of one class with the running sum of their shares. */
interface LengthClass { readonly longest: number; readonly rows: Row[]; readonly until: number[]; total: number }

/** Index of the first sum above a value. */
function pick(until: readonly number[], value: number): number {
  let [low, high] = [0, until.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (until[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Draws batches from lessons. */
export class DecoderBatches {
  private readonly classes: readonly LengthClass[];
  private readonly dim: number;
  private readonly seed: number;
  private readonly batch: number;

  /**
   * @param lessons at least one with a text @param dim width of the vectors @param encode text to tokens with the end token @param recipe seed, batch, noise
   * @throws RangeError when there is no text, vectors do not fit, or a text is too long
   */
  constructor(lessons: readonly DecoderLesson[], dim: number, encode: (text: string) => readonly number[], { seed, batch, noise }: { seed: number; batch: number; noise: number }) {
    const classes: LengthClass[] = CLASSES.map(longest => ({ longest, rows: [], until: [], total: 0 }));
    for (const { share, vectors, texts, noise: own = noise } of lessons) {
      if (vectors.length !== texts.length * dim) throw new RangeError(`DecoderBatches: ${vectors.length} values, expected ${texts.length} vectors of ${dim}`);
      if (!(own >= 0)) throw new RangeError(`DecoderBatches: noise is ${own}, expected a number ≥ 0`);
      if (!(share >= 0)) throw new RangeError(`DecoderBatches: share is ${share}, expected a number ≥ 0`);
      texts.forEach((text, at) => {
        const ids = encode(text);
        const one = classes.find(c => ids.length <= c.longest);
        if (!one) throw new RangeError(`DecoderBatches: a text has ${ids.length} tokens, expected at most ${CLASSES.at(-1)}`);
        one.rows.push({ vectors, at, ids, noise: own });
        one.total += share / texts.length;
        one.until.push(one.total);
      });
    }
    this.classes = classes.filter(c => c.total > 0);
    if (this.classes.length === 0) throw new RangeError('DecoderBatches: there is no text, expected at least one lesson with a share above 0');
    this.dim = dim;
    this.seed = seed;
    this.batch = batch;
  }

  /** The batch of a step. @param step from 0 @returns vectors, ids and targets */
  at(step: number): DecoderBatch {
    const { batch, dim, seed } = this;
    const sums = this.classes.map((_, i) => this.classes.slice(0, i + 1).reduce((s, c) => s + c.total, 0));
    const one = this.classes[pick(sums, new CounterRandom(seed, step, 0, CLASS).uniform(0) * sums.at(-1)!)]!;
    const tokens = one.longest - 1;
    const out = { vectors: new Float32Array(batch * dim), ids: new Uint32Array(batch * tokens), targets: new Uint32Array(batch * one.longest).fill(IGNORED), tokens };
    for (let b = 0; b < batch; b++) {
      const random = new CounterRandom(seed, step, b, STREAM);
      const row = one.rows[pick(one.until, random.uniform(ROW) * one.total)]!;
      out.ids.set(row.ids.slice(0, -1), b * tokens);
      out.targets.set(row.ids, b * one.longest);
      this.blur(row, random, out.vectors.subarray(b * dim, (b + 1) * dim));
    }
    return out;
  }

  /** A vector with Gaussian noise of a drawn length (spec 1.9: so that it works on predictions), of unit length again. */
  private blur({ vectors, at, noise }: Row, random: CounterRandom, into: Float32Array): void {
    const { dim } = this;
    const each = (noise * random.uniform(LENGTH)) / Math.sqrt(dim);
    let squares = 0;
    for (let i = 0; i < dim; i++) {
      into[i] = vectors[at * dim + i]! + (each > 0 ? each * random.normal(i) : 0);
      squares += into[i]! ** 2;
    }
    const scale = 1 / Math.sqrt(Math.max(squares, 1e-24));
    for (let i = 0; i < dim; i++) into[i]! *= scale;
  }
}
