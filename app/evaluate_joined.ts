// Selective decoding measured on joined clips: the adaptive curve beside uniform decoding, over several seeds (VL-JEPA figure 4, spec 1.10).
import { Tensor } from '../engine/tensor.ts';
import type { TextDecoder } from '../model/text_decoder.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';
import { CURVES, RATES_HZ, decodeCurve } from '../tasks/decode_curve.ts';
import type { CurveName, CurvePoint, DecodeCurve, Match, TextOf } from '../tasks/decode_curve.ts';
import { boundaryF1 } from '../tasks/metrics.ts';
import { nearest } from '../tasks/nearest.ts';
import { segmentStream } from '../tasks/selective.ts';
import type { ClipItem } from './clip_sets.ts';
import { headline } from './curve_chart.ts';
import { JOINED, joinedStream } from './joined_streams.ts';
import type { JoinSettings, JoinedStream } from './joined_streams.ts';

/** Seeds, and streams of each. */
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8, 9], STREAMS = 7;
const AVERAGES: readonly CurveName[] = ['adaptive average', 'uniform average'];

/** Median with the least and the greatest over seeds. */
export interface Spread { median: number; low: number; high: number }

/** Gain at a rate over all seeds, with its range over seeds. */
interface Gain { rateHz: number; adaptive: number; uniform: number; gain: Spread }

/** What a sweep says, by where the annotations are. */
export interface Placed {
  /** Uniform decodes per adaptive decode at equal CIDEr-D, at the uniform rate nearest to 1 Hz, over the seeds that have one; over all where their number is missing. */
  ratio: (Spread & { seeds?: number }) | undefined;
  /** CIDEr-D at each rate over all seeds, both with averages, and adaptive less uniform with its range over seeds. */
  gain: Gain[];
}

export interface JoinedFigures extends Placed {
  seeds: number;
  streams: number;
  clips: number;
  seconds: number;
  annotations: number;
  /** What texts are read out of. */
  text: string;
  /** All seeds together. */
  curve: DecodeCurve;
  /** The ratio at each uniform rate, over the seeds whose adaptive curve crosses that score. */
  ratios: { uniformHz: number; seeds: number; ratio: Spread }[];
  /** Ratio and gains when annotations lie anywhere in their scenes, by what they are matched with: middles of scenes suit the middles of segments. */
  anywhere?: Partial<Record<Match, Placed>>;
  /** F1 of the boundaries when as many segments are wanted as there are scenes, within one stride and two. */
  boundaries: { toleranceS: number; adaptive: number; uniform: number }[];
}

/** @param values at least one @returns median and range */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const n = sorted.length;
  return { median: (sorted[Math.floor((n - 1) / 2)]! + sorted[Math.floor(n / 2)]!) / 2, low: sorted[0]!, high: sorted[n - 1]! };
}

/** Reads texts out of a bank. @param model the model @param texts of the bank @param vectors [C, dim] @returns callback of the sweep */
export const bankText = (model: VLJEPA, texts: readonly string[], vectors: Tensor): TextOf => async (values, count) => {
  const rows = Tensor.from(model.device, values, [count, values.length / count]);
  try {
    return (await nearest(rows, vectors, 1)).map(([hit]) => texts[hit!.index]!);
  } finally {
    rows.dispose();
  }
};

/** Lets the decoder say them. @param decoder of the model @returns callback of the sweep */
export const decoderText = (decoder: TextDecoder): TextOf => async (values, count) => {
  const rows = Tensor.from(decoder.device, values, [count, values.length / count]);
  try {
    return await decoder.decode(rows, { batchSize: 256 });
  } finally {
    rows.dispose();
  }
};

/** Found boundaries against the joins: middles between the windows that a cut separates. */
function boundaryFigures(streams: readonly JoinedStream[]): JoinedFigures['boundaries'] {
  return [0.5, 1].map(toleranceS => {
    const f1 = (cut: (s: JoinedStream) => { start: number }[]): number => {
      const scores = streams.map(s => boundaryF1(cut(s).slice(1).map(({ start }) => ((s.timesS[start - 1]! + s.timesS[start]!) / 2)), s.joins, toleranceS).f1);
      return scores.reduce((a, b) => a + b, 0) / scores.length;
    };
    const even = (s: JoinedStream): { start: number }[] => Array.from({ length: s.joins.length + 1 }, (_, i) => ({ start: Math.floor((i * s.timesS.length) / (s.joins.length + 1)) }));
    return { toleranceS, adaptive: f1(s => segmentStream(s, s.joins.length + 1)), uniform: f1(even) };
  });
}

/** Score at the rate of the sweep that was meant. */
const scoreAt = ({ curves }: DecodeCurve, name: CurveName, rateHz: number): number | undefined => curves[name]!.find((p: CurvePoint) => meant(p.rateHz) === rateHz)?.cider;

