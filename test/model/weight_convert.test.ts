// Stored numbers into the types of the GPU: the same bits as the exact conversions of weights/dtype.ts, on all special numbers and on every f16 and bf16.
import { BlockQuantizer, converter, int8Block } from '../../model/weight_convert.ts';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../../weights/dtype.ts';
import { assert, random, suite } from '../harness.ts';

const test = suite('weight conversion');

const bytesOf = (a: ArrayBufferView): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength);

/** f32 numbers at every border of f16 and bf16, drawn ones of all magnitudes, infinities and NaNs with payloads. */
function difficult(): Float32Array {
  const bits: number[] = [0, 0x80000000, 1, 0x007fffff, 0x00800000, 0x7f7fffff, 0x7f800000, 0xff800000, 0x7f800001, 0x7fc00000, 0x7fc12345, 0xff812345, 0x7f80ffff];
  for (const border of [0x33000000, 0x33800000, 0x38000000, 0x38800000, 0x477fe000, 0x477ff000, 0x47800000, 0x3f800000]) for (let d = -3; d <= 3; d++) bits.push(border + d, (border + d) | 0x80000000);
  let state = 7;
  for (let i = 0; i < 200_000; i++) bits.push(state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
  return new Float32Array(Uint32Array.from(bits, b => b >>> 0).buffer);
}

test('f32 is rounded to bf16 and f16 as the exact conversions do', () => {
  const values = difficult();
  for (const [wanted, expected] of [['bf16', f32ToBf16(values)], ['f16', f32ToF16(values)]] as const) {
    const out = new Uint16Array(values.length);
    converter('F32', wanted)(bytesOf(values), bytesOf(out));
    const bad = out.findIndex((bits, i) => bits !== expected[i]);
    if (bad >= 0) assert.unreachable(`${wanted} of ${values[bad]} is ${out[bad]!.toString(16)}, expected ${expected[bad]!.toString(16)}`);
  }
});

test('every bf16 and every f16 is widened exactly, and goes from one to the other through f32', () => {
  const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const through = (stored: 'BF16' | 'F16', wanted: 'f32' | 'f16' | 'bf16'): Uint8Array => {
    const out = new Uint8Array(65536 * (wanted === 'f32' ? 4 : 2));
    converter(stored, wanted)(bytesOf(all), out);
    return out;
  };
  assert.equal(through('BF16', 'f32'), bytesOf(bf16ToF32(all)));
  assert.equal(through('F16', 'f32'), bytesOf(f16ToF32(all)));
  assert.equal(through('BF16', 'f16'), bytesOf(f32ToF16(bf16ToF32(all))));
  assert.equal(through('F16', 'bf16'), bytesOf(f32ToBf16(f16ToF32(all))));
  for (const same of ['BF16', 'F16'] as const) assert.equal(through(same, same === 'BF16' ? 'bf16' : 'f16'), bytesOf(all));
});

test('types that f32 holds go by way of it, others are refused', () => {
  const out = new Float32Array(4);
  converter('I8', 'f32')(Uint8Array.of(0, 1, 255, 128), bytesOf(out));
  assert.equal([...out], [0, 1, -1, -128]);
  assert.throws(() => converter('F64', 'bf16'), /F64 does not fit f32 exactly/);
});

test('blocks of whole numbers: largest magnitude is 127, ties go to even, zeros, NaN and infinity keep to themselves', () => {
  const k = 5;
  const rows = [[1, -127, 0.5, 1.5, 2.5], [0, -0, 0, 0, 0], [1, NaN, 2, 3, 4], [1, -Infinity, 2, 3, 4], [2 ** -126, 2 ** -127, -(2 ** -126), 0, 0], [2 ** -127, 0, 0, 0, 0], [...random([k], 3)]];
  const whole = new Int8Array(rows.length * k).fill(99);
  const scales = new BlockQuantizer('F32').run(bytesOf(Float32Array.from(rows.flat())), k, whole);
  const row = (r: number): number[] => [...whole.subarray(r * k, r * k + k)];
  assert.equal(row(0), [1, -127, 0, 2, 2]);
  assert.is(scales[0], 1);
  for (const r of [1, 2, 3, 5]) assert.equal(row(r), [0, 0, 0, 0, 0]);
  assert.equal([scales[1], scales[2], scales[3], scales[5]], [0, NaN, NaN, 0]);
  assert.equal(row(4).map(Math.abs), [127, 64, 127, 0, 0]);
  assert.is(Math.max(...row(6).map(Math.abs)), 127);
  rows[6]!.forEach((v, i) => assert.ok(Math.abs(whole[6 * k + i]! * scales[6]! - v) <= scales[6]! * 0.5001));
});

test('a block is 16, or what fits the row', () => {
  for (const [k, block] of [[768, 16], [16, 16], [24, 8], [129, 129], [1, 1], [0, 16]] as const) assert.is(int8Block(k), block, `${k}`);
});

test.run();
