import { Tensor } from '../../engine/tensor.ts';
import { layerNorm } from '../../kernels/layer_norm.ts';
import { layerNormRef } from '../../kernels/layer_norm.ref.ts';
import { assert, close, device, random, suite } from '../harness.ts';

const test = suite('layerNorm');
const wide = (x: Float32Array): Float64Array => Float64Array.from(x);

test('keeps the variance of a row far from zero', async () => {
  const d = await device();
  const x = random([3, 128], 4, { scale: 1e-2 }).map(v => 1000 + v);
  const y = layerNorm(Tensor.from(d, x, [3, 128]), Tensor.from(d, new Float32Array(128).fill(1)), Tensor.from(d, new Float32Array(128)));
  close(await y.read(), layerNormRef(wide(x), new Float64Array(128).fill(1), new Float64Array(128), 1e-6), { nmse: 1e-5 });
});

test('says which argument has which shape', async () => {
  const d = await device();
  const x = Tensor.zeros(d, [2, 3, 8]), w = Tensor.zeros(d, [6]), b = Tensor.zeros(d, [8]);
  assert.throws(() => layerNorm(x, w, b), /layerNorm: weight has shape \[6\], expected \[8\], the last axis of x \[2, 3, 8\]/);
  assert.throws(() => layerNorm(x, b, w), /layerNorm: bias has shape \[6\], expected \[8\]/);
});

test.run();
