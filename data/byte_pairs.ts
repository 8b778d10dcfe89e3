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

  /** The same with all pairs in a heap by rank, then place; symbols are a list with links, and a pair that has changed is passed over. */
  #mergeLong(ids: Int32Array): number {
    const count = ids.length;
    if (this.#room.next.length < count) this.#room = new Room(count);
    const { next, previous, rank, heap } = this.#room;
    const { find, rank: ranks, joined } = this.#merges;
    heap.clear();
    const pair = (i: number): void => { // the pair that starts at i
      const slot = next[i]! < count ? find(ids[i]!, ids[next[i]!]!) : -1;
      rank[i] = slot < 0 ? -1 : ranks[slot]!;
      if (slot >= 0) heap.push(ranks[slot]! * POSITIONS + i);
    };
    for (let i = 0; i < count; i++) {
      next[i] = i + 1;
      previous[i] = i - 1;
    }
    for (let i = 0; i < count; i++) pair(i);
    while (heap.size > 0) {
      const key = heap.pop();
      const order = Math.floor(key / POSITIONS);
      const at = key - order * POSITIONS;
      if (rank[at] !== order) continue;
      const gone = next[at]!;
      ids[at] = joined[find(ids[at]!, ids[gone]!)]!;
      rank[gone] = -1;
      next[at] = next[gone]!;
      if (next[at]! < count) previous[next[at]!] = at;
      pair(at);
      if (previous[at]! >= 0) pair(previous[at]!);
    }
    let left = 0;
    for (let i = 0; i < count; i = next[i]!) ids[left++] = ids[i]!;
    if (count > KEPT) this.#room = new Room(KEPT);
    return left;
  }
}

/** Smallest key first, in one growing array. */
class Heap {
  #keys = new Float64Array(256);
  size = 0;

  clear(): void {
    this.size = 0;
  }

  push(key: number): void {
    if (this.size === this.#keys.length) {
      const wider = new Float64Array(this.size * 2);
      wider.set(this.#keys);
      this.#keys = wider;
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
