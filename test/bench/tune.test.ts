// The choice of `vl-jepa bench tune`: candidates, winners, and that a race times only right products.
import type { Measured, TuneRow } from '../../bench/tune.ts';
import { tuneShapes } from '../../bench/tune_shapes.ts';
import { shapeKey } from '../../kernels/matmul_table.ts';
import { assert, device, isNode, suite } from '../harness.ts';

const test = suite('tune');
const WHY = 'the benchmarks run in Node';
const { classWinners, candidatesFor, race, winner } = isNode ? await import('../../bench/tune.ts') : ({} as typeof import('../../bench/tune.ts')); // tinybench is no file of a page
const shape = { use: 'x', profile: 'quick', m: 8, n: 40, k: 300, batch: 1, transposeA: false, transposeB: true } as const;

test.when(isNode, WHY, 'profiles hold the smaller ones; no sizes twice', () => {
  const [quick, model, full] = (['quick', 'model', 'full'] as const).map(p => tuneShapes(p).map(shapeKey));
  assert.ok(quick!.length > 8 && model!.length > quick!.length && full!.length > model!.length);
  assert.equal(full!.slice(0, quick!.length), quick);
  assert.is(new Set(full).size, full!.length);
  assert.equal(tuneShapes('full', 'no such use'), []);
});

test.when(isNode, WHY, 'parts of k are tried while they are long and the workgroups few', async () => {
  const d = await device();
  const splits = (s: typeof shape, tile: string): number[] => candidatesFor(d, s).filter(c => c.tile === tile).map(c => c.splits);
  assert.equal(splits(shape, 'tiled32'), [1, 2]);
  assert.equal(splits({ ...shape, k: 100 } as unknown as typeof shape, 'tiled64'), [1]);
  assert.equal(splits({ ...shape, k: 10_000 } as unknown as typeof shape, 'tiled64'), [3, 4, 8, 16]);
  assert.equal(splits({ ...shape, m: 4096, n: 4096, k: 4096 } as unknown as typeof shape, 'tiled128'), [1]);
});

test.when(isNode, WHY, 'the winner is the fastest, within 2 % the one in fewer parts; the shipped choice does not take part', () => {
  const rows = [{ tile: 'shipped', splits: 0, medianMs: 0.5 }, { tile: 'tiled32', splits: 4, medianMs: 1 }, { tile: 'tiled64', splits: 2, medianMs: 1.01 }, { tile: 'tiled128', splits: 1, medianMs: 1.1 }, { tile: 'single', splits: 1 }]
    .map(r => ({ ...r, nmse: 0 })) as Measured[];
  assert.is(winner(rows).tile, 'tiled64');
  assert.throws(() => winner([{ tile: 'single', splits: 1, nmse: 1, dropped: 'wrong' }]), /no tile gave a right product/);
});

test.when(isNode, WHY, 'a class takes the tile that loses least over its products', () => {
  const row = (m: number, times: readonly [number, number], shippedMs = 2): TuneRow => ({
    use: '', shape: `${m}x128x64`, class: 'small', form: 'NN', best: { tile: 'tiled32', splits: 1 }, bestMs: Math.min(...times), shippedMs, gflops: 1,
    candidates: [{ tile: 'tiled32', splits: 1, medianMs: times[0], nmse: 0 }, { tile: 'tiled64', splits: 2, medianMs: times[1], nmse: 0 }],
  });
  assert.equal(classWinners([row(128, [1, 1.1]), row(256, [3, 1])]), { small: { tile: 'tiled64', groups: 16 } });
  assert.equal(classWinners([row(128, [1, 1.1]), row(256, [1, 1.2], NaN)]), { small: { tile: 'tiled32', groups: 16 } });
  assert.equal(classWinners([row(128, [1, 1.1], 1.01), row(256, [1, 1.2], 1)]), {}); // what ships is as fast
});

test.when(isNode, 'runs in Node only', 'a race checks every candidate and times the right ones', async () => {
  const d = await device();
  const rows = await race(d, { ...shape, transposeA: false, transposeB: true }, [{ tile: 'shipped', splits: 0 }, { tile: 'single', splits: 1 }, { tile: 'single', splits: 2 }], 1);
  assert.is(rows.length, 3);
  for (const r of rows) assert.ok(r.nmse <= 1e-11 && (r.dropped === 'slow' || (r.medianMs! > 0 && r.samples! >= 5)));
});

test.run();
