import { Tensor } from '../../engine/tensor.ts';
import { linear } from '../../kernels/linear.ts';
import { linearRef } from '../../kernels/linear.ref.ts';
import { assert, close, device, random, suite } from '../harness.ts';

const test = suite('linear');

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

test('a residual may be the input itself', async () => {
  const d = await device();
  const x = random([6, 8], 5), w = random([8, 8], 6);
  const tensor = Tensor.from(d, x, [6, 8]);
  const y = linear(tensor, Tensor.from(d, w, [8, 8]), undefined, { residual: tensor, activation: 'silu' });
  close(await y.read(), linearRef(Float64Array.from(x), Float64Array.from(w), undefined, { m: 6, n: 8, k: 8, activation: 'silu' }, Float64Array.from(x)), { nmse: 1e-11 });
});

test('wrong shapes are named', async () => {
  const d = await device();
  assert.throws(() => linear(Tensor.zeros(d, [2, 3]), Tensor.zeros(d, [5, 4])), (e: Error) => e.message === 'linear: weight has shape [5, 4], expected [*, 3], the last axis of x [2, 3]');
  assert.throws(() => linear(Tensor.zeros(d, [2, 3]), Tensor.zeros(d, [5, 3]), undefined, { residual: Tensor.zeros(d, [2, 3]) }), /linear: residual has shape \[2, 3\], expected \[2, 5\]/);
  assert.throws(() => linear(Tensor.zeros(d, [2, 3]), Tensor.zeros(d, [5, 3]), Tensor.zeros(d, [3])), /linear: bias has shape \[3\], expected \[5\]/);
});

test.run();
