import { Tensor } from '../../engine/tensor.ts';
import { sigreg, sigregKnots, unitDirections } from '../../kernels/sigreg.ts';
import type { SigregOptions } from '../../kernels/sigreg.ts';
import { sigregGradRef, sigregRef } from '../../kernels/sigreg.ref.ts';
import { assert, checkGradients, close, device, generator, random, suite } from '../harness.ts';
import { matchesFormula, runLoss, twinMatchesDifferences } from './loss_check.ts';
import type { LossCase } from './loss_check.ts';

const test = suite('sigreg');

/** Normal values without the drift of `random`: what the statistic calls right. */
function normal(n: number, dim: number, seed: number): Float32Array {
  const next = generator(seed);
  return Float32Array.from({ length: n * dim }, () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()));
}

function lossCase(data: Float32Array, dim: number, options: Omit<SigregOptions, 'directions'> = {}): LossCase {
  const { projections = 256, seed = 0 } = options;
  const directions = Float64Array.from(unitDirections(projections, dim, seed));
  const refOptions = { knots: options.knots ?? 17, range: options.range ?? 5 };
  return {
    op: x => sigreg(x!, options),
    ref: x => sigregRef(x!, directions, dim, refOptions),
    gradRef: (g, x) => [sigregGradRef(x!, directions, dim, g, refOptions)],
    inputs: [{ shape: [data.length / dim, dim], data }],
  };
}

for (const [n, dim, projections] of [[1, 1, 1], [1, 7, 3], [2, 5, 64], [31, 1, 5], [64, 8, 16], [65, 13, 17], [127, 3, 2], [130, 16, 9]] as const) {
  test(`matches float64 at N ${n}, D ${dim}, M ${projections}`, () => matchesFormula({ ...lossCase(random([n, dim], 1), dim, { projections, seed: n }), dloss: 0.4 }));
}

for (const options of [{ knots: 3 }, { knots: 33, range: 3 }, { range: 1.7 }, { seed: -7 }, { seed: 2 ** 31 }]) {
  test(`matches float64 with ${JSON.stringify(options)}`, () => matchesFormula(lossCase(random([40, 6], 2), 6, { projections: 12, ...options })));
}

test('embeddings far from zero: sine and cosine of large arguments', () => matchesFormula({ ...lossCase(random([30, 4], 3, { scale: 60 }), 4, { projections: 8 }), rel: 1e-5, nmse: 1e-8 }));

test('the statistic of normal embeddings is small, of collapsed and stretched ones large', async () => {
  const at = async (data: Float32Array): Promise<number> => (await runLoss(lossCase(data, 8, { projections: 64 }))).loss[0]!;
  const right = normal(400, 8, 5);
  const calm = await at(right);
  assert.ok(calm < 1, `normal: ${calm}`);
  for (const [name, data] of [['collapsed', right.map(v => 0.01 * v)], ['shifted', right.map(v => v + 1)], ['stretched', right.map(v => 3 * v)]] as const) {
    const value = await at(data);
    assert.ok(value > 20 * calm && value > 10, `${name}: ${value} against ${calm}`);
  }
});

test('large batches of normal embeddings keep digits of a statistic near zero', () => matchesFormula({ ...lossCase(normal(1500, 3, 8), 3, { projections: 4 }), rel: 3e-6, nmse: 1e-10 }));

test('descending the gradient turns a narrow cloud into a normal one', async () => {
  const data = normal(64, 4, 9).map(v => 0.2 * v);
  const c = lossCase(data, 4, { projections: 32 });
  const first = (await runLoss(c)).loss[0]!;
  for (let step = 0; step < 40; step++) {
    const { grads } = await runLoss(c);
    data.forEach((v, i) => { data[i] = v - 0.3 * grads[0]![i]!; });
  }
  const last = (await runLoss(c)).loss[0]!;
  assert.ok(last < first / 20, `${first} to ${last}`);
});

test('knots are symmetric: half of them with doubled weights give the whole integral', () => {
  const x = Float64Array.of(0.3, -1.2, 2);
  const direct = sigregRef(x, Float64Array.of(1), 1, { knots: 9, range: 4 })[0]!;
  let half = 0;
  for (const [t, w, target] of sigregKnots(9, 4)) {
    const re = x.reduce((s, v) => s + Math.cos(t * v), 0) / 3 - target, im = x.reduce((s, v) => s + Math.sin(t * v), 0) / 3;
    half += 3 * w * (re * re + im * im);
  }
  close([half], [direct], { rel: 1e-14 });
});

test('directions are unit rows, seeded, and given ones are used', async () => {
  const a = unitDirections(50, 7, 3);
  for (let m = 0; m < 50; m++) close([a.slice(m * 7, m * 7 + 7).reduce((s, v) => s + v * v, 0)], [1], { abs: 1e-6 });
  assert.equal(unitDirections(50, 7, 3), a);
  assert.not.equal(unitDirections(50, 7, 4), a);
  const average = unitDirections(4000, 2, 1).reduce((s, v, i) => { s[i % 2]! += v / 4000; return s; }, [0, 0]);
  assert.ok(average.every(v => Math.abs(v) < 0.05), `directions have mean ${average.join(', ')}`);
  const d = await device();
  const x = Tensor.from(d, random([9, 7], 1), [9, 7]);
  const [own, given] = await Promise.all([sigreg(x, { projections: 50, seed: 3 }).read(), sigreg(x, { directions: Tensor.from(d, a, [50, 7]) }).read()]);
  assert.equal(own, given);
});

test('the float64 gradient agrees with central differences', () => twinMatchesDifferences(lossCase(random([5, 3], 4), 3, { projections: 4 })));

test('the gradient on the GPU agrees with central differences', () => checkGradients(
  x => sigreg(x!, { projections: 5, seed: 2 }), x => sigregRef(x!, Float64Array.from(unitDirections(5, 3, 2)), 3), [{ shape: [7, 3] }],
));

test('NaN and infinity show in loss and gradient', async () => {
  for (const bad of [NaN, Infinity]) {
    const data = random([8, 4], 6);
    data[6] = bad;
    const { loss, grads } = await runLoss(lossCase(data, 4, { projections: 8 }));
    assert.ok(Number.isNaN(loss[0]) && grads[0]!.some(Number.isNaN), `${bad}: loss ${loss[0]}`);
  }
});

test('is bit-equal from run to run', async () => {
  const c = lossCase(random([70, 9], 2), 9);
  assert.equal(await runLoss(c), await runLoss(c));
});

test('says what is wrong with an argument', async () => {
  const d = await device();
  const x = Tensor.zeros(d, [4, 8]);
  assert.throws(() => sigreg(Tensor.zeros(d, [0, 8])), /sigreg: x has shape \[0, 8\], expected \[N, D\] with at least one row/);
  assert.throws(() => sigreg(x, { knots: 4 }), /sigreg: knots is 4, expected an odd whole number/);
  assert.throws(() => sigreg(x, { range: 0 }), /sigreg: range is 0, expected a number > 0/);
  assert.throws(() => sigreg(x, { projections: 0 }), /sigreg: projections is 0/);
  assert.throws(() => sigreg(x, { directions: Tensor.zeros(d, [3, 7]) }), /sigreg: directions has shape \[3, 7\], expected \[\*, 8\]/);
});

test.run();
