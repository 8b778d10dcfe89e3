import { Tensor } from '../../engine/tensor.ts';
import { l2Normalize } from '../../kernels/l2_normalize.ts';
import { l2NormalizeRef } from '../../kernels/l2_normalize.ref.ts';
import { assert, close, device, random, suite } from '../harness.ts';

const test = suite('l2Normalize');

for (const scale of [1e-25, 1e30]) {
  test(`rows of size ${scale} become unit rows`, async () => {
    const d = await device();
    const x = random([3, 20], 2, { scale });
    const y = await l2Normalize(Tensor.from(d, x, [3, 20]), { eps: 1e-30 }).read();
    close(y, l2NormalizeRef(Float64Array.from(x), 20, 1e-30), { nmse: 1e-13 });
  });
}

test('a row of zeros stays zero', async () => {
  const d = await device();
  const y = await l2Normalize(Tensor.zeros(d, [2, 8])).read();
  assert.equal([...y], new Array(16).fill(0));
});

test.run();
