import { Tensor } from '../../engine/tensor.ts';
import { backward } from '../../kernels/backward.ts';
import { add, mean, mul, sum } from '../../kernels/elementwise.ts';
import { assert, close, device, random, suite } from '../harness.ts';

const test = suite('backward');

test('a tensor used twice gets the sum, a second call adds to it', async () => {
  const d = await device();
  const data = random([3, 5], 1);
  const x = Tensor.from(d, data, [3, 5]);
  x.needsGrad = true;
  const loss = (): Tensor => sum(add(mul(x, x), x)); // d/dx = 2x + 1
  backward(loss());
  close(await x.grad!.read(), data.map(v => 2 * v + 1), { abs: 1e-6 });
  backward(loss());
  close(await x.grad!.read(), data.map(v => 4 * v + 2), { abs: 2e-6 });
});

test('only leaves that ask get a gradient', async () => {
  const d = await device();
  const w = Tensor.from(d, [1, 2, 3]);
  const frozen = Tensor.from(d, [4, 5, 6]);
  w.needsGrad = true;
  backward(mean(mul(w, frozen)));
  close(await w.grad!.read(), [4 / 3, 5 / 3, 2], { abs: 1e-6 });
  assert.is(frozen.grad, undefined);
});

test('a loss of more than one element, or without history, is refused', async () => {
  const x = Tensor.from(await device(), [1, 2]);
  x.needsGrad = true;
  assert.throws(() => backward(mul(x, x)), /backward: loss has shape \[2\], expected one element/);
  x.needsGrad = false;
  assert.throws(() => backward(sum(x)), /does not depend on a tensor that needs a gradient/);
});

test.run();
