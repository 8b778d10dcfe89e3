import { Tensor } from '../../engine/tensor.ts';
import { rmsNorm } from '../../kernels/rms_norm.ts';
import { rmsNormRef } from '../../kernels/rms_norm.ref.ts';
import { assert, close, device, random, suite } from '../harness.ts';

const test = suite('rmsNorm');
const wide = (x: Float32Array): Float64Array => Float64Array.from(x);

test('takes activations of 290,000', async () => {
  const d = await device();
  const x = random([4, 640], 5, { scale: 290_000 }), w = random([640], 6);
  const y = rmsNorm(Tensor.from(d, x, [4, 640]), Tensor.from(d, w), { unitOffset: 1 });
  close(await y.read(), rmsNormRef(wide(x), wide(w), 1e-6, 1), { nmse: 1e-12 });
});

test('says which argument has which shape', async () => {
  const d = await device();
  assert.throws(() => rmsNorm(Tensor.zeros(d, [2, 77, 2048]), Tensor.zeros(d, [1024])), /rmsNorm: weight has shape \[1024\], expected \[2048\], the last axis of x \[2, 77, 2048\]/);
});

test.run();
