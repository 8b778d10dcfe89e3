import { assert, suite } from '../harness.ts';
import { augmentBatch, MEAN, normalizePictures, NO_AUGMENT, STD, type AugmentConfig } from '../../data/augment.ts';
import { DataError } from '../../data/errors.ts';
import { CounterRandom } from '../../data/random.ts';

const test = suite('data: augmentation');

const SIZE = 16;
const LENGTH = SIZE * SIZE * 3;
const COUNT = 6;

/** Pictures with a white frame and random levels inside. */
const pictures = ((): Uint8Array => {
  const random = new CounterRandom(1);
  return Uint8Array.from({ length: COUNT * LENGTH }, (_, i) => {
    const pixel = Math.floor(i / 3) % (SIZE * SIZE);
    const [x, y] = [pixel % SIZE, Math.floor(pixel / SIZE)];
    return x < 3 || y < 3 || x > 12 || y > 12 ? 255 : Math.floor(random.uniform(i) * 256);
  });
})();

const picks = [0, 1, 2, 3, 4, 5];
const mates = [1, 0, 3, 2, 5, 4];

function augment(config: Partial<AugmentConfig>, { step = 0, seed = 3, view = 0, outSize = SIZE } = {}): Float32Array {
  const out = new Float32Array(picks.length * outSize * outSize * 3).fill(NaN);
  augmentBatch({ pictures, size: SIZE, picks, mates }, config, { seed, step, view }, outSize, out);
  assert.ok(out.every(Number.isFinite), 'every value is written');
  return out;
}

/** Levels of one result, [S, S, 3]. */
function levels(out: Float32Array, b: number, size = SIZE): number[] {
  return Array.from({ length: size * size * 3 }, (_, i) => {
    const [pixel, c] = [Math.floor(i / 3), i % 3];
    return 255 * (out[b * size * size * 3 + c * size * size + pixel]! * STD[c]! + MEAN[c]!);
  });
}

function near(a: ArrayLike<number>, b: ArrayLike<number>, tolerance: number, name: string): void {
  for (let i = 0; i < b.length; i++) assert.ok(Math.abs(a[i]! - b[i]!) <= tolerance, `${name} at ${i}: ${a[i]}, expected ${b[i]}`);
}

test('with everything off it is the normalisation', () => {
  const plain = normalizePictures(pictures, SIZE);
  assert.equal(plain, augment({}));
  assert.equal(plain, augment(NO_AUGMENT));
  near(levels(plain, 2), pictures.subarray(2 * LENGTH, 3 * LENGTH), 1e-3, 'level');
  const chosen = normalizePictures(pictures, SIZE, undefined, [4, 4]);
  assert.equal(chosen.subarray(0, LENGTH), plain.subarray(4 * LENGTH, 5 * LENGTH));
});

test('the same seed, step and place give the same picture, others do not', () => {
  const config = { shift: 0.1, scale: 0.2, rotate: 20, hue: 40, mix: 0.5, erase: 0.5, outline: 0.5, blur: 0.5 };
  assert.equal(augment(config), augment(config));
  assert.not.equal(augment(config), augment(config, { step: 1 }));
  assert.not.equal(augment(config), augment(config, { seed: 4 }));
  assert.not.equal(augment(config), augment(config, { view: 1 }));
});

test('turning one effect off leaves the draws of the others', () => {
  const both = augment({ flip: 1, brightness: 0.2 });
  const one = augment({ brightness: 0.2 });
  const flipped = levels(both, 0);
  const plain = levels(one, 0);
  for (let y = 0; y < SIZE; y++) {
    for (let x = 0; x < SIZE; x++) {
      for (let c = 0; c < 3; c++) near([flipped[(y * SIZE + x) * 3 + c]!], [plain[(y * SIZE + SIZE - 1 - x) * 3 + c]!], 1e-2, 'mirrored');
    }
  }
});

test('effects that keep white keep it', () => {
  for (const config of [{ hue: 180 }, { saturation: 2 }, { grey: 1 }, { channelMix: 1 }, { gamma: 1 }, { posterise: 1 }, { shift: 0.1 }, { rotate: 45 }, { scale: 0.1 }] as const) {
    for (let b = 0; b < COUNT; b++) near(levels(augment(config), b).slice(0, 3), [255, 255, 255], 1e-2, JSON.stringify(config));
  }
});

test('each effect changes a picture and stays within the levels', () => {
  const on: Partial<AugmentConfig>[] = [
    { shift: 0.2 }, { scale: 0.5 }, { aspect: 0.5 }, { rotate: 40 }, { flip: 1 }, { hue: 90 }, { saturation: 1 }, { brightness: 0.3 },
    { contrast: 1 }, { gamma: 1 }, { grey: 1 }, { channelMix: 1 }, { posterise: 1 }, { outline: 1 }, { blur: 1 }, { erase: 1 }, { mix: 1 }, { mix: 1, mixCut: 1 },
  ];
  const plain = augment({});
  for (const config of on) {
    const changed = augment(config);
    assert.not.equal(changed, plain, JSON.stringify(config));
    for (let b = 0; b < COUNT; b++) for (const level of levels(changed, b)) assert.ok(level > -0.01 && level < 255.01, `${JSON.stringify(config)}: ${level}`);
  }
});

