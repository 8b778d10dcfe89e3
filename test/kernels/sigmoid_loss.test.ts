import { scope } from '../../engine/memory.ts';
import { gradients } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import { cast } from '../../kernels/cast.ts';
import { sigmoidLoss } from '../../kernels/sigmoid_loss.ts';
import type { SigmoidLossOptions } from '../../kernels/sigmoid_loss.ts';
import { sigmoidLossGradRef, sigmoidLossRef } from '../../kernels/sigmoid_loss.ref.ts';
import { assert, checkGradients, close, device, suite } from '../harness.ts';
import { matchesFormula, runLoss, twinMatchesDifferences, unitRows, wide } from './loss_check.ts';
import type { LossCase } from './loss_check.ts';

const test = suite('sigmoidLoss');
/** A tile of 64 × 64, the smallest: every size above 64 takes several. */
const SMALL_TILE = 64 * 64 * 4;
/** The paper's first values: scale 10, bias -10. */
const START = [Math.log(10), -10] as const;

function lossCase(n: number, dim: number, [t, b]: readonly [number, number], options: Omit<SigmoidLossOptions, 'groups'> & { ids?: Uint32Array; spread?: number } = {}): LossCase {
  const { ids, spread = 1, ...rest } = options;
  const { p, y } = unitRows(n, dim, spread);
  const refOptions = { ...(rest.maxLogScale !== undefined && { maxLogScale: rest.maxLogScale }), ...(ids && { groups: ids }) };
  return {
    op: (p, y, t, b) => sigmoidLoss(p!, y!, t!, b!, { ...rest, ...(ids && { groups: Tensor.from(p!.device, ids) }) }),
    ref: (p, y, t, b) => sigmoidLossRef(p!, y!, t!, b!, dim, refOptions),
    gradRef: (g, p, y, t, b) => sigmoidLossGradRef(p!, y!, t!, b!, dim, g, refOptions),
    inputs: [{ shape: [n, dim], data: p }, { shape: [n, dim], data: y }, { shape: [1], data: Float32Array.of(t) }, { shape: [1], data: Float32Array.of(b) }],
  };
}

for (const [n, dim] of [[1, 5], [2, 1], [31, 7], [63, 16], [64, 3], [65, 5], [127, 1], [129, 33], [200, 12]] as const) {
  test(`matches float64 at N ${n}, D ${dim}, in tiles of 64`, () => matchesFormula({ ...lossCase(n, dim, START, { workspaceBytes: SMALL_TILE }), dloss: 0.5 }));
}

test('matches float64 at N 512, D 256 in one tile, as learnt (scale 100, bias -15)', () => matchesFormula(lossCase(512, 256, [Math.log(100), -15], { spread: 3 })));

for (const workspaceBytes of [SMALL_TILE, 2 ** 20]) {
  test(`groups leave out false negatives, tile of ${workspaceBytes} bytes`, () => matchesFormula(lossCase(140, 9, START, { workspaceBytes, ids: Uint32Array.from({ length: 140 }, (_, i) => (i * i) % 23) })));
}

test('distinct groups change nothing, one group for all leaves the positives', async () => {
  const plain = await runLoss(lossCase(70, 8, [1, -2]));
  assert.equal(await runLoss(lossCase(70, 8, [1, -2], { ids: Uint32Array.from({ length: 70 }, (_, i) => i) })), plain);
  const c = lossCase(70, 8, [1, -2], { ids: new Uint32Array(70) });
  const positives = sigmoidLossRef(...(c.inputs.map(i => wide(i.data)) as [Float64Array, Float64Array, Float64Array, Float64Array]), 8, { groups: new Uint32Array(70) })[0]!;
  close((await runLoss(c)).loss, [positives], { rel: 1e-6 });
  assert.ok(positives < plain.loss[0]!);
});

test('a larger scale than allowed is clamped and gets no gradient', async () => {
  const c = lossCase(20, 6, [9, -3], { maxLogScale: 1.5 });
  await matchesFormula(c);
  assert.is((await runLoss(c)).grads[2]![0], 0);
});

test('the float64 gradient agrees with central differences', () => {
  twinMatchesDifferences(lossCase(6, 5, [1.2, -1]));
  twinMatchesDifferences(lossCase(6, 5, [1.2, -1], { ids: Uint32Array.of(0, 1, 0, 2, 2, 3) }));
});

test('the gradients on the GPU agree with central differences', () => checkGradients(
  (p, y, t, b) => sigmoidLoss(p!, y!, t!, b!), (p, y, t, b) => sigmoidLossRef(p!, y!, t!, b!, 5),
  [{ shape: [6, 5] }, { shape: [6, 5] }, { shape: [1], data: Float32Array.of(0.4) }, { shape: [1], data: Float32Array.of(-1) }],
));

