import { curveChart, headline } from '../../app/curve_chart.ts';
import { decodeCurve, rateAtScore, ratiosAtEqual } from '../../tasks/decode_curve.ts';
import type { AnnotatedStream } from '../../tasks/decode_curve.ts';
import { OnlineDecoder, decodePoints, segmentStream, streamDuration, uniformSegments } from '../../tasks/selective.ts';
import type { Decision, Segment } from '../../tasks/selective.ts';
import { wardOrder } from '../../tasks/ward.ts';
import { assert, close, generator, random, suite } from '../harness.ts';

const test = suite('selective decoding');

/** Points of spec 1.10. */
const POINTS = { values: [0, 0, 0.1, 0, 0.2, 0.1, 2, 2, 2.1, 2, 2, 2.2, 5, 0, 5.2, 0.1], dim: 2 };
const inclusive = (segments: readonly Segment[]): [number, number][] => segments.map(({ start, end }) => [start, end - 1]);

test('Ward\'s merges and segments of the specification\'s points', () => {
  close([...wardOrder(POINTS).costs], [0.005, 0.005, 0.021667, 0.025, 0.028333, 11.808333, 25.901667], { abs: 5e-7, name: 'costs' });
  assert.equal(inclusive(segmentStream(POINTS, 3)), [[0, 2], [3, 5], [6, 7]]);
  assert.equal(inclusive(segmentStream(POINTS, 2)), [[0, 5], [6, 7]]);
  assert.equal(inclusive(segmentStream(POINTS, 5)), [[0, 2], [3, 4], [5, 5], [6, 6], [7, 7]]);
  assert.is(segmentStream(POINTS, 99).length, 8);
});

test('equal costs merge by the lower index', () => {
  const line = { values: [0, 1, 2, 3, 4], dim: 1 }; // exact numbers: all first costs are 0.5
  assert.equal([...wardOrder(line).boundaries].slice(0, 2), [1, 3]);
  assert.equal([...wardOrder({ values: new Float32Array(6), dim: 1 }).boundaries], [1, 2, 3, 4, 5]);
});

/** The same by trying every pair before each merge. */
function slowly(values: ArrayLike<number>, dim: number): { costs: number[]; boundaries: number[] } {
  let segments = Array.from({ length: values.length / dim }, (_, i) => ({ start: i, n: 1, mean: Array.from({ length: dim }, (_, d) => values[i * dim + d]!) }));
  const costs: number[] = [], boundaries: number[] = [];
  while (segments.length > 1) {
    const pairs = segments.slice(1).map((b, i) => (segments[i]!.n * b.n) / (segments[i]!.n + b.n) * segments[i]!.mean.reduce((s, m, d) => s + (m - b.mean[d]!) ** 2, 0));
    const at = pairs.indexOf(Math.min(...pairs));
    const [a, b] = [segments[at]!, segments[at + 1]!];
    costs.push(pairs[at]!);
    boundaries.push(b.start);
    const merged = { start: a.start, n: a.n + b.n, mean: a.mean.map((m, d) => (a.n * m + b.n * b.mean[d]!) / (a.n + b.n)) };
    segments = [...segments.slice(0, at), merged, ...segments.slice(at + 2)];
  }
  return { costs, boundaries };
}

test('the heap finds what trying every pair finds, and the costs add up to the sum of squares', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const [count, dim] = [2 + seed * 3, 1 + (seed % 4)];
    const values = random([count, dim], seed);
    const fast = wardOrder({ values, dim });
    const slow = slowly(values, dim);
    assert.equal([...fast.boundaries], slow.boundaries, `seed ${seed}`);
    close([...fast.costs], slow.costs, { rel: 1e-9, abs: 1e-12, name: 'costs' });
    const means = Array.from({ length: dim }, (_, d) => Array.from({ length: count }, (_, t) => values[t * dim + d]!).reduce((s, v) => s + v, 0) / count);
    const squares = values.reduce((s, v, i) => s + (v - means[i % dim]!) ** 2, 0);
    close([fast.costs.reduce((s, c) => s + c, 0)], [squares], { rel: 1e-9, name: 'sum of squares' });
  }
});

