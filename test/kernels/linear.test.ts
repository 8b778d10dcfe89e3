import { Tensor } from '../../engine/tensor.ts';
import { linear } from '../../kernels/linear.ts';
import { linearRef } from '../../kernels/linear.ref.ts';
import type { Activation } from '../../kernels/matmul.ts';
import { assert, checkGradients, close, device, random, suite } from '../harness.ts';

const test = suite('linear');

for (const activation of ['none', 'gelu', 'gelu_tanh', 'silu'] as Activation[]) {
  test(`${activation}: value at tile edges and a real size`, async () => {
    const d = await device();
    for (const [m, n, k] of [[1, 1, 1], [33, 29, 13], [77, 192, 96], [8, 4, 2048]] as const) {
      const x = random([m, k], 1, { outliers: 0.01 });
      const w = random([n, k], 2, { scale: 1 / Math.sqrt(k) });
      const b = random([n], 3);
      const y = await linear(Tensor.from(d, x, [m, k]), Tensor.from(d, w, [n, k]), Tensor.from(d, b), { activation }).read();
      close(y, linearRef(Float64Array.from(x), Float64Array.from(w), Float64Array.from(b), { m, n, k, activation }), { nmse: 1e-11, name: `${m}×${n}×${k}` });
    }
  });
  test(`${activation}: gradients of x, weight and bias`, async () => {
    for (const [m, n, k] of [[5, 3, 7], [8, 4, 12]] as const) {
      await checkGradients((x, w, b) => linear(x, w, b, { activation }), (x, w, b) => linearRef(x, w, b, { m, n, k, activation }), [{ shape: [m, k] }, { shape: [n, k] }, { shape: [n] }]);
    }
  });
}

test('gradients when the sum of the product is cut', async () => {
  const [m, n, k] = [2, 2, 600];
  await checkGradients((x, w, b) => linear(x, w, b, { activation: 'silu' }), (x, w, b) => linearRef(x, w, b, { m, n, k, activation: 'silu' }),
    [{ shape: [m, k], data: random([m, k], 1, { scale: 0.1 }) }, { shape: [n, k] }, { shape: [n] }]);
});

test('leading axes stay, a bias is optional, empty batches pass', async () => {
  const d = await device();
  const x = random([2, 3, 4], 5);
  const w = random([8, 4], 6);
  const y = linear(Tensor.from(d, x, [2, 3, 4]), Tensor.from(d, w, [8, 4]));
  assert.equal([...y.shape], [2, 3, 8]);
  close(await y.read(), linearRef(Float64Array.from(x), Float64Array.from(w), undefined, { m: 6, n: 8, k: 4 }), { nmse: 1e-12 });
  assert.equal([...linear(Tensor.zeros(d, [0, 4]), Tensor.from(d, w, [8, 4])).shape], [0, 8]);
  const bias = random([8], 7);
  close(await linear(Tensor.zeros(d, [3, 0]), Tensor.zeros(d, [8, 0]), Tensor.from(d, bias)).read(), [...bias, ...bias, ...bias], { abs: 0 });
});

test('wrong shapes are named', async () => {
  const d = await device();
  assert.throws(() => linear(Tensor.zeros(d, [2, 3]), Tensor.zeros(d, [5, 4])), (e: Error) => e.message === 'linear: weight has shape [5, 4], expected [*, 3], the last axis of x [2, 3]');
  assert.throws(() => linear(Tensor.zeros(d, [2, 3]), Tensor.zeros(d, [5, 3]), Tensor.zeros(d, [3])), /linear: bias has shape \[3\], expected \[5\]/);
});

test.run();
