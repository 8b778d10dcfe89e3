// Tensors: bits in, bits out, views, the order of uploads and kernels, refusals.
import { DeviceError, ShapeError } from '../../engine/check.ts';
import { scope } from '../../engine/memory.ts';
import { Tensor, size } from '../../engine/tensor.ts';
import { gelu } from '../../kernels/activation.ts';
import { add } from '../../kernels/elementwise.ts';
import { full } from '../../kernels/fill.ts';
import { assert, device, random, suite } from '../harness.ts';
import { rejects } from './rejects.ts';

const test = suite('tensor');

test('bits arrive unchanged for every dtype, NaN payloads and -0 included', async () => {
  const d = await device();
  const bits = Uint32Array.of(0, 0x80000000, 0x7fc12345, 0xffc00001, 0x00000001, 0x7f800000, 0xffffffff, 123);
  assert.equal(await Tensor.from(d, bits).readU32(), bits);
  assert.equal(new Uint32Array((await Tensor.from(d, new Float32Array(bits.buffer)).read()).buffer), bits);
  assert.equal(await Tensor.from(d, Int32Array.of(-1, 2 ** 31 - 1, -(2 ** 31))).readI32(), Int32Array.of(-1, 2 ** 31 - 1, -(2 ** 31)));
  assert.equal(await Tensor.from(d, [1.5, -2]).read(), Float32Array.of(1.5, -2));
  assert.is(Tensor.from(d, Uint32Array.of(1)).dtype, 'u32');
  assert.is(Tensor.from(d, [3], [1], 'i32').dtype, 'i32');
});

test('part of a host array is uploaded from its own offset', async () => {
  const d = await device();
  assert.equal(await Tensor.from(d, random([100], 1).subarray(7, 12)).read(), random([100], 1).slice(7, 12));
});

test('rank 0, zero size and sizes around a buffer class', async () => {
  const d = await device();
  assert.equal([size([]), size([3, 0, 2]), size([2, 3])], [1, 0, 6]);
  assert.equal(await Tensor.from(d, [7], []).read(), Float32Array.of(7));
  assert.equal((await Tensor.from(d, [], [2, 0]).read()).length, 0);
  assert.equal((await Tensor.zeros(d, [0]).read()).length, 0);
  for (const n of [63, 64, 65, 1023, 1025]) assert.equal(await Tensor.from(d, random([n], n)).read(), random([n], n), `${n} elements`);
});

test('zeros are zeros in memory that was used before', async () => {
  const d = await device();
  full(d, [100], 5).dispose();
  assert.equal(await Tensor.zeros(d, [100]).read(), new Float32Array(100));
});

test('a view shares the storage, from an element that a binding may start at', async () => {
  const d = await device();
  const x = Tensor.from(d, Float32Array.from({ length: 256 }, (_, i) => i), [4, 64]);
  const row = x.view([8, 8], 128);
  assert.is(row.storage, x.storage);
  assert.equal(await row.read(), Float32Array.from({ length: 64 }, (_, i) => 128 + i));
  assert.equal(await add(row.view([64]), x.view([64], 64)).read(), Float32Array.from({ length: 64 }, (_, i) => 192 + 2 * i));
  assert.equal((await x.view([0], 256).read()).length, 0);
  d.upload(row, new Float32Array(64).fill(-1));
  assert.equal([...(await x.read())].filter(v => v === -1).length, 64);
  const inner = row.view([2], 0);
  x.dispose();
  row.dispose();
  assert.equal(await inner.read(), Float32Array.of(-1, -1), 'the storage lives as long as its last view');
});

test('views that do not fit are refused', async () => {
  const x = Tensor.zeros(await device(), [2, 64]);
  await rejects(() => x.view([129]), ShapeError, /view: shape \[129\] at element 0 does not fit into \[2, 64\]/);
  await rejects(() => x.view([65], 64), ShapeError, /does not fit/);
  await rejects(() => x.view([1], -64), ShapeError, /does not fit/);
  await rejects(() => x.view([1], 3), ShapeError, /view: offset is 3, expected a multiple of 64 elements/);
  await rejects(() => x.view([-1]), ShapeError, /has the size -1/);
});

