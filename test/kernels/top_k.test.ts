import { Tensor } from '../../engine/tensor.ts';
import { topKRows } from '../../kernels/top_k.ts';
import { assert, device, suite } from '../harness.ts';

const test = suite('topKRows');

test('equal numbers by the lower column, both zeros are equal, NaN last, unused places', async () => {
  const d = await device();
  const rows = [[0.5, 0.9, 0.5, 0.9], [-0, 0, -1, 0], [NaN, -Infinity, 3, Infinity]];
  for (const parts of [1, 2, 4]) {
    const { values, indices } = topKRows(Tensor.from(d, rows.flat(), [3, 4]), 5, { parts });
    const none = 2 ** 32 - 1;
    assert.equal([...(await indices.readU32())], [1, 3, 0, 2, none, 0, 1, 3, 2, none, 3, 2, 1, 0, none]);
    assert.equal([...(await values.read())].slice(10), [Infinity, 3, -Infinity, NaN, -Infinity]);
  }
});

test('no row, and no column', async () => {
  const d = await device();
  assert.equal(topKRows(Tensor.empty(d, [0, 4]), 2).values.shape, [0, 2]);
  const { values, indices } = topKRows(Tensor.empty(d, [1, 0]), 2);
  assert.equal([[...(await values.read())], [...(await indices.readU32())]], [[-Infinity, -Infinity], [2 ** 32 - 1, 2 ** 32 - 1]]);
});

test('wrong arguments are refused', async () => {
  const d = await device();
  const x = Tensor.zeros(d, [2, 3]);
  assert.throws(() => topKRows(x, 0), /topKRows: k is 0, expected a whole number of at least 1/);
  assert.throws(() => topKRows(Tensor.zeros(d, [3]), 1), /scores has shape \[3\], expected \[Q, C\]/);
  assert.throws(() => topKRows(Tensor.empty(d, [2, 3], 'u32'), 1), /scores is u32, expected f32/);
  assert.throws(() => topKRows(x, 2, { seen: topKRows(x, 1) }), /seen.values has shape \[2, 1\], expected \[2, 2\]/);
  assert.throws(() => topKRows(x, 2, { base: -1 }), /base is -1/);
  assert.throws(() => topKRows(x, 2, { parts: 0.5 }), /parts is 0.5/);
});

test.run();
