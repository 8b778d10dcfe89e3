import { DataError } from './errors.ts';
import { MergeTable } from './merge_table.ts';

/** The part `model` of a `tokenizer.json`, checked by `checkTokenizerFile`; its vocabulary as a map. */
export interface PairModel {
  readonly vocab: ReadonlyMap<string, number>;
  readonly merges: readonly (string | readonly [string, string])[];
  readonly unk_token?: string | null;
  readonly fuse_unk?: boolean | null;
  readonly byte_fallback?: boolean | null;
  readonly ignore_merges?: boolean | null;
}

/** Symbols up to which the next merge is looked for in all pairs; beyond, a heap knows it. */
const SHORT = 24;
/** A heap key is rank · 2^23 + position: exact in a float64 up to 2^30 ranks. */
const POSITIONS = 2 ** 23;
/** Symbols for which memory is kept between texts. */
const KEPT = 4096;
const WHERE = 'Tokenizer.fromJSON';

/**
 * Byte-pair encoding (Sennrich et al. 2016) on ids: of all neighbours that may be joined, those of the lowest rank are joined first, the leftmost of them before the others.
 * Time O(n log n) at worst. A text is cut wherever no merge of the vocabulary can cross, which changes no id.
 */
export class BytePairs {
  readonly #ids: ReadonlyMap<string, number>;
  readonly #merges: MergeTable;
  readonly #plane: Int32Array; // [65536] id of each character of the basic plane, -1: none
  readonly #bytes: Int32Array | undefined; // [256] ids of <0x00> … <0xFF>
  readonly #unk: number | undefined;
  readonly #fuseUnk: boolean;
  readonly #whole: boolean;
  readonly #short = new Int32Array(KEPT);
  #room = new Room(KEPT);
  #buckets: Buckets | undefined; // made for the first long piece

  /**
   * @param model vocabulary, merges in order of rank, and what happens to characters without an entry
   * @throws DataError when a merge or the unknown token names an entry that the vocabulary lacks, or byte_fallback has not all 256 bytes
   */
  constructor(model: PairModel) {
    this.#ids = model.vocab;
    this.#plane = new Int32Array(65_536).fill(-1);
    for (const [token, id] of this.#ids) if (token.length === 1) this.#plane[token.charCodeAt(0)] = id;
    this.#fuseUnk = model.fuse_unk ?? false;
    this.#whole = model.ignore_merges ?? false;
    this.#unk = typeof model.unk_token === 'string' ? this.#need(model.unk_token, 'model.unk_token') : undefined;
    if (model.byte_fallback) {
      this.#bytes = Int32Array.from({ length: 256 }, (_, b) => this.#need(`<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`, 'model.byte_fallback'));
    }
    this.#merges = new MergeTable(model.merges, this.#ids, new Set([...(this.#bytes ?? []), ...(this.#unk === undefined ? [] : [this.#unk])]));
  }

  #need(token: string, what: string): number {
    const id = this.#ids.get(token);
    if (id === undefined) throw new DataError(WHERE, `${what} needs the entry ${JSON.stringify(token)}, which is not in the vocabulary`);
    return id;
  }

