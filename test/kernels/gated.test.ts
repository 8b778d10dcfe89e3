import { Tensor } from '../../engine/tensor.ts';
import { geglu, swiglu } from '../../kernels/gated.ts';
import * as ref from '../../kernels/gated.ref.ts';
import { assert, checkGradients, close, device, random, suite } from '../harness.ts';

const test = suite('gated');

for (const [name, op, formula] of [['swiglu', swiglu, ref.swiglu], ['geglu', geglu, ref.geglu]] as const) {
  test(`${name}: shapes with outliers`, async () => {
    const d = await device();
    for (const shape of [[0], [1], [7, 3], [64], [5, 4, 13], [77, 256]]) {
      const gate = random(shape, 1, { outliers: 0.05 });
      const up = random(shape, 2, { outliers: 0.05 });
      const y = await op(Tensor.from(d, gate, shape), Tensor.from(d, up, shape)).read();
      close(y, formula(Float64Array.from(gate), Float64Array.from(up)), { nmse: 1e-13, name: `shape ${shape}` });
    }
  });

  test(`${name}: gradients of both inputs in one dispatch`, async () => {
    for (const n of [1, 64, 97]) {
      const gate = random([n], 3, { scale: 2 });
      await checkGradients(op, formula, [{ shape: [n], data: gate }, { shape: [n] }], { nmse: 1e-12 });
    }
  });

  test(`${name}: gradient far out is finite`, async () => {
    await checkGradients(op, formula, [{ shape: [4], data: Float32Array.of(500, -500, 40, -40) }, { shape: [4] }], { nmse: 1e-12 });
  });
}

test('shapes that differ are refused', async () => {
  const d = await device();
  assert.throws(() => swiglu(Tensor.zeros(d, [2, 3]), Tensor.zeros(d, [3, 2])), /swiglu: up has shape \[3, 2\], expected \[2, 3\]/);
});

test.run();
