import { scope } from '../../engine/memory.ts';
import { Tensor } from '../../engine/tensor.ts';
import { alignment, uniformity } from '../../kernels/uniformity.ts';
import { alignmentGradRef, alignmentRef, uniformityRef } from '../../kernels/uniformity.ref.ts';
import { assert, checkGradients, close, device, random, suite } from '../harness.ts';
import { matchesFormula, twinMatchesDifferences, unitRows, wide } from './loss_check.ts';
import type { LossCase } from './loss_check.ts';

const test = suite('alignment and uniformity');
const SMALL_TILE = 64 * 64 * 4;

async function uniform(x: Float32Array, dim: number, options: { t?: number; workspaceBytes?: number } = {}): Promise<Float32Array> {
  const d = await device();
  return scope(() => uniformity(Tensor.from(d, x, [x.length / dim, dim]), options)).read();
}

function alignmentCase(n: number, dim: number): LossCase {
  const { p, y } = unitRows(n, dim);
  return {
    op: (x, y) => alignment(x!, y!), ref: (x, y) => alignmentRef(x!, y!, dim), gradRef: (g, x, y) => alignmentGradRef(x!, y!, dim, g),
    inputs: [{ shape: [n, dim], data: p }, { shape: [n, dim], data: y }],
  };
}

for (const [n, dim] of [[1, 1], [3, 7], [129, 16], [5, 1536]] as const) {
  test(`alignment matches float64 at N ${n}, D ${dim}`, () => matchesFormula(alignmentCase(n, dim)));
}

test('the float64 gradient of alignment agrees with central differences', () => twinMatchesDifferences(alignmentCase(4, 5)));

test('the gradient of alignment on the GPU agrees with central differences', () => checkGradients((x, y) => alignment(x!, y!), (x, y) => alignmentRef(x!, y!, 5), [{ shape: [4, 5] }, { shape: [4, 5] }]));

for (const [n, dim] of [[2, 1], [2, 6], [3, 5], [63, 4], [64, 9], [65, 16], [127, 3], [129, 33], [200, 12]] as const) {
  for (const t of [2, 0.5]) {
    test(`uniformity matches float64 at N ${n}, D ${dim}, t ${t}, in tiles of 64`, async () => {
      const { p } = unitRows(n, dim, 2);
      close(await uniform(p, dim, { t, workspaceBytes: SMALL_TILE }), uniformityRef(wide(p), dim, t), { abs: 1e-6, rel: 1e-6 });
    });
  }
}

test('in one tile as in many', async () => {
  const { p } = unitRows(150, 20, 2);
  close(await uniform(p, 20), uniformityRef(wide(p), 20), { rel: 1e-6 });
});

test('rows of any length, so far apart that every exponential alone is below f32', async () => {
  const x = random([40, 6], 3, { scale: 30 });
  const said = uniformityRef(wide(x), 6);
  assert.ok(said[0]! < -100, `${said[0]}`);
  close(await uniform(x, 6), said, { rel: 1e-5 });
});

test('one point for all gives 0; orthogonal rows give -2t', async () => {
  const same = new Float32Array(70 * 4).map((_, i) => [0.5, -0.5, 0.5, 0.5][i % 4]!);
  close(await uniform(same, 4), [0], { abs: 1e-6 });
  const eye = new Float32Array(8 * 8).map((_, i) => (i % 9 === 0 ? 1 : 0));
  close(await uniform(eye, 8, { t: 3 }), [-6], { rel: 1e-6 });
});

test('a NaN in one row shows', async () => {
  const { p } = unitRows(100, 5);
  p[333] = NaN;
  assert.ok(Number.isNaN((await uniform(p, 5, { workspaceBytes: SMALL_TILE }))[0]));
});

test('holds one tile of the pair matrix', async () => {
  const d = await device();
  const n = 1024, dim = 16, side = 128;
  const { p } = unitRows(n, dim);
  const extra = scope(() => {
    const x = Tensor.from(d, p, [n, dim]);
    const before = d.memory().liveBytes;
    d.resetPeak();
    uniformity(x, { workspaceBytes: side * side * 4 });
    return d.memory().peakBytes - before;
  });
  assert.ok(extra <= 2 * side * side * 4 + 100 * n, `${extra} bytes`);
});

test('says what is wrong with an argument', async () => {
  const d = await device();
  const x = Tensor.zeros(d, [4, 8]);
  assert.throws(() => uniformity(Tensor.zeros(d, [1, 8])), /uniformity: x has shape \[1, 8\], expected \[N, D\] with at least two rows/);
  assert.throws(() => uniformity(x, { t: -1 }), /uniformity: t is -1, expected a number > 0/);
  assert.throws(() => alignment(x, Tensor.zeros(d, [4, 7])), /alignment: y has shape \[4, 7\], expected \[4, 8\], the shape of x/);
  assert.throws(() => alignment(Tensor.zeros(d, [8]), x), /alignment: x has shape \[8\], expected \[N, D\]/);
});

test.run();
