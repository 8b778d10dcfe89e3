// Replayed forward passes: the bits of the eager ones, one submit, nothing created, bounded memory.
import type { Device } from '../../engine/device.ts';
import { plan } from '../../engine/plan.ts';
import { Tensor } from '../../engine/tensor.ts';
import { bucketLength, padBatch, padIds } from '../../model/token_batch.ts';
import { VLJEPA } from '../../model/vl_jepa.ts';
import type { TokenBatch } from '../../model/vl_jepa.ts';
import { AdamW } from '../../train/adamw.ts';
import { TINY } from '../../train/presets.ts';
import { assert, close, device, random, suite } from '../harness.ts';

const test = suite('forward plans');
const EDGE = 16;

const build = (d: Device): VLJEPA => VLJEPA.fromConfig(TINY.model, { device: d, seed: 3, init: TINY.init as never });
const pixels = (d: Device, rows: number, seed: number): Tensor => Tensor.from(d, random([rows, 1, 3, EDGE, EDGE], seed), [rows, 1, 3, EDGE, EDGE]);
/** Ragged rows of ids, the longest of `tokens`. */
const ids = (rows: number, tokens: number, seed: number): TokenBatch =>
  padIds(Array.from({ length: rows }, (_, i) => Array.from({ length: i ? 1 + (i * seed) % tokens : tokens }, (__, t) => 3 + (seed * 97 + i * 31 + t * 7) % 2000)));

async function bits(t: Tensor): Promise<Uint32Array> {
  const values = new Uint32Array((await t.read()).buffer);
  t.dispose();
  return values;
}

test('the second call records, later ones replay: equal bits for new inputs, one submit, nothing created', async () => {
  const d = await device();
  const [eager, model] = [build(d), build(d)];
  const calls: [string, (m: VLJEPA, seed: number) => Tensor][] = [
    ['image', (m, seed) => { const x = pixels(d, 3, seed); const y = m.encodeImage(x); x.dispose(); return y; }],
    ['text', (m, seed) => m.encodeText(ids(5, 7, seed))],
    ['predict', (m, seed) => { const x = pixels(d, 3, seed); const y = m.predict(x); x.dispose(); return y; }],
    ['predict with queries', (m, seed) => { const x = pixels(d, 3, seed); const y = m.predict(x, ids(3, 5, seed)); x.dispose(); return y; }],
  ];
  const poison = d.pool.onAcquire;
  for (const [name, call] of calls) {
    for (let seed = 1; seed <= 4; seed++) {
      eager.plans.dispose(); // so that every call of this one is the first
      assert.equal(await bits(call(model, seed)), await bits(call(eager, seed)), `${name}, call ${seed}`);
    }
    d.pool.onAcquire = undefined; // its kernels would count
    await bits(call(model, 5));
    const before = { ...d.counters(), live: d.memory().liveBytes };
    const y = call(model, 6);
    const after = d.counters();
    assert.is(after.submits - before.submits, 1, `${name}: submits`);
    for (const key of ['buffers', 'bindGroups', 'pipelines', 'uniformWrites'] as const) assert.is(after[key], before[key], `${name}: ${key}`);
    y.dispose();
    assert.is(d.memory().liveBytes, before.live, name);
    d.pool.onAcquire = poison;
  }
  assert.is(model.plans.reports().size, calls.length);
  model.dispose();
  eager.dispose();
});

test('calls that overlap get their own results', async () => {
  const d = await device();
  const model = build(d);
  const alone: Uint32Array[] = [];
  for (let seed = 1; seed <= 5; seed++) alone.push(await bits(model.encodeText(ids(4, 6, seed))));
  const together = await Promise.all([1, 2, 3, 4, 5].map(async seed => bits(model.encodeText(ids(4, 6, seed)))));
  assert.equal(together, alone);
  const held = [1, 2, 3].map(seed => model.encodeText(ids(4, 6, seed))); // a later call does not change an earlier result
  for (const [i, t] of held.entries()) assert.equal(await bits(t), alone[i]);
  model.dispose();
});

test('lengths fall into few classes, and padding changes nothing but rounding', async () => {
  assert.equal([0, 1, 2, 3, 7, 8, 9, 11, 16, 17, 20, 21, 33, 64, 65, 512].map(bucketLength), [0, 2, 2, 4, 8, 8, 10, 12, 16, 20, 20, 24, 40, 64, 80, 512]);
  for (let n = 1; n <= 2000; n++) assert.ok(bucketLength(n) >= n && (n <= 2 || bucketLength(n) <= 1.25 * n + 1) && bucketLength(bucketLength(n)) === bucketLength(n), `${n} tokens`);
  const d = await device();
  const model = build(d);
  const batch = ids(4, 9, 2);
  const [own, wide] = [await model.forwardText(batch).read(), await model.forwardText(padBatch(batch, 40)).read()];
  close(wide, own, { abs: 2e-6, name: 'texts' });
  const held = model.plans.reports().size;
  for (const tokens of [9, 10, 9, 10]) await bits(model.encodeText(ids(4, tokens, 1)));
  assert.is(model.plans.reports().size - held, 1, 'nine and ten tokens are one plan');
  model.dispose();
});

test('few plans are held, memory is bounded, and dispose gives everything back', async () => {
  const d = await device();
  const model = build(d);
  const base = d.memory();
  const arenas = d.pool.arenaBytes;
  let most = 0;
  for (let rows = 1; rows <= 30; rows++) {
    for (let call = 0; call < 3; call++) await bits(model.encodeText(ids(rows, 6, 1), { batchSize: 64 }));
    most = Math.max(most, model.plans.reports().size);
  }
  assert.is(most, 12);
  assert.is([...model.plans.reports().keys()].at(-1), 'text u32 30x6, u32 30x6');
  model.plans.dispose();
  assert.equal([model.plans.reports().size, d.pool.arenaBytes], [0, arenas]);
  assert.equal([d.memory().liveBytes, d.memory().liveTensors], [base.liveBytes, base.liveTensors]);
  const before = await bits(model.encodeText(ids(2, 6, 1)));
  for (let call = 0; call < 3; call++) assert.equal(await bits(model.encodeText(ids(2, 6, 1))), before, 'made again');
  model.dispose();
  assert.is(d.pool.arenaBytes, arenas);
});

test('weights that change in place or move are seen, and a recording around a call contains it', async () => {
  const d = await device();
  const model = build(d);
  const call = (): Tensor => model.encodeText(ids(3, 6, 1));
  const first = await bits(call());
  for (let i = 0; i < 2; i++) await bits(call());
  const bias = model.tensors().get('text_head.bias')!;
  d.upload(bias, random(bias.shape, 5));
  const changed = await bits(call());
  assert.not.equal(changed, first);
  const optimizer = new AdamW(model.parameters(), { lr: 1e-3 }); // moves every parameter
  const again = await bits(call());
  assert.equal(again, changed);
  optimizer.dispose();
  const outer = await plan(d, call);
  assert.equal(new Uint32Array((await outer.run().read()).buffer), changed);
  outer.dispose();
  model.dispose();
});

test.run();