test('20,000 embeddings of width 64 are merged in seconds; nothing, one and broken input', () => {
  const began = performance.now();
  assert.is(wardOrder({ values: random([20_000, 64], 3), dim: 64 }).boundaries.length, 19_999);
  assert.ok(performance.now() - began < 20_000, `${performance.now() - began} ms`);
  assert.equal(segmentStream({ values: [], dim: 3 }, 4), []);
  assert.equal(segmentStream({ values: [1, 2], dim: 2 }, 1), [{ start: 0, end: 1 }]);
  assert.throws(() => wardOrder({ values: [1, NaN], dim: 1 }), /a value of the stream is not finite/);
  assert.throws(() => wardOrder({ values: [1, 2, 3], dim: 2 }), /3 values in rows of 2/);
  assert.throws(() => segmentStream(POINTS, 0), /n is 0, expected a whole number of at least 1/);
});

test('points are decoded at the middle or from the mean; uniform segments are equal', () => {
  const stream = { values: [1, 0, 0.6, 0.8, 0, 1, 1, 0], dim: 2, timesS: [0, 1, 2, 3] };
  const [a, b] = decodePoints(stream, [{ start: 0, end: 3 }, { start: 3, end: 4 }], 'midpoint');
  assert.equal([a!.timeS, b!.timeS], [1, 3]);
  close([...a!.vector], [0.6, 0.8], { abs: 1e-7, name: 'middle' });
  const [mean] = decodePoints(stream, [{ start: 0, end: 3 }], 'average');
  close([...mean!.vector], [1.6 / Math.hypot(1.6, 1.8), 1.8 / Math.hypot(1.6, 1.8)], { abs: 1e-7, name: 'mean of unit length' });
  assert.equal(inclusive(uniformSegments(10, 3)), [[0, 2], [3, 5], [6, 9]]);
  assert.is(uniformSegments(3, 10).length, 3);
  assert.is(streamDuration([0, 0.5, 1, 1.5]), 2);
  assert.throws(() => decodePoints({ ...stream, timesS: [1] }, [], 'average'), /1 times, expected 4/);
});

const AXES = 6;
/** Joined scenes: each stays near one axis, with noise. */
function scenes(lengths: readonly number[], seed: number, { hz = 4, noise = 0.25, middles = false } = {}): AnnotatedStream & { joins: number[] } {
  const next = generator(seed);
  const rows: number[][] = [];
  const [annotations, joins] = [[] as { timeS: number; text: string }[], [] as number[]];
  lengths.forEach((length, s) => {
    const axis = (s * 5 + seed) % AXES;
    if (s) joins.push(rows.length / hz);
    for (let i = 0; i < length; i++) {
      const v = Array.from({ length: AXES }, (_, d) => (d === axis ? 1 : 0) + noise * (next() - 0.5));
      const norm = Math.hypot(...v);
      rows.push(v.map(x => x / norm));
      if (middles ? i === length >> 1 : i % 5 === 2) annotations.push({ timeS: (rows.length - 1) / hz, text: TEXTS[axis]! });
    }
  });
  return { values: rows.flat(), dim: AXES, timesS: rows.map((_, i) => i / hz), annotations, joins };
}
const TEXTS = ['a man chops an onion', 'oil is poured into a hot pan', 'the dog sleeps on the sofa', 'two people cross a busy street', 'a bird sits on the old fence', 'rain falls on the garden'];
const bank = (vectors: Float32Array, count: number): string[] => Array.from({ length: count }, (_, i) => {
  const row = vectors.subarray(i * AXES, (i + 1) * AXES);
  return TEXTS[row.indexOf(Math.max(...row))]!;
});

test('online: one decode per scene, from the scene\'s own mean, never within the gap', () => {
  const lengths = [40, 24, 60, 33, 28];
  const stream = scenes(lengths, 2, { noise: 0.1 });
  for (const run of ['before', 'after'] as const) {
    const decoder = new OnlineDecoder(AXES, { window: 8, threshold: 0.05, minGapS: 3, run });
    const decisions = stream.timesS as number[];
    const runs = decisions.map((t, i): Decision => decoder.push((stream.values as number[]).slice(i * AXES, (i + 1) * AXES), t)).filter(d => d.decode);
    const decoded = [...runs.map(d => d.decode!), ...[decoder.finish()].filter(d => d !== undefined)];
    assert.is(decoded.length, lengths.length, run);
    assert.equal(bank(Float32Array.from(decoded.flatMap(d => [...d.vector])), decoded.length), lengths.map((_, s) => TEXTS[(s * 5 + 2) % AXES]!), run);
    for (const d of decoded) close([d.vector.reduce((s, v) => s + v * v, 0)], [1], { abs: 1e-6, name: 'unit length' });
    runs.slice(1).forEach((d, i) => assert.ok(d.timeS - runs[i]!.timeS >= 3));
  }
});

