import { Tensor } from '../../engine/tensor.ts';
import { full } from '../../kernels/fill.ts';
import { lerpInPlace } from '../../kernels/lerp.ts';
import { lerpRef } from '../../kernels/lerp.ref.ts';
import { assert, close, device, random, suite } from '../harness.ts';

const test = suite('lerp and fill');

for (const n of [0, 1, 63, 64, 65, 1009, 4095, 4096, 4097, 100_003]) {
  test(`lerpInPlace of ${n} elements`, async () => {
    const d = await device();
    const a = random([n], 1), b = random([n], 2, { outliers: 0.1 });
    const x = Tensor.from(d, a), y = Tensor.from(d, b);
    lerpInPlace(x, y, 0.3);
    close(await x.read(), lerpRef(Float64Array.from(a), Float64Array.from(b), Math.fround(0.3)), { nmse: 1e-13, rel: 1e-5, abs: 1e-6 });
    assert.equal(await y.read(), b);
    x.dispose();
    y.dispose();
  });
}

test('shapes that differ are refused', async () => {
  const d = await device();
  assert.throws(() => lerpInPlace(Tensor.zeros(d, [3]), Tensor.zeros(d, [4]), 0.5), /lerpInPlace: y has shape \[4\], expected \[3\]/);
});

test('full writes every element, also beyond 65,535 workgroups', async () => {
  const d = await device();
  const n = 64 * 65_535 + 3;
  const x = full(d, [n], -1.5);
  const values = await x.read();
  assert.is(values.length, n);
  assert.ok(values.every(v => v === -1.5));
  x.dispose();
});

test.run();
