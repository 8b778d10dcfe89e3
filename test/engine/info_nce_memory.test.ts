// The claim of infoNCE: forward and backward never hold the [N, N] matrix. On Dawn's null backend, which allocates and validates but computes nothing.
import { openDevice } from '../../engine/device.ts';
import { scope } from '../../engine/memory.ts';
import { gradients } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import { infoNCE } from '../../kernels/info_nce.ts';
import type { InfoNCEOptions } from '../../kernels/info_nce.ts';
import { sigmoidLoss } from '../../kernels/sigmoid_loss.ts';
import { assert, isNode, suite } from '../harness.ts';

const test = suite('infoNCE memory');

const MIB = 2 ** 20;

type Loss = (p: Tensor, y: Tensor, scale: Tensor, bias: Tensor, options: InfoNCEOptions) => Tensor;
const contrast: Loss = (p, y, scale, _bias, options) => infoNCE(p, y, scale, options).loss;

/** Bytes beyond inputs and gradients: the peak of live buffers, and all that was ever allocated. */
interface Beyond { peak: number; allocated: number }

interface Settings extends InfoNCEOptions { loss?: Loss; frozenTexts?: boolean }

/** Forward and backward at one size, validated by Dawn, bindings and all. */
async function beyond(n: number, dim: number, { loss = contrast, frozenTexts = false, ...options }: Settings = {}): Promise<Beyond> {
  const d = await openDevice({ adapter: 'null', limits: 'default' });
  // The pool refuses tensors that no kernel could bind as a whole. These losses never do: they bind rows of a tile, and Dawn, which knows its real limits, sees to that.
  d.pool.limit = d.limits.maxBufferSize;
  const leaves = [Tensor.empty(d, [n, dim]), Tensor.empty(d, [n, dim]), Tensor.zeros(d, [1]), Tensor.zeros(d, [1])] as const;
  for (const t of leaves) t.needsGrad = !(frozenTexts && t === leaves[1]);
  const grads = scope(() => gradients(loss(...leaves, options), Tensor.from(d, [1]), leaves));
  const own = [...leaves, ...grads].reduce((bytes, t) => bytes + (t?.storage.bytes ?? 0), 0);
  await d.sync();
  const { peakBytes, liveBytes, poolBytes } = d.memory();
  d.destroy();
  return { peak: peakBytes - own, allocated: liveBytes + poolBytes - own };
}

const text = (all: readonly Beyond[]): string => all.map(b => `${(b.peak / MIB).toFixed(2)} MiB at the peak, ${(b.allocated / MIB).toFixed(2)} MiB allocated`).join('; ');
const only = (name: string, fn: () => Promise<void>): void => test.when(isNode, 'a null backend exists in Node only', name, fn);

only('N 4,096 to 65,536, D 256: less than 24 MiB beyond inputs and gradients, growing linearly', async () => {
  const all: Beyond[] = [];
  for (const n of [4096, 8192, 16_384, 32_768, 65_536]) all.push(await beyond(n, 256));
  for (const key of ['peak', 'allocated'] as const) {
    assert.ok(all.every(b => b[key] < 24 * MIB), text(all));
    const growth = all.slice(1).map((b, i) => b[key] - all[i]![key]); // for twice the rows each
    for (let i = 1; i < growth.length; i++) assert.ok(growth[i]! <= 2.2 * growth[i - 1]! + MIB / 16, `faster than linear: ${text(all)}`);
  }
});

only('the batch of the paper, N 24,576, D 1,536: 18 MiB at the peak, less than 16 with a tile of 1,536, where one matrix of logits has 2,304', async () => {
  // This backend ends at 512 MiB. Inputs and both gradients have 576, so one of the two is left out here; the next sizes have both, and D does not matter.
  const usual = await beyond(24_576, 1536, { frozenTexts: true }), smaller = await beyond(24_576, 1536, { frozenTexts: true, workspaceBytes: 9 * MIB });
  assert.ok(usual.peak < 18 * MIB && usual.allocated < 20 * MIB, text([usual]));
  assert.ok(smaller.peak < 16 * MIB && smaller.allocated < 16 * MIB, text([smaller]));
  for (const dim of [128, 1024]) assert.equal(await beyond(24_576, dim), usual, `D ${dim}`);
});

only('one tile: the one that the forward pass leaves is the one that the gradient overwrites', async () => {
  const one = await beyond(2048, 1536);
  assert.ok(one.peak < 16 * MIB + MIB / 4, text([one]));
});

only('sigmoidLoss: one tile and little more at any N', async () => {
  const all = [await beyond(2048, 256, { loss: sigmoidLoss }), await beyond(32_768, 256, { loss: sigmoidLoss })];
  assert.ok(all.every(b => b.peak < 17 * MIB && b.allocated < 17 * MIB), text(all));
});

test.run();
