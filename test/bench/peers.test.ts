// The comparison with other libraries, without them: our side against the float64 results, those against differences, ratios, ONNX files, versions, the picture.
import type { PeersReport } from '../../bench/peers.ts';
import { writeOnnx } from '../../bench/peers/onnx.ts';
import { OURS, PLANNED, ourLibraries } from '../../bench/peers/ours.ts';
import { WrongResult, compare, referenceOf } from '../../bench/peers/reference.ts';
import { measureWork, ratioOf } from '../../bench/peers/turns.ts';
import type { Row } from '../../bench/peers/turns.ts';
import { ADAM, WORKS, valuesFor, work } from '../../bench/peers/works.ts';
import type { Spec } from '../../bench/peers/works.ts';
import { assert, close, device, isNode, suite } from '../harness.ts';

const test = suite('peers');
const FILES = 'it reads files, Node only';

const BLOCK = { batch: 1, tokens: 20, dim: 16, heads: 2, mlp: 24 };
/** One small work of every kind. */
const SMALL: readonly Spec[] = [
  { kind: 'matmul', m: 20, k: 12, n: 8 }, { kind: 'linear', m: 20, k: 12, n: 8, bias: true }, { kind: 'linear', m: 3, k: 12, n: 8, bias: false },
  { kind: 'attention', tokens: 20, heads: 2, headDim: 8 }, { kind: 'layerNorm', rows: 5, cols: 12 }, { kind: 'block', ...BLOCK }, { kind: 'contrastive', n: 6, dim: 8 },
  { kind: 'mlpStep', rows: 6, input: 8, hidden: 12, output: 4 }, { kind: 'transformerStep', layers: 2, ...BLOCK, batch: 2, tokens: 5 },
];

test('every kind of work is measured, and SMALL has all of them', () => {
  assert.equal(new Set(WORKS.map(w => w.spec.kind)), new Set(SMALL.map(s => s.kind)));
  assert.is(new Set(WORKS.map(w => w.name)).size, WORKS.length);
});

for (const spec of SMALL) {
  test(`ours, eager and planned: ${spec.kind} is right, twice`, async () => {
    const small = work('small', 'test', spec);
    const values = valuesFor(small);
    const reference = referenceOf(small, values);
    for (const library of ourLibraries(await device(), '0')) {
      const runner = await library.prepare(small, values);
      if (!runner) continue;
      assert.type(runner, 'object');
      if (typeof runner === 'string') continue;
      await runner.run();
      const first = await runner.results();
      const { checked } = compare(library.name, reference, first);
      assert.ok(checked > 0);
      await runner.run();
      const second = await runner.results();
      if (spec.kind.endsWith('Step')) assert.ok(second.loss![0]! < first.loss![0]!, 'a step lowers the loss');
      else compare(library.name, reference, second);
      runner.dispose();
    }
  });
}

test('a result that is off by a thousandth is wrong, as are a missing one and a short one', () => {
  const small = work('small', 'test', { kind: 'matmul', m: 40, k: 12, n: 8 });
  const values = valuesFor(small);
  const reference = referenceOf(small, values);
  const y = new Float32Array(40 * 8);
  for (let i = 0; i < 40; i++) for (let j = 0; j < 8; j++) for (let l = 0; l < 12; l++) y[i * 8 + j]! += values.a![i * 12 + l]! * values.b![l * 8 + j]!;
  const { nmse, checked, of } = compare('mine', reference, { y });
  assert.ok(nmse < 1e-12 && checked < of && of === 320);
  for (const bad of [y.map(v => v * 1.001), y.subarray(0, 300), y.map(() => NaN)]) assert.throws(() => compare('mine', reference, { y: bad }), (e: unknown) => e instanceof WrongResult);
  assert.throws(() => compare('mine', reference, {}), /^bench peers: mine has no values of y, expected 320; no time/);
});

test('the gradients of both training steps agree with differences of their loss', () => {
  for (const spec of SMALL.filter(s => s.kind.endsWith('Step'))) {
    const small = work('small', 'test', spec);
    const values = valuesFor(small);
    const reference = referenceOf(small, values);
    const lossAt = (changed: typeof values): number => referenceOf(small, changed).loss!.want[0]!;
    for (const name of Object.keys(reference).filter(n => n !== 'loss' && !n.startsWith('m.'))) {
      const x = values[name]!;
      const moment = reference[`m.${name}`];
      const gradient = moment ? moment.want.map(v => v / (1 - ADAM.beta1)) : reference[name]!.want.map(v => -v);
      const step = 1e-3;
      // Along a direction that f32 holds exactly: signs.
      const direction = x.map((_, i) => (i % 3 === 0 ? 1 : -1));
      const moved = (by: number) => lossAt({ ...values, [name]: Float32Array.from(x, (v, i) => v + by * direction[i]!) });
      const exact = Float32Array.from(x, (v, i) => v + step * direction[i]!).map((v, i) => v - Math.fround(x[i]! - step * direction[i]!));
      const want = gradient.reduce((s, g, i) => s + g * exact[i]!, 0);
      close([moved(step) - moved(-step)], [want], { rel: 2e-3, abs: 1e-6, name });
    }
  }
});

