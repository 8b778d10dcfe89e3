import { Tensor, size } from '../../engine/tensor.ts';
import { slice } from '../../kernels/slice.ts';
import { sliceRows } from '../../kernels/slice.ref.ts';
import { assert, device, suite } from '../harness.ts';

const test = suite('slice');

/** Every bit pattern class: NaN payloads, tiny floats, infinities, integers. */
const bits = (n: number): Uint32Array => Uint32Array.from({ length: n }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 0);

test('all bits arrive, along every axis', async () => {
  const d = await device();
  for (const shape of [[5], [64, 3], [3, 8, 4], [2, 7, 16], [2, 3, 4, 5]]) {
    const words = bits(size(shape));
    for (let axis = 0; axis < shape.length; axis++) {
      const n = shape[axis]!;
      for (const [start, end] of [[0, n], [1, n], [0, n - 1], [1, 2], [2, 2]] as const) {
        if (end < start || end > n) continue;
        const y = slice(Tensor.from(d, words, shape), axis, start, end);
        const inner = size(shape.slice(axis + 1));
        const expected = sliceRows(words, size(shape.slice(0, axis)), n * inner, start * inner, (end - start) * inner);
        assert.is(y.dtype, 'u32');
        assert.equal(await y.readU32(), expected, `${shape} axis ${axis} from ${start} to ${end}`);
      }
    }
  }
});

test('a f32 tensor keeps NaN payloads', async () => {
  const d = await device();
  const x = Tensor.from(d, new Float32Array(Uint32Array.of(0x7fc01234, 0xffa00001, 1, 0x80000001, 0x7f800000, 0x3f800000).buffer));
  const bytes = new Uint32Array((await slice(x, 0, 1, 6).read()).buffer);
  assert.equal(bytes, Uint32Array.of(0xffa00001, 1, 0x80000001, 0x7f800000, 0x3f800000));
});

test('ranges that do not exist are refused', async () => {
  const x = Tensor.zeros(await device(), [2, 3]);
  assert.throws(() => slice(x, 1, 2, 4), /slice: range is 2 to 4, expected 0 ≤ start ≤ end ≤ 3/);
  assert.throws(() => slice(x, 2, 0, 1), /slice: axis is 2, expected an axis of x \[2, 3\]/);
});

test.run();
