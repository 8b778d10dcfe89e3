// The claim of infoNCE: forward and backward never hold the [N, N] matrix. On Dawn's null backend, which allocates and validates but computes nothing.
import { openDevice } from '../../engine/device.ts';
import { scope } from '../../engine/memory.ts';
import { gradients } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import { infoNCE } from '../../kernels/info_nce.ts';
import { assert, isNode, suite } from '../harness.ts';

const test = suite('infoNCE memory');

const DIM = 256;
const MIB = 2 ** 20;

/** Bytes beyond inputs and gradients: the peak of live buffers, and all that was ever allocated. */
async function beyond(n: number): Promise<{ peak: number; allocated: number }> {
  const d = await openDevice({ adapter: 'null', limits: 'default' });
  const leaves = [Tensor.empty(d, [n, DIM]), Tensor.empty(d, [n, DIM]), Tensor.zeros(d, [1])];
  for (const t of leaves) t.needsGrad = true;
  const grads = scope(() => gradients(infoNCE(leaves[0]!, leaves[1]!, leaves[2]!).loss, Tensor.from(d, [1]), leaves));
  const own = [...leaves, ...grads].reduce((bytes, t) => bytes + t!.storage.bytes, 0);
  await d.sync();
  const { peakBytes, liveBytes, poolBytes } = d.memory();
  d.destroy();
  return { peak: peakBytes - own, allocated: liveBytes + poolBytes - own };
}

test.when(isNode, 'a null backend exists in Node only', 'N 16,384, D 256: less than 64 MiB beyond inputs and gradients, growing no faster than N', async () => {
  const [small, middle, large] = [await beyond(8192), await beyond(16_384), await beyond(32_768)];
  const text = [small, middle, large].map(b => `${(b.peak / MIB).toFixed(1)} MiB at the peak, ${(b.allocated / MIB).toFixed(1)} MiB allocated`).join('; ');
  assert.ok(middle.peak < 64 * MIB && middle.allocated < 64 * MIB, text);
  for (const key of ['peak', 'allocated'] as const) {
    assert.ok(middle[key] <= 2 * small[key] && large[key] <= 2 * middle[key], `more than twice for twice the rows: ${text}`);
    assert.ok(large[key] - middle[key] <= 2.2 * (middle[key] - small[key]) + MIB, `faster than linear: ${text}`);
  }
});

test.run();
