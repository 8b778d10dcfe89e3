import { Tensor } from '../../engine/tensor.ts';
import { adamwStep } from '../../kernels/adamw.ts';
import { adamwRef } from '../../kernels/adamw.ref.ts';
import { assert, close, device, random, suite } from '../harness.ts';

const test = suite('adamw');
const RATES = [{ lr: 3e-3, decay: 0.01 }, { lr: 1e-3, decay: 0 }, { lr: 1.5e-4, decay: 0.1 }];

for (const [blocks, clip] of [[1, 1], [5, 0.37], [67, 1]] as const) {
  test(`20 steps of ${blocks} blocks follow float64, clip factor ${clip}`, async () => {
    const d = await device();
    const total = blocks * 64;
    const start = random([total], 1);
    const groupOf = Uint32Array.from({ length: blocks }, (_, i) => (i * 2) % 3);
    const states = RATES.map(() => ({ p: Float64Array.from(start), m: new Float64Array(total), v: new Float64Array(total) }));
    const grad = Tensor.empty(d, [total]);
    const buffers = {
      param: Tensor.from(d, start), grad, m: Tensor.zeros(d, [total]), v: Tensor.zeros(d, [total]), rest: Tensor.zeros(d, [total]), blockGroup: Tensor.from(d, groupOf),
      groups: Tensor.from(d, RATES.flatMap(r => [r.lr, r.decay]), [3, 2]), clip: Tensor.from(d, [clip]),
    };
    for (let step = 1; step <= 20; step++) {
      const g = random([total], 100 + step, { scale: step % 4 === 0 ? 1e-4 : 0.1, outliers: 0.02 });
      d.upload(grad, g);
      adamwStep(d, buffers, { beta1: 0.9, beta2: 0.999, eps: 1e-8, step });
      const clipped = Float64Array.from(g, v => v * Math.fround(clip));
      states.forEach((s, k) => adamwRef(s, clipped, { ...RATES[k]!, beta1: 0.9, beta2: 0.999, eps: 1e-8, step }));
    }
    const pick = (name: 'p' | 'm' | 'v'): Float64Array => Float64Array.from({ length: total }, (_, i) => states[groupOf[Math.floor(i / 64)]!]![name][i]!);
    close(await buffers.param.read(), pick('p'), { nmse: 1e-13, name: 'param' });
    close(await buffers.m.read(), pick('m'), { nmse: 1e-12, name: 'm' });
    close(await buffers.v.read(), pick('v'), { nmse: 1e-12, name: 'v' });
    const moved = Float64Array.from(await buffers.param.read(), (v, i) => v - start[i]!);
    close(moved, pick('p').map((v, i) => v - start[i]!), { nmse: 1e-9, name: 'sum of the updates' });
  });
}

test('1,000 updates far below a unit in the last place add up', async () => {
  const d = await device();
  const make = (): Tensor => Tensor.zeros(d, [64]);
  const buffers = {
    param: Tensor.from(d, new Float32Array(64).fill(4)), grad: Tensor.from(d, new Float32Array(64).fill(1)), m: make(), v: make(), rest: make(),
    blockGroup: Tensor.zeros(d, [1], 'u32'), groups: Tensor.from(d, [1e-8, 0], [1, 2]), clip: Tensor.from(d, [1]),
  };
  for (let step = 1; step <= 1000; step++) adamwStep(d, buffers, { beta1: 0.9, beta2: 0.999, eps: 1e-8, step });
  close(await buffers.param.read(), new Float64Array(64).fill(4 - 1e-5), { abs: 3e-7, name: 'param' }); // each update is 1e-8, the unit is 4.8e-7
});

test('refuses a total that is not padded, a wrong table and step 0', async () => {
  const d = await device();
  const make = (total: number, blocks: number) => ({
    param: Tensor.zeros(d, [total]), grad: Tensor.zeros(d, [total]), m: Tensor.zeros(d, [total]), v: Tensor.zeros(d, [total]), rest: Tensor.zeros(d, [total]),
    blockGroup: Tensor.zeros(d, [blocks], 'u32'), groups: Tensor.zeros(d, [1, 2]), clip: Tensor.zeros(d, [1]),
  });
  const settings = { beta1: 0.9, beta2: 0.95, eps: 1e-8, step: 1 };
  assert.throws(() => adamwStep(d, make(100, 2), settings), /adamwStep: param has 100 elements, expected a multiple of 64/);
  assert.throws(() => adamwStep(d, make(128, 3), settings), /adamwStep: blockGroup has shape \[3\], expected \[2\]/);
  assert.throws(() => adamwStep(d, make(128, 2), { ...settings, step: 0 }), /step 0, expected/);
});

test.run();
