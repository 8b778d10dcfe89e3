import { preprocess } from '../../kernels/preprocess.ts';
import { preprocessFrame } from '../../kernels/preprocess.ref.ts';
import { openSafetensors } from '../../weights/safetensors.ts';
import { assert, close, device, generator, nmse, suite } from '../harness.ts';

const test = suite('preprocess');
const MEAN = [0.485, 0.456, 0.406] as const;
const STD = [0.229, 0.224, 0.225] as const;

async function golden(name: string): Promise<{ width: number; height: number; data: Uint8Array; official: Float32Array; float: Float32Array; size: number }> {
  const folder = new URL(`../../../test/golden/preprocess/${name}/`, import.meta.url);
  const inputs = await openSafetensors(new URL('inputs.safetensors', folder));
  const expected = await openSafetensors(new URL('expected.safetensors', folder));
  const { shape, bytes } = await inputs.read('frames');
  const result = {
    width: shape[2]!, height: shape[1]!, data: bytes, size: expected.info('pixel_values').shape[3]!,
    official: await expected.readF32('pixel_values'), float: await expected.readF32('pixel_values_float'),
  };
  await inputs.close();
  await expected.close();
  return result;
}

/** Normalised values back to levels 0 … 255. */
const levels = (values: Float32Array, size: number): Float64Array =>
  Float64Array.from(values, (v, i) => { const c = Math.floor(i / (size * size)) % 3; return (v * STD[c]! + MEAN[c]!) * 255; });

/** Clip that grows; extreme portrait; strong antialias. */
for (const name of ['astronaut-97x61-clip', 'cat-tall-40x300', 'coffee-big-shrink']) {
  test(`${name}: the official processor's values`, async () => {
    const { width, height, data, official, float, size } = await golden(name);
    const d = await device();
    const y = await preprocess(d, { width, height, data }, { crop: size }).read();
    const expected = levels(official, size).map(Math.round);
    const exact = levels(y, size).reduce((n, v, i) => n + Number(Math.abs(v - expected[i]!) < 1e-3), 0);
    const exactly = await preprocess(d, { width, height, data }, { crop: size, mode: 'float' }).read();
    console.log(`${name}: ${exact} of ${y.length} levels equal, NMSE official ${nmse(y, official).toExponential(1)}, float ${nmse(exactly, float).toExponential(1)}`);
    assert.is(exact, y.length);
    close(y, official, { nmse: 1e-13, name: 'official' });
    close(exactly, float, { nmse: 1e-12, name: 'float' });
  });
}

function noise(width: number, height: number, seed: number): { width: number; height: number; data: Uint8Array } {
  const next = generator(seed);
  return { width, height, data: Uint8Array.from({ length: width * height * 3 }, () => Math.floor(256 * next())) };
}

test('sizes at the edges, float and direct, against the formula', async () => {
  const d = await device();
  for (const [width, height, crop] of [[1, 1, 1], [1, 1, 8], [3, 2, 5], [17, 13, 16], [13, 64, 7], [64, 5, 9], [40, 40, 3]] as const) {
    const p = noise(width, height, width * 100 + height);
    const float = await preprocess(d, p, { crop, mode: 'float' }).read();
    close(float, preprocessFrame(p.data, width, height, crop, false, MEAN, STD), { nmse: 1e-12, name: `float ${width}x${height} to ${crop}` });
    const direct = await preprocess(d, p, { crop, mode: 'direct' }).read();
    const exact = levels(Float32Array.from(preprocessFrame(p.data, width, height, crop, true, MEAN, STD)), crop);
    close(levels(direct, crop), exact, { abs: 1.1, name: `direct ${width}x${height} to ${crop}` }); // rounded after each pass: at most half a level each
  }
});

test('a constant picture stays constant, with its own mean and std', async () => {
  const data = new Uint8Array(29 * 31 * 3).map((_, i) => [10, 128, 255][i % 3]!);
  for (const mode of ['official', 'float', 'direct'] as const) {
    const y = await preprocess(await device(), { width: 29, height: 31, data }, { crop: 16, mode, mean: [0.5, 0, 1], std: [0.5, 1, 0.25] }).read();
    const expected = Float32Array.from({ length: 768 }, (_, i) => [(10 / 255 - 0.5) / 0.5, 128 / 255, 0][Math.floor(i / 256)]!);
    close(y, expected, { abs: 2e-6, name: mode });
  }
});

test('a clip as one array, as a list of frames, and frame by frame is the same', async () => {
  const d = await device();
  const frames = [1, 2, 3, 4, 5].map(seed => noise(7, 5, seed)); // 105 bytes each: frames start inside words
  const data = new Uint8Array(5 * 105);
  frames.forEach((f, t) => data.set(f.data, t * 105));
  const whole = await preprocess(d, { width: 7, height: 5, data }, { crop: 4 }).read();
  assert.equal(await preprocess(d, frames, { crop: 4 }).read(), whole);
  for (let t = 0; t < 5; t++) assert.equal(await preprocess(d, frames[t]!, { crop: 4 }).read(), whole.slice(t * 48, t * 48 + 48));
});

test('a clip of more than one part on the device', async () => {
  const d = await device();
  const frame = { width: 2048, height: 1500, data: new Uint8Array(2048 * 1500 * 3).map((_, i) => i * 7 + (i >> 9)) }; // 9.2 MB: three to a part
  const five = await preprocess(d, [frame, frame, frame, frame, frame], { crop: 8 }).read();
  const one = await preprocess(d, frame, { crop: 8 }).read();
  for (let t = 0; t < 5; t++) assert.equal(five.slice(t * 192, t * 192 + 192), one);
});

test('what does not fit is refused', async () => {
  const d = await device();
  const p = noise(4, 3, 1);
  assert.throws(() => preprocess(d, [], { crop: 8 }), /no picture was given/);
  assert.throws(() => preprocess(d, { ...p, width: 5 }, { crop: 8 }), /preprocess: picture 0 has 36 bytes, expected 45 per frame/);
  assert.throws(() => preprocess(d, { ...p, width: 0 }, { crop: 8 }), /picture is 0x3, expected at least 1x1/);
  assert.throws(() => preprocess(d, [p, noise(3, 4, 1)], { crop: 8 }), /picture 1 is 3x4, expected 4x3 as picture 0/);
  assert.throws(() => preprocess(d, p, { crop: 8, std: [1, 0, 1] }), /std is \[1, 0, 1\], expected three numbers above 0/);
  assert.throws(() => preprocess(d, p, { crop: 0 }), /crop is 0, expected a whole number/);
  assert.throws(() => preprocess(d, noise(1, 1000, 1), { crop: 256 }), /expected an aspect ratio/);
  const large = { width: 8000, height: 6000, data: new Uint8Array(144_000_000) };
  assert.throws(() => preprocess(d, large, { crop: 8 }), /one frame of 8000x6000 needs 144000000 bytes in one buffer, expected at most 134217724/);
});

test.run();
