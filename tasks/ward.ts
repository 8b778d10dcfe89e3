// Agglomerative clustering of a stream in which only neighbours in time may merge, Ward's criterion, with a heap: O(T log T) merges of O(dim) each (spec 1.10).

/** Embeddings in order of time. */
export interface Vectors {
  /** [T, dim] row-major. */
  readonly values: ArrayLike<number>;
  readonly dim: number;
}

/** Indices start to end − 1 of a stream. */
export interface Segment {
  readonly start: number;
  readonly end: number;
}

/** All merges of a stream in order; cut it for any number of segments. */
export interface WardOrder {
  /** T */
  readonly count: number;
  /** [T − 1] index at which the right one of the merged segments starts. */
  readonly boundaries: Uint32Array;
  /** [T − 1] growth of the sum of squares within segments: |A||B| / (|A|+|B|) · |mean_A − mean_B|². */
  readonly costs: Float64Array;
}

/** Pairs of neighbours by cost, equal costs by the lower index. Stale entries stay until they come up. */
class PairHeap {
  private readonly costs: Float64Array;
  private readonly lefts: Uint32Array;
  private readonly stamps: Uint32Array;
  private size = 0;

  constructor(capacity: number) {
    this.costs = new Float64Array(capacity);
    this.lefts = new Uint32Array(capacity);
    this.stamps = new Uint32Array(capacity);
  }

  private before(a: number, b: number): boolean {
    return this.costs[a]! < this.costs[b]! || (this.costs[a] === this.costs[b] && this.lefts[a]! < this.lefts[b]!);
  }

  private swap(a: number, b: number): void {
    for (const list of [this.costs, this.lefts, this.stamps]) {
      const kept = list[a]!;
      list[a] = list[b]!;
      list[b] = kept;
    }
  }

  push(cost: number, left: number, stamp: number): void {
    let i = this.size++;
    this.costs[i] = cost;
    this.lefts[i] = left;
    this.stamps[i] = stamp;
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (!this.before(i, up)) break;
      this.swap(i, up);
      i = up;
    }
  }

  pop(): { cost: number; left: number; stamp: number } {
    const top = { cost: this.costs[0]!, left: this.lefts[0]!, stamp: this.stamps[0]! };
    this.swap(0, --this.size);
    for (let i = 0; ;) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2]) if (child < this.size && this.before(child, least)) least = child;
      if (least === i) return top;
      this.swap(i, least);
      i = least;
    }
  }
}

/**
 * Merges neighbours until one segment is left.
 * @param stream [T, dim] embeddings @returns every merge in order
 * @throws RangeError when sizes do not fit or a value is not finite
 */
export function wardOrder({ values, dim }: Vectors): WardOrder {
  const count = checkedCount('wardOrder', { values, dim });
  const means = Float64Array.from(values); // [T, dim]; row s is the mean of the segment that starts at s
  if (!means.every(Number.isFinite)) throw new RangeError('wardOrder: a value of the stream is not finite, expected numbers');
  const sizes = new Uint32Array(count).fill(1);
  const next = Uint32Array.from({ length: count }, (_, i) => i + 1); // start of the segment after; count: none
  const previous = Int32Array.from({ length: count }, (_, i) => i - 1);
  const stamps = new Uint32Array(count); // of the pair that starts here; an older one in the heap is stale
  const heap = new PairHeap(3 * count);
  const offer = (left: number): void => {
    const right = next[left]!;
    let distance = 0;
    for (let d = 0; d < dim; d++) distance += (means[left * dim + d]! - means[right * dim + d]!) ** 2;
    const [a, b] = [sizes[left]!, sizes[right]!];
    heap.push(((a * b) / (a + b)) * distance, left, ++stamps[left]!);
  };
  for (let i = 0; i + 1 < count; i++) offer(i);
  const boundaries = new Uint32Array(Math.max(0, count - 1));
  const costs = new Float64Array(boundaries.length);
  for (let merged = 0; merged < boundaries.length;) {
    const { cost, left, stamp } = heap.pop();
    if (stamp !== stamps[left]) continue;
    const right = next[left]!;
    boundaries[merged] = right;
    costs[merged++] = cost;
    const [a, b] = [sizes[left]!, sizes[right]!];
    for (let d = 0; d < dim; d++) means[left * dim + d] = (a * means[left * dim + d]! + b * means[right * dim + d]!) / (a + b);
    sizes[left] = a + b;
    next[left] = next[right]!;
    stamps[right] = 0xffffffff; // gone: nothing in the heap has this stamp
    if (next[left]! < count) {
      previous[next[left]!] = left;
      offer(left);
    } else stamps[left]!++;
    if (previous[left]! >= 0) offer(previous[left]!);
  }
  return { count, boundaries, costs };
}

/**
 * The state in which n segments are left.
 * @param order of `wardOrder` @param n wanted segments; all points stay apart where there are fewer @returns segments in order of time
 * @throws RangeError when n is not a whole number of at least 1
 */
export function cutOrder({ count, boundaries }: WardOrder, n: number): Segment[] {
  if (!Number.isInteger(n) || n < 1) throw new RangeError(`cutOrder: n is ${n}, expected a whole number of at least 1`);
  if (count === 0) return [];
  const starts = new Uint8Array(count).fill(1);
  for (let i = 0; i < count - n; i++) starts[boundaries[i]!] = 0;
  const begin = Array.from({ length: count }, (_, i) => i).filter(i => starts[i]);
  return begin.map((start, i) => ({ start, end: begin[i + 1] ?? count }));
}

/**
 * Rows of a stream.
 * @param where caller, for the message @param stream [T, dim] @returns T @throws RangeError when sizes do not fit
 */
export function checkedCount(where: string, { values, dim }: Vectors): number {
  if (!Number.isInteger(dim) || dim < 1 || values.length % dim !== 0) throw new RangeError(`${where}: ${values.length} values in rows of ${dim}, expected whole rows of at least 1`);
  return values.length / dim;
}
