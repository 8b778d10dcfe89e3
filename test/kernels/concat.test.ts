import { Tensor, size } from '../../engine/tensor.ts';
import { concat } from '../../kernels/concat.ts';
import { concatRows } from '../../kernels/concat.ref.ts';
import { assert, device, suite } from '../harness.ts';

const test = suite('concat');
const bits = (n: number, seed: number): Uint32Array => Uint32Array.from({ length: n }, (_, i) => Math.imul(i + seed, 0x9e3779b1) >>> 0);

test('all bits arrive, along every axis, with empty parts', async () => {
  const d = await device();
  for (const [shape, lengths] of [[[1], [3, 2]], [[3, 1, 4], [1, 64, 0, 5]], [[2, 1, 8], [7, 1]], [[1, 16], [4, 1, 3]], [[2, 3, 1], [5, 6]], [[2, 3, 1], [4, 8]], [[0, 1], [2, 3]]] as const) {
    const axis = shape.indexOf(1 as never);
    const parts = lengths.map((n, i) => bits(size(shape) * n, i * 1000 + 1));
    const y = concat(parts.map((p, i) => Tensor.from(d, p, shape.map((s, k) => (k === axis ? lengths[i]! : s)))), axis - shape.length);
    const inner = size(shape.slice(axis + 1));
    assert.equal(await y.readU32(), concatRows(parts, size(shape.slice(0, axis)), lengths.map(n => n * inner)), `${shape} axis ${axis}`);
  }
});

test('what does not fit is refused', async () => {
  const d = await device();
  assert.throws(() => concat([Tensor.zeros(d, [2, 3]), Tensor.zeros(d, [3, 3])], 1), /concat: tensor 1 has shape \[3, 3\], expected \[2, \*\]/);
  assert.throws(() => concat([Tensor.zeros(d, [2]), Tensor.zeros(d, [2], 'u32')], 0), /concat: tensor 1 is u32, expected f32/);
  assert.throws(() => concat([], 0), /no tensor was given/);
});

test.run();
