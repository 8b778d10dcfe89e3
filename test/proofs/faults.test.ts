// The harness sees what it is there to see: for every kind of fault an op that has it, next to the same op without it.
import { dispatch } from '../../engine/dispatch.ts';
import { record } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import { add, addScalar, concat, mul, reshape, scale, slice } from '../../kernels/index.ts';
import { broadcast } from '../../kernels/elementwise.ref.ts';
import { cache_rows, fill } from '../../kernels/wgsl.gen.ts';
import { wordMoves } from '../../kernels/word_moves.ts';
import { assert, device, suite } from '../harness.ts';
import { drawFor, FULL_CAP } from './draw.ts';
import { ALL_CHECKS, checkAll, checkBatch, command, entryOf, fastSpecs, shrink } from './harness.ts';
import { FUZZ_SHARES, plan } from './plan.ts';
import { CLASSES, proof } from './proof.ts';
import type { Case, Proof } from './proof.ts';

const test = suite('proof harness');

/** y = 2x over [rows, cols], proven by everything there is. */
const sound = proof<null>({
  name: 'double', ops: [],
  draw: r => ({ inputs: [{ shape: r.shape(2, 600, 1), kind: 'float', storage: ['bf16'], most: 1e37 }], options: null }),
  run: ([x]) => scale(x!, 2),
  reference: ([x]) => x!.map(v => 2 * v),
  backward: (_, dy) => [dy.map(v => 2 * v)],
  exact: 'integers', relative: true, element: 1e-7,
  rows: () => ({ inputs: [0], outputs: [0] }), nonfinite: 'propagates',
});

const CASES = 12;

async function faultsOf(entry: Proof, count = CASES): Promise<string[]> {
  const d = await device();
  return (await checkAll(d, [entry], fastSpecs(entry, count), ALL_CHECKS)).flatMap(c => c.judgement.fault ?? []);
}

/** The sound op with something else about it. */
const but = (name: string, change: Partial<Proof>): Proof => ({ ...sound, name, ...change });

/** The sound result with one element replaced. */
function spoilt(x: Tensor, value: (v: Tensor) => Tensor): Tensor {
  const y = scale(x, 2);
  const flat = reshape(y, [x.size]);
  const at = Math.floor(x.size / 2);
  return reshape(concat([slice(flat, 0, 0, at), value(slice(flat, 0, at, at + 1)), slice(flat, 0, at + 1, x.size)], 0), x.shape);
}

/** Writes all but, or more than, the elements of a copy. */
function filled(x: Tensor, words: (n: number) => number): Tensor {
  const y = Tensor.empty(x.device, x.shape);
  dispatch(x.device, fill, 'forward', { x: y }, { words: words(x.size), word: 0 }, Math.ceil((words(x.size) + 1) / 64));
  return y;
}

/** A copy of so many words, the first of which are those of x. */
function copied(x: Tensor, words: (n: number) => number): Tensor {
  const y = Tensor.empty(x.device, x.shape);
  dispatch(x.device, cache_rows, 'write_rows', { x, cache: y }, { count: words(x.size), tokens: x.size, width: 1, length: x.size, position: 0 }, Math.ceil(words(x.size) / 64), wordMoves('f32', 1).options);
  return y;
}

const copy: Partial<Proof> = {
  draw: r => ({ inputs: [{ shape: r.shape(2, 600, 1), kind: 'float', grad: false }], options: null }), reference: ([x]) => x!, exact: 'bits', backward: undefined, noGradient: 'a copy for this test', rows: undefined,
};

const zeros: Partial<Proof> = { reference: ([x]) => x!.map(() => 0), backward: ([x]) => [x!.map(() => 0)], nonfinite: { open: 'a constant takes no notice of its input' }, exact: 'bits' };

test('an op without a fault passes every check', async () => {
  assert.equal(await faultsOf(sound, 40), []);
  assert.equal(await faultsOf(but('zeros', { ...zeros, run: ([x]) => filled(x!, n => n) })), []);
  assert.equal(await faultsOf(but('copy', { ...copy, run: ([x]) => copied(x!, n => n) })), []);
});

let counter = 0;

