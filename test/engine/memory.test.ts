// Scopes, the buffer pool and what `device.memory()` says.
import { DeviceError } from '../../engine/check.ts';
import { openDevice } from '../../engine/device.ts';
import { keep, scope, sizeClass } from '../../engine/memory.ts';
import { Tensor } from '../../engine/tensor.ts';
import { gelu } from '../../kernels/activation.ts';
import { add } from '../../kernels/elementwise.ts';
import { assert, device, isNode, random, suite } from '../harness.ts';
import { OP_CASES } from '../op_cases.ts';
import { rejects } from './rejects.ts';

const test = suite('memory');

test('a scope releases what was made inside and keeps what it returns', async () => {
  const d = await device();
  const before = d.memory();
  const inside: Tensor[] = [];
  const make = (): Tensor => {
    const t = Tensor.zeros(d, [8]);
    inside.push(t);
    return t;
  };
  const out = scope(() => {
    make();
    return { one: make(), list: [make(), [make()]], map: new Map([['x', make()]]), text: 'kept as it is', nothing: null };
  });
  assert.equal(inside.map(t => t.released), [true, false, false, false, false]);
  assert.is(out.text, 'kept as it is');
  assert.is(d.memory().liveTensors - before.liveTensors, 4);
  for (const t of inside) t.dispose();
  assert.equal([d.memory().liveTensors, d.memory().liveBytes], [before.liveTensors, before.liveBytes]);
});

test('scopes nest: a result belongs to the scope around', async () => {
  const d = await device();
  let middle: Tensor | undefined;
  const out = scope(() => {
    middle = scope(() => Tensor.from(d, [1, 2]));
    assert.not.ok(middle.released);
    return scope(() => add(middle!, middle!));
  });
  assert.ok(middle!.released);
  assert.equal(await out.read(), Float32Array.of(2, 4));
});

test('a view that is returned keeps its storage', async () => {
  const d = await device();
  const view = scope(() => Tensor.from(d, random([128], 1)).view([64], 64));
  assert.equal(await view.read(), random([128], 1).slice(64));
});

test('tensors from outside are left alone, also when returned', async () => {
  const d = await device();
  const x = Tensor.zeros(d, [2]);
  assert.is(scope(() => x), x);
  scope(() => { add(x, x); });
  assert.not.ok(x.released);
});

test('an exception releases everything and passes through', async () => {
  const d = await device();
  const before = d.memory().liveTensors;
  await rejects(() => scope(() => {
    scope(() => Tensor.zeros(d, [4]));
    Tensor.zeros(d, [4]);
    throw new RangeError('on purpose');
  }), RangeError, /on purpose/);
  assert.is(d.memory().liveTensors, before);
  const later = Tensor.zeros(d, [1]);
  assert.not.ok(later.released, 'the broken scope is closed');
});

test('keep takes a tensor out of all scopes', async () => {
  const d = await device();
  let kept: Tensor | undefined;
  scope(() => scope(() => { kept = keep(Tensor.from(d, [3])); }));
  assert.equal(await kept!.read(), Float32Array.of(3));
  kept!.dispose();
});

test('a scope that would wait is refused and releases', async () => {
  const d = await device();
  const before = d.memory().liveTensors;
  await rejects(() => scope(async () => Tensor.zeros(d, [4])), TypeError, /scope: the function returned a promise, expected a synchronous one/);
  assert.is(d.memory().liveTensors, before);
});

test('size classes hold what was asked for and waste at most a quarter', () => {
  for (let bytes = 4; bytes < 2 ** 24; bytes = Math.ceil((bytes * 1.07) / 4) * 4) {
    const got = sizeClass(bytes);
    assert.ok(got >= bytes && got % 256 === 0, `${got} for ${bytes} bytes`);
    if (bytes >= 1024) assert.ok(got <= 1.25 * bytes, `${got} for ${bytes} bytes`);
    assert.is(sizeClass(got), got);
  }
});

test('the pool hands a released buffer out again, by class, and counts bytes', async () => {
  const d = await openDevice({ limits: 'default' });
  const a = Tensor.zeros(d, [100]);
  const { storage } = a;
  assert.equal(d.memory(), { liveBytes: 512, liveBuffers: 1, liveTensors: 1, peakBytes: 512, poolBytes: 0 });
  a.dispose();
  assert.equal(d.memory(), { liveBytes: 0, liveBuffers: 0, liveTensors: 0, peakBytes: 512, poolBytes: 512 });
  const b = Tensor.zeros(d, [120]);
  assert.is(b.storage, storage);
  const other = Tensor.zeros(d, [1000]);
  assert.is.not(other.storage, storage);
  assert.is(d.counters().buffers, 2);
  other.dispose();
  d.resetPeak();
  assert.is(d.memory().peakBytes, 512);
  d.trim();
  assert.is(d.memory().poolBytes, 0);
  assert.equal(await Tensor.from(d, random([1000], 2)).read(), random([1000], 2), 'works on after a trim');
  await rejects(() => Tensor.empty(d, [d.limits.maxStorageBufferBindingSize / 4 + 1]), DeviceError, /allocate: a tensor of \d+ bytes was asked for, expected at most \d+ \(the device's storage binding limit\)/, 'limit');
  d.destroy();
});

test('repeated work neither grows nor creates anything', async () => {
  const d = await openDevice({ limits: 'default' });
  const x = Tensor.from(d, random([64, 32], 1), [64, 32]);
  const step = (): void => scope(() => { gelu(add(gelu(x), x)); });
  const look = (): unknown => {
    const { pipelines, bindGroups, buffers, uniformWrites } = d.counters();
    return { ...d.memory(), pipelines, bindGroups, buffers, uniformWrites };
  };
  for (let i = 0; i < 3; i++) { step(); d.flush(); }
  const warm = look();
  const { submits } = d.counters();
  for (let i = 0; i < 20; i++) { step(); d.flush(); }
  assert.equal(look(), warm);
  assert.is(d.counters().submits - submits, 20, 'one submit per flush');
  await d.sync();
  d.destroy();
});

test.when(isNode, 'a null backend exists in Node only', 'no op leaves a tensor behind, and a second run of all ops creates no pipeline and no buffer', async () => {
  const d = await openDevice({ adapter: 'null', limits: 'default' });
  const round = (): void => {
    for (const { name, run } of OP_CASES) {
      const before = d.memory();
      scope(() => { run(d); });
      const after = d.memory();
      assert.equal([after.liveTensors, after.liveBytes], [before.liveTensors, before.liveBytes], `${name} leaves tensors behind`);
    }
    d.flush();
  };
  round();
  const { pipelines, buffers } = d.counters();
  round();
  assert.equal([d.counters().pipelines, d.counters().buffers], [pipelines, buffers]);
  await d.sync();
});

test.run();
