import { Tensor } from '../../engine/tensor.ts';
import { geglu, swiglu } from '../../kernels/gated.ts';
import * as ref from '../../kernels/gated.ref.ts';
import { assert, checkGradients, device, suite } from '../harness.ts';

const test = suite('gated');

for (const [name, op, formula] of [['swiglu', swiglu, ref.swiglu], ['geglu', geglu, ref.geglu]] as const) {
  test(`${name}: gradient far out is finite`, async () => {
    await checkGradients(op, formula, [{ shape: [4], data: Float32Array.of(500, -500, 40, -40) }, { shape: [4] }], { nmse: 1e-12 });
  });
}

test('shapes that differ are refused', async () => {
  const d = await device();
  assert.throws(() => swiglu(Tensor.zeros(d, [2, 3]), Tensor.zeros(d, [3, 2])), /swiglu: up has shape \[3, 2\], expected \[2, 3\]/);
});

test.run();
