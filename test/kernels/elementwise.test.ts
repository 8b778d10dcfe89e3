import { gradients } from '../../engine/tape.ts';
import { Tensor, size } from '../../engine/tensor.ts';
import type { Shape } from '../../engine/tensor.ts';
import { add, addScalar, div, exp, mul, scale, sub } from '../../kernels/elementwise.ts';
import { broadcast } from '../../kernels/elementwise.ref.ts';
import { assert, checkGradients, close, device, random, suite } from '../harness.ts';

const test = suite('elementwise');
const OPS = [['add', add, (a: number, b: number) => a + b], ['sub', sub, (a: number, b: number) => a - b], ['mul', mul, (a: number, b: number) => a * b], ['div', div, (a: number, b: number) => a / b]] as const;

/** Flat with and without vec4, rows with and without, columns, scalars, both sides broadcast, five alternating axes, an empty axis. */
const PAIRS: readonly (readonly [Shape, Shape])[] = [
  [[64], [64]], [[3, 5], [3, 5]], [[1], [1]], [[], []], [[0, 4], [4]], [[6, 8], [8]], [[8], [6, 8]], [[6, 7], [7]], [[6, 8], [6, 1]], [[5, 1], [1, 3]],
  [[2, 3, 4], [1]], [[1, 1], [2, 3]], [[2, 3, 4], [2, 1, 4]], [[2, 1, 3, 1, 5], [1, 4, 1, 2, 5]], [[2, 4, 8], [4, 8]], [[2, 3, 1, 4], [2, 1, 5, 1]], [[2, 3, 2, 3, 2], [2, 1, 2, 1, 2]],
];
/** Away from zero, for divisors. */
const away = (shape: Shape, seed: number): Float32Array => random(shape, seed).map(v => v + (v < 0 ? -0.5 : 0.5));

for (const [name, op, formula] of OPS) {
  test(`${name}: broadcasting`, async () => {
    const d = await device();
    for (const [p, q] of PAIRS) {
      const a = random(p, 1, { outliers: 0.1 });
      const b = away(q, 2);
      const y = op(Tensor.from(d, a, p), Tensor.from(d, b, q));
      const expected = broadcast(formula, Float64Array.from(a), p, Float64Array.from(b), q);
      assert.is(y.size, expected.length);
      close(await y.read(), expected, { rel: 4e-7, abs: 1e-6, name: `${p} and ${q}` });
    }
  });

  test(`${name}: gradients are summed back over broadcast axes`, async () => {
    for (const [p, q] of PAIRS) {
      if (!size(p) || !size(q)) continue;
      const inputs = [{ shape: p, data: random(p, 3) }, { shape: q, data: away(q, 4) }];
      await checkGradients(op, (a, b) => broadcast(formula, a!, p, b!, q), inputs, { nmse: size(p) === 1 || size(q) === 1 ? 1e-7 : 1e-12 }); // a sum to one number may cancel
    }
  });
}

test('add and sub of whole numbers are exact', async () => {
  const d = await device();
  const a = Float32Array.from({ length: 1000 }, (_, i) => i * 16_000 - 5e6);
  const b = Float32Array.from({ length: 1000 }, (_, i) => 7 * i);
  assert.equal(await add(Tensor.from(d, a), Tensor.from(d, b)).read(), a.map((v, i) => v + b[i]!));
  assert.equal(await sub(Tensor.from(d, a), Tensor.from(d, b)).read(), a.map((v, i) => v - b[i]!));
});

test('one tensor on both sides gets the sum of both gradients', async () => {
  await checkGradients(x => mul(x, x), x => x!.map(v => v * v), [{ shape: [3, 4] }]);
});

test('scale, addScalar, exp: values and gradients', async () => {
  const d = await device();
  for (const n of [0, 1, 64, 97]) {
    const x = random([n], n);
    close(await scale(Tensor.from(d, x), -2.5).read(), x.map(v => v * -2.5), { rel: 1e-7 });
    close(await addScalar(Tensor.from(d, x), 3).read(), Float64Array.from(x, v => v + 3), { abs: 5e-7 });
    close(await exp(Tensor.from(d, x)).read(), Float64Array.from(x, Math.exp), { rel: 3e-7 });
    if (!n) continue;
    await checkGradients(t => scale(t, -2.5), t => t!.map(v => v * -2.5), [{ shape: [n] }]);
    await checkGradients(t => addScalar(t, 3), t => t!.map(v => v + 3), [{ shape: [n] }]);
    await checkGradients(exp, t => t!.map(Math.exp), [{ shape: [n] }], { nmse: 1e-12 });
  }
});

test('exp: error over its whole range, and the ends', async () => {
  const d = await device();
  const x = Float32Array.from({ length: 40_000 }, (_, i) => -87.2 + i * 0.0043975);
  const y = await exp(Tensor.from(d, x)).read();
  const worst = y.reduce((w, v, i) => Math.max(w, Math.abs(v / Math.exp(x[i]!) - 1)), 0);
  console.log(`exp: relative error ${worst.toExponential(1)} on [-87.2, 88.7]`);
  assert.ok(worst < 4e-7, `relative error ${worst}`);
  const [low, high] = await exp(Tensor.from(d, [-1e4, 1e4])).read();
  assert.equal([low, high], [0, Infinity]);
});

test('gradients have the same bits at every run', async () => {
  const d = await device();
  const run = async (): Promise<Float32Array> => {
    const a = Tensor.from(d, random([300, 33], 5), [300, 33]);
    const b = Tensor.from(d, random([33], 6));
    a.needsGrad = b.needsGrad = true;
    const y = mul(a, b);
    return gradients(y, Tensor.from(d, random([300, 33], 7), [300, 33]), [b])[0]!.read();
  };
  assert.equal(await run(), await run());
});

test('shapes that do not broadcast are refused', async () => {
  const d = await device();
  assert.throws(() => add(Tensor.zeros(d, [2, 3]), Tensor.zeros(d, [2])), /add: a has shape \[2, 3\] and b \[2\], expected equal sizes or 1 on axis 1/);
  assert.throws(() => mul(Tensor.zeros(d, [2]), Tensor.zeros(d, [2], 'u32')), /mul: b is u32, expected f32/);
});

test.run();
