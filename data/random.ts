/** How many 32-bit words a Philox block gives. */
const WORDS = 4;

/** Added to the last counter word for draws that must not share words with `uniform`. */
const NORMAL_STREAM = 0x8000_0000;

/** Stream of `permutation`, far from the small numbers that callers choose. */
const PERMUTATION_STREAM = 0x7065_726d;

/** High and low half of the 64-bit product of two 32-bit words; `high` is returned through `HIGH[0]`. */
const HIGH = new Uint32Array(1);

function multiply(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const cross = a0 * b1 + (middle % 0x10000);
  HIGH[0] = a1 * b1 + Math.floor(middle / 0x10000) + Math.floor(cross / 0x10000);
  return Math.imul(a, b) >>> 0;
}

/**
 * Philox4x32 with 10 rounds: four random words from a counter and a key, with no state. Salmon et al., "Parallel random
 * numbers: as easy as 1, 2, 3", SC 2011, section 3.3.
 * @param counter [4] u32
 * @param key [2] u32
 * @param out [4] u32, written
 */
export function philox(counter: ArrayLike<number>, key: ArrayLike<number>, out: Uint32Array): void {
  let [c0, c1, c2, c3] = [counter[0]!, counter[1]!, counter[2]!, counter[3]!];
  let k0 = key[0]!;
  let k1 = key[1]!;
  for (let round = 0; round < 10; round++) {
    const low0 = multiply(0xd2511f53, c0);
    const high0 = HIGH[0]!;
    const low1 = multiply(0xcd9e8d57, c2);
    const high1 = HIGH[0]!;
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/**
 * Random numbers addressed by (seed, step, index, stream) and their place i: the same five numbers give the same value on
 * every machine, in any order of asking. Nothing has to be saved to resume a run.
 */
export class CounterRandom {
  readonly #key = new Uint32Array(2);
  readonly #counter = new Uint32Array(4);
  readonly #block = new Uint32Array(WORDS);
  #next = 0;

  /**
   * @param seed of the run, an integer from 0 to 2^53 − 1
   * @param step of the run, u32
   * @param index of the sample in the step, u32
   * @param stream which use of random numbers, 0 to 2^31 − 1
   */
  constructor(seed: number, step = 0, index = 0, stream = 0) {
    this.#key.set([seed % 2 ** 32, Math.floor(seed / 2 ** 32)]);
    this.#counter.set([0xffff_ffff, index, step, stream]);
  }

  #word(i: number, stream: number): number {
    const block = i >>> 2;
    const last = (this.#counter[3]! & ~NORMAL_STREAM) | stream;
    if (this.#counter[0] !== block || this.#counter[3] !== last >>> 0) {
      this.#counter[0] = block;
      this.#counter[3] = last;
      philox(this.#counter, this.#key, this.#block);
    }
    return this.#block[i & 3]!;
  }

  /** @param i place @returns 32 random bits */
  u32(i: number): number {
    return this.#word(i, 0);
  }

  /** @param i place @returns uniform in [0, 1), 32 bits */
  uniform(i: number): number {
    return this.#word(i, 0) / 2 ** 32;
  }

  /** @param i place @returns normal with mean 0 and deviation 1 (Box-Muller), independent of `uniform` */
  normal(i: number): number {
    const u = (this.#word(2 * i, NORMAL_STREAM) + 1) / 2 ** 32;
    const v = this.#word(2 * i + 1, NORMAL_STREAM) / 2 ** 32;
    return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v);
  }

  /** @returns `uniform` at 0, 1, 2, … in the order of asking */
  next(): number {
    return this.uniform(this.#next++);
  }
}

/**
 * A seeded shuffle (Fisher-Yates) of 0 … n−1.
 * @param n how many, below 2^32
 * @param seed of the run
 * @param epoch which shuffle
 * @returns [n]
 */
export function permutation(n: number, seed: number, epoch = 0): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  const random = new CounterRandom(seed, epoch, 0, PERMUTATION_STREAM);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random.uniform(i) * (i + 1));
    const kept = order[i]!;
    order[i] = order[j]!;
    order[j] = kept;
  }
  return order;
}