  /**
   * @param piece a text between two cuts of the pre-tokeniser, without lone surrogates
   * @param out ids are added at its end
   * @param enough no id is needed once `out` is this long
   * @returns nothing
   */
  encode(piece: string, out: number[], enough: number): void {
    const known = this.#whole ? this.#ids.get(piece) : undefined;
    if (known !== undefined) {
      out.push(known);
      return;
    }
    const most = piece.length * (this.#bytes ? 3 : 1);
    const ids = most <= KEPT ? this.#short : new Int32Array(most);
    const count = this.#symbols(piece, ids);
    for (let start = 0; start < count && out.length < enough; ) {
      let end = start + 1;
      while (end < count && this.#merges.joins(ids[end - 1]!, ids[end]!)) end++;
      const run = ids.subarray(start, end);
      const left = run.length <= SHORT ? this.#mergeShort(run) : this.#mergeLong(run);
      for (let i = 0; i < left; i++) out.push(run[i]!);
      start = end;
    }
  }

  /** Writes the ids of the characters of a text, their bytes where they have none, and how many they are. */
  #symbols(piece: string, ids: Int32Array): number {
    let count = 0;
    let unknown = false; // the symbol before is the unknown token
    for (let i = 0; i < piece.length; i++) {
      let code = piece.charCodeAt(i);
      let id = this.#plane[code]!;
      if (code >= 0xd800 && code < 0xdc00) {
        code = piece.codePointAt(i)!;
        id = this.#ids.get(String.fromCodePoint(code)) ?? -1;
        i++;
      }
      if (id >= 0) ids[count++] = id;
      else if (this.#bytes) count = this.#spell(code, ids, count);
      else if (this.#unk !== undefined) {
        if (!(unknown && this.#fuseUnk)) ids[count++] = this.#unk;
        unknown = true;
        continue;
      }
      unknown = false;
    }
    return count;
  }

  /** The UTF-8 bytes of one character. */
  #spell(code: number, ids: Int32Array, count: number): number {
    const bytes = this.#bytes!;
    if (code < 0x80) ids[count++] = bytes[code]!;
    else {
      const more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
      ids[count++] = bytes[((0xff00 >> (more + 1)) & 0xff) | (code >> (6 * more))]!;
      for (let k = more - 1; k >= 0; k--) ids[count++] = bytes[0x80 | ((code >> (6 * k)) & 0x3f)]!;
    }
    return count;
  }

  /** Looks at every pair before each merge. Leaves the result at the start of `ids` and says how long it is. */
  #mergeShort(ids: Int32Array): number {
    const { find, rank, joined } = this.#merges;
    let count = ids.length;
    for (;;) {
      let best = Infinity;
      let at = -1;
      let whole = -1;
      for (let i = 0; i + 1 < count; i++) {
        const slot = find(ids[i]!, ids[i + 1]!);
        if (slot >= 0 && rank[slot]! < best) [best, at, whole] = [rank[slot]!, i, joined[slot]!];
      }
      if (at < 0) return count;
      ids[at] = whole;
      ids.copyWithin(at + 1, at + 2, count);
      count--;
    }
  }

  /**
   * The same for many symbols, which are a list with links. Pairs wait in the bucket of their rank; a bucket is taken whole, from left to right. Only a pair that appears with a rank
   * that is already being taken, or was, goes through a heap by rank, then place. A pair that has changed is passed over.
   */
  #mergeLong(ids: Int32Array): number {
    const count = ids.length;
    if (this.#room.next.length < count) this.#room = new Room(count);
    const { next, previous, rank, heap } = this.#room;
    const buckets = (this.#buckets ??= new Buckets(this.#merges.ranks));
    const { find, rank: ranks, joined } = this.#merges;
    heap.clear();
    let taken = -1; // rank of the bucket that is being taken
    let [left, right, slot] = [-1, -1, -1]; // the pair before: runs of one character ask for the same one again and again
    const pair = (i: number): void => { // the pair that starts at i
      rank[i] = -1;
      if (next[i]! >= count) return;
      if (ids[i] !== left || ids[next[i]!] !== right) {
        left = ids[i]!;
        right = ids[next[i]!]!;
        slot = find(left, right);
      }
      if (slot < 0) return;
      const order = rank[i] = ranks[slot]!;
      if (order > taken) buckets.add(order, i);
      else heap.push(order * POSITIONS + i);
    };
    const merge = (at: number, order: number): void => {
      if (rank[at] !== order) return;
      const gone = next[at]!;
      ids[at] = joined[find(ids[at]!, ids[gone]!)]!;
      rank[gone] = -1;
      next[at] = next[gone]!;
      if (next[at]! < count) previous[next[at]!] = at;
      pair(at);
      if (previous[at]! >= 0) pair(previous[at]!);
    };
    for (let i = 0; i < count; i++) {
      next[i] = i + 1;
      previous[i] = i - 1;
    }
    for (let i = 0; i < count; i++) pair(i);
    while ((taken = buckets.take()) >= 0) {
      const { places, count: most } = buckets;
      for (let p = 0; p < most; p++) {
        const at = places[p]!;
        while (heap.size > 0 && heap.top < taken * POSITIONS + at) {
          const key = heap.pop();
          const order = Math.floor(key / POSITIONS);
          merge(key - order * POSITIONS, order);
        }
        merge(at, taken);
      }
      while (heap.size > 0) {
        const key = heap.pop();
        const order = Math.floor(key / POSITIONS);
        merge(key - order * POSITIONS, order);
      }
    }
    let kept = 0;
    for (let i = 0; i < count; i = next[i]!) ids[kept++] = ids[i]!;
    if (count > KEPT) this.#room = new Room(KEPT);
    return kept;
  }
}

/** Places by rank: lists of nodes in one growing array, and the ranks that have any in a heap. */
class Buckets {
  readonly #first: Int32Array; // node by rank, -1: none
  readonly #ranks = new Heap();
  #place = new Int32Array(256);
  #next = new Int32Array(256); // node
  #nodes = 0;
  /** Places of the bucket that was taken last, growing, in front of `count`. */
  places = new Int32Array(256);
  count = 0;

  /** @param ranks how many there are */
  constructor(ranks: number) {
    this.#first = new Int32Array(ranks).fill(-1);
  }

  add(rank: number, place: number): void {
    const node = this.#nodes++;
    if (node === this.#place.length) {
      this.#place = wider(this.#place);
      this.#next = wider(this.#next);
    }
    const before = this.#first[rank]!;
    if (before < 0) this.#ranks.push(rank);
    this.#place[node] = place;
    this.#next[node] = before;
    this.#first[rank] = node;
  }

  /** Takes the bucket of the lowest rank; -1 when there is none. */
  take(): number {
    this.count = 0;
    if (this.#ranks.size === 0) {
      if (this.#nodes > KEPT) [this.#place, this.#next, this.places] = [new Int32Array(256), new Int32Array(256), new Int32Array(256)];
      this.#nodes = 0;
      return -1;
    }
    const rank = this.#ranks.pop();
    let sorted = true;
    for (let node = this.#first[rank]!; node >= 0; node = this.#next[node]!) { // the last that came is the first
      if (this.count === this.places.length) this.places = wider(this.places);
      const place = this.#place[node]!;
      if (this.count > 0 && place > this.places[this.count - 1]!) sorted = false;
      this.places[this.count++] = place;
    }
    this.#first[rank] = -1;
    const mine = this.places.subarray(0, this.count);
    if (sorted) mine.reverse();
    else mine.sort();
    return rank;
  }
}

/** @param list full @returns the same with as much room again */
function wider<T extends Int32Array | Float64Array>(list: T): T {
  const more = new (list.constructor as new (length: number) => T)(list.length * 2);
  more.set(list);
  return more;
}

/** Smallest key first, in one growing array. */
class Heap {
  #keys = new Float64Array(256);
  size = 0;

  get top(): number {
    return this.#keys[0]!;
  }

  clear(): void {
    this.size = 0;
  }

  push(key: number): void {
    if (this.size === this.#keys.length) {
      this.#keys = wider(this.#keys);
    }
    const keys = this.#keys;
    let i = this.size++;
    while (i > 0) {
      const parent = (i - 1) >> 2;
      if (keys[parent]! <= key) break;
      keys[i] = keys[parent]!;
      i = parent;
    }
    keys[i] = key;
  }

  pop(): number {
    const keys = this.#keys;
    const top = keys[0]!;
    const key = keys[--this.size]!;
    const { size } = this;
    let i = 0;
    for (;;) {
      const first = 4 * i + 1;
      if (first >= size) break;
      let least = first;
      for (let child = first + 1; child < Math.min(first + 4, size); child++) if (keys[child]! < keys[least]!) least = child;
      if (keys[least]! >= key) break;
      keys[i] = keys[least]!;
      i = least;
    }
    keys[i] = key;
    return top;
  }
}

/** Memory for one run of symbols, used again for the next. */
class Room {
  readonly next: Int32Array;
  readonly previous: Int32Array;
  readonly rank: Int32Array;
  readonly heap = new Heap();

  constructor(symbols: number) {
    this.next = new Int32Array(symbols);
    this.previous = new Int32Array(symbols);
    this.rank = new Int32Array(symbols);
  }
}
