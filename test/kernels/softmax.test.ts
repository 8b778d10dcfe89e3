import { Tensor } from '../../engine/tensor.ts';
import { softmax } from '../../kernels/softmax.ts';
import { softmaxRef } from '../../kernels/softmax.ref.ts';
import { assert, close, device, random, suite } from '../harness.ts';

const test = suite('softmax');

for (const [rows, cols] of [[2, 50_001]] as const) {
  test(`matches the formula at [${rows}, ${cols}]`, async () => {
    const d = await device();
    const x = random([rows, cols], 1, { scale: 3, outliers: 0.01 });
    const y = softmax(Tensor.from(d, x, [rows, cols]));
    assert.equal(y.shape, [rows, cols]);
    close(await y.read(), softmaxRef(Float64Array.from(x), cols), { nmse: 1e-12 });
  });
}

test('extremes of 1000 neither overflow nor vanish', async () => {
  const d = await device();
  const x = Float32Array.of(1000, 999, -1000, -1000, -1000, -1000, 1000, -1000, 1000, -1000, -1000, 1000);
  const y = await softmax(Tensor.from(d, x, [3, 4])).read();
  close(y, softmaxRef(Float64Array.from(x), 4), { abs: 1e-7 });
});

test('refuses an empty last axis', async () => {
  const d = await device();
  assert.throws(() => softmax(Tensor.zeros(d, [3, 0])), /softmax: x has shape \[3, 0\], expected a last axis of at least 1/);
});

test.run();
