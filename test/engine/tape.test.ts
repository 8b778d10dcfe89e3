// The tape: sums, shared gradients, recomputation, and histories that must not break silently. Its ops here are made by hand, so that only the tape is tested.
import { ShapeError } from '../../engine/check.ts';
import type { Device } from '../../engine/device.ts';
import { scope } from '../../engine/memory.ts';
import { checkpoint, gradEnabled, gradients, keepGradients, noGrad, record, recordJoint } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import { gelu } from '../../kernels/activation.ts';
import { backward } from '../../kernels/backward.ts';
import { add, mul, scale, sum } from '../../kernels/elementwise.ts';
import { linear } from '../../kernels/linear.ts';
import { assert, device, random, suite } from '../harness.ts';
import { rejects } from './rejects.ts';

const test = suite('tape');

const leaf = (d: Device, values: number[] | Float32Array, shape?: number[]): Tensor => {
  const t = Tensor.from(d, values, shape);
  t.needsGrad = true;
  return t;
};

/** A result with the values of x, whose gradient is whatever `pullback` says. */
const through = (x: Tensor, pullback: (dy: Tensor) => Tensor): Tensor => record(x.view(x.shape), [[x, pullback]]);

test('gradients of an input used many times are summed, each node runs once', async () => {
  const d = await device();
  const x = leaf(d, [1, 2]);
  let runs = 0;
  const middle = through(x, dy => { runs++; return scale(dy, 10); });
  const y = add(add(middle, middle), add(middle, x));
  const [dx] = gradients(y, Tensor.from(d, [1, 1]), [x]);
  assert.equal(await dx!.read(), Float32Array.of(31, 31));
  assert.is(runs, 1);
});

test('a pullback may return dy itself, a saved tensor, or one tensor for two inputs; none is released or changed by the sum', async () => {
  const d = await device();
  const [a, b] = [leaf(d, [1, 2]), leaf(d, [3, 4])];
  const saved = Tensor.from(d, [5, 6]);
  const before = d.memory().liveTensors;
  scope(() => {
    const dy = Tensor.from(d, [1, 1]);
    const y = record(add(a, b), [[a, g => g], [b, g => g]]);
    const z = record(y.view(y.shape), [[y, () => saved], [a, () => saved]]);
    const shared = recordJoint(z.view(z.shape), [z, b, b], g => { const one = scale(g, 2); return [one, one, one]; });
    const [da, db] = gradients(shared, dy, [a, b]);
    assert.not.ok(saved.released);
    return [da!, db!];
  }).forEach(t => t.dispose());
  assert.is(d.memory().liveTensors, before);
  assert.equal(await saved.read(), Float32Array.of(5, 6));
  const y = record(a.view(a.shape), [[a, () => saved], [b, () => saved]]);
  const twice = record(y.view(y.shape), [[y, g => g], [b, g => g]]);
  const [da, db] = gradients(twice, Tensor.from(d, [1, 1]), [a, b]);
  assert.equal(await da!.read(), Float32Array.of(5, 6));
  assert.equal(await db!.read(), Float32Array.of(6, 7));
  assert.equal(await saved.read(), Float32Array.of(5, 6));
});

test('the seed survives, and a root without history gives it back', async () => {
  const d = await device();
  const x = leaf(d, [1, 2]);
  const seed = Tensor.from(d, [7, 8]);
  const [same] = gradients(x, seed, [x]);
  assert.equal(await same!.read(), Float32Array.of(7, 8));
  gradients(add(x, x), seed, [x]);
  assert.equal(await seed.read(), Float32Array.of(7, 8));
});

test('gradients of results in the middle, and undefined where there is no path', async () => {
  const d = await device();
  const [x, stranger] = [leaf(d, [3]), leaf(d, [1])];
  const h = mul(x, x);
  const [dh, dx, none] = gradients(scale(h, 5), Tensor.from(d, [1]), [h, x, stranger]);
  assert.equal(await dh!.read(), Float32Array.of(5));
  assert.equal(await dx!.read(), Float32Array.of(30));
  assert.is(none, undefined);
});

test('noGrad records nothing and ends with its function, also after an exception', async () => {
  const d = await device();
  const x = leaf(d, [1]);
  const y = noGrad(() => { assert.not.ok(gradEnabled()); return mul(x, x); });
  assert.not.ok(y.needsGrad);
  assert.throws(() => noGrad(() => { throw new Error('on purpose'); }), /on purpose/);
  assert.ok(gradEnabled());
  assert.ok(mul(x, x).needsGrad);
  let inside: boolean | undefined;
  gradients(through(x, dy => { inside = gradEnabled(); return dy; }), Tensor.from(d, [1]), [x]);
  assert.is(inside, false, 'pullbacks record nothing');
});

test('inputs that need no gradient cost no pullback', async () => {
  const d = await device();
  const [x, frozen] = [leaf(d, [1]), Tensor.from(d, [2])];
  const y = record(add(x, frozen).view([1]), [[x, dy => dy], [frozen, () => assert.unreachable('frozen') as never]]);
  assert.equal(await gradients(y, Tensor.from(d, [4]), [x])[0]!.read(), Float32Array.of(4));
});

test('a history of 20,000 nodes is walked without recursion', async () => {
  const d = await device();
  const x = leaf(d, [1]);
  let y = x;
  for (let i = 0; i < 20_000; i++) y = through(y, dy => dy);
  assert.equal(await gradients(y, Tensor.from(d, [3]), [x])[0]!.read(), Float32Array.of(3));
});