test('online: the variance is that of the window; rounding does not pile up; state starts anew after the end', () => {
  const [dim, window] = [5, 4];
  const decoder = new OnlineDecoder(dim, { window, threshold: 1e9 });
  const values = random([3000, dim], 5);
  let last = NaN;
  for (let t = 0; t < 3000; t++) last = decoder.push(values.subarray(t * dim, (t + 1) * dim), t).variance;
  const rows = Array.from({ length: window }, (_, i) => [...values.subarray((2996 + i) * dim, (2997 + i) * dim)]);
  const mean = rows[0]!.map((_, d) => rows.reduce((s, r) => s + r[d]!, 0) / window);
  close([last], [rows.reduce((s, r) => s + r.reduce((q, v, d) => q + (v - mean[d]!) ** 2, 0), 0) / window], { rel: 1e-12, name: 'variance' });
  decoder.finish();
  assert.ok(Number.isNaN(decoder.push(new Float32Array(dim), 0).variance), 'a new stream');
});

test('online: 80,000 embeddings in flat memory, and each as quick as the first', () => {
  const decoder = new OnlineDecoder(64, { window: 16, threshold: 0.4, minGapS: 1 });
  const rows = Array.from({ length: 97 }, (_, i) => random([64], i, { scale: 0.15 }));
  const time = (from: number, to: number): number => {
    const began = performance.now();
    for (let t = from; t < to; t++) decoder.push(rows[t % 97]!, t / 10);
    return performance.now() - began;
  };
  time(0, 20_000);
  const early = time(20_000, 50_000);
  const late = time(50_000, 80_000);
  assert.ok(late < 3 * early + 50, `${early} ms, then ${late} ms`);
  const held = Object.values(decoder).reduce((n: number, v: unknown) => n + (ArrayBuffer.isView(v) ? v.byteLength : 0), 0);
  assert.is(held, 16 * 64 * 4 + 16 * 8 + 2 * 64 * 8, 'ring, times and two sums are all there is');
});

test('online: wrong settings and input are refused', () => {
  for (const [options, said] of [[{ window: 1 }, /window is 1, expected a whole number of at least 2/], [{ threshold: -1 }, /threshold is -1/], [{ minGapS: NaN }, /minGapS is NaN/], [{ run: 'x' as 'after' }, /run is x, expected before or after/]] as const) {
    assert.throws(() => new OnlineDecoder(3, options), said);
  }
  assert.throws(() => new OnlineDecoder(0), /dim is 0/);
  const decoder = new OnlineDecoder(2);
  decoder.push([1, 0], 5);
  assert.throws(() => decoder.push([1], 6), /has 1 values, expected 2/);
  assert.throws(() => decoder.push([1, 0], 4), /the time is 4 s after 5 s/);
  assert.throws(() => decoder.push([1, NaN], 6), /value 1 of the embedding at 6 s is NaN/);
});

/** Three streams of twenty joined scenes of 2 to 17 s. */
function joined(middles = false): AnnotatedStream[] {
  const next = generator(11);
  return [1, 2, 3].map(seed => scenes(Array.from({ length: 20 }, () => 8 + Math.floor(60 * next() ** 3)), seed, { noise: 0.8, middles }));
}

