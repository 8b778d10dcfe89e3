// Dispatch: grids, uniforms, caches, and refusals before anything is enqueued.
import { GroupCache, MAX_CACHED_GROUPS } from '../../engine/bind_groups.ts';
import { DeviceError } from '../../engine/check.ts';
import { openDevice } from '../../engine/device.ts';
import { dispatch } from '../../engine/dispatch.ts';
import type { Kernel } from '../../engine/dispatch.ts';
import { scope } from '../../engine/memory.ts';
import type { Pipeline } from '../../engine/pipeline.ts';
import { Tensor } from '../../engine/tensor.ts';
import { full } from '../../kernels/fill.ts';
import { exp, scale } from '../../kernels/elementwise.ts';
import { fill } from '../../kernels/wgsl.gen.ts';
import { assert, device, suite } from '../harness.ts';
import { rejects } from './rejects.ts';

const test = suite('dispatch');

const GROUP = 64; // of fill

test('more workgroups than one grid dimension holds are folded, every element is written', async () => {
  const d = await device();
  for (const groups of [65_535, 65_536, 65_537 + 1000]) {
    const n = groups * GROUP - 3;
    const x = full(d, [n], 7);
    const tail = Math.floor((n - 200) / 64) * 64;
    assert.ok((await x.view([200], tail).read()).every(v => v === 7), `${groups} workgroups: the end`);
    assert.ok((await x.view([4096], 32_768 * GROUP - 2048).read()).every(v => v === 7), `${groups} workgroups: around the fold`);
    x.dispose();
  }
});

test('grids that no device has are refused', async () => {
  const d = await device();
  const x = Tensor.zeros(d, [GROUP]);
  const launch = (groups: number | readonly [number, number, number]): void => dispatch(d, fill, 'forward', { x }, { words: 1, word: 1 }, groups);
  for (const grid of [[65_536, 1, 1], [1, 1, 65_536]] as const) await rejects(() => launch(grid), DeviceError, /fill:forward: grid is \[.*\] workgroups, expected whole numbers up to 65535/, 'limit');
  for (const total of [-1, 1.5, NaN, 65_535 ** 2 + 1]) await rejects(() => launch(total), DeviceError, /fill:forward: grid is/, 'limit');
  launch(0);
  launch([0, 5, 1]);
  assert.equal(await x.read(), new Float32Array(GROUP), 'no workgroup, no change');
});

test('wrong parameters and tensors are refused by name', async () => {
  const d = await device();
  const x = Tensor.zeros(d, [GROUP]);
  const launch = (tensors: object, params: object): void => dispatch(d, fill as Kernel, 'forward', tensors as never, params as never, 1);
  await rejects(() => launch({ x }, { words: 1 }), DeviceError, /fill:forward: params\.word is undefined, expected a whole number that fits u32/, 'validation');
  for (const word of [1.5, -1, 2 ** 32, NaN]) await rejects(() => launch({ x }, { words: 1, word }), DeviceError, /params\.word is .*, expected a whole number that fits u32/, 'validation');
  await rejects(() => launch({}, { words: 1, word: 1 }), DeviceError, /fill:forward: tensor x is missing/, 'validation');
  const other = await openDevice({ limits: 'default' });
  const stranger = Tensor.zeros(other, [GROUP]);
  await rejects(() => launch({ x: stranger }, { words: 1, word: 1 }), DeviceError, /fill:forward: x lives on another device/, 'validation');
  other.destroy();
  launch({ x }, { words: GROUP, word: 2 ** 32 - 1 });
  assert.equal(await x.view([GROUP]).readU32(), new Uint32Array(GROUP).fill(2 ** 32 - 1), 'and the next one works');
});

