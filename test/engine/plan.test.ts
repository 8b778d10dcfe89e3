import { layOut, livenessBound } from '../../engine/arena.ts';
import { dispatch } from '../../engine/dispatch.ts';
import { keep, scope } from '../../engine/memory.ts';
import { plan, planNow } from '../../engine/plan.ts';
import { gradients } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import { adamwStep, add, attention, infoNCE, l2Normalize, layerNorm, linear, mean, mul, quantize, scale, sumAxis } from '../../kernels/index.ts';
import { full } from '../../kernels/fill.ts';
import { fill } from '../../kernels/wgsl.gen.ts';
import { assert, device, generator, random, suite } from '../harness.ts';

const test = suite('plans');

test('blocks that live together do not overlap, and blocks that must be apart lie apart', () => {
  const next = generator(1);
  for (let round = 0; round < 50; round++) {
    const count = 1 + Math.floor(next() * 60);
    const blocks = Array.from({ length: count }, () => {
      const first = Math.floor(next() * 100);
      return { bytes: 1 + Math.floor(next() ** 3 * 100_000), first, last: first + Math.floor(next() * 20), apart: new Set<number>() };
    });
    for (let i = 0; i < count; i++) for (let j = 0; j < i; j++) if (next() < 0.05) { blocks[i]!.apart.add(j); blocks[j]!.apart.add(i); }
    const { places, arenas } = layOut(blocks);
    blocks.forEach((a, i) => {
      const p = places[i]!;
      assert.ok(p.offset % 256 === 0 && p.offset + a.bytes <= arenas[p.arena]!, 'inside its buffer, aligned');
      blocks.slice(0, i).forEach((b, j) => {
        const q = places[j]!;
        if (p.arena !== q.arena) return;
        assert.not.ok(a.apart.has(j), 'apart');
        const together = a.first <= b.last && b.first <= a.last;
        assert.not.ok(together && p.offset < q.offset + b.bytes && q.offset < p.offset + a.bytes, 'no overlap');
      });
    });
    assert.ok(arenas.reduce((x, y) => x + y, 0) >= livenessBound(blocks));
  }
  const apart = (...others: number[]): ReadonlySet<number> => new Set(others);
  // a chain where each command reads one block and writes the next: by size first takes three buffers, two suffice
  const chain = Array.from({ length: 12 }, (_, i) => ({ bytes: 1000, first: i, last: i + 1, apart: apart(...[i - 1, i + 1].filter(k => k >= 0 && k < 12)) }));
  assert.equal(layOut(chain).arenas, [1024, 1024]);
  assert.is(livenessBound([{ bytes: 4, first: 0, last: 2, apart: new Set() }, { bytes: 8, first: 2, last: 3, apart: new Set() }, { bytes: 5, first: 3, last: 9, apart: new Set() }]), 13);
});

/** A block with attention over inputs x, and everything it returns. */
async function network(): Promise<{ x: Tensor; forward: () => Tensor; weights: Tensor[] }> {
  const d = await device();
  const x = Tensor.from(d, random([6, 16], 1), [6, 16]);
  const weights = [[48, 16], [16, 16], [16], [16], [16]].map((s, i) => Tensor.from(d, random(s, 10 + i, { scale: 0.3 }), s));
  const [qkv, out, outBias, gain, shift] = weights as [Tensor, Tensor, Tensor, Tensor, Tensor];
  const forward = (): Tensor => {
    const h = layerNorm(x, gain, shift);
    const [q, k, v] = [0, 16, 32].map(at => linear(h, add(qkv.view([16, 16], at * 16), Tensor.zeros(d, [16, 16]))).view([1, 6, 2, 8]));
    return add(x, linear(attention(q!, k!, v!).view([6, 16]), out, outBias, { activation: 'gelu' }));
  };
  return { x, forward, weights };
}

const bits = async (t: Tensor): Promise<Uint32Array> => new Uint32Array((await t.read()).buffer);

