import { Tensor } from '../../engine/tensor.ts';
import { cast } from '../../kernels/cast.ts';
import { cosineLoss, l1Loss, l2Loss } from '../../kernels/regression_loss.ts';
import { cosineLossGradRef, cosineLossRef, l1LossGradRef, l1LossRef, l2LossGradRef, l2LossRef } from '../../kernels/regression_loss.ref.ts';
import { assert, checkGradients, close, device, random, suite } from '../harness.ts';
import { matchesFormula, runLoss, twinMatchesDifferences, wide } from './loss_check.ts';
import type { LossCase } from './loss_check.ts';

const test = suite('cosine, L1 and L2 loss');

const P = Float32Array.of(1, 0, 0, 0.5, 0, 2, 0, 0.1, 0.3, 0, 1, 0), Y = Float32Array.of(0.9, 0.1, 0, 0.2, 0, 1, 0.2, 0, 0, 0.1, 1, 0.4);
const SPEC = [{ shape: [3, 4], data: P }, { shape: [3, 4], data: Y }];

type Form = Pick<LossCase, 'op' | 'ref' | 'gradRef'>;

/** Every loss of the file in every form, for rows of one length. */
const forms = (dim: number): [string, Form][] => [
  ['cosine', { op: (p, y) => cosineLoss(p!, y!), ref: (p, y) => cosineLossRef(p!, y!, dim), gradRef: (g, p, y) => cosineLossGradRef(p!, y!, dim, g) }],
  ...([{}, { normalize: true }, { reduction: 'sum' }, { normalize: true, reduction: 'sum' }] as const).flatMap((o): [string, Form][] => [
    [`L1 ${JSON.stringify(o)}`, { op: (a, b) => l1Loss(a!, b!, o), ref: (a, b) => l1LossRef(a!, b!, dim, o), gradRef: (g, a, b) => l1LossGradRef(a!, b!, dim, g, o) }],
    [`L2 ${JSON.stringify(o)}`, { op: (a, b) => l2Loss(a!, b!, o), ref: (a, b) => l2LossRef(a!, b!, dim, o), gradRef: (g, a, b) => l2LossGradRef(a!, b!, dim, g, o) }],
  ]),
];

test('the example of the specification', async () => {
  const said: [LossCase['op'], number][] = [
    [(p, y) => cosineLoss(p!, y!), 0.0568821328],
    [(p, y) => l1Loss(p!, y!, { normalize: true }), 0.1218831677],
    [(p, y) => l2Loss(p!, y!, { normalize: true }), 0.0284410664],
  ];
  for (const [op, expected] of said) close((await runLoss({ op, inputs: SPEC })).loss, [expected], { rel: 2e-7 });
});

for (const [shape, name] of [[[1, 1], 'one element'], [[1, 7], 'one row'], [[5, 1], 'one column'], [[31, 63], '31 x 63'], [[3, 5, 8], 'three axes'], [[127, 129], 'more than one chunk'], [[2, 1536], 'the width of the model']] as const) {
  for (const [form, parts] of forms(shape.at(-1)!)) {
    test(`${form} at ${name}`, async () => {
      const inputs = [{ shape, data: random(shape, 1) }, { shape, data: random(shape, 2) }];
      // A unit row of one element is 1 or -1: its gradient is exactly 0, and so is the twin's.
      await matchesFormula({ ...parts, inputs, dloss: 0.7 });
    });
  }
}

for (const [form, parts] of forms(6)) {
  test(`the float64 gradient of ${form} agrees with central differences`, () => twinMatchesDifferences({ ...parts, inputs: [{ shape: [4, 6], data: random([4, 6], 3) }, { shape: [4, 6], data: random([4, 6], 8) }] }, 1e-4));
}

test('the gradients on the GPU agree with central differences', async () => {
  const inputs = [{ shape: [5, 6] }, { shape: [5, 6] }];
  await checkGradients((p, y) => cosineLoss(p!, y!), (p, y) => cosineLossRef(p!, y!, 6), inputs);
  await checkGradients((a, b) => l1Loss(a!, b!), (a, b) => l1LossRef(a!, b!, 6), inputs, { eps: 1e-5 });
  await checkGradients((a, b) => l2Loss(a!, b!), (a, b) => l2LossRef(a!, b!, 6), inputs);
});

