import { Tensor } from '../../engine/tensor.ts';
import { l2Normalize } from '../../kernels/l2_normalize.ts';
import { l2NormalizeRef } from '../../kernels/l2_normalize.ref.ts';
import { assert, checkGradients, close, device, random, suite } from '../harness.ts';

const test = suite('l2Normalize');

for (const [rows, cols] of [[0, 8], [1, 1], [1, 4], [31, 63], [32, 64], [33, 65], [7, 257], [8, 1536]] as const) {
  test(`matches the formula at [${rows}, ${cols}]`, async () => {
    const d = await device();
    const x = random([rows, cols], 1, { outliers: 0.01 });
    const y = l2Normalize(Tensor.from(d, x, [rows, cols]));
    assert.equal(y.shape, [rows, cols]);
    close(await y.read(), l2NormalizeRef(Float64Array.from(x), cols, 1e-12), { nmse: 1e-13 });
  });
}

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

for (const [rows, cols] of [[1, 1], [5, 7], [33, 12]] as const) {
  test(`gradient at [${rows}, ${cols}]`, () => checkGradients(x => l2Normalize(x), x => l2NormalizeRef(x, cols, 1e-12), [{ shape: [rows, cols] }]));
}

test('gradient of rows shorter than eps', () => checkGradients(x => l2Normalize(x, { eps: 100 }), x => l2NormalizeRef(x, 8, 100), [{ shape: [4, 8] }]));

test.run();
