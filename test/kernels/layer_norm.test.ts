import { Tensor } from '../../engine/tensor.ts';
import { layerNorm } from '../../kernels/layer_norm.ts';
import { layerNormRef } from '../../kernels/layer_norm.ref.ts';
import { assert, checkGradients, close, device, random, suite } from '../harness.ts';

const test = suite('layerNorm');
const wide = (x: Float32Array): Float64Array => Float64Array.from(x);

for (const [rows, cols] of [[0, 8], [1, 1], [1, 4], [31, 63], [32, 64], [33, 65], [7, 257], [40, 1024]] as const) {
  test(`matches the formula at [${rows}, ${cols}]`, async () => {
    const d = await device();
    const x = random([rows, cols], 1, { outliers: 0.01 }), w = random([cols], 2), b = random([cols], 3);
    const y = layerNorm(Tensor.from(d, x, [rows, cols]), Tensor.from(d, w), Tensor.from(d, b), { eps: 1e-6 });
    assert.equal(y.shape, [rows, cols]);
    close(await y.read(), layerNormRef(wide(x), wide(w), wide(b), 1e-6), { nmse: 1e-12 });
  });
}

test('keeps the variance of a row far from zero', async () => {
  const d = await device();
  const x = random([3, 128], 4, { scale: 1e-2 }).map(v => 1000 + v);
  const y = layerNorm(Tensor.from(d, x, [3, 128]), Tensor.from(d, new Float32Array(128).fill(1)), Tensor.from(d, new Float32Array(128)));
  close(await y.read(), layerNormRef(wide(x), new Float64Array(128).fill(1), new Float64Array(128), 1e-6), { nmse: 1e-5 });
});

for (const [rows, cols] of [[1, 1], [5, 7], [35, 12], [70, 3]] as const) {
  test(`gradients at [${rows}, ${cols}]`, () => checkGradients(
    (x, w, b) => layerNorm(x, w, b, { eps: 1e-3 }), (x, w, b) => layerNormRef(x, w, b, 1e-3), [{ shape: [rows, cols] }, { shape: [cols] }, { shape: [cols] }],
  ));
}

test('says which argument has which shape', async () => {
  const d = await device();
  const x = Tensor.zeros(d, [2, 3, 8]), w = Tensor.zeros(d, [6]), b = Tensor.zeros(d, [8]);
  assert.throws(() => layerNorm(x, w, b), /layerNorm: weight has shape \[6\], expected \[8\], the last axis of x \[2, 3, 8\]/);
  assert.throws(() => layerNorm(x, b, w), /layerNorm: bias has shape \[6\], expected \[8\]/);
});

test.run();
