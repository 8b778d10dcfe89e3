// AdamW as a whole against float64: groups, clipping, several tensors, several flat buffers; averages of weights; learning rates.
import type { Device } from '../../engine/device.ts';
import { scope } from '../../engine/memory.ts';
import { plan } from '../../engine/plan.ts';
import { Tensor, size } from '../../engine/tensor.ts';
import { adamwRef } from '../../kernels/adamw.ref.ts';
import type { AdamwState } from '../../kernels/adamw.ref.ts';
import { backward } from '../../kernels/backward.ts';
import { infoNCE } from '../../kernels/info_nce.ts';
import { l2Normalize } from '../../kernels/l2_normalize.ts';
import { linear } from '../../kernels/linear.ts';
import { AdamW, decays } from '../../train/adamw.ts';
import { WeightAverage } from '../../train/average.ts';
import { constant, cosine } from '../../train/schedule.ts';
import { assert, close, device, random, suite } from '../harness.ts';

const test = suite('optimizer');

const SHAPES: Readonly<Record<string, readonly number[]>> = { 'vision.weight': [40, 3], 'vision.bias': [70], 'text.proj.weight': [8, 8], 'text.embed_tokens.weight': [10, 13], 'text.norm.weight': [7], log_scale: [1] };
const LR = 0.02, CLIP = 0.5, BETAS = [0.9, 0.98] as const;
const group = (name: string): { lr?: number } => (name.startsWith('text.') ? { lr: 0.05 } : {});
const DECAY = (name: string): number => (['vision.weight', 'text.proj.weight'].includes(name) ? 0.1 : 0);

/** An optimiser laid out as on a device with smaller buffers. */
function withLimit(d: Device, bytes: number, parameters: ReadonlyMap<string, Tensor>, options: ConstructorParameters<typeof AdamW>[1]): AdamW {
  const limits = Object.getOwnPropertyDescriptor(d, 'limits')!;
  Object.defineProperty(d, 'limits', { ...limits, value: { maxBufferSize: bytes, maxStorageBufferBindingSize: bytes } });
  try {
    return new AdamW(parameters, options);
  } finally {
    Object.defineProperty(d, 'limits', limits);
  }
}

const parametersOn = (d: Device): Map<string, Tensor> => new Map(Object.entries(SHAPES).map(([name, shape], i) => [name, Tensor.from(d, random(shape, i + 1), shape)]));

/** Gradients of a step by name; every third step one parameter has none. */
const gradientsAt = (step: number): Map<string, Float32Array> => new Map(Object.entries(SHAPES).flatMap(([name, shape], i) =>
  (step % 3 === 2 && i === 1 ? [] : [[name, random(shape, 50 * step + i, { scale: step % 4 === 1 ? 1e-3 : 0.2, outliers: 0.03 })] as const])));

