import { gradients } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import { columnSum } from '../../kernels/column_sum.ts';
import { mean, sum, sumAxis } from '../../kernels/sum.ts';
import { assert, close, device, random, suite } from '../harness.ts';

const test = suite('sum');

test('sum and mean of all elements', async () => {
  const d = await device();
  for (const n of [1, 70_001]) {
    const x = random([n], n, { outliers: 0.01 }).map(v => v + 1);
    const total = x.reduce((s, v) => s + v, 0);
    close(await sum(Tensor.from(d, x)).read(), [total], { nmse: 1e-13, name: `sum of ${n}` });
    close(await mean(Tensor.from(d, x)).read(), [total / n], { nmse: 1e-13, name: `mean of ${n}` });
  }
  assert.equal(await sum(Tensor.empty(d, [0, 3])).read(), Float32Array.of(0));
  assert.throws(() => mean(Tensor.empty(d, [0, 3])), /mean: x has shape \[0, 3\], expected at least one element/);
  assert.throws(() => sumAxis(Tensor.zeros(d, [2, 3]), 2), /sumAxis: axis is 2, expected an axis of x \[2, 3\]/);
  assert.throws(() => columnSum(Tensor.zeros(d, [3])), /columnSum: x has shape \[3\], expected \[\*, \*\]/);
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

test.run();
