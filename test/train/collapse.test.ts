// The alarm measures what its formulas say, rings when a run collapses and stays silent when one does not.
import { scope } from '../../engine/memory.ts';
import { Tensor } from '../../engine/tensor.ts';
import { l2NormalizeRef } from '../../kernels/l2_normalize.ref.ts';
import { CollapseAlarm, spreadOf, spreadSums } from '../../train/collapse.ts';
import type { CollapseWarning, Meters, Spread } from '../../train/collapse.ts';
import { LOSSES, lossWarning } from '../../train/losses.ts';
import type { LossName } from '../../train/losses.ts';
import { checkRecipe } from '../../train/recipe.ts';
import { assert, close, device, random, suite } from '../harness.ts';
import { release, tinyRecipe, tinyTrainer } from './tiny.ts';

const test = suite('collapse');

const unit = (x: Float32Array, dim: number): Float32Array => Float32Array.from(l2NormalizeRef(Float64Array.from(x), dim, 1e-12));

async function spread(x: Float32Array, dim: number): Promise<Spread> {
  const d = await device();
  const rows = x.length / dim;
  const sums = scope(() => spreadSums(Tensor.from(d, x, [rows, dim])));
  const values = await sums.read();
  sums.dispose();
  return spreadOf(values, rows);
}

/** The definitions, pair by pair, in float64. */
function spreadRef(x: Float32Array, dim: number): Spread {
  const rows = x.length / dim;
  const mean = Float64Array.from({ length: dim }, (_, d) => x.reduce((s, v, i) => s + (i % dim === d ? v / rows : 0), 0));
  const cov = (a: number, b: number): number => Array.from({ length: rows }, (_, i) => (x[i * dim + a]! - mean[a]!) * (x[i * dim + b]! - mean[b]!)).reduce((s, v) => s + v, 0) / rows;
  let deviation = 0, trace = 0, power = 0, cosine = 0, squares = 0;
  for (let a = 0; a < dim; a++) {
    deviation += Math.sqrt(cov(a, a) / dim);
    trace += cov(a, a);
    for (let b = 0; b < dim; b++) power += cov(a, b) ** 2;
  }
  for (let i = 0; i < rows; i++) for (let j = 0; j < rows; j++) for (let d = 0; d < dim; d++) {
    const product = x[i * dim + d]! * x[j * dim + d]!;
    if (i === j) squares += product;
    else cosine += product;
  }
  return { deviation, cosine: cosine / (squares * (rows - 1)), rank: trace ** 2 / power };
}

const asList = ({ deviation, cosine, rank }: Spread): number[] => [deviation, cosine, rank];

for (const [rows, dim] of [[2, 3], [7, 20], [50, 8], [65, 31]] as const) {
  test(`measures match their definitions at [${rows}, ${dim}]`, async () => {
    const x = unit(random([rows, dim], 1).map((v, i) => v + (i % dim === 0 ? 0.7 : 0)), dim);
    close(asList(await spread(x, dim)), asList(spreadRef(x, dim)), { rel: 1e-5, abs: 1e-6 });
  });
}

test('directions at random, one vector, one plane', async () => {
  const all = await spread(unit(random([400, 16], 2), 16), 16);
  assert.ok(all.deviation > 0.9 && Math.abs(all.cosine) < 0.05 && all.rank > 12, JSON.stringify(all));
  const one = await spread(unit(new Float32Array(400 * 16).map((_, i) => (i % 16) + 1), 16), 16);
  assert.ok(one.deviation < 1e-4 && one.cosine > 0.9999, JSON.stringify(one));
  const plane = await spread(unit(random([400, 16], 3).map((v, i) => (i % 16 < 2 ? v : 0)), 16), 16);
  assert.ok(plane.rank < 2.1 && plane.rank > 1.5, JSON.stringify(plane));
});

test('the alarm needs patience, says a collapse once, and again after a recovery', () => {
  const alarm = new CollapseAlarm({ patience: 2, from: 5, every: 5 });
  assert.equal([0, 1, 5, 7, 10].map(s => alarm.wants(s)), [true, false, true, false, true]);
  const good = { deviation: 0.9, cosine: 0, rank: 20 }, point = { deviation: 0.01, cosine: 0.999, rank: 20 }, line = { deviation: 0.5, cosine: 0, rank: 1.2 };
  const rings: [number, Spread][] = [[0, point], [1, point], [5, point], [10, point], [15, point], [20, good], [25, point], [30, good], [35, point], [40, point], [45, line], [50, line], [55, line]];
  const heard = rings.map(([step, s]) => alarm.observe(step, 'texts', s, 31));
  assert.equal(heard.map(w => w && `${w.step} ${w.measure}`), [undefined, undefined, undefined, '10 deviation', undefined, undefined, undefined, undefined, undefined, '40 deviation', undefined, '50 rank', undefined]);
  const { message, ...warning } = heard[3]!;
  assert.equal(warning, { kind: 'collapse', step: 10, side: 'texts', measure: 'deviation', value: 0.01, threshold: 0.1 } satisfies Omit<CollapseWarning, 'message'>);
  assert.is(message, 'collapse at step 10: the texts are nearly one vector: spread 0.0100, expected at least 0.1 (1 is random, mean cosine 0.9990); a contrastive loss, frozen texts or a lower learning rate may prevent it');
  assert.match(heard[11]!.message, /using 1.20 effective dimensions, expected at least 1.50 of 31/);
});

