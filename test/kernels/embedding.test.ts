import { gradients } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import { embedding } from '../../kernels/embedding.ts';
import * as ref from '../../kernels/embedding.ref.ts';
import { assert, close, device, generator, random, suite } from '../harness.ts';

const test = suite('embedding');

function idsOf(n: number, v: number, seed: number): Uint32Array {
  const next = generator(seed);
  return Uint32Array.from({ length: n }, () => Math.floor(v * next() ** 3)); // skewed, as words are
}

test('rows arrive bit for bit', async () => {
  const d = await device();
  for (const [n, v, w] of [[1, 1, 1], [5, 7, 3], [64, 50, 8], [65, 97, 5], [0, 3, 4]] as const) {
    const table = random([v, w], 1);
    table[0] = 1e-42; // a subnormal, which a float load may flush
    const ids = idsOf(n, v, 2);
    const y = embedding(Tensor.from(d, table, [v, w]), Tensor.from(d, ids));
    assert.equal(await y.read(), Float32Array.from(ref.embedding(Float64Array.from(table), w, [...ids])), `${n} ids of ${v} rows`);
  }
});

test('ids of any shape, and from the host', async () => {
  const d = await device();
  const table = Tensor.from(d, random([9, 4], 1), [9, 4]);
  const y = embedding(table, Tensor.from(d, Uint32Array.of(1, 2, 3, 8, 8, 0), [2, 3]));
  assert.equal(y.shape, [2, 3, 4]);
  assert.equal(await embedding(table, [1, 2, 3, 8, 8, 0]).read(), await y.read());
});

test('gradient of whole numbers is exact at 3,000 ids of 2,000 rows, with one id at 900 places, twice the same', async () => {
  const d = await device();
  const [n, v, w] = [3000, 2000, 12];
  const ids = idsOf(n, v, 7).map((id, i) => (i % 10 < 3 ? 1999 : id));
  const dy = Float32Array.from({ length: n * w }, (_, i) => ((i * 31) % 201) - 100);
  const expected = new Float32Array(v * w);
  ids.forEach((id, i) => { for (let j = 0; j < w; j++) expected[id * w + j]! += dy[i * w + j]!; });
  for (let run = 0; run < 2; run++) {
    const table = Tensor.from(d, random([v, w], 1), [v, w]);
    table.needsGrad = true;
    const y = embedding(table, Tensor.from(d, ids));
    const [grad] = gradients(y, Tensor.from(d, dy, [n, w]), [table]);
    close(await grad!.read(), expected, { abs: 0, name: `run ${run}` });
  }
});

test('an id out of range: refused from the host, the last row from a tensor', async () => {
  const d = await device();
  const table = Tensor.from(d, random([4, 2], 1), [4, 2]);
  assert.throws(() => embedding(table, [0, 4]), /embedding: ids\[1\] is 4, expected 0 to 3/);
  assert.throws(() => embedding(table, [-1]), /embedding: ids\[0\] is -1/);
  assert.equal(await embedding(table, Tensor.from(d, Uint32Array.of(0xffffffff))).read(), await embedding(table, [3]).read());
  assert.throws(() => embedding(table, Tensor.zeros(d, [2])), /embedding: ids is f32, expected u32/);
});

test('a table in parts gives what the whole one gives, and its parts have to fit', async () => {
  const d = await device();
  const values = random([9, 4], 1);
  const part = (first: number, end: number, width = 4) => Tensor.from(d, values.slice(first * 4, first * 4 + (end - first) * width), [end - first, width]);
  const ids = Tensor.from(d, Uint32Array.of(8, 0, 3, 4, 99, 3));
  assert.equal(await embedding([part(0, 4), part(4, 9)], ids).read(), await embedding(Tensor.from(d, values, [9, 4]), ids).read());
  assert.throws(() => embedding([], ids), /embedding: table has no parts/);
  assert.throws(() => embedding([part(0, 4), part(4, 6, 3)], ids), /embedding: table has shape \[2, 3\], expected \[\*, 4\]|embedding: table has shape/);
  assert.throws(() => embedding([part(0, 4), part(4, 9)], [9]), /ids\[0\] is 9, expected 0 to 8/);
});

test.run();
