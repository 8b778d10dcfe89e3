// Drawn shapes and gradients are in the table of proofs; here: bits of the three ops that it stands for, and what is refused.
import { gradients } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import { geglu, swiglu } from '../../kernels/gated.ts';
import { gatedLinear } from '../../kernels/gated_linear.ts';
import { linear } from '../../kernels/linear.ts';
import { forceTile } from '../../kernels/matmul.ts';
import '../../kernels/backward.ts';
import { assert, device, random, suite } from '../harness.ts';

const test = suite('gated linear');

/** [m, k, n]: whole and ragged tiles, a row alone, and sums that are cut into parts. */
const SHAPES = [[65, 192, 96], [37, 51, 29], [1, 64, 128], [3, 1030, 8]] as const;

for (const tile of [undefined, 'single'] as const) for (const [activation, gate2] of [['silu', swiglu], ['gelu_tanh', geglu]] as const) {
  test(`${activation} on ${tile ?? 'the adapter\'s tile'}: results and gradients are those of two products and a gate, to the bit`, async () => {
    const d = await device();
    for (const [m, k, n] of SHAPES) {
      const leaves = [[m, k], [n, k], [n, k]].map((shape, i) => Tensor.from(d, random([shape[0]! * shape[1]!], i + 1).map(v => v * 0.3), shape));
      for (const t of leaves) t.needsGrad = true;
      const [x, gate, up] = leaves as [Tensor, Tensor, Tensor];
      const dy = Tensor.from(d, random([m * n], 9), [m, n]);
      forceTile(tile, tile && 1); // then no sum is cut
      try {
        const { dispatches: start } = d.counters();
        const one = gatedLinear(x, gate, up, { activation });
        const { dispatches: middle } = d.counters();
        const three = gate2(linear(x, gate), linear(x, up));
        const { dispatches: end } = d.counters();
        if (tile) assert.ok(middle - start < end - middle, `${m} x ${k} x ${n} is not three ops: ${middle - start} dispatches against ${end - middle}`); // both with the poison of their buffers
        assert.equal(await one.read(), await three.read(), `${m} x ${k} x ${n}`);
        const [a, b] = [gradients(one, dy, leaves), gradients(three, dy, leaves)];
        for (let i = 0; i < 3; i++) assert.equal(await a[i]!.read(), await b[i]!.read(), `gradient ${i} of ${m} x ${k} x ${n}`);
      } finally {
        forceTile(undefined);
      }
    }
  });
}

test('without a gradient neither product is stored', async () => {
  const d = await device();
  const [m, k, n] = [64, 32, 512];
  const [x, gate, up] = [[m, k], [n, k], [n, k]].map(shape => Tensor.zeros(d, shape)) as [Tensor, Tensor, Tensor];
  d.resetPeak();
  const before = d.memory().peakBytes;
  gatedLinear(x, gate, up, { activation: 'silu' });
  assert.is(d.memory().peakBytes - before, 4 * m * n, 'y alone');
});

test('shapes and activations that do not fit are refused', async () => {
  const d = await device();
  const t = (...shape: number[]): Tensor => Tensor.zeros(d, shape);
  assert.throws(() => gatedLinear(t(2, 3), t(4, 5), t(4, 5), { activation: 'silu' }), /gatedLinear: gate has shape \[4, 5\], expected \[\*, 3\], the last axis of x \[2, 3\]/);
  assert.throws(() => gatedLinear(t(2, 3), t(4, 3), t(5, 3), { activation: 'silu' }), /gatedLinear: up has shape \[5, 3\], expected \[4, 3\], the shape of gate/);
  assert.throws(() => gatedLinear(t(2, 3), t(4, 3), t(4, 3), { activation: 'relu' as never }), /gatedLinear: activation is relu, expected silu or gelu_tanh/);
});

test.run();
