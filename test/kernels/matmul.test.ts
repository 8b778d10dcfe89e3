import { Tensor, size } from '../../engine/tensor.ts';
import { matmul } from '../../kernels/matmul.ts';
import { matmulRef } from '../../kernels/matmul.ref.ts';
import { assert, close, device, random, suite } from '../harness.ts';

const test = suite('matmul');
const integers = (n: number, seed: number): Float32Array => random([n], seed, { scale: 4 }).map(Math.round);

interface Case { lead?: number[]; m: number; n: number; k: number; shared?: boolean; tA: boolean; tB: boolean }

function operands({ lead = [], m, n, k, shared, tA, tB }: Case, make: (n: number, seed: number) => Float32Array) {
  const aShape = [...lead, ...(tA ? [k, m] : [m, k])];
  const bShape = [...(shared ? [] : lead), ...(tB ? [n, k] : [k, n])];
  return { aShape, bShape, a: make(size(aShape), 1 + m), b: make(size(bShape), 2 + n) };
}

const reference = ({ lead = [], m, n, k, shared = false, tA, tB }: Case, a: Float32Array, b: Float32Array): Float64Array =>
  matmulRef(Float64Array.from(a), Float64Array.from(b), { batch: size(lead), m, n, k, transposeA: tA, transposeB: tB, shared });

async function run(c: Case, a: Float32Array, b: Float32Array): Promise<Float32Array> {
  const d = await device();
  const { aShape, bShape } = operands(c, n => new Float32Array(n));
  const y = matmul(Tensor.from(d, a, aShape), Tensor.from(d, b, bShape), { transposeA: c.tA, transposeB: c.tB });
  assert.equal([...y.shape], [...(c.lead ?? []), c.m, c.n]);
  return y.read();
}

test('zero sizes', async () => {
  for (const [m, n, k] of [[0, 5, 3], [5, 0, 3], [3, 5, 0], [4, 4, 0]] as const) {
    assert.equal([...await run({ m, n, k, tA: false, tB: false }, new Float32Array(m * k), new Float32Array(k * n))], new Array(m * n).fill(0));
  }
});

test('real size with outliers, and a long sum that is cut', async () => {
  for (const c of [{ m: 96, n: 128, k: 384, tA: false, tB: true }, { m: 24, n: 20, k: 4096, tA: true, tB: false }, { m: 5, n: 3, k: 16_385, tA: true, tB: false }]) {
    const { a, b } = operands(c, (n, seed) => random([n], seed, { outliers: 0.001 }));
    close(await run(c, a, b), reference(c, a, b), { nmse: 1e-11, name: `k ${c.k}` });
  }
});

test('a long sum of one sign keeps its digits', async () => {
  const c = { m: 8, n: 8, k: 4096, tA: false, tB: true };
  const { a, b } = operands(c, (n, seed) => random([n], seed).map(Math.abs));
  close(await run(c, a, b), reference(c, a, b), { nmse: 1e-11 });
});

test('more workgroups than one grid axis holds', async () => {
  const c = { lead: [66_000], m: 1, n: 1, k: 2, tA: false, tB: false };
  const { a, b } = operands(c, integers);
  close(await run(c, a, b), reference(c, a, b), { abs: 0 });
});

test('wrong shapes say what goes together', async () => {
  const d = await device();
  const t = (shape: number[]): Tensor => Tensor.zeros(d, shape);
  assert.throws(() => matmul(t([2, 3]), t([4, 5])), (e: Error) => e.message === 'matmul: b has shape [4, 5], expected [3, 5], to go with a [2, 3]');
  assert.throws(() => matmul(t([2, 3]), t([3, 5]), { transposeA: true }), /expected \[2, 5\], to go with a \[2, 3\] transposed/);
  assert.throws(() => matmul(t([2, 2, 3]), t([3, 3, 5])), /expected \[2, 3, 5\]/);
  assert.throws(() => matmul(t([3]), t([3, 5])), /at least two axes/);
});

test.run();
