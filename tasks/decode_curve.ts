// The figure of selective decoding (VL-JEPA figure 4, spec 1.10): text decoded how often, against CIDEr of what is nearest in time to each annotation.
import { ciderD } from './metrics_caption.ts';
import { OnlineDecoder, decodePoints, segmentStream, streamDuration, uniformSegments } from './selective.ts';
import type { EmbeddingStream, OnlineOptions, Pooling, Segment, WardOrder } from './selective.ts';
import { wardOrder } from './ward.ts';

/** What a person wrote about one moment of a stream. */
export interface Annotation {
  readonly timeS: number;
  /** One sentence, or several that say the same. */
  readonly text: string | readonly string[];
}

export interface AnnotatedStream extends EmbeddingStream {
  readonly annotations: readonly Annotation[];
}

/** Text of embeddings: a decoder, or the nearest of a bank. Gets [n, dim] row-major. */
export type TextOf = (vectors: Float32Array, count: number) => readonly string[] | Promise<readonly string[]>;

export const CURVES = ['adaptive average', 'adaptive midpoint', 'uniform average', 'uniform midpoint', 'online'] as const;
export type CurveName = (typeof CURVES)[number];

export interface CurvePoint {
  /** Decodes per second over all streams. */
  rateHz: number;
  decodes: number;
  /** Mean CIDEr-D over the matched pairs, 0 to 10. */
  cider: number;
  /** θ, where the curve is 'online'. */
  threshold?: number;
}

export interface DecodeCurve {
  seconds: number;
  annotations: number;
  curves: Partial<Record<CurveName, CurvePoint[]>>;
  /** Uniform decodes per adaptive decode at equal CIDEr, at each uniform point that the adaptive curve reaches; both with averages. */
  ratios: { uniformHz: number; adaptiveHz: number; cider: number; ratio: number }[];
}

export interface CurveOptions {
  /** Wanted mean decode rates, Hz; 2 down to 0.01 where missing, as in the paper. */
  readonly ratesHz?: readonly number[];
  /** Which curves; all but 'online' where missing, which needs `thresholds`. */
  readonly curves?: readonly CurveName[];
  /** Thresholds of the online decoder, one point each. */
  readonly thresholds?: readonly number[];
  /** Its other settings. */
  readonly online?: Omit<OnlineOptions, 'threshold'>;
  /** 'point' where missing. */
  readonly match?: Match;
}

/** Rates of the paper's sweep, 0.5 s to 100 s between decodes. */
export const RATES_HZ = [2, 1, 0.7, 0.5, 0.35, 0.25, 0.2, 0.14, 0.1, 0.07, 0.05, 0.02, 0.01] as const;

/**
 * What an annotation is matched with: the decode point nearest in time, as in the paper; or the segment that it lies in, since a text holds for its whole segment
 * (an annotation late in a long segment may be nearer to the middle of the short one after it).
 */
export type Match = 'point' | 'segment';

/** A decoded text and when it holds. */
interface Place { readonly timeS: number; readonly toS: number; readonly vector: Float32Array }

/** Index of the place that an annotation is matched with; the earlier of two that are equally near. */
function placeOf(places: readonly Place[], timeS: number, match: Match): number {
  const key = (p: Place): number => (match === 'segment' ? p.toS : p.timeS);
  let [low, high] = [0, places.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(places[middle]!) < timeS) low = middle + 1;
    else high = middle;
  }
  return match === 'point' && low > 0 && timeS - places[low - 1]!.timeS <= Math.abs(places[low]!.timeS - timeS) ? low - 1 : low;
}

/** Scores decoded places against the annotations that are matched with them. */
async function measure(streams: readonly AnnotatedStream[], places: readonly (readonly Place[])[], seconds: number, textOf: TextOf, match: Match): Promise<CurvePoint> {
  const all = places.flat();
  const dim = streams[0]!.dim;
  const vectors = new Float32Array(all.length * dim);
  all.forEach(({ vector }, i) => vectors.set(vector, i * dim));
  const texts = all.length ? await textOf(vectors, all.length) : [];
  if (texts.length !== all.length) throw new RangeError(`decodeCurve: the text callback gave ${texts.length} texts, expected ${all.length}, one per embedding`);
  let first = 0;
  const items = streams.flatMap(({ annotations }, s) => {
    const own = places[s]!;
    const from = first;
    first += own.length;
    return annotations.map(({ timeS, text }) => ({ caption: own.length ? texts[from + placeOf(own, timeS, match)]! : '', references: typeof text === 'string' ? [text] : text }));
  });
  return { rateHz: all.length / seconds, decodes: all.length, cider: ciderD(items).mean };
}

function onlinePlaces(stream: AnnotatedStream, options: OnlineOptions): Place[] {
  const decoder = new OnlineDecoder(stream.dim, options);
  const places: Place[] = [];
  const take = (run: { vector: Float32Array; fromS: number; toS: number } | undefined): void => { if (run) places.push({ timeS: (run.fromS + run.toS) / 2, toS: run.toS, vector: run.vector }); };
  for (let t = 0; t < stream.timesS.length; t++) {
    take(decoder.push(Array.from({ length: stream.dim }, (_, d) => stream.values[t * stream.dim + d]!), stream.timesS[t]!).decode);
  }
  take(decoder.finish());
  return places;
}