test('backward adds to grad, and its memory is only the gradients', async () => {
  const d = await device();
  const w = leaf(d, [1, 2, 3]);
  const before = d.memory().liveTensors;
  for (const expected of [[2, 4, 6], [4, 8, 12]]) {
    scope(() => { backward(sum(mul(w, w))); keepGradients([w]); });
    assert.equal(await w.grad!.read(), Float32Array.from(expected));
    assert.is(d.memory().liveTensors, before + 1);
  }
});

const WIDTH = 64;
const BLOCKS = 6;

/** Six blocks with a hidden layer of four times the width, recomputed or not. @returns gradients and the peak of live bytes beyond what was there before */
async function deepNet(d: Device, recompute: boolean): Promise<{ grads: Float32Array[]; peak: number }> {
  const weights = Array.from({ length: BLOCKS }, (_, i) => [leaf(d, random([4 * WIDTH, WIDTH], i, { scale: 0.1 }), [4 * WIDTH, WIDTH]), leaf(d, random([WIDTH, 4 * WIDTH], 50 + i, { scale: 0.1 }), [WIDTH, 4 * WIDTH])]);
  const x = leaf(d, random([128, WIDTH], 9), [128, WIDTH]);
  await d.sync();
  d.resetPeak();
  const base = d.memory().liveBytes;
  const grads = scope(() => {
    let h = x;
    for (const [up, down] of weights) {
      const block = (t: Tensor): Tensor => add(t, linear(gelu(linear(t, up!)), down!));
      h = recompute ? checkpoint(block, [h], [up!, down!]) : block(h);
    }
    return gradients(sum(h), Tensor.from(d, [1]), [x, ...weights.flat()]) as Tensor[];
  });
  const peak = d.memory().peakBytes - base;
  const values = await Promise.all(grads.map(g => g.read()));
  for (const t of [...grads, x, ...weights.flat()]) t.dispose();
  return { grads: values, peak };
}

test('recomputation gives the same bits with less memory', async () => {
  const d = await device();
  const stored = await deepNet(d, false);
  const again = await deepNet(d, true);
  assert.equal(again.grads, stored.grads);
  assert.ok(again.peak < 0.65 * stored.peak, `peak ${again.peak} bytes with recomputation, ${stored.peak} without`);
});

test('recomputation nests, takes frozen inputs, and a function that returns its input', async () => {
  const d = await device();
  const [x, w, frozen] = [leaf(d, [2, 3]), leaf(d, [4, 5]), Tensor.from(d, [10, 10])];
  const inner = (t: Tensor): Tensor => mul(t, w);
  const y = checkpoint((t, f) => add(checkpoint(inner, [t!], [w]), f!), [x, frozen], [w]);
  const [dx, dw] = gradients(mul(y, y), Tensor.from(d, [1, 1]), [x, w]); // 2 (x w + 10) w and 2 (x w + 10) x
  assert.equal(await dx!.read(), Float32Array.of(2 * 18 * 4, 2 * 25 * 5));
  assert.equal(await dw!.read(), Float32Array.of(2 * 18 * 2, 2 * 25 * 3));
  const same = checkpoint(t => t, [x]);
  assert.equal(await gradients(same, Tensor.from(d, [1, 2]), [x])[0]!.read(), Float32Array.of(1, 2));
});

test('a weight with a history of its own is named to a recomputed function like any other', async () => {
  const d = await device();
  const [x, v] = [leaf(d, [2]), leaf(d, [3])];
  let runs = 0;
  const w = through(v, dy => { runs++; return dy; });
  const y = checkpoint(t => mul(t!, w), [x], [w]);
  const [dx, dv] = gradients(y, Tensor.from(d, [1]), [x, v]);
  assert.equal([(await dx!.read())[0], (await dv!.read())[0], runs], [3, 2, 1]);
});

test('a recomputed function that uses a weight nobody named is refused', async () => {
  const d = await device();
  const [x, w] = [leaf(d, [2]), leaf(d, [3])];
  const y = checkpoint(t => mul(t!, w), [x]);
  await rejects(() => gradients(y, Tensor.from(d, [1]), [x, w]), ShapeError, /checkpoint: the function uses a tensor \[1\] that wants a gradient and is no input, expected it among the weights/);
});

test('a history that was cut by the end of a scope is refused, not skipped', async () => {
  const d = await device();
  const [a, b] = [leaf(d, [1]), leaf(d, [2])];
  const y = scope(() => add(add(a, b), a)); // the inner sum is released here
  await rejects(() => gradients(y, Tensor.from(d, [1]), [a, b]), ShapeError, /backward: tensor \d+ \[1\] of the history was released, expected it to live until the backward pass/);
  await rejects(() => backward(y), ShapeError, /was released/);
  const loss = sum(mul(a, b));
  loss.dispose();
  await rejects(() => backward(loss), ShapeError, /was released/);
});

test('a gradient of another shape than its input is refused', async () => {
  const d = await device();
  const x = leaf(d, [1, 2]);
  const y = through(x, () => Tensor.zeros(d, [2, 1]));
  await rejects(() => gradients(y, Tensor.from(d, [1, 1]), [x]), ShapeError, /backward: a pullback returned shape \[2, 1\], expected \[2\], the shape of its input 0/);
});

test.run();
