import { Tensor } from '../../engine/tensor.ts';
import { rmsNorm } from '../../kernels/rms_norm.ts';
import { rmsNormRef } from '../../kernels/rms_norm.ref.ts';
import { assert, checkGradients, close, device, random, suite } from '../harness.ts';

const test = suite('rmsNorm');
const wide = (x: Float32Array): Float64Array => Float64Array.from(x);

for (const [rows, cols] of [[0, 8], [1, 1], [1, 4], [31, 63], [32, 64], [33, 65], [7, 257], [20, 2048]] as const) {
  for (const unitOffset of [0, 1]) {
    test(`matches the formula at [${rows}, ${cols}], unit offset ${unitOffset}`, async () => {
      const d = await device();
      const x = random([rows, cols], 1, { outliers: 0.01 }), w = random([cols], 2);
      const y = rmsNorm(Tensor.from(d, x, [rows, cols]), Tensor.from(d, w), { eps: 1e-5, unitOffset });
      assert.equal(y.shape, [rows, cols]);
      close(await y.read(), rmsNormRef(wide(x), wide(w), 1e-5, unitOffset), { nmse: 1e-12 });
    });
  }
}

test('takes activations of 290,000', async () => {
  const d = await device();
  const x = random([4, 640], 5, { scale: 290_000 }), w = random([640], 6);
  const y = rmsNorm(Tensor.from(d, x, [4, 640]), Tensor.from(d, w), { unitOffset: 1 });
  close(await y.read(), rmsNormRef(wide(x), wide(w), 1e-6, 1), { nmse: 1e-12 });
});

for (const [rows, cols, unitOffset] of [[1, 1, 0], [5, 7, 1], [35, 12, 1], [70, 3, 0]] as const) {
  test(`gradients at [${rows}, ${cols}], unit offset ${unitOffset}`, () => checkGradients(
    (x, w) => rmsNorm(x, w, { eps: 1e-3, unitOffset }), (x, w) => rmsNormRef(x, w, 1e-3, unitOffset), [{ shape: [rows, cols] }, { shape: [cols] }],
  ));
}

test('says which argument has which shape', async () => {
  const d = await device();
  assert.throws(() => rmsNorm(Tensor.zeros(d, [2, 77, 2048]), Tensor.zeros(d, [1024])), /rmsNorm: weight has shape \[1024\], expected \[2048\], the last axis of x \[2, 77, 2048\]/);
});

test.run();
