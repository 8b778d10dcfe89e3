// A long run takes no more memory than a short one, neither on the device nor in the driver.
import { assert, device, isNode, suite } from '../harness.ts';
import { release, tinyTrainer } from './tiny.ts';

const test = suite('training memory');

test.when(isNode, 'the same code counts, and a page waits longer for each of the steps', 'memory after 1,000 steps is memory after 100, and caches do not grow', async () => {
  const d = await device();
  const poison = d.pool.onAcquire;
  d.pool.onAcquire = undefined; // half of the dispatches otherwise
  try {
    const trainer = await tinyTrainer(d, { steps: 1000, batch: 2, average: 0.9 });
    const at: Record<number, { liveBytes: number; liveTensors: number; liveBuffers: number }> = {};
    const groups: Record<number, number> = {};
    while (trainer.step < 1000) {
      await trainer.advance();
      const { liveBytes, liveTensors, liveBuffers } = d.memory();
      at[trainer.step] = { liveBytes, liveTensors, liveBuffers };
      groups[trainer.step] = d.counters().bindGroups;
      const fresh = (groups[200] ?? 0) - (groups[100] ?? 0);
      assert.ok(fresh < 1000, `${fresh} new bind groups in steps 101 to 200: each keeps driver memory, and some 70,000 end the process`);
    }
    assert.equal(at[1000], at[100]);
    assert.ok(groups[1000]! - groups[500]! < 500, `${groups[1000]! - groups[500]!} new bind groups in the last 500 steps`);
    release(trainer);
  } finally {
    d.pool.onAcquire = poison;
  }
});

test.run();
