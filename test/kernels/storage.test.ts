// Storage types: every bit pattern read back as the value it stands for, every rounding of `cast`, and products over quantised weights.
import { scope } from '../../engine/memory.ts';
import { gradients } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import { cast } from '../../kernels/cast.ts';
import { add, scale } from '../../kernels/elementwise.ts';
import { linear } from '../../kernels/linear.ts';
import { linearRef } from '../../kernels/linear.ref.ts';
import { quantize } from '../../kernels/quantize.ts';
import { rope } from '../../kernels/rope.ts';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../../weights/dtype.ts';
import { assert, close, device, random, suite } from '../harness.ts';

const test = suite('storage types');

const ALL = Uint16Array.from({ length: 65_536 }, (_, i) => i);
const WIDE = { f16: f16ToF32, bf16: bf16ToF32 } as const;
const NARROW = { f16: f32ToF16, bf16: f32ToBf16 } as const;

/** First place where two lists of f32 differ: by bits, all NaNs being equal. */
function firstDifference(actual: Float32Array, expected: Float32Array): string {
  const [a, e] = [new Uint32Array(actual.buffer), new Uint32Array(expected.buffer)];
  for (let i = 0; i < e.length; i++) {
    if (a[i] === e[i] || (Number.isNaN(actual[i]) && Number.isNaN(expected[i]))) continue;
    return `${i}: ${actual[i]} (0x${a[i]!.toString(16)}), expected ${expected[i]} (0x${e[i]!.toString(16)})`;
  }
  return a.length === e.length ? '' : `${a.length} values, expected ${e.length}`;
}

/** Runs with f16 read by integer arithmetic, and by the language's own type where the device has it. */
async function bothWays(run: (how: string) => Promise<void>): Promise<void> {
  const d = await device();
  const before = d.nativeF16;
  try {
    for (const native of d.features.has('shader-f16') ? [false, true] : [false]) {
      d.nativeF16 = native;
      await run(native ? 'native' : 'packed');
    }
  } finally {
    d.nativeF16 = before;
  }
}

for (const dtype of ['f16', 'bf16'] as const) {
  test(`all 65,536 patterns of ${dtype} are read exactly, four at a time, one at a time and in pairs`, () => bothWays(async how => {
    const d = await device();
    const expected = WIDE[dtype](ALL);
    const four = cast(Tensor.from(d, ALL, [65_536], dtype), 'f32');
    assert.is(firstDifference(await four.read(), expected), '', `${how}, four`);
    const odd = cast(Tensor.from(d, ALL.subarray(0, 65_535), [65_535], dtype), 'f32');
    assert.is(firstDifference(await odd.read(), expected.subarray(0, 65_535).slice()), '', `${how}, one`);
    // Pairs: a rotation by nothing. Beside an infinity or a NaN the other half of a pair is NaN, so the finite ones alone.
    const finite = ALL.filter(bits => Number.isFinite(WIDE[dtype](Uint16Array.of(bits))[0]!));
    const shape = [1, finite.length / 2, 1, 2];
    const table = { cos: Tensor.from(d, new Float32Array(finite.length).fill(1), [finite.length / 2, 2]), sin: Tensor.from(d, new Float32Array(finite.length), [finite.length / 2, 2]) };
    const pairs = rope(Tensor.from(d, finite, shape, dtype), table, { pairs: 'adjacent' });
    close(await pairs.read(), WIDE[dtype](finite), { rel: 0, abs: 1.2e-38, name: `${how}, pairs` }); // a sum of products may flush a subnormal
  }));

  test(`cast to ${dtype} rounds to nearest even, at every pattern, every midpoint and beside them`, async () => {
    const d = await device();
    const wide = WIDE[dtype](ALL);
    const bits = new Uint32Array(wide.buffer);
    const words: number[] = [];
    for (let i = 0; i < 65_536; i++) {
      const next = i % 32_768 < 32_767 ? bits[i + 1]! : bits[i]!;
      const middle = Math.floor((bits[i]! + next) / 2);
      words.push(bits[i]!, middle - 1, middle, middle + 1);
    }
    words.push(0x7f800001, 0xff800001, 0x7fffffff, 0x33000000, 0x33000001, 0xb3000001, 0x477fefff, 0x477ff000, 0x7f7fffff, 0xff7fffff, 1, 0x80000001, 0x007fffff);
    const x = new Float32Array(Uint32Array.from(words).buffer);
    for (const count of [x.length - (x.length % 4), x.length - (x.length % 4) - 1, 5, 1]) {
      const part = x.slice(x.length - count);
      const got = await cast(Tensor.from(d, part), dtype).readBits();
      const expected = NARROW[dtype](part);
      const isNaN16 = (v: number): boolean => Number.isNaN(WIDE[dtype](Uint16Array.of(v))[0]);
      const bad = expected.findIndex((e, i) => e !== got[i] && !(isNaN16(e) && isNaN16(got[i]!)));
      assert.is(bad, -1, `${count} values: ${part[bad]} became 0x${got[bad]?.toString(16)}, expected 0x${expected[bad]?.toString(16)}`);
    }
  });
}