for (const [what, limit, flats] of [['one flat buffer', 1 << 20, 1], ['four flat buffers', 4 * 192, 4]] as const) {
  test(`15 steps with groups, clipping and a moving rate follow float64: ${what}`, async () => {
    const d = await device();
    const parameters = parametersOn(d);
    const start = new Map(await Promise.all([...parameters].map(async ([name, t]) => [name, await t.read()] as const)));
    const optimizer = withLimit(d, limit, parameters, { lr: LR, betas: BETAS, weightDecay: 0.1, clipNorm: CLIP, group });
    assert.is(optimizer.flatParameters().length, flats);
    for (const [name, t] of parameters) assert.equal(await t.read(), start.get(name), `${name} moved unchanged`);
    const twins = new Map<string, AdamwState>([...start].map(([name, v]) => [name, { p: Float64Array.from(v), m: new Float64Array(v.length), v: new Float64Array(v.length) }]));
    for (let step = 1; step <= 15; step++) {
      const gradients = gradientsAt(step);
      for (const [name, t] of parameters) t.grad = gradients.has(name) ? Tensor.from(d, gradients.get(name)!, t.shape) : undefined;
      const lr = LR / step;
      optimizer.step(lr);
      for (const [name, t] of parameters) assert.is(t.grad, undefined, `${name}: its gradient was consumed`);
      const norm = Math.sqrt([...gradients.values()].flatMap(g => [...g]).reduce((s, g) => s + g * g, 0));
      const clip = Math.min(1, CLIP / (norm + 1e-6));
      close(await optimizer.gradNorm.read(), [norm], { rel: 1e-6, name: `gradient norm of step ${step}` });
      for (const [name, state] of twins) {
        const g = gradients.get(name) ?? new Float32Array(state.p.length);
        adamwRef(state, Float64Array.from(g, v => v * clip), { lr: lr * (group(name).lr ?? 1), decay: DECAY(name), beta1: BETAS[0], beta2: BETAS[1], eps: 1e-8, step });
      }
    }
    assert.is(optimizer.stepCount, 15);
    const { m, v } = optimizer.moments();
    const [ms, vs] = [await optimizer.read(m), await optimizer.read(v)];
    for (const [name, state] of twins) {
      const before = start.get(name)!;
      const moved = Float64Array.from(await parameters.get(name)!.read(), (p, i) => p - before[i]!);
      close(moved, state.p.map((p, i) => p - before[i]!), { nmse: 1e-7, name: `${name}: sum of the updates` });
      close(ms.get(name)!.data, state.m, { nmse: 1e-11, name: `${name}: m` });
      close(vs.get(name)!.data, state.v, { nmse: 1e-11, name: `${name}: v` });
    }
    optimizer.dispose();
    for (const t of parameters.values()) t.dispose();
  });
}

test('decay leaves out vectors and token tables', async () => {
  const d = await device();
  const verdicts = Object.fromEntries([...parametersOn(d)].map(([name, t]) => [name, decays(name, t)]));
  assert.equal(verdicts, { 'vision.weight': true, 'vision.bias': false, 'text.proj.weight': true, 'text.embed_tokens.weight': false, 'text.norm.weight': false, log_scale: false });
});