test('reads smaller storage', async () => {
  const d = await device();
  const x = random([6, 8], 11), y = random([6, 8], 12);
  for (const dtype of ['f16', 'bf16'] as const) {
    const [a, b] = [x, y].map(v => cast(Tensor.from(d, v, [6, 8]), dtype));
    const [wideA, wideB] = await Promise.all([a!, b!].map(async t => wide(await cast(t, 'f32').read())));
    close(await l1Loss(a!, b!).read(), l1LossRef(wideA!, wideB!, 8), { rel: 1e-6 });
    close(await l2Loss(a!, b!).read(), l2LossRef(wideA!, wideB!, 8), { rel: 1e-6 });
    close(await cosineLoss(a!, b!).read(), cosineLossRef(wideA!, wideB!, 8), { rel: 1e-6 });
  }
});

test('a cosine loss near zero keeps its digits', async () => {
  const p = random([20, 48], 4), noise = random([20, 48], 5);
  const y = p.map((v, i) => 3 * v + 1e-4 * noise[i]!);
  const c = forms(48)[0]![1];
  const inputs = [{ shape: [20, 48], data: p }, { shape: [20, 48], data: y }];
  const said = c.ref(...inputs.map(i => Float64Array.from(i.data)))[0]!;
  assert.ok(said > 1e-11 && said < 1e-8, `the case is not near zero: ${said}`);
  const { loss } = await runLoss({ ...c, inputs });
  close(loss, [said], { rel: 2e-3 });
});

test('opposite rows have loss 2, rows of zeros loss 1', async () => {
  const x = random([4, 8], 6);
  const at = async (data: Float32Array): Promise<number> => (await runLoss({ op: (p, y) => cosineLoss(p!, y!), inputs: [{ shape: [4, 8], data: x }, { shape: [4, 8], data }] })).loss[0]!;
  close([await at(x.map(v => -2 * v))], [2], { rel: 1e-6 });
  assert.is(await at(new Float32Array(32)), 1);
  assert.ok(Math.abs(await at(x)) < 1e-12);
});

test('a tie has no slope in L1', async () => {
  const { loss, grads } = await runLoss({ op: (a, b) => l1Loss(a!, b!), inputs: [{ shape: [2, 3], data: new Float32Array(6) }, { shape: [2, 3], data: Float32Array.of(0, 1, -1, 0, 0, 0) }] });
  close(loss, [2 / 6], { rel: 1e-6 });
  close(grads[0]!, [0, -1 / 6, 1 / 6, 0, 0, 0], { rel: 1e-6 });
});

test('a NaN shows in loss and gradient', async () => {
  for (const [form, parts] of forms(5)) {
    const data = random([3, 5], 7);
    data[7] = NaN;
    const { loss, grads } = await runLoss({ ...parts, inputs: [{ shape: [3, 5], data }, { shape: [3, 5], data: random([3, 5], 8) }] });
    assert.ok(Number.isNaN(loss[0]), form);
    assert.ok(Number.isNaN(grads[0]![7]), form);
  }
});

test('says which argument has which shape', async () => {
  const d = await device();
  const a = Tensor.zeros(d, [4, 8]);
  assert.throws(() => l1Loss(a, Tensor.zeros(d, [4, 7])), /l1Loss: b has shape \[4, 7\], expected \[4, 8\], the shape of a/);
  assert.throws(() => l2Loss(Tensor.zeros(d, [0, 8]), a), /l2Loss: a has shape \[0, 8\], expected at least one row/);
  assert.throws(() => cosineLoss(a, Tensor.zeros(d, [8, 4])), /cosineLoss: y has shape \[8, 4\], expected \[4, 8\], the shape of p/);
  assert.throws(() => l1Loss(a, a, { reduction: 'none' as never }), /l1Loss: reduction is none, expected 'mean' or 'sum'/);
  assert.throws(() => cosineLoss(a, Tensor.zeros(d, [4, 8], 'u32')), /cosineLoss: y is u32/);
});

test.run();
