// The tiles for GPUs, forced on whatever adapter runs the tests: no software profile picks them. Two pipelines of each; the fuzzer draws the other forms.
import { Tensor } from '../../engine/tensor.ts';
import { linear } from '../../kernels/linear.ts';
import { linearRef } from '../../kernels/linear.ref.ts';
import { forceTile, matmul, multiply } from '../../kernels/matmul.ts';
import { matmulRef } from '../../kernels/matmul.ref.ts';
import { GPU_TILES, TABLE, TILE_NAMES, kernelVersion, runs, shapeClass, shapeKey, shippedEntry, tunedChoice } from '../../kernels/matmul_table.ts';
import type { TileName } from '../../kernels/matmul_table.ts';
import type { Device } from '../../engine/device.ts';
import { assert, close, device, isNode, random, suite } from '../harness.ts';

const test = suite('tiles for GPUs');

async function on(tile: TileName, splits: number, run: () => Tensor): Promise<Float32Array> {
  forceTile(tile, splits);
  try {
    return await run().read();
  } finally {
    forceTile(undefined);
  }
}

for (const tile of Object.keys(GPU_TILES) as (keyof typeof GPU_TILES)[]) {
  test(`${tile}: a whole sum of 4096 of one sign, bias and activation, over several workgroups`, async () => {
    const d = await device();
    const [m, n, k] = [133, 136, 4096]; // k whole and uncut
    const x = random([m * k], 1).map(Math.abs), w = random([n * k], 2).map(v => Math.abs(v) / 64), b = random([n], 3);
    const y = await on(tile, 1, () => linear(Tensor.from(d, x, [m, k]), Tensor.from(d, w, [n, k]), Tensor.from(d, b), { activation: 'gelu' }));
    close(y, linearRef(Float64Array.from(x), Float64Array.from(w), Float64Array.from(b), { m, n, k, activation: 'gelu' }), { nmse: 1e-11 });
  });
  test.when(isNode, 'a page on a software adapter compiles each form for many seconds; Node runs them', `${tile}: ragged sides, a transposed, a batch, k in parts`, async () => {
    const d = await device();
    const [batch, m, n, k] = [2, 131, 67, 45];
    const integers = (count: number, seed: number): Float32Array => random([count], seed, { scale: 4 }).map(Math.round);
    const a = integers(batch * m * k, 4), b = integers(batch * k * n, 5);
    const y = await on(tile, 2, () => matmul(Tensor.from(d, a, [batch, k, m]), Tensor.from(d, b, [batch, k, n]), { transposeA: true }));
    close(y, matmulRef(Float64Array.from(a), Float64Array.from(b), { batch, m, n, k, transposeA: true, transposeB: false, shared: false }), { abs: 0 });
  });
}

for (const tile of Object.keys(GPU_TILES) as (keyof typeof GPU_TILES)[]) {
  test.when(isNode, 'a page on a software adapter compiles each form for many seconds; Node runs them', `${tile}: what follows the sum: kept input of an activation, residual, adding to what is there`, async () => {
    const d = await device();
    const [m, n, k] = [36, 40, 24];
    const [x, w, r] = [random([m * k], 1), random([n * k], 2), random([m * n], 3)];
    const [X, W, R] = [Tensor.from(d, x, [m, k]), Tensor.from(d, w, [n, k]), Tensor.from(d, r, [m, n])];
    const wide = (v: Float32Array): Float64Array => Float64Array.from(v);
    const sum = linearRef(wide(x), wide(w), undefined, { m, n, k });
    forceTile(tile);
    try {
      const kept = multiply(d, { a: X, b: W, m, n, k, transposeB: true, activation: 'gelu_tanh', keep: true }, [m, n]);
      close(await kept.y.read(), linearRef(wide(x), wide(w), undefined, { m, n, k, activation: 'gelu_tanh' }), { nmse: 1e-11, name: 'gelu_tanh' });
      close(await kept.pre!.read(), sum, { nmse: 1e-11, name: 'kept' });
      close(await linear(X, W, undefined, { activation: 'silu', residual: R }).read(), linearRef(wide(x), wide(w), undefined, { m, n, k, activation: 'silu' }, wide(r)), { nmse: 1e-11, name: 'residual' });
      multiply(d, { a: X, b: W, m, n, k, transposeB: true, into: R, add: true }, [m, n]);
      close(await R.read(), sum.map((v, i) => v + r[i]!), { nmse: 1e-11, name: 'added' });
    } finally {
      forceTile(undefined);
    }
  });
}

test('the shipped table has a row for every vendor, falls back from architecture to vendor to default, and claims no measurement', async () => {
  const sizes = { m: 2048, n: 1024, k: 1024, batch: 1 };
  assert.is(shippedEntry({ vendor: 'nvidia', architecture: 'hopper' }, sizes), TABLE['nvidia/hopper']!.medium);
  assert.is(shippedEntry({ vendor: 'nvidia', architecture: 'ampere' }, sizes), TABLE['nvidia/*']!.medium);
  assert.is(shippedEntry({ vendor: 'unheard of', architecture: '' }, sizes), TABLE.default!.medium);
  for (const vendor of ['nvidia', 'amd', 'intel', 'apple', 'qualcomm', 'arm']) assert.ok(TABLE[`${vendor}/*`]);
  for (const row of Object.values(TABLE)) for (const { tile, groups, measured } of Object.values(row)) assert.ok(TILE_NAMES.includes(tile) && groups >= 1 && measured === false);
});

test('classes of shapes', () => {
  assert.equal([{ m: 8, n: 4096 }, { m: 256, n: 1024 }, { m: 2048, n: 1024 }, { m: 4096, n: 4096 }].map(s => shapeClass({ ...s, k: 64, batch: 1 })), ['thin', 'small', 'medium', 'large']);
  assert.is(shapeClass({ m: 256, n: 256, k: 64, batch: 48 }), 'large');
  assert.equal([1, 3].map(batch => shapeKey({ m: 1, n: 2, k: 3, batch })), ['1x2x3', '1x2x3x3']);
});

test('a measured table goes before the shipped one: shape, then class; other kernels and unknown tiles are ignored', async () => {
  const { features, gpu, limits } = await device();
  const sizes = { m: 256, n: 1024, k: 512, batch: 1 };
  const table = { kernels: kernelVersion(), shapes: { '256x1024x512': { tile: 'tiled32', splits: 3 } }, classes: { small: { tile: 'tiled64', groups: 99 } } };
  const at = (tuning: unknown): Device => ({ features, gpu, limits, tuning }) as unknown as Device;
  assert.equal(tunedChoice(at(table), sizes), { tile: 'tiled32', groups: 1, splits: 3 });
  assert.equal(tunedChoice(at(table), { ...sizes, k: 64 }), { tile: 'tiled64', groups: 99, splits: undefined });
  assert.is(tunedChoice(at(table), { ...sizes, m: 1 }), undefined);
  assert.is(tunedChoice(at({ ...table, kernels: '00000000' }), sizes), undefined);
  assert.is(tunedChoice(at({ ...table, shapes: { '256x1024x512': { tile: 'tiled31', splits: 1 } } }), sizes), undefined);
  assert.is(tunedChoice(at(undefined), sizes), undefined);
});

test('what a tile needs of an adapter', async () => {
  const { gpu, limits } = await device();
  assert.not.ok(runs({ features: new Set(), limits, gpu } as unknown as Device, 'lanes8'));
  assert.not.ok(runs({ features: new Set(), limits: { maxComputeWorkgroupStorageSize: 8192, maxComputeInvocationsPerWorkgroup: 256 } } as unknown as Device, 'tiled128'));
});

test.run();
