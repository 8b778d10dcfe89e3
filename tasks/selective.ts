// Selective decoding (VL-JEPA section 3.4, spec 1.10): an embedding stream is cheap, text is not, so text is decoded where the meaning changed. Offline by Ward's clustering in time,
// the measured method; the baseline decodes at fixed intervals. For live streams see online_decoder.ts.
import { meanVector } from './mean_vector.ts';
import { checkedCount, cutOrder, wardOrder } from './ward.ts';
import type { Segment, Vectors, WardOrder } from './ward.ts';

export type { Segment, Vectors, WardOrder } from './ward.ts';
export { OnlineDecoder } from './online_decoder.ts';
export type { Decision, OnlineOptions, StableRun } from './online_decoder.ts';

/** Embeddings of sliding windows with their times. */
export interface EmbeddingStream extends Vectors {
  /** [T] middle of each window, s, growing. */
  readonly timesS: ArrayLike<number>;
}

/** What a segment is decoded from: the embedding at its middle, or the mean of its embeddings, of unit length again. */
export type Pooling = 'midpoint' | 'average';

/** One place where text is decoded. */
export interface DecodePoint extends Segment {
  /** Middle of the segment, s. */
  readonly timeS: number;
  /** [dim] */
  readonly vector: Float32Array;
}

/**
 * Cuts a stream where its meaning changes most: Ward's criterion, only neighbours in time merge, until n segments are left.
 * @param stream [T, dim] embeddings, or their merges from `wardOrder` @param n segments @returns segments in order of time
 * @throws RangeError for broken sizes or values
 */
export const segmentStream = (stream: Vectors | WardOrder, n: number): Segment[] => cutOrder('boundaries' in stream ? stream : wardOrder(stream), n);

/**
 * The baseline: segments of equal length.
 * @param count T @param n segments; at most T @returns segments in order of time, their lengths differ by at most one
 * @throws RangeError when n is not a whole number of at least 1
 */
export function uniformSegments(count: number, n: number): Segment[] {
  if (!Number.isInteger(n) || n < 1) throw new RangeError(`uniformSegments: n is ${n}, expected a whole number of at least 1`);
  const parts = Math.min(n, count);
  return Array.from({ length: parts }, (_, i) => ({ start: Math.floor((i * count) / parts), end: Math.floor(((i + 1) * count) / parts) }));
}

/**
 * Where and from what each segment is decoded.
 * @param stream [T, dim] with times @param segments of the stream @param pooling midpoint or average @returns one point per segment
 * @throws RangeError when times and rows do not fit
 */
export function decodePoints(stream: EmbeddingStream, segments: readonly Segment[], pooling: Pooling): DecodePoint[] {
  const { values, dim, timesS } = stream;
  const count = checkedCount('decodePoints', stream);
  if (timesS.length !== count) throw new RangeError(`decodePoints: ${timesS.length} times, expected ${count}, one per embedding`);
  return segments.map(({ start, end }) => {
    const middle = Math.floor((start + end - 1) / 2);
    const timeS = (timesS[start]! + timesS[end - 1]!) / 2;
    const vector = pooling === 'average' ? meanVector(values, dim, start, end) : Float32Array.from({ length: dim }, (_, d) => values[middle * dim + d]!);
    return { start, end, timeS, vector };
  });
}

/**
 * Seconds that a stream covers: from its first to its last embedding and one step more.
 * @param timesS [T] growing times, s @returns duration, s; 0 for fewer than two
 */
export function streamDuration(timesS: ArrayLike<number>): number {
  const count = timesS.length;
  return count < 2 ? 0 : ((timesS[count - 1]! - timesS[0]!) * count) / (count - 1);
}
