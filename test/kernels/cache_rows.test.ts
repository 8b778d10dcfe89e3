// Rows of caches: what is refused, and positions that a plan asks for anew.
import { plan } from '../../engine/plan.ts';
import { Tensor } from '../../engine/tensor.ts';
import { readRows, writeRows } from '../../kernels/cache_rows.ts';
import { assert, device, suite } from '../harness.ts';

const test = suite('cache rows');

test('shapes, dtypes and positions that do not fit are refused', async () => {
  const d = await device();
  const cache = Tensor.zeros(d, [2, 4, 3]);
  assert.throws(() => writeRows(cache, Tensor.zeros(d, [1, 1, 3]), 0), /writeRows: x has shape \[1, 1, 3\], expected \[2, \*, 3\]/);
  assert.throws(() => writeRows(cache, Tensor.zeros(d, [2, 1, 3], 'u32'), 0), /writeRows: x is u32, expected f32/);
  assert.throws(() => writeRows(cache, Tensor.zeros(d, [2, 2, 3]), 3), /writeRows: position is 3, expected 0 to 2 \(2 of 4 rows\)/);
  assert.throws(() => writeRows(cache, cache, 0), /writeRows: x lies in the storage of cache/);
  assert.throws(() => readRows(cache, -1, 1), /readRows: position is -1, expected 0 to 3/);
  assert.throws(() => readRows(cache, 0, 1.5), /readRows: count is 1.5/);
  assert.throws(() => readRows(Tensor.zeros(d, [1, 2, 4], 'f16'), 0, 1), /readRows: the rows are f16, expected f32, u32 or i32/);
});

test('a plan writes one place further at every run, and a place beyond the cache stops it', async () => {
  const d = await device();
  const cache = Tensor.zeros(d, [1, 3, 2]);
  const x = Tensor.from(d, [1, 2], [1, 1, 2]);
  let position = 0;
  const made = await plan(d, () => {
    writeRows(cache, x, () => position);
    return readRows(cache, () => position, 1);
  });
  for (; position < 3; position++) {
    d.upload(x, Float32Array.of(position + 1, 10 * (position + 1)));
    assert.equal([...await made.run().read()], [position + 1, 10 * (position + 1)]);
  }
  assert.equal([...await cache.read()], [1, 10, 2, 20, 3, 30]);
  assert.throws(() => made.run(), /writeRows: position is 3, expected 0 to 2/);
  made.dispose();
  for (const t of [cache, x]) t.dispose();
});

test.run();
