import { gradients } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import { mean, sum, sumAxis, sumTo } from '../../kernels/sum.ts';
import { sumMiddle } from '../../kernels/sum.ref.ts';
import { assert, checkGradients, close, device, random, suite } from '../harness.ts';

const test = suite('sum');

test('sum and mean of all elements', async () => {
  const d = await device();
  for (const n of [1, 3, 4, 127, 256, 257, 1031, 70_001]) {
    const x = random([n], n, { outliers: 0.01 }).map(v => v + 1);
    const total = x.reduce((s, v) => s + v, 0);
    close(await sum(Tensor.from(d, x)).read(), [total], { nmse: 1e-13, name: `sum of ${n}` });
    close(await mean(Tensor.from(d, x)).read(), [total / n], { nmse: 1e-13, name: `mean of ${n}` });
  }
  assert.equal(await sum(Tensor.empty(d, [0, 3])).read(), Float32Array.of(0));
  assert.throws(() => mean(Tensor.empty(d, [0, 3])), /mean: x has shape \[0, 3\], expected at least one element/);
});

test('sums of whole numbers are exact', async () => {
  const x = Float32Array.from({ length: 4099 }, (_, i) => (i * 37) % 1000);
  assert.equal(await sum(Tensor.from(await device(), x)).read(), Float32Array.of(x.reduce((s, v) => s + v, 0)));
});

test('sumAxis over first, middle and last axis', async () => {
  const d = await device();
  for (const [outer, n, inner] of [[1, 300, 5], [3, 1, 4], [2, 257, 3], [5, 7, 1], [3, 513, 1], [2, 0, 3], [0, 2, 3]] as const) {
    const x = random([outer, n, inner], 3, { outliers: 0.02 });
    const y = sumAxis(Tensor.from(d, x, [outer, n, inner]), 1);
    assert.equal(y.shape, [outer, inner]);
    close(await y.read(), sumMiddle(Float64Array.from(x), outer, n, inner), { nmse: 1e-12, name: `${outer}, ${n}, ${inner}` });
  }
  const x = random([4, 6], 1);
  close(await sumAxis(Tensor.from(d, x, [4, 6]), -1).read(), sumMiddle(Float64Array.from(x), 4, 6, 1), { nmse: 1e-13 });
  assert.throws(() => sumAxis(Tensor.zeros(d, [2, 3]), 2), /sumAxis: axis is 2, expected an axis of x \[2, 3\]/);
});

test('sumTo undoes any broadcast', async () => {
  const d = await device();
  const x = random([2, 3, 4, 5], 9);
  const wide = Float64Array.from(x);
  const cases = [[[5], sumMiddle(wide, 1, 24, 5)], [[2, 1, 1, 5], sumMiddle(wide, 2, 12, 5)], [[4, 1], sumMiddle(sumMiddle(wide, 1, 6, 20), 4, 5, 1)],
    [[1, 3, 1, 5], sumMiddle(sumMiddle(wide, 1, 2, 60), 3, 4, 5)], [[], sumMiddle(wide, 1, 120, 1)]] as const;
  for (const [shape, expected] of cases) {
    const y = sumTo(Tensor.from(d, x, [2, 3, 4, 5]), shape);
    assert.equal(y.shape, shape);
    close(await y.read(), expected, { nmse: 1e-12, name: `to ${shape}` });
  }
});

test('more than 65,535 workgroups: the grid folds', async () => {
  const d = await device();
  const n = 65_536 * 64 + 1;
  const x = Tensor.zeros(d, [n]);
  x.needsGrad = true;
  const y = sum(x);
  const [dx] = gradients(y, Tensor.from(d, [3]), [x]);
  assert.is((await dx!.read()).findIndex(v => v !== 3), -1);
});

test('gradients', async () => {
  await checkGradients(sum, x => Float64Array.of(x!.reduce((s, v) => s + v, 0)), [{ shape: [3, 7] }]);
  await checkGradients(mean, x => Float64Array.of(x!.reduce((s, v) => s + v, 0) / 21), [{ shape: [3, 7] }]);
  await checkGradients(x => sumAxis(x, 1), x => sumMiddle(x!, 3, 5, 2), [{ shape: [3, 5, 2] }]);
  await checkGradients(x => sumAxis(x, 0), x => sumMiddle(x!, 1, 3, 10), [{ shape: [3, 5, 2] }]);
});

test.run();
