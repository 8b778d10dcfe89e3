// Replayed training steps: the bits of the eager ones under every setting, one submit, nothing created, no growth.
import type { LossName } from '../../train/losses.ts';
import { assert, device, suite } from '../harness.ts';
import { bitsOf, different, release, tinyTrainer } from './tiny.ts';

const test = suite('step plans');

/** Captions of several lengths, changes to the pictures, averaging, meters at some of the steps. */
const FULL = { templates: [0, 1, 2], augment: { shift: 0.1, flip: 0.5 }, average: 0.9 };
const SETTINGS: readonly [string, object][] = [
  ['the recipe', {}],
  ['pieces of two', { microBatch: 2 }],
  ['pieces of four and two', { microBatch: 4 }],
  ['no average, frozen texts', { average: 0, freezeText: true }],
  ...(['siglip', 'cosine', 'l1', 'l2'] as const satisfies readonly LossName[]).map((loss): [string, object] => [loss, { loss, freezeText: loss !== 'siglip' }]),
];

for (const [name, changes] of SETTINGS) {
  test(`${name}: recorded steps give the bits of steps that are enqueued op by op`, async () => {
    const d = await device();
    const collapse = { every: 2 };
    const planned = await tinyTrainer(d, { ...FULL, ...changes }, { collapse });
    const eager = await tinyTrainer(d, { ...FULL, ...changes }, { collapse, plans: false });
    while (planned.step < 6) {
      const [a, b] = [await planned.advance(), await eager.advance()];
      assert.equal({ ...a, timeMs: 0 }, { ...b, timeMs: 0 });
    }
    assert.equal(different(await bitsOf(planned), await bitsOf(eager)), []);
    assert.ok(planned.plans!.reports().size >= 1 && eager.plans === undefined);
    release(planned);
    release(eager);
  });
}

test('a step is one submit and creates nothing, and 1,000 steps take no more memory than 20', async () => {
  const d = await device();
  const poison = d.pool.onAcquire;
  d.pool.onAcquire = undefined; // its kernels would count
  try {
    const trainer = await tinyTrainer(d, { steps: 1020, batch: 2, average: 0.9 });
    while (trainer.step < 20) await trainer.advance();
    const before = { ...d.counters(), ...d.memory(), arenas: d.pool.arenaBytes };
    while (trainer.step < 1020) await trainer.advance();
    const after = { ...d.counters(), ...d.memory(), arenas: d.pool.arenaBytes };
    assert.is(after.submits - before.submits, 1000);
    for (const key of ['buffers', 'bindGroups', 'pipelines', 'liveBytes', 'liveTensors', 'poolBytes', 'peakBytes', 'arenas'] as const) assert.is(after[key], before[key], key);
    for (const reports of trainer.plans!.reports().values()) {
      for (const r of reports) if (r) assert.ok(r.arenaBytes <= 1.25 * r.boundBytes, `${r.arenaBytes} bytes of buffers, and ${r.boundBytes} live at once`);
    }
    release(trainer);
  } finally {
    d.pool.onAcquire = poison;
  }
});

test.run();
