// Loss, errors on the side, debug output and polling. Everything here that breaks a device breaks one of its own.
import { DeviceError } from '../../engine/check.ts';
import { onDevice, openDevice } from '../../engine/device.ts';
import type { Device } from '../../engine/device.ts';
import { setDebug } from '../../engine/profile.ts';
import { Tensor } from '../../engine/tensor.ts';
import { gelu } from '../../kernels/activation.ts';
import { add } from '../../kernels/elementwise.ts';
import { full } from '../../kernels/fill.ts';
import { matmul } from '../../kernels/matmul.ts';
import { assert, device, isNode, random, suite } from '../harness.ts';
import { rejects } from './rejects.ts';

const test = suite('device');

const open = (): Promise<Device> => openDevice({ limits: 'default' });

test('says which adapter it is, and whether it is slow', async () => {
  const { adapter, limits } = await device();
  assert.ok(['software', 'gpu'].includes(adapter.class));
  assert.is(adapter.class === 'software', /no GPU, everything runs on the CPU and is slow/.test(adapter.notice));
  assert.is(limits.maxStorageBufferBindingSize, 128 * 2 ** 20, 'tests run at the limits that every device has');
});

async function expectLost(d: Device, x: Tensor): Promise<void> {
  for (const use of [() => add(x, x), () => x.read(), () => d.upload(x, new Float32Array(x.size)), () => d.copy(x, x), () => d.clear(x), () => Tensor.from(d, [1]), () => Tensor.zeros(d, [1]), () => d.sync()]) {
    await rejects(use, DeviceError, /device: it was (lost|destroyed)/, 'lost');
  }
}

test('a loss in the middle of work: the read says so, and so does every later call', async () => {
  const d = await open();
  const x = Tensor.from(d, random([64, 64], 1), [64, 64]);
  const y = matmul(x, x);
  d.gpu.destroy();
  const late = gelu(y); // nobody has been told yet; it counts only when it is read
  await rejects(() => late.read(), DeviceError, /device: it was lost \(destroyed.*open a new one and load again/, 'lost');
  await expectLost(d, x);
  assert.is((await d.lost).reason, 'lost');
});

test('a loss while a read waits', async () => {
  const d = await open();
  const x = Tensor.from(d, random([64, 64], 1), [64, 64]);
  const reading = matmul(x, x).read();
  d.gpu.destroy();
  await rejects(() => reading, DeviceError, /device: it was lost/, 'lost');
  await expectLost(d, x);
});

test('destroy() ends a device at once', async () => {
  const d = await open();
  const x = Tensor.from(d, [1, 2]);
  d.destroy();
  await expectLost(d, x);
});

test('a command that WebGPU refuses: the read gives no values, later calls throw', async () => {
  const d = await open();
  const x = Tensor.from(d, random([256], 1));
  const y = add(x, x);
  d.recorder.commands().copyBufferToBuffer(y.storage.buffer, 0, y.storage.buffer, 0, 256); // onto itself: the whole command buffer is void
  await rejects(() => y.read(), DeviceError, /device: validation error, expected none: .+/, 'validation');
  await rejects(() => add(x, x), DeviceError, /device: validation error/, 'validation');
  await rejects(() => x.read(), DeviceError, /device: validation error/, 'validation');
});

test('a bad object: sync reports it', async () => {
  const d = await open();
  d.gpu.createBuffer({ size: 16, usage: 1 | 128 }); // MAP_READ goes with COPY_DST only
  await rejects(() => d.sync(), DeviceError, /device: validation error/, 'validation');
});

test('a broken device leaves others alone', async () => {
  const d = await device();
  assert.equal(await add(Tensor.from(d, [1]), Tensor.from(d, [2])).read(), Float32Array.of(3));
});

/** What the engine prints meanwhile. */
async function printed(fn: () => Promise<void>): Promise<string> {
  const { error } = console;
  const lines: string[] = [];
  console.error = (...words: unknown[]) => { lines.push(words.join(' ')); };
  try {
    await fn();
  } finally {
    console.error = error;
    setDebug(0);
  }
  return lines.join('\n');
}

test('debug level 4 names the first kernel that wrote a NaN or an Inf', async () => {
  for (const [value, text] of [[NaN, 'NaN'], [-Infinity, '-Infinity']] as const) {
    const d = await open();
    const lines = await printed(async () => {
      setDebug(4);
      const fine = full(d, [4], 2);
      const bad = full(d, [2, 3], value);
      const y = add(bad, bad);
      await rejects(() => y.read(), DeviceError, new RegExp(`^fill:forward x \\[2, 3\\]: element 0 is ${text}, the first NaN or Inf of the run$`), 'validation');
      assert.equal(await fine.read(), new Float32Array(4).fill(2), 'reported once');
    });
    assert.match(lines, /fill:forward x \[4\] min 2 max 2 mean 2 first 2\.0000 2\.0000/);
    d.destroy();
  }
});

test('debug levels 1 and 3 say what is submitted and compiled, 2 times every kernel', async () => {
  const d = await open();
  const x = full(d, [64], 1);
  const lines = await printed(async () => {
    setDebug(3);
    const y = gelu(add(x, x));
    await d.sync();
    const times = await d.kernelTimes();
    if (d.features.has('timestamp-query')) assert.equal(times.map(t => t.name).sort(), ['activation:forward', 'elementwise:flat4']);
    assert.ok(times.every(t => t.runs === 1 && t.timeMs >= 0));
    y.dispose();
  });
  assert.match(lines, /pipeline elementwise:flat4 .* bindings a4, b4, out4/);
  assert.match(lines, /flush \d+: 3 dispatches so far, \d+ buffers/);
  d.destroy();
});

test.when(isNode, 'setImmediate exists in Node only', 'while a software adapter works, setImmediate still fires promptly and polling naps', async () => {
  const d = await device();
  if (d.adapter.class !== 'software') return;
  const a = Tensor.from(d, random([512, 512], 1), [512, 512]);
  let y = a;
  for (let i = 0; i < 6; i++) y = matmul(y, a);
  let fired = 0, naps = 0, done = false;
  const { setTimeout } = globalThis;
  globalThis.setTimeout = ((callback: () => void, ms?: number, ...args: unknown[]) => {
    if (ms === 1 && /\[native code\]/.test(String(callback))) naps++;
    return setTimeout(callback, ms, ...args);
  }) as typeof setTimeout;
  const began = performance.now();
  const again = (): void => { fired++; if (!done) setImmediate(again); };
  setImmediate(again);
  try {
    await y.read();
  } finally {
    done = true;
    globalThis.setTimeout = setTimeout;
  }
  const ms = performance.now() - began;
  if (ms > 20) assert.ok(naps > 0, `Dawn polled without a nap for ${ms.toFixed(0)} ms`);
  assert.ok(fired > ms / 10, `setImmediate fired ${fired} times in ${ms.toFixed(0)} ms`);
});

test('work on a device of its own destroys it when it fails, and leaves the caller\'s alone', async () => {
  const d = await device();
  const seen: Device[] = [];
  const fails = (on: Device): Promise<never> => { seen.push(on); return Promise.reject(new Error('no')); };
  for (const given of [undefined, d]) assert.is(await onDevice(given, fails).catch((error: Error) => error.message), 'no');
  assert.throws(() => Tensor.zeros(seen[0]!, [2]).device.flush(), /destroyed/);
  assert.is(seen[1], d);
  assert.equal(await Tensor.zeros(d, [2]).read(), new Float32Array(2));
  assert.is(await onDevice(d, async on => on), d);
});

test.run();