for (const [dtype, bits, count] of [['i8', 8, 255], ['i4', 4, 15]] as const) {
  test(`all ${count} whole numbers of ${dtype} come back exactly, whatever the block and the length of the rows`, async () => {
    const d = await device();
    const top = (count - 1) / 2;
    for (const [rows, k, block] of [[3, count, count], [2, 8 * count, 8], [5, 16 * 3, 16], [4, 12, 12], [7, 3, 3], [3, 6, 6]] as const) {
      const scaleOf = (i: number): number => 2 ** (Math.floor(i / block) % 5 - 2);
      const q = Float32Array.from({ length: rows * k }, (_, i) => (i % block === 0 ? top : ((i * 7 + (i >> 3)) % count) - top));
      const x = q.map((v, i) => v * scaleOf(i));
      const packed = quantize(Tensor.from(d, x, [rows, k]), { bits, block });
      assert.is(packed.dtype, dtype);
      assert.equal(await packed.scales!.read(), Float32Array.from({ length: (rows * k) / block }, (_, b) => scaleOf(b * block)));
      assert.is(firstDifference(await cast(packed, 'f32').read(), x), '', `[${rows}, ${k}] in blocks of ${block}`);
      const zero = Tensor.zeros(d, [1]);
      assert.is(firstDifference(await add(packed, zero).read(), x), '', `one at a time, [${rows}, ${k}] in blocks of ${block}`);
    }
  });

  test(`${dtype} is at most half a scale off, and NaN and infinity show`, async () => {
    const d = await device();
    const x = random([6, 64], 3, { outliers: 0.1 });
    const packed = quantize(Tensor.from(d, x, [6, 64]), { bits, block: 32 });
    const [back, scales] = [await cast(packed, 'f32').read(), await packed.scales!.read()];
    x.forEach((v, i) => assert.ok(Math.abs(v - back[i]!) <= scales[Math.floor(i / 32)]! * 0.500001, `${i}: ${v} became ${back[i]}`));
    for (const bad of [NaN, Infinity, -Infinity]) {
      const with1 = x.slice();
      with1[70] = bad;
      const seen = await cast(quantize(Tensor.from(d, with1, [6, 64]), { bits, block: 32 }), 'f32').read();
      seen.forEach((v, i) => assert.is(Number.isNaN(v), i >= 64 && i < 96, `${bad} at 70: element ${i} is ${v}`));
    }
  });
}

