import { DataError } from './errors.ts';

const WHERE = 'Tokenizer.fromJSON';

/** A set or map of pairs of ids in open addressing, at most half full. */
class PairSlots {
  readonly #mask: number;
  readonly #left: Int32Array;
  readonly #right: Int32Array;

  constructor(entries: number) {
    const slots = 2 ** Math.max(4, Math.ceil(Math.log2(entries + 1)) + 1);
    this.#mask = slots - 1;
    this.#left = new Int32Array(slots).fill(-1);
    this.#right = new Int32Array(slots);
  }

  get slots(): number {
    return this.#mask + 1;
  }

  /** Slot of a pair, or minus one less than the free slot where it would stand. */
  at(left: number, right: number): number {
    let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    let slot = (hash ^ (hash >>> 13)) & this.#mask;
    while (this.#left[slot]! >= 0) {
      if (this.#left[slot] === left && this.#right[slot] === right) return slot;
      slot = (slot + 1) & this.#mask;
    }
    return -1 - slot;
  }

  /** Enters a pair. */
  enter(left: number, right: number): number {
    const found = this.at(left, right);
    if (found >= 0) return found;
    const slot = -1 - found;
    this.#left[slot] = left;
    this.#right[slot] = right;
    return slot;
  }
}

/** The merges of a byte-pair vocabulary: which neighbours may be joined, how early, and to what. */
export class MergeTable {
  /** By slot. */
  readonly rank: Int32Array;
  readonly joined: Int32Array;
  /** One more than the highest rank. */
  readonly ranks: number;
  /** Slot of a pair of ids, negative when they are never joined. */
  readonly find: (left: number, right: number) => number;
  /** Whether any merge ever goes across the border between these two characters. */
  readonly joins: (left: number, right: number) => boolean;

  /**
   * @param merges pairs in order of rank, two texts or one text with a space between them; of equal pairs the last counts
   * @param ids the vocabulary
   * @param opaque entries that stand for something else than their text: bytes, the unknown token
   * @throws DataError when a merge is no pair, or a part or the whole is not in the vocabulary
   */
  constructor(merges: readonly (string | readonly [string, string])[], ids: ReadonlyMap<string, number>, opaque: ReadonlySet<number>) {
    const pairs = new PairSlots(merges.length);
    const borders = new PairSlots(merges.length);
    this.ranks = merges.length;
    this.rank = new Int32Array(pairs.slots);
    this.joined = new Int32Array(pairs.slots);
    let cuts = true;
    merges.forEach((merge, rank) => {
      const [left, right] = partsOf(merge, rank);
      const [l, r, j] = [idOf(ids, left, rank), idOf(ids, right, rank), idOf(ids, left + right, rank)];
      const slot = pairs.enter(l, r);
      this.rank[slot] = rank;
      this.joined[slot] = j;
      const border = [ids.get(lastOf(left)), ids.get(String.fromCodePoint(right.codePointAt(0)!))];
      if (opaque.has(l) || opaque.has(r)) cuts = false; // their borders are not those of characters
      else if (border[0] !== undefined && border[1] !== undefined) borders.enter(border[0], border[1]); // without an entry the merge is out of reach
    });
    this.find = (left, right) => pairs.at(left, right);
    this.joins = cuts ? (left, right) => borders.at(left, right) >= 0 : () => true;
  }
}

function partsOf(merge: unknown, rank: number): readonly [string, string] {
  const parts: unknown = typeof merge === 'string' ? merge.split(' ') : merge;
  if (Array.isArray(parts) && parts.length === 2 && parts.every((part) => typeof part === 'string' && part !== '')) return parts as [string, string];
  throw new DataError(WHERE, `merge ${rank} is ${JSON.stringify(merge)}, expected two entries of the vocabulary`);
}

function idOf(ids: ReadonlyMap<string, number>, token: string, rank: number): number {
  const id = ids.get(token);
  if (id === undefined) throw new DataError(WHERE, `merge ${rank} needs the entry ${JSON.stringify(token)}, which is not in the vocabulary`);
  return id;
}

/** The last character of a text. */
function lastOf(text: string): string {
  const code = text.charCodeAt(text.length - 1);
  return text.slice(code >= 0xdc00 && code < 0xe000 ? -2 : -1);
}