test('the cache of bind groups lets go when it is full', async () => {
  const d = await device();
  const cache = new GroupCache();
  const pipeline = {} as Pipeline; // a name for the table
  const x = Tensor.zeros(d, [64 * 128]);
  const group = (i: number): GPUBindGroup => i as unknown as GPUBindGroup;
  const place = (i: number): Tensor[] => [x.view([64], 64 * (i % 128)), x.view([64], 64 * Math.floor(i / 128))];
  const look = (i: number): GPUBindGroup | undefined => scope(() => { const at = place(i); return cache.find(d, pipeline, at, at.length); });
  for (let i = 0; i < MAX_CACHED_GROUPS; i++) {
    assert.is(look(i), undefined, `${i} is another one`);
    cache.add(pipeline, group(i + 1));
  }
  for (const i of [0, 127, 128, MAX_CACHED_GROUPS - 1]) assert.is(look(i), group(i + 1));
  assert.is(look(MAX_CACHED_GROUPS), undefined);
  cache.add(pipeline, group(-1));
  assert.is(look(MAX_CACHED_GROUPS), group(-1), 'the newest is there');
  assert.is(look(5), undefined, 'those before it are gone');
  x.dispose();
});

test('more dispatches in one flush than the arena of uniforms holds', async () => {
  const d = await openDevice({ limits: 'default' });
  const count = 5000;
  const x = Tensor.zeros(d, [count * GROUP]);
  const before = d.counters();
  scope(() => {
    for (let i = 0; i < count; i++) dispatch(d, fill, 'forward', { x: x.view([1], i * GROUP) }, { words: 1, word: i + 1 }, 1);
  });
  const values = await x.readU32();
  for (let i = 0; i < count; i++) assert.is(values[i * GROUP], i + 1);
  const after = d.counters();
  assert.is(after.dispatches - before.dispatches, count);
  assert.is(after.submits - before.submits, 2, 'the arena holds 4096');
  d.destroy();
});

test('uniforms that change are written again, uniforms that stay are not', async () => {
  const d = await openDevice({ limits: 'default' });
  const x = Tensor.from(d, [1, 2, 3]);
  const run = async (factor: number): Promise<Float32Array> => {
    const y = scale(x, factor);
    const values = await y.read();
    y.dispose();
    return values;
  };
  for (const factor of [2, 3, 3, 2]) assert.equal(await run(factor), Float32Array.of(factor, 2 * factor, 3 * factor));
  assert.is(d.counters().uniformWrites, 3);
  d.destroy();
});

test('a margin makes bindings wider, also of buffers that were bound without one', async () => {
  const d = await device();
  const x = Tensor.empty(d, [1984], 'u32'); // of a buffer of 2048 words
  x.storage.refs++;
  const whole = new Tensor(d, x.storage, [2048], 'u32');
  d.clear(whole);
  const fillAll = (): void => dispatch(d, fill, 'forward', { x }, { words: 2048, word: 9 }, 32);
  fillAll();
  assert.is((await whole.readU32())[2047], 0, 'the binding ends with the tensor');
  d.pool.marginBytes = 256;
  try {
    fillAll();
  } finally {
    d.pool.marginBytes = 0;
  }
  assert.is((await whole.readU32())[2047], 9);
  fillAll();
  for (const t of [x, whole]) t.dispose();
});

test('pipelines are made once per entry point and constants', async () => {
  const d = await openDevice({ limits: 'default' });
  const x = Tensor.from(d, [1, 2, 3]);
  scope(() => { scale(x, 2); scale(x, 3); });
  assert.is(d.counters().pipelines, 1);
  scope(() => { exp(x); exp(x); });
  assert.is(d.counters().pipelines, 2);
  assert.equal(d.recorder.variants().map(v => `${v.kernel.name}:${v.entry}`), ['elementwise:unary', 'elementwise:unary']);
  await d.sync();
  d.destroy();
});

test('nothing waits, nothing is submitted', async () => {
  const d = await openDevice({ limits: 'default' });
  d.flush();
  d.flush();
  assert.is(d.counters().submits, 0);
  d.destroy();
});

test.run();
