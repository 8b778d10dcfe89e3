import { Tensor } from '../../engine/tensor.ts';
import { gelu, silu } from '../../kernels/activation.ts';
import * as ref from '../../kernels/activation.ref.ts';
import { assert, checkGradients, close, device, nmse, suite } from '../harness.ts';

const test = suite('activation');
const OPS = [
  { name: 'gelu', op: (x: Tensor) => gelu(x), formula: ref.gelu },
  { name: 'gelu tanh', op: (x: Tensor) => gelu(x, { approximate: 'tanh' }), formula: ref.geluTanh },
  { name: 'silu', op: (x: Tensor) => silu(x), formula: ref.silu },
];

test('the reference has the published values', () => {
  close([ref.gelu(1), ref.geluTanh(1), ref.gelu(-0.5), ref.geluTanh(-0.5)], [0.8413447461, 0.8411919906, -0.1542687694, -0.1542859902], { abs: 6e-11 });
});

test('gelu has the published values', async () => {
  const d = await device();
  close(await gelu(Tensor.from(d, [1, -0.5])).read(), [0.8413447461, -0.1542687694], { abs: 6e-8 });
  close(await gelu(Tensor.from(d, [1, -0.5]), { approximate: 'tanh' }).read(), [0.8411919906, -0.1542859902], { abs: 6e-8 });
});

for (const { name, op, formula } of OPS) {
  test(`${name}: error over a dense sample of [-12, 12]`, async () => {
    const d = await device();
    const x = Float32Array.from({ length: 48_001 }, (_, i) => -12 + i * 0.0005);
    const y = await op(Tensor.from(d, x)).read();
    const expected = Float64Array.from(x, formula);
    const absolute = y.reduce((worst, v, i) => Math.max(worst, Math.abs(v - expected[i]!)), 0);
    const relative = y.reduce((worst, v, i) => Math.max(worst, Math.abs(x[i]!) <= 4 && x[i] !== 0 ? Math.abs(v / expected[i]! - 1) : 0), 0);
    console.log(`${name}: absolute error ${absolute.toExponential(1)}, relative error on [-4, 4] ${relative.toExponential(1)}, NMSE ${nmse(y, expected).toExponential(1)}`);
    assert.ok(absolute < 1.5e-6, `absolute error ${absolute}`);
    assert.ok(relative < 2e-6, `relative error ${relative}`);
    assert.ok(nmse(y, expected) < 1e-13, `NMSE ${nmse(y, expected)}`);
  });

  test(`${name}: finite and exact far out`, async () => {
    const d = await device();
    close(await op(Tensor.from(d, [1e3, -1e3, 1e9, -1e9, 0])).read(), [1e3, 0, 1e9, 0, 0], { abs: 1e-20 });
  });

  test(`${name}: gradient far out is 0 or 1`, async () => {
    await checkGradients(op, x => x.map(formula), [{ shape: [4], data: Float32Array.of(200, -200, 50, -50) }], { nmse: 1e-12 });
  });
}

test('a u32 tensor is refused', async () => {
  const x = Tensor.from(await device(), new Uint32Array(4));
  assert.throws(() => gelu(x), /gelu: x is u32, expected f32/);
});

test.run();