test('an upload does not overtake kernels that wait, nor fall behind them', async () => {
  const d = await device();
  const x = Tensor.from(d, [1, 2]);
  const before = add(x, x);
  d.upload(x, Float32Array.of(10, 20));
  const after = add(x, x);
  d.upload(x, Float32Array.of(100, 200));
  assert.equal(await before.read(), Float32Array.of(2, 4));
  assert.equal(await after.read(), Float32Array.of(20, 40));
  assert.equal(await x.read(), Float32Array.of(100, 200));
});

test('a buffer from the pool is not written before the kernels that still read it', async () => {
  const d = await device();
  const x = Tensor.from(d, [1, 2]);
  const y = add(x, x);
  const { storage } = x;
  x.dispose();
  const again = Tensor.from(d, [50, 60]);
  assert.is(again.storage, storage, 'the pool hands the same buffer out again');
  assert.equal(await y.read(), Float32Array.of(2, 4));
});

test('copies and clears run in order with kernels', async () => {
  const d = await device();
  const x = Tensor.from(d, [1, 2]);
  const y = Tensor.empty(d, [2]);
  d.copy(x, y);
  d.clear(x);
  const z = add(x, y);
  d.copy(z, x);
  assert.equal(await x.read(), Float32Array.of(1, 2));
  await rejects(() => d.copy(x, Tensor.empty(d, [3])), DeviceError, /copy: source has 8 bytes, expected 12/, 'validation');
});

test('many reads at a time each get their own values', async () => {
  const d = await device();
  const tensors = Array.from({ length: 12 }, (_, i) => full(d, [1 + i * 40], i));
  const values = await Promise.all(tensors.map(t => t.read()));
  values.forEach((v, i) => assert.ok(v.length === 1 + i * 40 && v.every(x => x === i), `read ${i}`));
});

test('moveTo keeps the values and lays them where they are wanted', async () => {
  const d = await device();
  const flat = Tensor.zeros(d, [128]);
  const x = Tensor.from(d, random([40], 3));
  x.moveTo(flat.view([40], 64));
  assert.is(x.storage, flat.storage);
  assert.equal(await x.read(), random([40], 3));
  assert.equal((await flat.read()).slice(64, 104), random([40], 3));
});

test('data that does not fit its shape or type is refused', async () => {
  const d = await device();
  await rejects(() => Tensor.from(d, [1, 2, 3], [2]), ShapeError, /Tensor\.from: 3 values were given, expected 2 for shape \[2\]/);
  await rejects(() => Tensor.from(d, [1], [1.5]), ShapeError, /has the size 1\.5, expected whole numbers/);
  await rejects(() => Tensor.empty(d, [2 ** 30, 2 ** 30]), ShapeError, /more than 2\^53 elements/);
  for (const shape of [{}, { length: 1, 0: 2 }, null, '2', 2, new Float32Array(2)]) {
    for (const make of [() => Tensor.empty(d, shape as never), () => Tensor.zeros(d, shape as never), () => Tensor.from(d, [1, 2], shape as never), () => Tensor.from(d, [1, 2]).view(shape as never)]) {
      await rejects(make, ShapeError, /shape is .*, expected an array of whole numbers/);
    }
  }
  for (const [value, type] of [[-1, 'u32'], [1.5, 'u32'], [2 ** 32, 'u32'], [2 ** 31, 'i32'], [NaN, 'i32']] as const) {
    await rejects(() => Tensor.from(d, [0, value], [2], type), ShapeError, /Tensor\.from: value 1 is .*, expected a whole number that fits/);
  }
  const x = Tensor.zeros(d, [4]);
  await rejects(() => d.upload(x, new Float32Array(5)), ShapeError, /upload: 5 values were given, expected 4 for shape \[4\]/);
});

test('a wrong dtype is refused by reads and ops', async () => {
  const x = Tensor.from(await device(), Uint32Array.of(1));
  await rejects(() => x.read(), ShapeError, /read: tensor is u32, expected f32/);
  await rejects(() => gelu(x), ShapeError, /gelu: x is u32, expected f32/);
});

test('a released tensor is refused everywhere', async () => {
  const d = await device();
  const x = scope(() => { Tensor.zeros(d, [2]); return { hidden: [Tensor.zeros(d, [2])] }; }).hidden[0]!;
  x.dispose();
  x.dispose();
  assert.ok(x.released);
  for (const use of [() => x.view([1]), () => x.read(), () => add(x, x), () => d.upload(x, new Float32Array(2)), () => d.copy(x, x)]) {
    await rejects(use, DeviceError, /tensor \d+ \[2\] was released/, 'validation');
  }
});

test.run();