test('a replay gives the bits of the eager run, also for new inputs and after memory was filled with another pattern', async () => {
  const d = await device();
  const { x, forward } = await network();
  const first = await bits(scope(forward));
  const p = await plan(d, forward);
  assert.equal(await bits(p.run()), first);
  assert.equal(await bits(p.run()), first);
  d.upload(x, random([6, 16], 99));
  const second = await bits(scope(forward));
  assert.not.equal(second, first);
  assert.equal(await bits(p.run()), second);
  p.dispose();
  assert.throws(() => p.run(), /plan: it was disposed/);
});

test('a warm run is one submit and creates nothing', async () => {
  const d = await device();
  const { forward } = await network();
  const p = await plan(d, forward);
  p.run();
  await d.sync();
  const before = { ...d.counters(), live: d.memory().liveTensors, bytes: d.memory().liveBytes };
  for (let i = 0; i < 5; i++) p.run();
  const after = { ...d.counters(), live: d.memory().liveTensors, bytes: d.memory().liveBytes };
  assert.is(after.submits - before.submits, 5);
  assert.is(after.dispatches - before.dispatches, 5 * p.report.dispatches);
  for (const key of ['buffers', 'bindGroups', 'pipelines', 'uniformWrites', 'live', 'bytes'] as const) assert.is(after[key], before[key], key);
  assert.ok(p.report.arenaBytes >= p.report.boundBytes);
  p.dispose();
});

test('plans share their buffers, and a run goes out with the copies around it in one submit', async () => {
  const d = await device();
  const { x, forward } = await network();
  const before = d.pool.arenaBytes;
  const first = await plan(d, forward);
  const bytes = d.pool.arenaBytes - before;
  const created = d.counters().buffers;
  const second = planNow(d, () => scale(forward(), 2));
  assert.is(d.pool.arenaBytes - before, bytes, 'nothing more for the second');
  assert.ok(d.counters().buffers - created <= 1, 'its output alone');
  const inputs = [random([6, 16], 7), random([6, 16], 8)].map(v => Tensor.from(d, v, [6, 16]));
  const results = inputs.map(() => Tensor.empty(d, [6, 16]));
  const submits = d.counters().submits;
  inputs.forEach((input, i) => {
    d.copy(input, x);
    d.copy((i ? second : first).enqueue(), results[i]!);
  });
  d.flush();
  assert.is(d.counters().submits - submits, 1);
  for (const [i, input] of inputs.entries()) {
    d.copy(input, x);
    assert.equal(await bits(results[i]!), await bits(scope(() => (i ? scale(forward(), 2) : forward()))));
  }
  first.dispose();
  assert.is(d.pool.arenaBytes - before, bytes, 'the second uses them');
  second.dispose();
  assert.is(d.pool.arenaBytes, before);
  [...inputs, ...results].forEach(t => t.dispose());
});

test('what a plan uses stays its own until it is disposed, and a moved tensor makes it stale', async () => {
  const d = await device();
  const w = Tensor.from(d, [1, 2, 3, 4]);
  const p = planNow(d, () => scale(w, 3));
  const place = Tensor.empty(d, [4]);
  assert.is(p.stale, false);
  w.moveTo(place);
  assert.is(p.stale, true);
  assert.throws(() => p.run(), /plan: a tensor that it uses was moved since/);
  p.dispose();
  const again = planNow(d, () => scale(w, 3));
  const live = d.memory().liveBytes;
  w.dispose();
  place.dispose();
  assert.is(d.memory().liveBytes, live, 'held by the plan');
  assert.equal(await again.run().read(), Float32Array.of(3, 6, 9, 12));
  again.dispose();
  assert.ok(d.memory().liveBytes < live);
});