/** Gains at the rates that every seed has. */
function gains(whole: DecodeCurve, each: readonly DecodeCurve[]): Gain[] {
  return [...RATES_HZ].reverse().flatMap(rateHz => {
    const pairs = [whole, ...each].map(c => [scoreAt(c, 'adaptive average', rateHz), scoreAt(c, 'uniform average', rateHz)] as const);
    if (!pairs.every(([a, u]) => a !== undefined && u !== undefined)) return [];
    const [[adaptive, uniform]] = pairs as [[number, number]];
    return [{ rateHz, adaptive, uniform, gain: spreadOf(pairs.slice(1).map(([a, u]) => a! - u!)) }];
  });
}

export interface JoinedOptions { seeds?: readonly number[]; streams?: number; settings?: JoinSettings; curves?: readonly CurveName[] }

/**
 * Measures selective decoding.
 * @param model the model @param pool clips that scenes are made of @param names of the concepts @param textOf text of embeddings @param text what that is, in words @param options seeds, streams of each, how they are joined
 * @returns curves over all seeds, ratios and gains with their range over seeds
 */
export async function joinedFigures(model: VLJEPA, pool: readonly ClipItem[], names: readonly string[], textOf: TextOf, text: string, { seeds = SEEDS, streams: count = STREAMS, settings = JOINED, curves = CURVES.filter(c => c !== 'online') }: JoinedOptions = {}): Promise<JoinedFigures> {
  const bySeed: JoinedStream[][] = [];
  for (const seed of seeds) {
    const list: JoinedStream[] = [];
    for (let i = 0; i < count; i++) list.push(await joinedStream(model, pool, names, seed, i, settings));
    bySeed.push(list);
  }
  const said = remembered(textOf, model.config.embeddingDim);
  const each: DecodeCurve[] = [];
  for (const streams of bySeed) each.push(await decodeCurve(streams, said, { curves: AVERAGES }));
  const curve = await decodeCurve(bySeed.flat(), said, { curves });
  const ratioOf = (curvesOfSeeds: readonly DecodeCurve[]): JoinedFigures['ratio'] => {
    const found = curvesOfSeeds.flatMap(e => headline(e)?.ratio ?? []);
    return found.length ? { ...spreadOf(found), seeds: found.length } : undefined;
  };
  const moved = bySeed.map(list => list.map(s => ({ ...s, annotations: s.anywhere })));
  const anywhere: Partial<Record<Match, Placed>> = {};
  for (const match of ['segment', 'point'] as const) {
    const options = { curves: AVERAGES, match };
    const ofSeeds: DecodeCurve[] = [];
    for (const streams of moved) ofSeeds.push(await decodeCurve(streams, said, options));
    anywhere[match] = { ratio: ratioOf(ofSeeds), gain: gains(await decodeCurve(moved.flat(), said, options), ofSeeds) };
  }
  const rates = [...new Set(each.flatMap(e => e.ratios.map(r => meant(r.uniformHz))))].sort((a, b) => a - b);
  return {
    seeds: seeds.length, streams: count, clips: settings.clips, seconds: curve.seconds, annotations: curve.annotations, text, curve,
    ratio: ratioOf(each),
    ratios: rates.map(uniformHz => {
      const found = each.flatMap(e => e.ratios.filter(r => meant(r.uniformHz) === uniformHz).map(r => r.ratio));
      return { uniformHz, seeds: found.length, ratio: spreadOf(found) };
    }),
    gain: gains(curve, each),
    anywhere,
    boundaries: boundaryFigures(bySeed.flat()),
  };
}

/** The rate of the sweep that was meant: whole numbers of decodes come near it. */
const meant = (hz: number): number => RATES_HZ.reduce<number>((a, b) => (Math.abs(Math.log(b / hz)) < Math.abs(Math.log(a / hz)) ? b : a), RATES_HZ[0]);

/** Texts of vectors that come again (the whole sweep after the seeds) are not asked for twice. */
function remembered(textOf: TextOf, dim: number): TextOf {
  const known = new Map<string, string>();
  const key = (values: Float32Array, i: number): string => String.fromCharCode(...new Uint16Array(values.slice(i * dim, (i + 1) * dim).buffer));
  return async (values, count) => {
    const keys = Array.from({ length: count }, (_, i) => key(values, i));
    const fresh = [...new Map(keys.flatMap((k, i) => (known.has(k) ? [] : [[k, i] as const])))];
    if (fresh.length) {
      const rows = new Float32Array(fresh.length * dim);
      fresh.forEach(([, i], r) => rows.set(values.subarray(i * dim, (i + 1) * dim), r * dim));
      const texts = await textOf(rows, fresh.length);
      fresh.forEach(([k], r) => known.set(k, texts[r]!));
    }
    return keys.map(k => known.get(k)!);
  };
}
