import { Tensor } from '../../engine/tensor.ts';
import { meanPool } from '../../kernels/mean_pool.ts';
import { meanPoolRef } from '../../kernels/mean_pool.ref.ts';
import { assert, checkGradients, close, device, random, suite } from '../harness.ts';

const test = suite('meanPool');

/** Uneven masks with holes; sequence 1 has no real token. */
const maskOf = (batch: number, tokens: number): Uint32Array => Uint32Array.from({ length: batch * tokens }, (_, i) => (Math.floor(i / tokens) !== 1 && (i * 7) % 5 < 3 ? 1 + (i % 3) : 0));

for (const shape of [[0, 4, 8], [2, 0, 8], [1, 1, 1], [3, 5, 7], [2, 63, 64], [3, 65, 63], [2, 257, 100]] as const) {
  for (const masked of [false, true]) {
    test(`matches the formula at [${shape.join(', ')}]${masked ? ' with a mask' : ''}`, async () => {
      const d = await device();
      const x = random(shape, 1, { outliers: 0.01 });
      const mask = masked ? maskOf(shape[0], shape[1]) : undefined;
      const y = meanPool(Tensor.from(d, x, shape), mask && Tensor.from(d, mask, [shape[0], shape[1]]));
      assert.equal(y.shape, [shape[0], shape[2]]);
      close(await y.read(), meanPoolRef(Float64Array.from(x), shape, mask), { nmse: 1e-12 });
    });
  }
}

test('padding never reaches the mean, whatever it holds', async () => {
  const d = await device();
  const x = Float32Array.of(1, 2, NaN, Infinity, 3, 4);
  const y = await meanPool(Tensor.from(d, x, [1, 3, 2]), Tensor.from(d, Uint32Array.of(1, 0, 1), [1, 3])).read();
  assert.equal([...y], [2, 3]);
});

for (const shape of [[1, 1, 1], [3, 5, 7], [2, 9, 8]] as const) {
  for (const masked of [false, true]) {
    test(`gradient at [${shape.join(', ')}]${masked ? ' with a mask' : ''}`, async () => {
      const d = await device();
      const mask = masked ? maskOf(shape[0], shape[1]) : undefined;
      await checkGradients(x => meanPool(x, mask && Tensor.from(d, mask, [shape[0], shape[1]])), x => meanPoolRef(x, shape, mask), [{ shape }]);
    });
  }
}

test('says which argument has which shape', async () => {
  const d = await device();
  assert.throws(() => meanPool(Tensor.zeros(d, [2, 3, 4]), Tensor.zeros(d, [2, 4], 'u32')), /meanPool: mask has shape \[2, 4\], expected \[2, 3\]/);
  assert.throws(() => meanPool(Tensor.zeros(d, [2, 3, 4]), Tensor.zeros(d, [2, 3])), /meanPool: mask is f32, expected u32/);
});

test.run();