test('linear over quantised and packed weights equals float64 on the rounded weights', () => bothWays(async how => {
  const d = await device();
  for (const [m, n, k] of [[5, 12, 64], [3, 7, 33], [33, 65, 128]] as const) {
    const [x, w, b] = [random([m, k], 1), random([n, k], 2), random([n], 3)];
    const wide = Tensor.from(d, w, [n, k]);
    for (const weight of [cast(wide, 'f16'), cast(wide, 'bf16'), quantize(wide), quantize(wide, { bits: 4, block: k % 8 ? k : 8 })]) {
      const rounded = await cast(weight, 'f32').read();
      const bias = cast(Tensor.from(d, b), 'bf16');
      const y = linear(Tensor.from(d, x, [m, k]), weight, bias, { activation: 'gelu' });
      const expected = linearRef(Float64Array.from(x), Float64Array.from(rounded), Float64Array.from(await cast(bias, 'f32').read()), { m, n, k, activation: 'gelu' });
      close(await y.read(), expected, { nmse: 1e-11, name: `${how} ${weight.dtype} ${m} × ${n} × ${k}` });
    }
  }
}));

test('weights without elements can be quantised and used', async () => {
  const d = await device();
  const y = linear(Tensor.zeros(d, [3, 0]), quantize(Tensor.zeros(d, [5, 0])), Tensor.from(d, [1, 2, 3, 4, 5]));
  assert.equal(await y.read(), Float32Array.from({ length: 15 }, (_, i) => 1 + (i % 5)));
});

test('the gradient of a cast passes straight through, in f32', async () => {
  const d = await device();
  const x = Tensor.from(d, random([3, 5], 1), [3, 5]);
  x.needsGrad = true;
  const dy = random([3, 5], 2);
  for (const dtype of ['f32', 'f16', 'bf16'] as const) {
    const [dx] = gradients(scale(cast(x, dtype), 2), Tensor.from(d, dy, [3, 5]), [x]);
    assert.equal(await dx!.read(), dy.map(v => 2 * v), dtype);
  }
});

test('wrong uses are refused by name, and scales go with their tensor', async () => {
  const d = await device();
  const x = Tensor.from(d, random([4, 24], 1), [4, 24]);
  assert.throws(() => quantize(x, { block: 5 }), /quantize: block is 5, expected 24, the last axis of x \[4, 24\], or a multiple of 8/);
  assert.throws(() => quantize(x, { bits: 3 as 4 }), /quantize: bits is 3, expected 8 or 4/);
  assert.throws(() => cast(x, 'i8' as 'f16'), /cast: dtype is i8, expected f32, f16 or bf16/);
  assert.throws(() => cast(Tensor.from(d, Uint32Array.of(1)), 'f16'), /cast: x is u32, expected f32/);
  assert.throws(() => Tensor.empty(d, [4], 'i8'), /Tensor.empty: dtype is i8/);
  assert.throws(() => Tensor.from(d, Float32Array.of(1), [1], 'bf16'), /Tensor.from: Float32Array cannot become bf16/);
  assert.throws(() => Tensor.from(d, Uint16Array.of(1), [1], 'f32'), /Tensor.from: Uint16Array cannot become f32/);
  const q = quantize(x);
  q.needsGrad = true;
  assert.throws(() => linear(x, q), /linear: weight is i8 and needs a gradient, expected a type that can be trained/);
  assert.throws(() => q.view([2, 24]), /view: shape \[2, 24\] is a part of i8 \[4, 24\]/);
  assert.throws(() => Tensor.from(d, new Uint16Array(256), [256], 'f16').view([64], 64), /view: offset is 64, expected a multiple of 128 elements/);
  const before = d.memory();
  const other = scope(() => quantize(x).view([24, 4]));
  assert.is(d.memory().liveTensors, before.liveTensors + 2);
  other.dispose();
  assert.is(d.memory().liveTensors, before.liveTensors);
  assert.is(d.memory().liveBytes, before.liveBytes);
  await assert.ok((await Tensor.from(d, Uint16Array.of(1, 2, 3), [3], 'f16').readBits()).length === 3);
});

test.run();