test('ratios compare pairs of one round with the peer that has the best median', () => {
  assert.equal(ratioOf([10, 20, 10], { slow: [100, 100, 100], fast: [30, 30, 90] }), { best: 'fast', median: 3, min: 1.5, max: 9 });
  assert.equal(ratioOf([10, 20], { one: [10, 10] }), { best: 'one', median: 0.75, min: 0.5, max: 1 });
  assert.is(ratioOf([1], {}), undefined);
});

test('a wrong peer gets no time and a reason; our own wrong result ends the run', async () => {
  const small = work('small', 'test', { kind: 'layerNorm', rows: 5, cols: 12 });
  const wrong = (name: string) => ({ name, version: '0', prepare: async () => ({ run() {}, sync: async () => {}, results: async () => ({ y: new Float32Array(60) }), dispose() {} }) });
  const none = { name: 'none', version: '0', prepare: async () => 'no reason' };
  const row = await measureWork(small, [...ourLibraries(await device(), '0'), wrong('peer'), none], 2);
  assert.match(row.cannot.peer!, /^is wrong, NMSE of y is 1\.0e\+0, expected at most 1e-9$/);
  assert.is(row.cannot.none, 'no reason');
  assert.equal([Object.keys(row.times), row.ratios], [[OURS], {}]);
  assert.is(row.times[OURS]!.samplesMs.length, 2);
  await measureWork(small, [wrong(PLANNED)], 1).then(() => assert.unreachable('expected an error'), error => assert.instance(error, WrongResult));
});

/** Fields of a protobuf message: number and value, bytes or a whole number. */
function fields(bytes: Uint8Array): [number, number | Uint8Array][] {
  const out: [number, number | Uint8Array][] = [];
  let at = 0;
  const varint = (): number => { let v = 0, unit = 1; for (;;) { const b = bytes[at++]!; v += (b & 127) * unit; unit *= 128; if (b < 128) return v; } };
  while (at < bytes.length) {
    const key = varint();
    if (key % 8 === 0) out.push([key >> 3, varint()]);
    else { const n = key % 8 === 5 ? 4 : varint(); out.push([key >> 3, bytes.subarray(at, at += n)]); }
  }
  return out;
}
const all = (bytes: Uint8Array, field: number): (number | Uint8Array)[] => fields(bytes).filter(([n]) => n === field).map(([, v]) => v);
const text = (bytes: unknown): string => new TextDecoder().decode(bytes as Uint8Array);

test('an ONNX file holds its nodes, shapes and constants', () => {
  const data = Float32Array.of(1, 2, 300);
  const node = { op: 'LayerNormalization', inputs: ['x', 'w'], outputs: ['y'], attributes: { epsilon: { float: 0.5 }, axes: [1, 200], mode: 'a' }, domain: 'd' };
  const bytes = writeOnnx({ nodes: [node], inputs: { x: [2, 300] }, outputs: { y: [2, 300] }, initializers: { w: { shape: [3], data }, s: { shape: [1], data: BigInt64Array.of(7n) } } });
  const [graph] = all(bytes, 7) as Uint8Array[];
  const [written] = all(graph!, 1) as Uint8Array[];
  assert.equal([all(written!, 1).map(text), all(written!, 2).map(text), all(written!, 4).map(text), all(written!, 7).map(text)], [['x', 'w'], ['y'], ['LayerNormalization'], ['d']]);
  const attributes = (all(written!, 5) as Uint8Array[]).map(a => [text(all(a, 1)[0]), all(a, 20)[0], all(a, 8)]);
  assert.equal(attributes, [['epsilon', 1, []], ['axes', 7, [1, 200]], ['mode', 3, []]]);
  const [w, s] = all(graph!, 5) as Uint8Array[];
  assert.equal([all(w!, 1), all(w!, 2), text(all(w!, 8)[0])], [[3], [1], 'w']);
  assert.equal(new Float32Array((all(w!, 9)[0] as Uint8Array).slice().buffer), data);
  assert.equal(all(s!, 2), [7]);
  const [input] = all(graph!, 11) as Uint8Array[];
  const shape = [2, 1, 2].reduce((m, f) => all(m, f)[0] as Uint8Array, input!);
  assert.equal((all(shape, 1) as Uint8Array[]).map(d => all(d, 1)[0]), [2, 300]);
  assert.throws(() => writeOnnx({ nodes: [{ ...node, attributes: { axis: -1 } }], inputs: {}, outputs: {}, initializers: {} }), /^onnx: -1 cannot be written/);
});

