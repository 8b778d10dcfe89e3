// Seeded drawing of cases: every number follows from (op, seed, stream), so a case is the same on every machine and in every order.
import { generator } from '../harness.ts';
import type { Draw } from './proof.ts';

/** Largest axis of a drawn case: one above the largest workgroup. */
export const FULL_CAP = 257;

const MOST_ELEMENTS = 4096;
const TINY = [1, 2, 3] as const;
const PRIMES = [5, 7, 11, 13, 17, 19, 23, 29, 37, 41, 53, 61] as const;
const ALIGNED = [4, 8, 12, 16, 20, 24, 32, 64, 128, 256] as const;
const EDGES = [31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257] as const;
const ZERO = 0.025;

/** FNV-1a over the characters and the numbers. @param text any @param numbers any @returns 32 bits */
export function hash(text: string, ...numbers: readonly number[]): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  for (const n of numbers) for (let k = 0; k < 32; k += 8) h = Math.imul(h ^ ((n >>> k) & 0xff), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b); // MurmurHash3's last mix: neighbouring seeds must not draw alike
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** A uniform generator with the few ways to use it. @param seed 32 bits @returns numbers in [0, 1), whole numbers, choices */
export function dice(seed: number): { next(): number; int(low: number, high: number): number; pick<T>(list: readonly T[]): T; chance(p: number): boolean; normal(): number } {
  const next = generator(seed);
  const int = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1));
  return {
    next, int,
    pick: list => list[int(0, list.length - 1)]!,
    chance: p => next() < p,
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
  };
}

/**
 * The source that an entry draws from.
 * @param op name of the entry @param seed of the case @param cap largest size of an axis @returns the source
 */
export function drawFor(op: string, seed: number, cap: number): Draw {
  const d = dice(hash(`${op} shape`, seed));
  const size = (least = 0, most = Infinity): number => {
    const high = Math.max(least, Math.min(most, cap));
    const list = d.chance(ZERO) ? [0] : d.pick([TINY, TINY, PRIMES, ALIGNED, ALIGNED, EDGES]);
    const fits = (list as readonly number[]).filter(n => n >= least && n <= high);
    return fits.length ? d.pick(fits) : d.int(Math.min(Math.max(least, 1), high), high);
  };
  return {
    cap, size,
    int: d.int, pick: d.pick, chance: d.chance,
    real: (low, high) => low + (high - low) * d.next(),
    shape: (rank, mostElements = MOST_ELEMENTS, least = 0) => {
      const shape = Array.from({ length: rank }, () => 1);
      let left = Math.min(mostElements, cap * cap);
      for (const axis of shuffled(rank, d.int)) {
        const n = size(least, Math.max(least, 1, left));
        shape[axis] = n;
        left = Math.floor(left / Math.max(1, n));
      }
      return shape;
    },
  };
}

/** A permutation. @param n length @param int source of whole numbers @returns [n] every index once */
export function shuffled(n: number, int: (low: number, high: number) => number): number[] {
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = int(0, i);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