/** Faults, and what the harness has to say about each. */
const FAULTS: readonly (readonly [string, Partial<Proof>, RegExp])[] = [
  ['a gap that nobody writes', { ...zeros, run: ([x]) => filled(x!, n => n - 1) }, /not exact|differs over another poison|has the bits/],
  ['a write behind the end', { ...zeros, run: ([x]) => filled(x!, n => n + 1) }, /guard word 0 behind/],
  ['a copy that goes on behind the end', { ...copy, run: ([x]) => copied(x!, n => n + 1) }, /guard word 0 behind/],
  ['a wrong value', { run: ([x]) => scale(x!, 2.0001) }, /NMSE|not exact/],
  ['one wrong element among many', { exact: undefined, run: ([x]) => spoilt(x!, v => scale(v, 1.001)) }, /element/],
  ['one element off by an ulp in integers', { run: ([x]) => spoilt(x!, v => scale(v, 1 + 2 ** -23)) }, /not exact/],
  ['a NaN among good values', { exact: undefined, run: ([x], _, d) => spoilt(x!, () => Tensor.from(d, [NaN])) }, /element \d+ of \d+: .*NaN/],
  ['an infinity among good values', { exact: undefined, run: ([x], _, d) => spoilt(x!, () => Tensor.from(d, [Infinity])) }, /Infinity/],
  ['rows in the wrong order', { run: ([x]) => (x!.shape[0]! > 1 ? concat([slice(scale(x!, 2), 0, 1, x!.shape[0]!), slice(scale(x!, 2), 0, 0, 1)], 0) : scale(x!, 2)) }, /NMSE|not exact/],
  ['a wrong gradient', { run: ([x]) => record(scale(Tensor.prototype.view.call(x, x!.shape), 2), [[x, dy => scale(dy, 1.999)]]) }, /gradient of input 0/],
  ['no gradient', { run: ([x]) => scale(Tensor.prototype.view.call(x, x!.shape), 2) }, /gradient of input 0 is missing/],
  ['a gradient twin that is wrong', { backward: (_, dy) => [dy.map(v => 2 * v * (1 + 3e-7))] }, /twin of the gradient of input 0/],
  ['another result in a second run', { exact: undefined, run: ([x]) => addScalar(scale(x!, 2), (counter++ % 2) * 1e-30) , relative: { floor: 1e-29 } }, /differs over another poison/],
  ['a result that hangs on foreign memory', { run: ([x]) => { const y = scale(x!, 2); return add(y, scale(foreign(x!), 1e-44)); }, exact: undefined, relative: { floor: 1e-37 } }, /differs over another poison|NaN/],
  ['a result that hangs on the position in the batch', { exact: undefined, run: ([x], _, d) => add(scale(x!, 2), mul(scale(x!, 2), Tensor.from(d, Float32Array.from({ length: x!.shape[0]! }, (_v, i) => i * 2 ** -23), [x!.shape[0]!, 1]))), relative: { floor: 0 }, element: 1e-3, limit: 1e-5, gradLimit: 1e-5 }, /position in the batch/],
  ['a shape that is wrong', { run: ([x]) => slice(scale(x!, 2), 1, 0, x!.shape[1]! - 1) }, /elements, expected|has \d+ elements/],
  ['a result too many', { run: ([x]) => [scale(x!, 2), scale(x!, 3)] }, /gives 2 results/],
  ['an op that throws', { run: () => { throw new RangeError('no'); } }, /threw RangeError: no/],
];

/** A buffer as the pool hands it out: nobody wrote it. */
const foreign = (x: Tensor): Tensor => Tensor.empty(x.device, x.shape);

for (const [name, change, message] of FAULTS) {
  test(`sees ${name}`, async () => {
    const found = await faultsOf(but(name, change));
    assert.ok(found.length > 0, 'nothing was found');
    assert.ok(found.some(f => message.test(f)), `found only: ${found.slice(0, 3).join('\n')}`);
  });
}

test('sees a NaN that gets lost', async () => {
  const swallowing = but('swallows', { run: ([x]) => { const y = filled(x!, n => n); return add(y, Tensor.from(x!.device, new Float32Array(x!.size), x!.shape)); }, ...zeros, exact: undefined, reference: ([x]) => x!.map(v => (Number.isFinite(v) ? 0 : NaN)), nonfinite: 'propagates' });
  const found = await faultsOf(swallowing);
  assert.ok(found.some(f => /nonfinite result: element \d+ of \d+, propagates/.test(f)), found.join('\n'));
  assert.equal((await faultsOf({ ...swallowing, name: 'excused', nonfinite: { open: 'excused for this test' } })).filter(f => /nonfinite/.test(f)), []);
});

