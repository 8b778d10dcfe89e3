import { Tensor } from '../../engine/tensor.ts';
import { full } from '../../kernels/fill.ts';
import { lerpInPlace } from '../../kernels/lerp.ts';
import { assert, device, suite } from '../harness.ts';

const test = suite('lerp and fill');

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
