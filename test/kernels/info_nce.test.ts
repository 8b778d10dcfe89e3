import { scope } from '../../engine/memory.ts';
import { plan } from '../../engine/plan.ts';
import { gradients } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import { infoNCE } from '../../kernels/info_nce.ts';
import type { InfoNCEOptions } from '../../kernels/info_nce.ts';
import { infoNCERef } from '../../kernels/info_nce.ref.ts';
import { l2Normalize } from '../../kernels/l2_normalize.ts';
import { l2NormalizeRef } from '../../kernels/l2_normalize.ref.ts';
import { openSafetensors } from '../../weights/safetensors.ts';
import { assert, close, device, random, suite } from '../harness.ts';

const test = suite('infoNCE');
const wide = (x: ArrayLike<number>): Float64Array => Float64Array.from(x);
/** Unit rows of two related sets, so that the diagonal stands out a little. */
function unitRows(n: number, dim: number, spread = 1): { p: Float32Array; y: Float32Array } {
  const base = random([n, dim], 1), a = random([n, dim], 2), b = random([n, dim], 3);
  const mixed = (x: Float32Array): Float32Array => Float32Array.from(l2NormalizeRef(wide(base.map((v, i) => v + spread * x[i]!)), dim, 1e-12));
  return { p: mixed(a), y: mixed(b) };
}

interface Run { loss: number[]; lseRows: Float32Array; lseCols: Float32Array; dp: Float32Array; dy: Float32Array; dLogScale: number }

/** Forward and backward on the GPU; `normalise` puts l2Normalize between the leaves and the loss. */
async function run(p: Float32Array, y: Float32Array, dim: number, logScale: number, options: InfoNCEOptions & { normalise?: boolean; dloss?: number; groupIds?: Uint32Array } = {}): Promise<Run> {
  const d = await device();
  const n = p.length / dim;
  const { normalise, dloss = 1, groupIds, ...rest } = options;
  const { out, grads } = scope(() => {
    const leaves = [Tensor.from(d, p, [n, dim]), Tensor.from(d, y, [n, dim]), Tensor.from(d, [logScale])] as const;
    for (const t of leaves) t.needsGrad = true;
    const unit = (t: Tensor): Tensor => (normalise ? l2Normalize(t) : t);
    const out = infoNCE(unit(leaves[0]), unit(leaves[1]), leaves[2], { ...rest, ...(groupIds && { groups: Tensor.from(d, groupIds) }) });
    return { out, grads: gradients(out.loss, Tensor.from(d, [dloss]), leaves) };
  });
  const read = (t: Tensor | undefined): Promise<Float32Array> => t!.read();
  const [loss, rows, cols, lseRows, lseCols, dp, dy, ds] = await Promise.all([out.loss, out.lossRows, out.lossCols, out.lseRows, out.lseCols, ...grads].map(read));
  return { loss: [loss![0]!, rows![0]!, cols![0]!], lseRows: lseRows!, lseCols: lseCols!, dp: dp!, dy: dy!, dLogScale: ds![0]! };
}

for (const name of ['n1-d8', 'n64-d32', 'n65-d48-hot', 'n200-d96']) {
  test(`golden case ${name}`, async () => {
    const open = (file: string) => openSafetensors(new URL(`../../../test/golden/infonce/${name}/${file}.safetensors`, import.meta.url));
    const inputs = await open('inputs'), expected = await open('expected');
    const p = await inputs.readF32('p'), y = await inputs.readF32('y'), [logScale] = await inputs.readF32('log_scale');
    const out = await run(p, y, inputs.info('p').shape[1]!, logScale!, { normalise: true });
    close(out.loss, await expected.readF32('loss'), { abs: 1e-6, name: 'losses' });
    const logitError = 2e-7 * Math.exp(logScale!); // cosines are good to 2e-7 in f32; the losses are differences, in which most of it cancels
    close(out.lseRows, await expected.readF32('lse_rows'), { abs: logitError, rel: 2e-7, name: 'lseRows' });
    close(out.lseCols, await expected.readF32('lse_cols'), { abs: logitError, rel: 2e-7, name: 'lseCols' });
    close(out.dp, await expected.readF32('dp'), { abs: 1e-6, nmse: 1e-11, name: 'dp' });
    close(out.dy, await expected.readF32('dy'), { abs: 1e-6, nmse: 1e-11, name: 'dy' });
    close([out.dLogScale], await expected.readF32('dlog_scale'), { abs: 1e-6, rel: 1e-6, name: 'dLogScale' });
    await Promise.all([inputs.close(), expected.close()]);
  });
}