test('a training step replays: gradients, optimiser state in place, fields that change from run to run', async () => {
  const d = await device();
  const start = random([64, 64], 3, { scale: 0.2 });
  const data = Tensor.from(d, random([20, 64], 4), [20, 64]);
  const target = Tensor.from(d, random([20, 64], 5), [20, 64]);
  const logScale = Tensor.from(d, [2]);
  const make = (): { w: Tensor; step: { value: number }; work: () => Tensor } => {
    const flat = (values?: Float32Array): Tensor => (values ? Tensor.from(d, values, [64, 64]) : Tensor.zeros(d, [64, 64]));
    const w = flat(start);
    w.needsGrad = true;
    const state = { m: flat(), v: flat(), rest: flat() };
    const blockGroup = Tensor.zeros(d, [64], 'u32');
    const groups = Tensor.from(d, [0.01, 0.1], [1, 2]);
    const clip = Tensor.from(d, [1]);
    const step = { value: 1 };
    const work = (): Tensor => {
      const { loss } = infoNCE(l2Normalize(linear(data, w)), l2Normalize(target), logScale);
      const [grad] = gradients(loss, Tensor.from(d, [1]), [w]) as [Tensor];
      const view = (t: Tensor): Tensor => t.view([t.size]);
      adamwStep(d, { param: view(w), grad: view(grad), m: view(state.m), v: view(state.v), rest: view(state.rest), blockGroup, groups, clip }, { beta1: 0.9, beta2: 0.95, eps: 1e-8, step: () => step.value });
      return loss;
    };
    return { w, step, work };
  };
  const eager = make();
  const losses: Uint32Array[] = [];
  for (let i = 1; i <= 4; i++) {
    eager.step.value = i;
    losses.push(await bits(scope(eager.work)));
  }
  const planned = make();
  const p = await plan(d, planned.work);
  for (let i = 1; i <= 4; i++) {
    planned.step.value = i;
    assert.equal(await bits(p.run()), losses[i - 1], `loss of step ${i}`);
  }
  assert.equal(await bits(planned.w), await bits(eager.w));
  p.dispose();
});

test('what is kept outlives the recording, and quantised weights replay', async () => {
  const d = await device();
  const x = Tensor.from(d, random([5, 16], 1), [5, 16]);
  const w = quantize(Tensor.from(d, random([8, 16], 2), [8, 16]));
  let inner: Tensor | undefined;
  const p = await plan(d, () => {
    inner = keep(scale(x, 2));
    return { y: linear(inner, w), parts: [sumAxis(mul(x, x), 0)] };
  });
  const { y } = p.run();
  assert.equal(await bits(inner!), await bits(scale(x, 2)));
  assert.equal(await bits(y), await bits(linear(scale(x, 2), w)));
  p.dispose();
  inner!.dispose();
});

test('a field that was refused at one run does not hold back those before it at the next', async () => {
  const d = await device();
  let [words, word] = [64, 7];
  const p = await plan(d, () => {
    const x = full(d, [64], 0);
    dispatch(d, fill, 'forward', { x }, { words: () => words, word: () => word }, 1);
    return x;
  });
  const filled = async (): Promise<number> => (await p.run().readU32()).filter(v => v === 7).length;
  assert.is(await filled(), 64);
  [words, word] = [32, 1.5];
  assert.throws(() => p.run(), /params\.word is 1\.5/);
  word = 7;
  assert.is(await filled(), 32);
  p.dispose();
});

test('what cannot be replayed is refused by name', async () => {
  const d = await device();
  const x = Tensor.from(d, [1, 2, 3]);
  const refused = async (fn: () => unknown): Promise<string> => plan(d, fn).then(() => 'no error', (e: Error) => e.message);
  assert.match(await refused(() => d.upload(x, Float32Array.of(4, 5, 6))), /plan: a tensor \[3\] from outside is uploaded inside the recorded function/);
  assert.match(await refused(() => { const y = scale(x, 2); d.upload(y, Float32Array.of(1, 2, 3)); return y; }), /plan: a tensor \[3\] is uploaded after kernels used it/);
  assert.match(await refused(() => { throw new Error('of its own'); }), /of its own/);
  let reading: Promise<unknown> = Promise.resolve();
  await refused(() => { reading = mean(x).read().then(() => 'read', (e: Error) => e.message); });
  assert.match(await reading as string, /read: a plan is being recorded/);
  let nested: Promise<string> = Promise.resolve('');
  await refused(() => { nested = refused(() => scale(x, 2)); });
  assert.match(await nested, /another plan is being recorded/);
  assert.equal(await scale(x, 2).read(), Float32Array.of(2, 4, 6));
});

test.run();