test('grey has equal channels, posterise few levels, blur keeps a flat picture', () => {
  const grey = levels(augment({ grey: 1 }), 1);
  for (let i = 0; i < grey.length; i += 3) near([grey[i + 1]!, grey[i + 2]!], [grey[i]!, grey[i]!], 1e-2, 'channel');
  const few = new Set(levels(augment({ posterise: 1, posteriseLevels: 3 }), 1).map((level) => Math.round(level / 127.5)));
  assert.equal([...few].sort((a, b) => a - b), [0, 1, 2]);
  for (const level of levels(augment({ posterise: 1, posteriseLevels: 3 }), 1)) near([level], [127.5 * Math.round(level / 127.5)], 1e-2, 'step');
  const flat = new Uint8Array(LENGTH).fill(90);
  const out = new Float32Array(LENGTH);
  augmentBatch({ pictures: flat, size: SIZE, picks: [0] }, { blur: 1, blurSigma: 2, outline: 1 }, { seed: 1, step: 1 }, SIZE, out);
  near(levels(out, 0), new Array(LENGTH).fill(90), 1e-2, 'flat');
});

test('shift, zoom and rotation move a dot to where they say', () => {
  // a dot right of the centre of a black picture; 90 degrees of rotation at most, so the distance from the centre stays
  const dot = new Uint8Array(33 * 33 * 3);
  dot.fill(255, (16 * 33 + 24) * 3, (16 * 33 + 24) * 3 + 3);
  for (let step = 0; step < 20; step++) {
    const out = new Float32Array(33 * 33 * 3);
    augmentBatch({ pictures: dot, size: 33, picks: [0] }, { rotate: 90, background: 0 }, { seed: 2, step }, 33, out);
    const red = levels(out, 0, 33).filter((_, i) => i % 3 === 0);
    const sum = red.reduce((a, b) => a + b, 0);
    const x = red.reduce((a, level, i) => a + level * ((i % 33) - 16), 0) / sum;
    const y = red.reduce((a, level, i) => a + level * (Math.floor(i / 33) - 16), 0) / sum;
    const angle = ((2 * new CounterRandom(2, step, 0, 0).uniform(5) - 1) * Math.PI) / 2;
    near([x, y], [8 * Math.cos(angle), 8 * Math.sin(angle)], 0.35, `step ${step}`);
  }
});

test('halving the size averages two by two', () => {
  const out = augment({}, { outSize: SIZE / 2 });
  const got = levels(out, 1, SIZE / 2);
  const at = (x: number, y: number, c: number) => pictures[LENGTH + (y * SIZE + x) * 3 + c]!;
  for (let y = 0; y < SIZE / 2; y++) {
    for (let x = 0; x < SIZE / 2; x++) {
      const mean = (at(2 * x, 2 * y, 0) + at(2 * x + 1, 2 * y, 0) + at(2 * x, 2 * y + 1, 0) + at(2 * x + 1, 2 * y + 1, 0)) / 4;
      near([got[(y * SIZE / 2 + x) * 3]!], [mean], 1e-2, 'mean');
    }
  }
});

test('mixing blends with the mate, and needs one', () => {
  const mixed = levels(augment({ mix: 1, mixShare: 1 }), 0);
  const [a, b] = [pictures.subarray(0, LENGTH), pictures.subarray(LENGTH, 2 * LENGTH)];
  const i = a.findIndex((level, k) => Math.abs(level - b[k]!) > 100);
  const share = (mixed[i]! - a[i]!) / (b[i]! - a[i]!);
  assert.ok(share > 0 && share < 1);
  near(mixed, a.map((level, k) => level + share * (b[k]! - level)), 1, 'blend');
  const alone = new Float32Array(LENGTH);
  augmentBatch({ pictures, size: SIZE, picks: [0], mates: [-1] }, { mix: 1 }, { seed: 1, step: 0 }, SIZE, alone);
  assert.equal(alone, normalizePictures(pictures, SIZE).subarray(0, LENGTH));
});

test('refuses unknown effects, numbers out of range and wrong shapes', () => {
  const run = (config: object, batch: object = {}, length = LENGTH) => () =>
    augmentBatch({ pictures, size: SIZE, picks: [0], ...batch }, config, { seed: 1, step: 0 }, SIZE, new Float32Array(length));
  for (const [work, message] of [
    [run({ rotation: 4 }), /no effect "rotation"/],
    [run({ flip: 2 }), /flip must be a number from 0 to 1, got 2/],
    [run({ shift: NaN }), /shift must be/],
    [run({ posteriseLevels: 1 }), /from 2/],
    [run({}, { picks: [COUNT] }), /pick and mate 0 must be integers below 6/],
    [run({}, { mates: [1.5] }), /pick and mate 0/],
    [run({}, { mates: [1, 2] }), /expected 1 mates/],
    [run({}, {}, 5), /expected out \[1, 1, 3, 16, 16\] = 768 floats, got 5/],
    [run({}, { size: 7 }), /expected pictures \[n, 7, 7, 3\]/],
  ] as const) {
    assert.throws(work, (error: Error) => error instanceof DataError && message.test(error.message), String(message));
  }
});

test.run();
