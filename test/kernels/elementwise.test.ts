import { Tensor } from '../../engine/tensor.ts';
import { add, exp, mul, sub } from '../../kernels/elementwise.ts';
import { assert, checkGradients, device, suite } from '../harness.ts';

const test = suite('elementwise');

test('add and sub of whole numbers are exact', async () => {
  const d = await device();
  const a = Float32Array.from({ length: 1000 }, (_, i) => i * 16_000 - 5e6);
  const b = Float32Array.from({ length: 1000 }, (_, i) => 7 * i);
  assert.equal(await add(Tensor.from(d, a), Tensor.from(d, b)).read(), a.map((v, i) => v + b[i]!));
  assert.equal(await sub(Tensor.from(d, a), Tensor.from(d, b)).read(), a.map((v, i) => v - b[i]!));
});

test('one tensor on both sides gets the sum of both gradients', async () => {
  await checkGradients(x => mul(x, x), x => x!.map(v => v * v), [{ shape: [3, 4] }]);
});

test('exp: error over its whole range, and the ends', async () => {
  const d = await device();
  const x = Float32Array.from({ length: 40_000 }, (_, i) => -87.2 + i * 0.0043975);
  const y = await exp(Tensor.from(d, x)).read();
  const worst = y.reduce((w, v, i) => Math.max(w, Math.abs(v / Math.exp(x[i]!) - 1)), 0);
  console.log(`exp: relative error ${worst.toExponential(1)} on [-87.2, 88.7]`);
  assert.ok(worst < 4e-7, `relative error ${worst}`);
  const [low, high] = await exp(Tensor.from(d, [-1e4, 1e4])).read();
  assert.equal([low, high], [0, Infinity]);
});

test('shapes that do not broadcast are refused', async () => {
  const d = await device();
  assert.throws(() => add(Tensor.zeros(d, [2, 3]), Tensor.zeros(d, [2])), /add: a has shape \[2, 3\] and b \[2\], expected equal sizes or 1 on axis 1/);
  assert.throws(() => mul(Tensor.zeros(d, [2]), Tensor.zeros(d, [2], 'u32')), /mul: b is u32, expected f32/);
});

test.run();
