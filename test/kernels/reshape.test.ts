import { Tensor } from '../../engine/tensor.ts';
import { mul } from '../../kernels/elementwise.ts';
import { reshape } from '../../kernels/reshape.ts';
import { assert, checkGradients, device, random, suite } from '../harness.ts';

const test = suite('reshape');

test('shares the storage, keeps the bits, takes one -1', async () => {
  const x = Tensor.from(await device(), random([2, 3, 4], 1), [2, 3, 4]);
  const y = reshape(x, [6, -1]);
  assert.equal(y.shape, [6, 4]);
  assert.is(y.storage, x.storage);
  assert.equal(await y.read(), await x.read());
  assert.equal(reshape(Tensor.from(x.device, [5]), []).shape, []);
});

test('gradient goes through, in the shape of x', async () => {
  await checkGradients(x => reshape(mul(reshape(x, [6]), reshape(x, [6])), [3, 2]), x => x!.map(v => v * v), [{ shape: [2, 3] }]);
});

test('another element count is refused', async () => {
  const x = Tensor.zeros(await device(), [2, 3]);
  assert.throws(() => reshape(x, [4]), /reshape: shape is \[4\], expected the 6 elements of x \[2, 3\]/);
  assert.throws(() => reshape(x, [-1, 4]), /reshape/);
  assert.throws(() => reshape(x, [-1, -1]), /reshape/);
});

test.run();
