import { Tensor, size } from '../../engine/tensor.ts';
import { transpose } from '../../kernels/transpose.ts';
import { transpose5 } from '../../kernels/transpose.ref.ts';
import { assert, device, suite } from '../harness.ts';

const test = suite('transpose');
const bits = (n: number): Uint32Array => Uint32Array.from({ length: n }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 0);

test('all bits arrive, for every pair of axes', async () => {
  const d = await device();
  for (const shape of [[1, 1], [3, 5], [64, 65], [2, 3, 4], [2, 7, 3, 8], [0, 3], [2, 3, 4, 5, 6]]) {
    const words = bits(size(shape));
    for (let p = 0; p < shape.length; p++) for (let q = p + 1; q < shape.length; q++) {
      const y = transpose(Tensor.from(d, words, shape), q - shape.length, p);
      const sizes = [size(shape.slice(0, p)), shape[p]!, size(shape.slice(p + 1, q)), shape[q]!, size(shape.slice(q + 1))] as const;
      assert.equal(y.shape, shape.map((n, i) => (i === p ? shape[q] : i === q ? shape[p] : n)));
      assert.equal(await y.readU32(), transpose5(words, sizes), `${shape} axes ${p} and ${q}`);
    }
  }
});

test('axes that do not exist are refused', async () => {
  const x = Tensor.zeros(await device(), [2, 3]);
  assert.throws(() => transpose(x, 0, 2), /transpose: axes are 0 and 2, expected axes of x \[2, 3\]/);
});

test.run();