test('a typed error has to come where the entry says so, and only there', async () => {
  const huge: Case = { inputs: [{ shape: [4], kind: 'float' }], options: null };
  const entry = but('too large', {
    run: ([x], options, d) => (options === null ? scale(x!, 2) : Tensor.empty(d, [2 ** 28])),
    heavy: [
      { name: 'over the limit', case: { ...huge, options: 1 }, fails: /allocate: .* expected at most/ },
      { name: 'another error', case: { ...huge, options: 1 }, fails: /something else/ },
      { name: 'none', case: huge, fails: /allocate/ },
      { name: 'sound', case: huge, gradients: true },
    ],
  });
  const specs = entry.heavy!.map(h => ({ op: entry.name, seed: 1, cap: 4, heavy: h.name }));
  const faults = (await checkAll(await device(), [entry], specs)).map(c => c.judgement.fault);
  assert.is(faults[0], undefined);
  assert.match(faults[1]!, /expected a typed error/);
  assert.match(faults[2]!, /gave a result/);
  assert.is(faults[3], undefined);
});

test('a failure shrinks to the smallest cap that still shows it, and the printed line names it', async () => {
  const d = await device();
  const entry = but('fails when wide', { run: ([x]) => (x!.shape[1]! >= 8 ? scale(x!, 3) : scale(x!, 2)) });
  const failed = (await checkAll(d, [entry], fastSpecs(entry, 40))).find(c => c.judgement.fault)!;
  const small = await shrink(d, [entry], { spec: failed.spec, fault: failed.judgement.fault! });
  assert.ok(small.spec.cap >= 8 && small.spec.cap < FULL_CAP, `cap ${small.spec.cap}`);
  assert.is(small.spec.plain, true);
  assert.match(command(small.spec), /^npm run fuzz -- --op "fails when wide" --seed \d+ --cap \d+ --only normal --plain$/);
  assert.ok((await checkBatch(d, [entry], [small.spec]))[0]!.judgement.fault);
});

test('storage types are rounded for the reference too', async () => {
  const sum = proof<null>({
    name: 'sum of two', ops: [],
    draw: r => {
      const shape = r.shape(2, 300, 1);
      return { inputs: [{ shape, kind: 'float', storage: ['f16', 'bf16'] }, { shape, kind: 'float', storage: ['f16', 'bf16', 'i8', 'i4'] }], options: null };
    },
    run: ([a, b]) => add(a!, b!),
    reference: ([a, b]) => a!.map((v, i) => v + b![i]!),
    backward: (_, dy) => [dy, dy],
    exact: 'integers', relative: true, element: 1e-7, nonfinite: 'propagates',
  });
  assert.equal(await faultsOf(sum, 40), []);
});

test('the draw reaches the edges, zero included, and keeps to its bounds', () => {
  const seen = new Set<number>();
  for (let seed = 0; seed < 4000; seed++) {
    const r = drawFor('edges', seed, FULL_CAP);
    seen.add(r.size());
    const shape = r.shape(3, 500, 1);
    assert.ok(shape.every(n => n >= 1) && shape.reduce((a, b) => a * b, 1) <= 500, String(shape));
    assert.ok(drawFor('edges', seed, 3).size() <= 3);
  }
  for (const n of [0, 1, 2, 3, 4, 7, 13, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257]) assert.ok(seen.has(n), `${n} was never drawn`);
});

test('neighbouring seeds draw every class of values and every check', () => {
  const plans = Array.from({ length: 64 }, (_, i) => plan(sound, { op: sound.name, seed: 1 + i, cap: 16 }, FUZZ_SHARES));
  for (const kind of CLASSES) assert.ok(plans.filter(p => p.kind === kind).length >= 3, `${kind} in ${plans.filter(p => p.kind === kind).length} of 64`);
  for (const role of ['again', 'permuted', 'nonfinite']) assert.ok(plans.filter(p => p.runs.some(r => r.role === role)).length >= 3, role);
  for (const dtype of ['f32', 'bf16']) assert.ok(plans.filter(p => p.runs[0]!.inputs[0]!.dtype === dtype).length >= 3, dtype);
});

test('an op that is not in the table is named', () => {
  assert.throws(() => entryOf([sound], 'nothing'), /no op of the proof table is named nothing, expected one of double/);
  assert.equal([...broadcast((a, b) => a + b, Float64Array.of(1, 2), [2], Float64Array.of(3), [1])], [4, 5]);
});

test.run();