test('both sides are counted apart, and small batches are not asked for their rank', () => {
  const alarm = new CollapseAlarm({ patience: 1 });
  const line = { deviation: 0.5, cosine: 0, rank: 1 };
  assert.is(alarm.observe(0, 'predictions', line, 3), undefined);
  assert.is(alarm.observe(1, 'predictions', line, 4)!.side, 'predictions');
  assert.is(alarm.observe(1, 'texts', line, 4)!.side, 'texts');
  assert.throws(() => new CollapseAlarm({ patience: 0 }), /CollapseAlarm: patience is 0, expected a whole number/);
  assert.throws(() => new CollapseAlarm({ rank: -1 }), /CollapseAlarm: rank is -1, expected a number/);
});

const STEPS = 81;

/** Warnings of a run of the tiny preset, and the last spread that it reported. */
async function warningsOf(loss: LossName, more: { freezeText?: boolean } = {}): Promise<{ warnings: CollapseWarning[]; measured: number[]; last: Meters }> {
  const d = await device();
  const poison = d.pool.onAcquire;
  d.pool.onAcquire = undefined; // half of the dispatches otherwise
  const trainer = await tinyTrainer(d, { loss, steps: STEPS, batch: 12, lr: 0.01, warmup: 8, average: 0, weightDecay: 0, ...more });
  const warnings: CollapseWarning[] = [];
  const measured: number[] = [];
  let last: Meters | undefined;
  while (trainer.step < STEPS) {
    const report = await trainer.advance();
    warnings.push(...(report.warnings ?? []));
    if (!report.meters) continue;
    measured.push(report.step);
    last = report.meters;
  }
  release(trainer);
  d.pool.onAcquire = poison;
  return { warnings, measured, last: last! };
}

test('cosine loss with a Y-Encoder that learns collapses, and the alarm says so', async () => {
  const { warnings, measured, last } = await warningsOf('cosine');
  assert.equal(measured, [0, 10, 20, 30, 40, 50, 60, 70, 80]);
  assert.ok(warnings.length > 0 && warnings.every(w => w.kind === 'collapse' && w.step >= 10), JSON.stringify(last));
  assert.ok(last.texts.cosine > 0.9 && last.alignment < 0.1 && last.uniformity.every(u => u > -0.5), JSON.stringify(last));
});

for (const loss of ['info-nce', 'siglip'] as const) {
  test(`${loss} does not collapse, and the alarm is silent`, async () => {
    const { warnings, last } = await warningsOf(loss);
    assert.equal(warnings, [], JSON.stringify(last));
    assert.ok(last.texts.deviation > 0.5 && last.predictions.deviation > 0.3 && last.alignment < 1 && last.uniformity.every(u => u < -1.5), JSON.stringify(last));
  });
}

test('frozen texts keep their vectors', async () => {
  const d = await device();
  const trainer = await tinyTrainer(d, { loss: 'cosine', freezeText: true });
  const textsOf = async (): Promise<Float32Array[]> => Promise.all([...trainer.model.tensors()].filter(([n]) => n.startsWith('text')).map(([, t]) => t.read()));
  const before = await textsOf();
  while (trainer.step < 5) await trainer.advance();
  assert.ok(before.length > 5);
  assert.equal(await textsOf(), before);
  release(trainer);
});

test('a bias that learns belongs to the state of a run', async () => {
  const trainer = await tinyTrainer(await device(), { loss: 'siglip' });
  close([(await trainer.snapshot()).get('loss.bias')!.data[0]!, (await trainer.snapshot()).get('log_scale')!.data[0]!], [-10, Math.log(10)], { rel: 1e-6 });
  await trainer.advance();
  const state = await trainer.snapshot();
  assert.ok(state.get('loss.bias')!.data[0] !== -10 && state.has('m.loss.bias'));
  release(trainer);
});

test('losses that do not contrast are doubted while the texts learn; unknown ones are refused', () => {
  assert.equal((Object.keys(LOSSES) as LossName[]).filter(l => lossWarning(l, false) !== undefined), ['cosine', 'l1', 'l2']);
  assert.equal((Object.keys(LOSSES) as LossName[]).filter(l => lossWarning(l, true) !== undefined), []);
  assert.match(lossWarning('l2', false)!, /the loss is l2 and the Y-Encoder learns: nothing keeps all embeddings from becoming one vector/);
  assert.throws(() => checkRecipe(tinyRecipe({ loss: 'hinge' as never })), /train: loss is hinge, expected one of info-nce, siglip, cosine, l1, l2/);
  assert.throws(() => checkRecipe(tinyRecipe({ microBatch: 0 })), /train: microBatch is 0, expected a whole number/);
});

test.run();
