// Conversions, exhaustively where the type is small enough, against formulas in float64 that share nothing with the bit arithmetic.

import { bf16ToF32, byteLength, DTYPE_BITS, elementCount, f16ToF32, f32ToBf16, f32ToF16, f8ToF32, fromF32, isDtype, toF32, toNumbers, type Dtype, type F8Dtype } from '../../weights/dtype.ts';
import { WeightError } from '../../weights/error.ts';
import { assert, generator, suite } from '../harness.ts';

const test = suite('weights: dtype');
const ALL16 = Uint16Array.from({ length: 65536 }, (_, i) => i);
const ALL8 = Uint8Array.from({ length: 256 }, (_, i) => i);
const bitsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);
const fromBits = (...bits: number[]): Float32Array => new Float32Array(Uint32Array.from(bits).buffer);

/** The value of a small float by its definition: sign · 2^(exponent − bias) · (1 + mantissa / 2^m), or subnormal. */
function formula(bits: number, e: number, m: number, bias: number): number {
  const sign = bits >> (e + m) ? -1 : 1;
  const exponent = (bits >> m) & (2 ** e - 1);
  const fraction = (bits & (2 ** m - 1)) / 2 ** m;
  return sign * (exponent === 0 ? 2 ** (1 - bias) * fraction : 2 ** (exponent - bias) * (1 + fraction));
}

function code(run: () => unknown): string {
  try { run(); return 'no error'; } catch (error) { if (error instanceof WeightError) return error.code; throw error; }
}

test('22 dtypes with the sizes of the specification', () => {
  assert.is(Object.keys(DTYPE_BITS).length, 22);
  for (const [dtype, bits] of Object.entries(DTYPE_BITS) as [Dtype, number][]) assert.is(byteLength(dtype, [8, 3]), bits * 3, dtype);
  assert.ok(isDtype('BF16') && !isDtype('constructor') && !isDtype('bf16') && !isDtype(''));
});

test('sizes never wrap, whatever the order of the dims', () => {
  assert.is(elementCount([]), 1);
  assert.is(elementCount([3, 0, 5]), 0);
  const max = Number.MAX_SAFE_INTEGER;
  assert.is(elementCount([0, max]), 0);
  for (const shape of [[max, 2], [2, max], [0, max, 2], [max, 2, 0], [max, 0, 2], [2 ** 27, 2 ** 26], Array<number>(64).fill(2)]) assert.is(code(() => elementCount(shape)), 'size-overflow', String(shape));
  assert.is(code(() => byteLength('F64', [max])), 'size-overflow');
  assert.is(code(() => byteLength('F4', [3])), 'size-partial-byte');
  assert.is(byteLength('F6_E2M3', [4]), 3);
});

test('bf16: all 65,536 values equal their formula and survive the round trip bit for bit', () => {
  const wide = bf16ToF32(ALL16);
  for (let i = 0; i < 65536; i++) {
    if (((i >> 7) & 0xff) !== 0xff) assert.ok(Object.is(wide[i], formula(i, 8, 7, 127)), `${i}: ${wide[i]}`);
    assert.is(bitsOf(wide)[i], (i << 16) >>> 0);
  }
  assert.equal(f32ToBf16(wide), ALL16);
});

test('f16: all 65,536 values equal their formula and survive the round trip bit for bit', () => {
  const wide = f16ToF32(ALL16);
  for (let i = 0; i < 65536; i++) {
    if (((i >> 10) & 0x1f) !== 0x1f) assert.ok(Object.is(wide[i], formula(i, 5, 10, 15)), `${i}: ${wide[i]}`);
    else assert.is(bitsOf(wide)[i], (((i & 0x8000) << 16) | 0x7f800000 | ((i & 0x3ff) << 13)) >>> 0); // Inf, and NaN with its payload
  }
  assert.equal(f32ToF16(wide), ALL16);
});