test('the example of the specification', async () => {
  const p = Float32Array.of(1, 0, 0, 0.5, 0, 2, 0, 0.1, 0.3, 0, 1, 0), y = Float32Array.of(0.9, 0.1, 0, 0.2, 0, 1, 0.2, 0, 0, 0.1, 1, 0.4);
  const warm = await run(p, y, 4, Math.log(1 / 0.5), { normalise: true });
  close([warm.loss[1]!, warm.loss[2]!, warm.loss[0]!], [0.3456445508, 0.3438922627, 0.3447684068], { abs: 1e-7 });
  const cold = await run(p, y, 4, Math.log(1 / 0.07), { normalise: true });
  close([cold.loss[0]!], [6.0682548959e-5], { rel: 5e-6 });
});

const matches = (out: Run, p: Float32Array, y: Float32Array, dim: number, logScale: number, options: { maxLogScale?: number; groups?: Uint32Array }, dloss = 1): void => {
  const ref = infoNCERef(wide(p), wide(y), Math.fround(logScale), dim, options);
  close(out.loss, ref.loss, { abs: 1e-6, rel: 1e-6, name: 'losses' });
  close(out.lseRows, ref.lseRows, { abs: 2e-6, rel: 2e-7, name: 'lseRows' });
  close(out.lseCols, ref.lseCols, { abs: 2e-6, rel: 2e-7, name: 'lseCols' });
  close(out.dp, ref.dp.map(v => v * dloss), { nmse: 1e-10, name: 'dp' });
  close(out.dy, ref.dy.map(v => v * dloss), { nmse: 1e-10, name: 'dy' });
  close([out.dLogScale], [ref.dLogScale * dloss], { abs: 1e-7, rel: 1e-5, name: 'dLogScale' });
};

test('matches float64 at N 512, D 256, scale 100', async () => {
  const { p, y } = unitRows(512, 256, 3);
  const out = await run(p, y, 256, Math.log(100));
  const ref = infoNCERef(wide(p), wide(y), Math.fround(Math.log(100)), 256, { maxLogScale: 5 });
  close(out.loss, ref.loss, { abs: 1e-5, name: 'losses' });
  close(out.dp, ref.dp, { nmse: 1e-10, name: 'dp' });
  close(out.dy, ref.dy, { nmse: 1e-10, name: 'dy' });
  close([out.dLogScale], [ref.dLogScale], { rel: 1e-5, name: 'dLogScale' });
});

test('distinct groups change nothing, one group for all leaves no negative', async () => {
  const { p, y } = unitRows(70, 8);
  const plain = await run(p, y, 8, 1), distinct = await run(p, y, 8, 1, { groupIds: Uint32Array.from(p.slice(0, 70).keys()) });
  assert.equal(distinct, plain);
  const none = await run(p, y, 8, 1, { groupIds: new Uint32Array(70) });
  assert.equal(none.loss, [0, 0, 0]);
  assert.ok(none.dp.every(v => v === 0) && none.dy.every(v => v === 0) && none.dLogScale === 0);
});

test('one pair has no negative: zero everywhere', async () => {
  const out = await run(Float32Array.of(0.6, 0.8), Float32Array.of(1, 0), 2, 3);
  assert.equal(out.loss, [0, 0, 0]);
  assert.equal([...out.dp, ...out.dy, out.dLogScale].map(Math.abs), [0, 0, 0, 0, 0]);
});

test('a loss near zero keeps its digits', async () => {
  const { p } = unitRows(40, 64, 0);
  const out = await run(p, p, 64, Math.log(30));
  const ref = infoNCERef(wide(p), wide(p), Math.fround(Math.log(30)), 64, {});
  assert.ok(ref.loss[0] < 1e-7 && ref.loss[0] > 1e-11, `the case is not near zero: ${ref.loss[0]}`);
  close(out.loss, ref.loss, { rel: 1e-4 });
});

test('a larger scale than allowed is clamped and gets no gradient', async () => {
  const { p, y } = unitRows(20, 6);
  const out = await run(p, y, 6, 9, { maxLogScale: 1.5 });
  matches(out, p, y, 6, 9, { maxLogScale: 1.5 });
  assert.is(out.dLogScale, 0);
});

