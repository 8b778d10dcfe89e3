// The measuring program itself: it runs, finds what is wrong, and names what it does not know.
import { assert, isNode, suite } from '../harness.ts';

const test = suite('bench model');
const WHY = 'the benchmarks run in Node';

interface Result { overhead: Record<string, number>; rows: { preset: string; compared: number; submits: number; created: number; medianMs: number; report: { arenaBytes: number; boundBytes: number; dispatches: number } }[] }

test.when(isNode, WHY, 'the shipped model: equal bits, one submit, nothing created, memory near the bound', async () => {
  const { benchModel } = await import('../../bench/model.ts');
  const { overhead, rows } = await benchModel({ preset: 'nano', rounds: 2, pytorch: false, json: true }) as Result;
  assert.ok(['floor', 'replay', 'dispatch', 'ops'].every(k => overhead[k]! > 0 && overhead[k]! < 1000));
  assert.is(rows.length, 1);
  const [{ compared, submits, created, medianMs, report }] = rows as [Result['rows'][0]];
  assert.equal([compared, submits, created], [16 * 128, 1, 0]);
  assert.ok(medianMs > 0 && report.dispatches > 20 && report.arenaBytes <= 1.25 * report.boundBytes);
});

test.when(isNode, WHY, 'a bit that differs and a number that is not finite are named', async () => {
  const { difference } = await import('../../bench/model.ts');
  assert.is(difference(Float32Array.of(1, 2), Float32Array.of(1, 2)), undefined);
  assert.is(difference(Float32Array.of(1, 0), Float32Array.of(1, -0)), 'value 1 is 0 and 0 op by op');
  assert.match(difference(Float32Array.of(NaN), Float32Array.of(NaN))!, /^value 0 is NaN/);
});

test.when(isNode, WHY, 'an unknown preset is refused, and PyTorch is skipped with the reason', async () => {
  const { benchModel } = await import('../../bench/model.ts');
  const { pytorchTimes } = await import('../../bench/pytorch.ts');
  const error = await benchModel({ preset: 'giant', rounds: 1, pytorch: false, json: true }).then(() => new Error('no error'), (e: Error) => e);
  assert.is(error.message, 'bench model: --preset is giant, expected nano, step, block, vit-l, predictor, text, embedding or all');
  const { ms, skipped, about } = await pytorchTimes([], 256);
  assert.is(ms.size, 0);
  assert.ok(skipped || about, 'a reason or a card');
});

test.run();