test('the sweep: on joined scenes adaptive lies above uniform at every rate, with the ratio at equal CIDEr', async () => {
  const result = await decodeCurve(joined(), bank, { match: 'segment', thresholds: [0.1, 0.2, 0.4], online: { window: 8, minGapS: 1 } });
  assert.equal(Object.keys(result.curves), ['adaptive average', 'adaptive midpoint', 'uniform average', 'uniform midpoint', 'online']);
  const [adaptive, uniform] = [result.curves['adaptive average']!, result.curves['uniform average']!];
  assert.ok(uniform.length >= 12 && result.curves.online!.length >= 2);
  uniform.forEach((u, i) => assert.ok(adaptive[i]!.decodes === u.decodes && (adaptive[i]!.cider > u.cider || (u.decodes <= 8 && adaptive[i]!.cider >= u.cider - 0.05)), `at ${u.rateHz} Hz: ${adaptive[i]!.cider} against ${u.cider}`));
  const found = headline(result)!;
  assert.ok(found.uniformHz > 0.9 && found.ratio > 3, `ratio ${found.ratio} at ${found.uniformHz} Hz`);
  assert.ok(adaptive.at(-1)!.cider > 9.9, 'text of the right scene scores 10');
  const svg = curveChart(result, 'Joined <scenes>');
  assert.match(svg, /^<svg [^>]*role="img" aria-label="Joined &#60;scenes&#62;. At equal CIDEr-D adaptive decoding needs /);
  assert.is(svg.split('<circle').length - 1, Object.values(result.curves).reduce((n, c) => n + c.length, 0));
  assert.not.match(svg, /NaN|Infinity|undefined/);
});

test('the sweep as in the paper, matched by decode points: fewer decodes at the middle rates', async () => {
  const { ratios } = await decodeCurve(joined(), bank, { curves: ['adaptive average', 'uniform average'], ratesHz: [0.02, 0.05, 0.07, 0.1, 0.14, 0.2, 0.25] });
  const middle = ratios.filter(r => r.uniformHz > 0.04);
  assert.ok(middle.length >= 5 && middle.every(r => r.ratio > 1.1), JSON.stringify(ratios));
});

test('the sweep as in the paper, one annotation at the middle of each scene: adaptive lies nowhere below uniform where a scene may have a decode of its own', async () => {
  const { curves } = await decodeCurve(joined(true), bank, { curves: ['adaptive average', 'uniform average'], ratesHz: [0.14, 0.2, 0.25, 0.35, 0.5, 0.7, 1, 2] });
  const [adaptive, uniform] = [curves['adaptive average']!, curves['uniform average']!];
  assert.is(uniform.length, 8);
  uniform.forEach((u, i) => assert.ok(adaptive[i]!.cider >= u.cider, `at ${u.rateHz} Hz: ${adaptive[i]!.cider} against ${u.cider}`));
  assert.ok(adaptive[2]!.cider > uniform[2]!.cider + 1, 'and far above where there is one for each');
});

test('the sweep: nearest in time, one decode for all, and errors', async () => {
  const stream: AnnotatedStream = { values: [1, 0, 1, 0, 0, 1, 0, 1], dim: 2, timesS: [0, 1, 2, 3], annotations: [{ timeS: 0.2, text: 'red apple falls down' }, { timeS: 2.9, text: ['blue door opens wide'] }] };
  const textOf = (v: Float32Array, n: number): string[] => Array.from({ length: n }, (_, i) => (v[2 * i]! > 0.9 ? 'red apple falls down' : v[2 * i + 1]! > 0.9 ? 'blue door opens wide' : 'mud'));
  const { curves, seconds } = await decodeCurve([stream], textOf, { ratesHz: [0.01, 0.5, 1], curves: ['adaptive average'] });
  assert.is(seconds, 4);
  assert.equal(curves['adaptive average']!.map(p => [p.decodes, Math.round(p.cider)]), [[1, 0], [2, 10], [4, 10]]);
  const fails = async (streams: AnnotatedStream[], callback: typeof textOf, said: RegExp): Promise<void> => decodeCurve(streams, callback, { ratesHz: [1] }).then(() => assert.unreachable(), e => assert.match((e as Error).message, said));
  await fails([{ ...stream, annotations: [] }], textOf, /there is no annotation/);
  await fails([stream], () => ['x'], /gave 1 texts, expected 4/);
  await fails([stream, { ...stream, dim: 4, values: [] }], textOf, /stream 1 has embeddings of 4, expected 2/);
});

test('the ratio at equal score is interpolated over the logarithm of the rate', () => {
  const curve = [[0.1, 1], [0.4, 3], [1, 4]].map(([rateHz, cider]) => ({ rateHz: rateHz!, cider: cider!, decodes: rateHz! * 100 }));
  close([rateAtScore(curve, 2)!], [0.2], { rel: 1e-12, name: 'rate' });
  assert.equal([rateAtScore(curve, 5), rateAtScore(curve, 0.5)], [undefined, undefined]);
  close([ratiosAtEqual([{ rateHz: 0.57, cider: 2, decodes: 57 }], curve)[0]!.ratio], [2.85], { rel: 1e-12, name: 'ratio' });
});

test.run();