test('frozen texts get no gradient and no work', async () => {
  const d = await device();
  const { p, y } = unitRows(65, 8);
  const [dp, dy] = scope(() => {
    const leaves = [Tensor.from(d, p, [65, 8]), Tensor.from(d, y, [65, 8]), Tensor.from(d, [2])] as const;
    leaves[0].needsGrad = true;
    return gradients(infoNCE(...leaves).loss, Tensor.from(d, [1]), leaves);
  });
  assert.is(dy, undefined);
  close(await dp!.read(), infoNCERef(wide(p), wide(y), 2, 8).dp, { nmse: 1e-10 });
});

/** Inputs that want gradients, on the device. */
async function leavesOf(n: number, dim: number): Promise<[Tensor, Tensor, Tensor]> {
  const d = await device();
  const { p, y } = unitRows(n, dim);
  const leaves: [Tensor, Tensor, Tensor] = [Tensor.from(d, p, [n, dim]), Tensor.from(d, y, [n, dim]), Tensor.from(d, [2])];
  for (const t of leaves) t.needsGrad = true;
  return leaves;
}

const readAll = (grads: readonly (Tensor | undefined)[]): Promise<Float32Array[]> => Promise.all(grads.map(g => g!.read()));

test('the tile that the forward pass leaves serves one gradient; a second one of the same loss equals it', async () => {
  const d = await device();
  const leaves = await leavesOf(70, 8);
  const one = Tensor.from(d, [1]);
  const { loss } = infoNCE(...leaves);
  const counted = (): { grads: readonly (Tensor | undefined)[]; dispatches: number } => {
    const { onAcquire } = d.pool;
    d.pool.onAcquire = undefined; // filling new buffers with a pattern is a dispatch too
    const before = d.counters().dispatches;
    const grads = gradients(loss, one, leaves);
    const dispatches = d.counters().dispatches - before;
    d.pool.onAcquire = onAcquire;
    return { grads, dispatches };
  };
  const { grads: first, dispatches } = counted();
  const { grads: second, dispatches: again } = counted();
  assert.is(again, dispatches + 1, 'dispatches of the second gradient, which computes the tile again');
  assert.equal(await readAll(second), await readAll(first));
});

test('a gradient that is recorded after the forward pass gives the same at every replay', async () => {
  const d = await device();
  const leaves = await leavesOf(70, 8);
  const one = Tensor.from(d, [1]);
  const { loss } = infoNCE(...leaves);
  const recorded = await plan(d, () => gradients(loss, one, leaves));
  const first = await readAll(recorded.run()), second = await readAll(recorded.run());
  recorded.dispose();
  assert.equal(second, first);
  assert.equal(first, await readAll(gradients(loss, one, leaves)));
});

test('memory beyond inputs and gradients is one tile and O(N)', async () => {
  const d = await device();
  const n = 1024, dim = 16, side = 128;
  const { p, y } = unitRows(n, dim);
  const [dp, dy, extra] = scope(() => {
    const leaves = [Tensor.from(d, p, [n, dim]), Tensor.from(d, y, [n, dim]), Tensor.from(d, [2])] as const;
    for (const t of leaves) t.needsGrad = true;
    const before = d.memory().liveBytes;
    d.resetPeak();
    const { loss } = infoNCE(...leaves, { workspaceBytes: side * side * 4 });
    const [dp, dy] = gradients(loss, Tensor.from(d, [1]), leaves);
    return [dp!, dy!, d.memory().peakBytes - before] as const;
  });
  const gradientBytes = 2 * n * dim * 4, tileBytes = side * side * 4;
  assert.ok(extra <= gradientBytes + 2 * tileBytes + 200 * n, `${extra} bytes`);
  close(await dp.read(), infoNCERef(wide(p), wide(y), 2, dim).dp, { nmse: 1e-10 });
  dp.dispose();
  dy.dispose();
});

test('says which argument has which shape', async () => {
  const d = await device();
  const p = Tensor.zeros(d, [4, 8]), s = Tensor.zeros(d, [1]);
  assert.throws(() => infoNCE(p, Tensor.zeros(d, [5, 8]), s), /infoNCE: y has shape \[5, 8\], expected \[4, 8\], the shape of p/);
  assert.throws(() => infoNCE(p, p, s, { groups: Tensor.zeros(d, [3], 'u32') }), /infoNCE: groups has shape \[3\], expected \[4\]/);
  assert.throws(() => infoNCE(Tensor.zeros(d, [0, 8]), Tensor.zeros(d, [0, 8]), s), /infoNCE: p has shape \[0, 8\], expected at least one row/);
});

test.run();