test('f8: all 256 values of the five layouts', () => {
  const cases: readonly [F8Dtype, number, number, number, (bits: number) => boolean][] = [
    ['F8_E5M2', 5, 2, 15, (b) => (b & 0x7c) === 0x7c],
    ['F8_E4M3', 4, 3, 7, (b) => (b & 0x7f) === 0x7f],
    ['F8_E4M3FNUZ', 4, 3, 8, (b) => b === 0x80],
    ['F8_E5M2FNUZ', 5, 2, 16, (b) => b === 0x80],
  ];
  for (const [dtype, e, m, bias, special] of cases) {
    const wide = f8ToF32(ALL8, dtype);
    for (let i = 0; i < 256; i++) {
      if (!special(i)) assert.ok(Object.is(wide[i], formula(i, e, m, bias)), `${dtype} ${i}: ${wide[i]}`);
      else if (dtype === 'F8_E5M2' && (i & 3) === 0) assert.is(wide[i], i < 128 ? Infinity : -Infinity);
      else assert.ok(Number.isNaN(wide[i]), `${dtype} ${i}: ${wide[i]}`);
    }
  }
  assert.equal([...f8ToF32(new Uint8Array([0x7e, 0x7b, 0x01]), 'F8_E4M3')], [448, 352, 2 ** -9]);
  assert.equal([...f8ToF32(new Uint8Array([0x7f, 0x08, 0x01]), 'F8_E4M3FNUZ')], [240, 2 ** -7, 2 ** -10]);
  assert.equal([...f8ToF32(new Uint8Array([0x7f]), 'F8_E5M2FNUZ')], [57344]);
  const scale = f8ToF32(ALL8, 'F8_E8M0');
  for (let i = 0; i < 255; i++) assert.is(scale[i], 2 ** (i - 127));
  assert.ok(Number.isNaN(scale[255]));
  for (const i of [0x7d, 0x7e, 0x7f, 0xfd]) assert.is(bitsOf(f8ToF32(ALL8, 'F8_E5M2'))[i]! & 0x007fffff, (i & 3) << 21, 'NaN payload');
});

/** Nearest value of a sorted table, ties to the even index, with overflow at the midpoint beyond the largest. */
function nearest(x: number, table: Float64Array, overflowAt: number): number {
  const a = Math.abs(x);
  if (a >= overflowAt) return table.length;
  let low = 0;
  let high = table.length - 1;
  while (high - low > 1) { const mid = (low + high) >> 1; if (table[mid]! <= a) low = mid; else high = mid; }
  if (a >= table[high]!) return high;
  const down = a - table[low]!; // exact in float64
  const up = table[high]! - a;
  return down < up || (down === up && low % 2 === 0) ? low : high;
}

test('f32 → f16 and bf16 round to nearest even: around every half-way point, and at random', () => {
  const random = generator(3);
  for (const [name, narrow, e, m, bias] of [['f16', f32ToF16, 5, 10, 15], ['bf16', f32ToBf16, 8, 7, 127]] as const) {
    const count = (2 ** e - 1) << m; // finite magnitudes; index = bit pattern
    const table = Float64Array.from({ length: count }, (_, i) => formula(i, e, m, bias));
    const overflowAt = formula(count - 1, e, m, bias) + 2 ** (2 ** e - 2 - bias - m - 1);
    const probes: number[] = [0, 2 ** -149, 3.4028234663852886e38, 65519.99, 65520, 65504, 2 ** -25, 2 ** -24, 2 ** -25 + 2 ** -48];
    const step = name === 'f16' ? 1 : 5;
    for (let i = 0; i + 1 < count; i += step) probes.push(Math.fround((table[i]! + table[i + 1]!) / 2));
    const bits = bitsOf(Float32Array.from(probes));
    const around = [...bits].flatMap((b) => [b, Math.max(0, b - 1), Math.min(0x7f7fffff, b + 1)]);
    for (let i = 0; i < 50_000; i++) around.push(Math.floor(random() * 0x7f800000));
    const values = new Float32Array(Uint32Array.from([...around, ...around.map((b) => b + 0x80000000)]).buffer);
    const got = narrow(values);
    for (let i = 0; i < values.length; i++) {
      const expected = nearest(values[i]!, table, overflowAt) | (i >= around.length ? 1 << (e + m) : 0);
      if (got[i] !== expected) assert.unreachable(`${name}: ${values[i]} gives ${got[i]}, expected ${expected}`);
    }
  }
});