/** Segments of one stream at a rate. */
function segmentsAt(stream: AnnotatedStream, order: WardOrder, adaptive: boolean, rateHz: number): Segment[] {
  const n = Math.min(stream.timesS.length, Math.max(1, Math.round(rateHz * streamDuration(stream.timesS))));
  return adaptive ? segmentStream(order, n) : uniformSegments(stream.timesS.length, n);
}

const placesOf = (stream: AnnotatedStream, segments: readonly Segment[], pooling: Pooling): Place[] =>
  decodePoints(stream, segments, pooling).map(({ timeS, vector, end }) => ({ timeS, toS: stream.timesS[end - 1]!, vector }));

/**
 * Sweeps the decode rate: each annotation is matched to a decoded text by time, CIDEr-D over all pairs.
 * @param streams embeddings with times and annotations, all of one width @param textOf text of embeddings, asked once per point of a curve @param options rates and curves
 * @returns the curves, and the ratio of decodes at equal CIDEr
 * @throws RangeError without annotations, for streams of different width, an empty stream, or broken sizes
 */
export async function decodeCurve(streams: readonly AnnotatedStream[], textOf: TextOf, options: CurveOptions = {}): Promise<DecodeCurve> {
  const { match = 'point' } = options;
  const annotations = streams.reduce((n, s) => n + s.annotations.length, 0);
  if (annotations === 0) throw new RangeError('decodeCurve: there is no annotation, expected at least one');
  const [{ dim }] = streams as [AnnotatedStream];
  streams.forEach((s, i) => {
    if (s.dim !== dim) throw new RangeError(`decodeCurve: stream ${i} has embeddings of ${s.dim}, expected ${dim} as stream 0`);
    if (s.timesS.length < 2) throw new RangeError(`decodeCurve: stream ${i} has ${s.timesS.length} embeddings, expected at least 2`);
  });
  const seconds = streams.reduce((t, s) => t + streamDuration(s.timesS), 0);
  const orders = streams.map(wardOrder);
  const curves: Partial<Record<CurveName, CurvePoint[]>> = {};
  for (const name of options.curves ?? CURVES.filter(c => c !== 'online' || options.thresholds)) {
    const points: CurvePoint[] = [];
    if (name === 'online') {
      for (const threshold of options.thresholds ?? []) points.push({ ...(await measure(streams, streams.map(s => onlinePlaces(s, { ...options.online, threshold })), seconds, textOf, match)), threshold });
    } else {
      const [adaptive, pooling] = [name.startsWith('adaptive'), name.split(' ')[1] as Pooling];
      for (const rate of options.ratesHz ?? RATES_HZ) points.push(await measure(streams, streams.map((s, i) => placesOf(s, segmentsAt(s, orders[i]!, adaptive, rate), pooling)), seconds, textOf, match));
    }
    curves[name] = distinct(points);
  }
  return { seconds, annotations, curves, ratios: ratiosAtEqual(curves['uniform average'] ?? [], curves['adaptive average'] ?? []) };
}

/** By growing rate, each number of decodes once. */
function distinct(points: readonly CurvePoint[]): CurvePoint[] {
  const sorted = [...points].sort((a, b) => a.decodes - b.decodes);
  return sorted.filter((p, i) => i === 0 || p.decodes !== sorted[i - 1]!.decodes);
}

/**
 * The least rate at which a curve reaches a score, between its points straight over the logarithm of the rate.
 * @param curve by growing rate @param cider wanted score @returns rate in Hz; undefined where the curve does not reach it, or begins above it (the crossing lies outside)
 */
export function rateAtScore(curve: readonly CurvePoint[], cider: number): number | undefined {
  const at = curve.findIndex(p => p.cider >= cider);
  if (at === -1) return undefined;
  const high = curve[at]!;
  if (at === 0) return high.cider === cider ? high.rateHz : undefined;
  const low = curve[at - 1]!;
  const share = (cider - low.cider) / (high.cider - low.cider);
  return Math.exp(Math.log(low.rateHz) + share * (Math.log(high.rateHz) - Math.log(low.rateHz)));
}

/**
 * How many times fewer decodes the adaptive curve needs for the score of each point of the uniform one; the paper has 1 / 0.35 = 2.85 at 1 Hz.
 * @param uniform by growing rate @param adaptive by growing rate @returns one entry per uniform point whose score the adaptive curve crosses
 */
export function ratiosAtEqual(uniform: readonly CurvePoint[], adaptive: readonly CurvePoint[]): DecodeCurve['ratios'] {
  return uniform.flatMap(({ rateHz: uniformHz, cider }) => {
    const adaptiveHz = rateAtScore(adaptive, cider);
    return adaptiveHz === undefined ? [] : [{ uniformHz, adaptiveHz, cider, ratio: uniformHz / adaptiveHz }];
  });
}
