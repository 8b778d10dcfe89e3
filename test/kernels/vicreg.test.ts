import { Tensor } from '../../engine/tensor.ts';
import { centerColumns, vicregLoss } from '../../kernels/vicreg.ts';
import type { VicregOptions } from '../../kernels/vicreg.ts';
import { vicregLossGradRef, vicregLossRef } from '../../kernels/vicreg.ref.ts';
import { assert, checkGradients, close, device, random, suite } from '../harness.ts';
import { matchesFormula, runLoss, twinMatchesDifferences, wide } from './loss_check.ts';
import type { LossCase } from './loss_check.ts';

const test = suite('vicregLoss');

function lossCase(n: number, dim: number, options: VicregOptions = {}, { scale = 0.7, offset = 0 } = {}): LossCase {
  const data = (seed: number): Float32Array => random([n, dim], seed, { scale }).map(v => v + offset);
  return {
    op: (x, y) => vicregLoss(x!, y!, options).loss,
    ref: (x, y) => [vicregLossRef(x!, y!, dim, options)[0]],
    gradRef: (g, x, y) => vicregLossGradRef(x!, y!, dim, g, options),
    inputs: [{ shape: [n, dim], data: data(1) }, { shape: [n, dim], data: data(2) }],
  };
}

for (const [n, dim] of [[2, 1], [2, 5], [3, 1], [7, 13], [64, 8], [65, 31], [130, 4], [16, 130]] as const) {
  test(`matches float64 at N ${n}, D ${dim}`, () => matchesFormula({ ...lossCase(n, dim), dloss: 0.3 }));
}

for (const [name, options] of [['invariance', { variance: 0, covariance: 0 }], ['variance', { invariance: 0, covariance: 0 }], ['covariance', { invariance: 0, variance: 0 }], ['another gamma', { gamma: 2.5, eps: 0.01 }]] as const) {
  test(`matches float64 with ${name} alone or changed`, () => matchesFormula(lossCase(33, 9, options)));
}

test('wide columns keep the hinge shut: only invariance and covariance pull', async () => {
  const c = lossCase(40, 6, { invariance: 0, covariance: 0 }, { scale: 9 });
  const { loss, grads } = await runLoss(c);
  assert.is(loss[0], 0);
  assert.ok(grads.every(g => g.every(v => v === 0)));
});

test('the parts are those of the formula, unweighted', async () => {
  const d = await device();
  const c = lossCase(20, 7);
  const [x, y] = c.inputs.map(({ shape, data }) => Tensor.from(d, data, shape));
  const out = vicregLoss(x!, y!);
  const said = vicregLossRef(wide(c.inputs[0]!.data), wide(c.inputs[1]!.data), 7);
  const parts = await Promise.all([out.loss, out.invariance, out.variance, out.covariance].map(t => t.read()));
  close(parts.map(p => p[0]!), said, { rel: 1e-6 });
  close([said[0]], [25 * said[1] + 25 * said[2] + said[3]], { rel: 1e-12 });
});

test('a mean far from zero costs no digits of the gradient', async () => {
  await matchesFormula({ ...lossCase(50, 10, { invariance: 0 }, { scale: 0.5, offset: 300 }), nmse: 1e-10 });
});

test('centred columns have mean zero', async () => {
  const d = await device();
  const x = random([97, 5], 3).map(v => v + 1000);
  const out = await centerColumns(Tensor.from(d, x, [97, 5])).read();
  const exact = wide(x).map((v, i, all) => v - all.reduce((s, w, k) => s + (k % 5 === i % 5 ? w : 0), 0) / 97);
  close(out, exact, { nmse: 1e-13 });
});

test('collapsed branches pay the whole hinge and get finite gradients', async () => {
  const data = new Float32Array(24).fill(0.5);
  const { loss, grads } = await runLoss({ ...lossCase(4, 6), inputs: [{ shape: [4, 6], data }, { shape: [4, 6], data }] });
  close(loss, [25 * 2 * (1 - 0.01)], { rel: 1e-6 });
  assert.ok(grads.every(g => g.every(Number.isFinite)));
});

test('the float64 gradient agrees with central differences', () => twinMatchesDifferences(lossCase(6, 5)));

test('the gradients on the GPU agree with central differences', () => checkGradients(
  (x, y) => vicregLoss(x!, y!).loss, (x, y) => Float64Array.of(vicregLossRef(x!, y!, 4)[0]), [{ shape: [7, 4] }, { shape: [7, 4] }],
));

test('a NaN shows in loss and gradient', async () => {
  const c = lossCase(8, 4);
  c.inputs[0]!.data[6] = NaN;
  const { loss, grads } = await runLoss(c);
  assert.ok(Number.isNaN(loss[0]) && Number.isNaN(grads[0]![6]));
});

test('is bit-equal from run to run', async () => {
  const c = lossCase(70, 20);
  assert.equal(await runLoss(c), await runLoss(c));
});

test('says which argument has which shape', async () => {
  const d = await device();
  const x = Tensor.zeros(d, [4, 8]);
  assert.throws(() => vicregLoss(Tensor.zeros(d, [1, 8]), x), /vicregLoss: x has shape \[1, 8\], expected \[N, D\] with at least two rows/);
  assert.throws(() => vicregLoss(x, Tensor.zeros(d, [4, 7])), /vicregLoss: y has shape \[4, 7\], expected \[4, 8\], the shape of x/);
  assert.throws(() => vicregLoss(x, x, { eps: 0 }), /vicregLoss: eps is 0, expected a number > 0/);
});

test.run();