test('NaN narrows to NaN with sign and upper payload, Inf to Inf', () => {
  const values = fromBits(0x7f800001, 0xff801fff, 0x7fc12345, 0xffffffff, 0x7f800000, 0xff800000, 0x7f812000);
  assert.equal([...f32ToF16(values)], [0x7e00, 0xfe00, 0x7e09, 0xffff, 0x7c00, 0xfc00, 0x7c09]);
  assert.equal([...f32ToBf16(values)], [0x7fc0, 0xffc0, 0x7fc1, 0xffff, 0x7f80, 0xff80, 0x7f81]);
});

test('toF32 keeps the bits of F32, signalling NaN included, and views only where it may', () => {
  const bytes = new Uint8Array([1, 0, 0xa0, 0x7f, 0, 0, 0, 0x80]);
  assert.equal([...bitsOf(toF32(bytes, 'F32'))], [0x7fa00001, 0x80000000]);
  const shifted = new Uint8Array(9);
  shifted.set(bytes, 1);
  assert.equal([...bitsOf(toF32(shifted.subarray(1), 'F32'))], [0x7fa00001, 0x80000000]);
});

test('toF32 takes what f32 holds exactly and refuses the rest', () => {
  assert.equal([...toF32(new Uint8Array([0, 1, 2, 255]), 'BOOL')], [0, 1, 1, 1]);
  assert.equal([...toF32(new Uint8Array([0, 255]), 'U8')], [0, 255]);
  assert.equal([...toF32(new Uint8Array([0x80, 0x7f]), 'I8')], [-128, 127]);
  assert.equal([...toF32(new Uint8Array([0, 0x80]), 'I16')], [-32768]);
  assert.equal([...toF32(new Uint8Array([0xff, 0xff]), 'U16')], [65535]);
  for (const dtype of ['I32', 'U32', 'I64', 'U64', 'F64', 'C64', 'F4', 'F6_E2M3', 'F6_E3M2'] as const) assert.is(code(() => toF32(new Uint8Array(24), dtype)), 'dtype-unsupported', dtype);
  assert.is(code(() => toF32(new Uint8Array(3), 'F16')), 'bytes-length');
});

test('toNumbers: 64-bit integers up to 2^53 - 1 either way, exact or refused', () => {
  const words = (values: bigint[]): Uint8Array => new Uint8Array(BigInt64Array.from(values).buffer);
  const safe = [0n, 1n, -1n, 4294967295n, -4294967296n, 4294967296n, 9007199254740991n, -9007199254740991n];
  assert.equal(toNumbers(words(safe), 'I64'), safe.map(Number));
  for (const far of [2n ** 53n, 2n ** 53n + 1n, -(2n ** 53n), -(2n ** 53n) - 1n, 2n ** 63n - 1n, -(2n ** 63n)]) assert.is(code(() => toNumbers(words([far]), 'I64')), 'number-range', String(far));
  assert.is(code(() => toNumbers(words([-1n]), 'U64')), 'number-range');
  assert.equal(toNumbers(words([9007199254740991n]), 'U64'), [9007199254740991]);
  assert.equal(toNumbers(new Uint8Array(Int32Array.of(-2147483648, 2147483647).buffer), 'I32'), [-2147483648, 2147483647]);
  assert.equal(toNumbers(new Uint8Array(Uint32Array.of(4294967295).buffer), 'U32'), [4294967295]);
  assert.equal(toNumbers(new Uint8Array(Float64Array.of(0.1, -0).buffer), 'F64'), [0.1, -0]);
  assert.equal(toNumbers(new Uint8Array([0, 9]), 'BOOL'), [0, 1]);
  assert.is(code(() => toNumbers(new Uint8Array(8), 'C64')), 'dtype-unsupported');
  assert.is(code(() => toNumbers(new Uint8Array(12), 'I64')), 'bytes-length');
});

test('fromF32 gives the file bytes of each float dtype', () => {
  const values = Float32Array.of(1, -2.5, 0.1);
  assert.equal(toF32(fromF32(values, 'F32'), 'F32'), values);
  assert.equal([...fromF32(values, 'BF16')], [0x80, 0x3f, 0x20, 0xc0, 0xcd, 0x3d]);
  assert.equal([...fromF32(values, 'F16')], [0x00, 0x3c, 0x00, 0xc1, 0x66, 0x2e]);
});

test.run();
