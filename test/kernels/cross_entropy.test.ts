import { Tensor } from '../../engine/tensor.ts';
import { crossEntropy } from '../../kernels/cross_entropy.ts';
import { crossEntropyRef } from '../../kernels/cross_entropy.ref.ts';
import { assert, close, device, random, suite } from '../harness.ts';

const test = suite('crossEntropy');
const IGNORE = 0xffffffff;
const targetsOf = (rows: number, cols: number, holes: boolean): Uint32Array => Uint32Array.from({ length: rows }, (_, i) => (holes && i % 3 === 0 ? IGNORE : (i * 31) % cols));

test('keeps its accuracy for logits near 1000', async () => {
  const d = await device();
  const x = random([40, 50], 2).map(v => 1000 + v), t = targetsOf(40, 50, false);
  close(await crossEntropy(Tensor.from(d, x, [40, 50]), Tensor.from(d, t)).read(), crossEntropyRef(Float64Array.from(x), t, 50, IGNORE), { rel: 1e-6 });
});

test('extremes of 1000 give a finite loss', async () => {
  const d = await device();
  const loss = crossEntropy(Tensor.from(d, Float32Array.of(1000, -1000, -1000, 1000), [2, 2]), Tensor.from(d, Uint32Array.of(0, 0)));
  close(await loss.read(), [1000], { rel: 1e-6 });
});

test('no row, or none that counts, gives 0', async () => {
  const d = await device();
  assert.equal([...await crossEntropy(Tensor.zeros(d, [0, 3]), Tensor.zeros(d, [0], 'u32')).read()], [0]);
  assert.equal([...await crossEntropy(Tensor.zeros(d, [2, 3]), Tensor.from(d, Uint32Array.of(9, 9)), { ignoreIndex: 9 }).read()], [0]);
});

test('a target that is no class makes the loss NaN', async () => {
  const d = await device();
  const loss = await crossEntropy(Tensor.zeros(d, [2, 3]), Tensor.from(d, Uint32Array.of(0, 3))).read();
  assert.ok(Number.isNaN(loss[0]));
});

test.run();