test('an empty list, a tensor above the limit and a wrong value are errors that name it; everything is given back', async () => {
  const d = await device();
  assert.throws(() => new AdamW(new Map(), { lr: 1 }), /AdamW: there is no parameter/);
  const parameters = parametersOn(d);
  assert.throws(() => withLimit(d, 4 * 128, parameters, { lr: 1 }), /AdamW: text.embed_tokens.weight has 130 elements, expected at most 128 \(the device's binding limit\)/);
  const before = d.memory().liveBytes;
  const optimizer = new AdamW(parameters, { lr: 1 });
  const flat = optimizer.flatParameters().reduce((n, t) => n + t.storage.bytes, 0);
  assert.throws(() => optimizer.write(optimizer.flatParameters(), name => new Float32Array(name === 'vision.bias' ? 69 : size(SHAPES[name]!)), 'weights'), /AdamW: weights of vision.bias has 69 values, expected 70/);
  assert.throws(() => optimizer.write(optimizer.flatParameters(), () => undefined, 'weights'), /AdamW: weights of vision.weight has no values, expected 120/);
  optimizer.dispose();
  const own = before - d.memory().liveBytes + flat; // what the parameters took before they moved
  assert.ok(own > 0 && own < flat + 256 * parameters.size, `${own} bytes against ${flat}`);
  for (const t of parameters.values()) t.dispose();
});

test('values written by name come back by name', async () => {
  const d = await device();
  const parameters = parametersOn(d);
  const optimizer = withLimit(d, 4 * 192, parameters, { lr: 1 });
  const values = new Map(Object.entries(SHAPES).map(([name, shape], i) => [name, random(shape, 70 + i)]));
  const { m } = optimizer.moments();
  optimizer.write(m, name => values.get(name), 'first moment');
  optimizer.write(optimizer.flatParameters(), name => values.get(name), 'weights');
  for (const [name, { shape, data }] of await optimizer.read(m)) assert.equal([shape, data], [SHAPES[name], values.get(name)], name);
  for (const [name, t] of parameters) assert.equal(await t.read(), values.get(name), name);
  optimizer.dispose();
  for (const t of parameters.values()) t.dispose();
});

test('the average follows its formula, swaps to the bit, and refuses a decay out of range', async () => {
  const d = await device();
  const parameters = parametersOn(d);
  const optimizer = withLimit(d, 4 * 192, parameters, { lr: 0.1 });
  const average = new WeightAverage(optimizer, 0.3);
  const expected = new Map(await Promise.all([...parameters].map(async ([name, t]) => [name, Float64Array.from(await t.read())] as const)));
  for (let step = 0; step < 6; step++) {
    const gradients = gradientsAt(step + 1);
    for (const [name, t] of parameters) t.grad = gradients.has(name) ? Tensor.from(d, gradients.get(name)!, t.shape) : undefined;
    optimizer.step();
    average.update(step);
    const decay = Math.min(0.3, (1 + step) / (10 + step));
    for (const [name, t] of parameters) {
      const now = await t.read();
      expected.get(name)!.forEach((a, i, all) => { all[i] = a + (1 - decay) * (now[i]! - a); });
    }
  }
  const trained = await optimizer.read();
  average.swap();
  for (const [name, t] of parameters) close(await t.read(), expected.get(name)!, { nmse: 1e-12, name: `average of ${name}` });
  average.swap();
  for (const [name, t] of parameters) assert.equal(await t.read(), trained.get(name)!.data, `${name} after two swaps`);
  for (const decay of [1, -0.1, NaN]) assert.throws(() => new WeightAverage(optimizer, decay), /WeightAverage: decay is .*, expected 0 ≤ decay < 1/);
  average.dispose();
  optimizer.dispose();
  for (const t of parameters.values()) t.dispose();
});

test('a step recorded before the first begin follows the steps given op by op, to the bit; without begin it does not run', async () => {
  const d = await device();
  const runs: Float32Array[] = [];
  for (const planned of [false, true]) {
    const x = Tensor.from(d, random([24, 10], 1), [24, 10]);
    const w = Tensor.from(d, random([12, 10], 2), [12, 10]);
    w.needsGrad = true;
    const logScale = Tensor.from(d, [1]);
    const optimizer = new AdamW(new Map([['w', w]]), { lr: 0.01 });
    const work = (): Tensor => {
      const y = l2Normalize(linear(x, w));
      const { loss } = infoNCE(y, y, logScale);
      backward(loss);
      optimizer.update();
      return loss;
    };
    const recorded = planned ? await plan(d, work) : undefined;
    assert.throws(() => recorded ? recorded.run() : scope(work), /AdamW: update came before begin/);
    for (let step = 0; step < 4; step++) {
      optimizer.begin(0.01 / (1 + step));
      if (recorded) recorded.run();
      else scope(work);
    }
    runs.push((await optimizer.read()).get('w')!.data);
    recorded?.dispose();
    optimizer.dispose();
    for (const t of [x, w, logScale]) t.dispose();
  }
  assert.equal(runs[1], runs[0]);
});

test('cosine: warm-up from lr/warmup, peak, half way down, floor, and it stays there', () => {
  const rate = cosine({ lr: 2, warmup: 4, steps: 24, floor: 0.1 });
  assert.equal([0, 1, 2, 3, 4].map(rate), [0.5, 1, 1.5, 2, 2]);
  close([rate(14), rate(24), rate(1000)], [2 * 0.55, 0.2, 0.2], { abs: 1e-12 });
  for (let step = 5; step < 24; step++) assert.ok(rate(step) < rate(step - 1), `step ${step}`);
  assert.is(cosine({ lr: 3, warmup: 0, steps: 5 })(0), 3);
  assert.throws(() => cosine({ lr: 1, warmup: 0, steps: 0 }), /cosine: steps is 0/);
  assert.throws(() => cosine({ lr: 1, warmup: -1, steps: 5 }), /warmup -1/);
});

test('constant: warm-up, then the rate', () => {
  assert.equal([0, 1, 2, 50].map(constant(4, 2)), [2, 4, 4, 4]);
  assert.is(constant(4)(0), 4);
});

test.run();