test('reads smaller storage', async () => {
  const d = await device();
  const { p, y } = unitRows(70, 6);
  const stored = [p, y].map(v => cast(Tensor.from(d, v, [70, 6]), 'bf16'));
  const [a, b] = await Promise.all(stored.map(async t => wide(await cast(t, 'f32').read())));
  const loss = sigmoidLoss(stored[0]!, stored[1]!, Tensor.from(d, [2]), Tensor.from(d, [-3]), { workspaceBytes: SMALL_TILE });
  close(await loss.read(), sigmoidLossRef(a!, b!, Float64Array.of(2), Float64Array.of(-3), 6), { rel: 1e-6 });
});

test('a loss near zero keeps its digits', async () => {
  const { p } = unitRows(30, 64, 0);
  const c = lossCase(30, 64, [Math.log(80), -60]);
  const inputs = c.inputs.map((input, i) => (i < 2 ? { shape: [30, 64], data: p } : input));
  const said = c.ref(...inputs.map(i => wide(i.data)))[0]!;
  assert.ok(said < 1e-8 && said > 1e-15, `the case is not near zero: ${said}`);
  close((await runLoss({ ...c, inputs })).loss, [said], { rel: 1e-4 });
});

test('is bit-equal from run to run', async () => {
  const c = lossCase(150, 20, START, { workspaceBytes: SMALL_TILE });
  assert.equal(await runLoss(c), await runLoss(c));
});

test('a NaN in one row shows in the loss and in every gradient it reaches', async () => {
  const c = lossCase(10, 4, START);
  c.inputs[0]!.data[6] = NaN;
  const { loss, grads } = await runLoss(c);
  assert.ok(Number.isNaN(loss[0]));
  assert.ok(grads[1]!.every(Number.isNaN) && Number.isNaN(grads[2]![0]) && Number.isNaN(grads[3]![0]));
  assert.ok(grads[0]!.slice(4, 8).every(Number.isNaN));
});

test('frozen texts get no gradient and no work', async () => {
  const d = await device();
  const c = lossCase(65, 8, START, { workspaceBytes: SMALL_TILE });
  const [dp, ...rest] = scope(() => {
    const leaves = c.inputs.map(({ shape, data }) => Tensor.from(d, data, shape));
    leaves[0]!.needsGrad = true;
    return gradients(c.op(...leaves), Tensor.from(d, [1]), leaves);
  });
  assert.equal(rest, [undefined, undefined, undefined]);
  close(await dp!.read(), c.gradRef(Float64Array.of(1), ...c.inputs.map(i => wide(i.data)))[0]!, { nmse: 1e-11 });
  dp!.dispose();
});

test('memory beyond inputs and gradients is one tile and O(N)', async () => {
  const d = await device();
  const n = 1024, dim = 16, side = 128;
  const c = lossCase(n, dim, START, { workspaceBytes: side * side * 4 });
  const [grads, extra] = scope(() => {
    const leaves = c.inputs.map(({ shape, data }) => Tensor.from(d, data, shape));
    for (const t of leaves) t.needsGrad = true;
    const before = d.memory().liveBytes;
    d.resetPeak();
    const grads = gradients(c.op(...leaves), Tensor.from(d, [1]), leaves);
    return [grads, d.memory().peakBytes - before] as const;
  });
  const gradientBytes = 2 * n * dim * 4, tileBytes = side * side * 4;
  assert.ok(extra <= gradientBytes + 2 * tileBytes + 200 * n, `${extra} bytes`);
  for (const g of grads) g!.dispose();
});

test('says which argument has which shape', async () => {
  const d = await device();
  const p = Tensor.zeros(d, [4, 8]), s = Tensor.zeros(d, [1]);
  assert.throws(() => sigmoidLoss(p, Tensor.zeros(d, [5, 8]), s, s), /sigmoidLoss: y has shape \[5, 8\], expected \[4, 8\], the shape of p/);
  assert.throws(() => sigmoidLoss(p, p, s, Tensor.zeros(d, [2])), /sigmoidLoss: bias has shape \[2\], expected \[1\]/);
  assert.throws(() => sigmoidLoss(p, p, s, s, { groups: Tensor.zeros(d, [3], 'u32') }), /sigmoidLoss: groups has shape \[3\], expected \[4\]/);
  assert.throws(() => sigmoidLoss(Tensor.zeros(d, [0, 8]), Tensor.zeros(d, [0, 8]), s, s), /sigmoidLoss: p has shape \[0, 8\], expected at least one row/);
});

test.run();
