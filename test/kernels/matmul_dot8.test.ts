// Products of bytes: the inner sums are exact, so the limit is the rounding of a few factors and sums per block.
import { Tensor } from '../../engine/tensor.ts';
import { cast } from '../../kernels/cast.ts';
import { linear } from '../../kernels/linear.ts';
import { linearRef } from '../../kernels/linear.ref.ts';
import { DOT8_FEATURE } from '../../kernels/matmul_dot8.ts';
import { linearInt8Ref } from '../../kernels/matmul_dot8.ref.ts';
import { quantize } from '../../kernels/quantize.ts';
import { assert, close, device, random, suite } from '../harness.ts';

const test = suite('linear of bytes');
const wide = (v: Float32Array): Float64Array => Float64Array.from(v);

/** Both operands as bytes and as the numbers that those stand for. */
async function operands(m: number, n: number, k: number, block: number, seed: number) {
  const d = await device();
  const x = random([m * k], seed, { outliers: 0.002 }), w = random([n * k], seed + 1), b = random([n], seed + 2);
  const [xt, x8, w8] = [Tensor.from(d, x, [m, k]), quantize(Tensor.from(d, x, [m, k]), { block }), quantize(Tensor.from(d, w, [n, k]), { block })];
  return { d, x, xt, x8, w8, bt: Tensor.from(d, b), b: wide(b), xq: wide(await cast(x8, 'f32').read()), wq: wide(await cast(w8, 'f32').read()) };
}

for (const activation of ['none', 'gelu', 'gelu_tanh', 'silu'] as const) {
  test(`equal to float64 of the bytes, ${activation}`, async () => {
    for (const [i, [m, n, k, block]] of ([[1, 1, 16, 16], [3, 5, 32, 16], [33, 70, 96, 48], [64, 64, 256, 64], [7, 33, 1024, 1024], [130, 9, 4096, 128]] as const).entries()) {
      const { xt, x8, w8, bt, b, xq, wq } = await operands(m, n, k, block, 10 * i);
      const want = linearRef(xq, wq, b, { m, n, k, activation });
      const got = await linear(x8, w8, bt, { activation, int8: true }).read();
      close(got, want, { nmse: 1e-12, name: `${m} x ${n} x ${k} in ${block}` });
      const again = await linear(xt, w8, bt, { activation, int8: true }).read(); // rounded inside: the same bytes
      assert.equal(again, got);
    }
  });
}

test('whole numbers that fit bytes come out exact', async () => {
  const d = await device();
  const [m, n, k] = [9, 21, 64];
  const whole = (count: number, seed: number): Float32Array => random([count], seed, { scale: 40 }).map((v, i) => (i % k === 0 ? 127 : Math.max(-127, Math.min(127, Math.round(v))))); // a factor of 1
  const x = whole(m * k, 1), w = whole(n * k, 2);
  const y = linear(Tensor.from(d, x, [m, k]), quantize(Tensor.from(d, w, [n, k])), undefined, { int8: true });
  close(await y.read(), linearRef(wide(x), wide(w), undefined, { m, n, k }), { abs: 0 });
});

test('near the product of floats, as the formula of rounding to bytes says', async () => {
  const [m, n, k, block] = [17, 40, 512, 64];
  const { x, xt, w8, wq } = await operands(m, n, k, block, 5);
  const got = await linear(xt, w8, undefined, { int8: true }).read();
  close(got, linearInt8Ref(wide(x), wq, undefined, { m, n, k, block }), { nmse: 1e-6 }); // a value at a tie may go the other way
  close(got, linearRef(wide(x), wq, undefined, { m, n, k }), { nmse: 1e-3 });
});

test('no rows, and a NaN in one row alone', async () => {
  const { d, x, w8 } = await operands(3, 8, 32, 32, 3);
  assert.is((await linear(Tensor.from(d, new Float32Array(0), [0, 32]), w8, undefined, { int8: true }).read()).length, 0);
  x[40] = NaN;
  const y = await linear(Tensor.from(d, x, [3, 32]), w8, undefined, { int8: true }).read();
  assert.equal([0, 1, 2].map(r => y.subarray(8 * r, 8 * r + 8).every(Number.isFinite)), [true, false, true]);
});

test('what does not fit says what was expected', async () => {
  const { d, xt, x8, w8 } = await operands(2, 4, 32, 32, 4);
  const t = (shape: number[]): Tensor => Tensor.zeros(d, shape);
  assert.throws(() => linear(xt, t([4, 32]), undefined, { int8: true }), /weight is f32, expected i8/);
  assert.throws(() => linear(t([2, 24]), quantize(t([4, 24])), undefined, { int8: true }), /multiples of 16/);
  assert.throws(() => linear(x8, quantize(t([4, 32]), { block: 16 }), undefined, { int8: true }), /x is i8 in blocks of 32, expected 16/);
  xt.needsGrad = true;
  assert.throws(() => linear(xt, w8, undefined, { int8: true }), /a gradient through int8 is wanted/);
  const { language } = d;
  try {
    Object.defineProperty(d, 'language', { value: new Set(), configurable: true });
    assert.throws(() => linear(x8, w8, undefined, { int8: true }), new RegExp(DOT8_FEATURE));
  } finally {
    Object.defineProperty(d, 'language', { value: language, configurable: true });
  }
});

test.run();