test.when(isNode, FILES, 'a peer that is not installed is named', async () => {
  const { versionsOf } = await import('../../bench/peers/packages.ts');
  assert.throws(() => versionsOf(['/no/such/folder']), /^bench peers: package @tensorflow\/tfjs-backend-webgpu is not installed, expected /);
});

const times = (medianMs: number) => ({ medianMs, minMs: medianMs, maxMs: medianMs, gflops: 2 / medianMs, samplesMs: [medianMs], inner: 1, firstMs: 1, nmse: 0, checked: 1, of: 1 });
const row: Row = {
  work: 'a < b', use: 'test', shape: '', flop: 2e6, cannot: { 'jax-js': 'no' },
  times: { [OURS]: times(2), [PLANNED]: times(1), tfjs: times(5), 'onnxruntime-web': times(8), 'onnxruntime-web, fused': times(4) },
  ratios: { [OURS]: { best: 'onnxruntime-web, fused', median: 2, min: 1, max: 3 }, [PLANNED]: { best: 'onnxruntime-web, fused', median: 4, min: 3.5, max: 4.5 } },
};
const report: PeersReport = { adapter: { notice: 'A & B, mesa: slow', profile: 'default', class: 'software' }, place: 'Node', date: '', command: '', cpus: 1, load: [0, 0], rounds: 1, libraries: {}, rows: [row, { ...row, ratios: {} }] };

test.when(isNode, FILES, 'the picture: our recorded form against the fastest form of each peer', async () => {
  const { drawChart, markdownTable, panelOf } = await import('../../bench/peers/chart.ts');
  const panel = panelOf(report);
  assert.equal(panel, {
    title: 'A & B, mesa, Node',
    groups: [{ work: 'a < b', best: 'onnxruntime-web', bars: [{ library: OURS, speed: 4, low: 3.5, high: 4.5, gflops: 2 }, { library: 'tfjs', speed: 0.8, gflops: 2 / 5 }, { library: 'onnxruntime-web', speed: 1, gflops: 0.5 }] }],
  });
  assert.is(markdownTable([panel]), '| work | A & B, mesa, Node |\n| --- | --- |\n| a < b | 2.0 GFLOP/s, **4.0** × onnxruntime-web (3.5-4.5) |');
  const svg = drawChart([panel, panelOf({ ...report, adapter: { ...report.adapter, profile: 'lavapipe' } })]);
  assert.ok(svg.includes('a &lt; b') && svg.includes('A &amp; B, mesa, Node') && svg.includes('lavapipe, Node') && svg.includes('4.0 × ort-web'));
  assert.is(svg.match(/<rect/g)!.length, 4 + 2 * 3);
  assert.ok(svg.includes('prefers-color-scheme: dark') && !/NaN|undefined/.test(svg));
  const widths = [...svg.matchAll(/<rect class="ours" x="276"[^>]*width="([\d.]+)"/g)].map(m => Number(m[1]));
  const others = [...svg.matchAll(/<rect class="b" x="276"[^>]*width="([\d.]+)"/g)].map(m => Number(m[1]));
  close([widths.at(-1)! / others.at(-1)!], [4], { rel: 1e-2, name: 'length of the bars' });
});

test.when(isNode, FILES, 'the table: ratios beside our lines, and who does not run', async () => {
  const { headLine, tableLines, worksFor } = await import('../../bench/peers.ts');
  const lines = tableLines(row);
  assert.is(lines.length, 6);
  assert.match(lines[1]!, /^a < b +vl-jepa, planned +1\.00 .* 4\.00 ort-web, fused +3\.50-4\.50$/);
  assert.match(lines[5]!, /^a < b +jax-js +no time: no$/);
  assert.is(headLine().indexOf('library'), lines[0]!.indexOf(OURS));
  assert.equal(worksFor('MATMUL').map(w => w.spec.kind), ['matmul', 'matmul']);
  assert.is(worksFor(undefined).length, WORKS.length);
});

test.run();
