// The 22 safetensors dtypes, and exact conversions. All by integer arithmetic on the bits: a JavaScript number
// may lose a NaN's payload, and the platform promises nothing about the rounding of a narrowing store.
// Bytes are little-endian, as in the file and on every host that has WebGPU.

import { WeightError } from './error.ts';

/** A safetensors dtype, as spelt in the header. */
export type Dtype =
  | 'BOOL' | 'F4' | 'F6_E2M3' | 'F6_E3M2' | 'U8' | 'I8'
  | 'F8_E5M2' | 'F8_E4M3' | 'F8_E8M0' | 'F8_E4M3FNUZ' | 'F8_E5M2FNUZ'
  | 'I16' | 'U16' | 'F16' | 'BF16' | 'I32' | 'U32' | 'F32' | 'C64' | 'F64' | 'I64' | 'U64';

/** The 8-bit floating-point dtypes. */
export type F8Dtype = 'F8_E5M2' | 'F8_E4M3' | 'F8_E8M0' | 'F8_E4M3FNUZ' | 'F8_E5M2FNUZ';

/** Bits per element of each dtype (safetensors specification). */
export const DTYPE_BITS: Readonly<Record<Dtype, number>> = Object.freeze({
  BOOL: 8, F4: 4, F6_E2M3: 6, F6_E3M2: 6, U8: 8, I8: 8,
  F8_E5M2: 8, F8_E4M3: 8, F8_E8M0: 8, F8_E4M3FNUZ: 8, F8_E5M2FNUZ: 8,
  I16: 16, U16: 16, F16: 16, BF16: 16, I32: 32, U32: 32, F32: 32, C64: 64, F64: 64, I64: 64, U64: 64,
});

/**
 * Tells whether a text names a known dtype. The specification's list is open-ended, so others are refused, not guessed.
 *
 * @param text untrusted text
 * @returns true for the 22 known names
 */
export function isDtype(text: string): text is Dtype {
  return Object.hasOwn(DTYPE_BITS, text); // own: "constructor" is no dtype
}

/**
 * Number of elements: the product of the dims (1 for a scalar).
 *
 * @param shape non-negative integers
 * @returns the product
 * @throws WeightError `size-overflow` when the product of the non-zero dims passes 2^53 − 1, whatever their order
 */
export function elementCount(shape: readonly number[]): number {
  let product = 1;
  let empty = false;
  for (const dim of shape) {
    if (dim === 0) empty = true;
    else product *= dim;
    if (product > Number.MAX_SAFE_INTEGER) throw new WeightError('size-overflow', `shape [${shape.join(', ')}]: the element count passes 2^53 - 1`);
  }
  return empty ? 0 : product;
}

/**
 * Bytes that a tensor takes in the file.
 *
 * @param dtype the stored type
 * @param shape non-negative integers
 * @returns elements × bits / 8
 * @throws WeightError `size-overflow`, or `size-partial-byte` when sub-byte elements do not fill whole bytes
 */
export function byteLength(dtype: Dtype, shape: readonly number[]): number {
  const count = elementCount(shape);
  const bits = DTYPE_BITS[dtype];
  if (count > Math.floor(Number.MAX_SAFE_INTEGER / bits)) throw new WeightError('size-overflow', `${dtype} [${shape.join(', ')}]: the size passes 2^53 - 1 bits`);
  if ((count * bits) % 8 !== 0) throw new WeightError('size-partial-byte', `${dtype} [${shape.join(', ')}]: ${count * bits} bits do not fill whole bytes`);
  return (count * bits) / 8;
}

/** The same bytes at an offset that a typed array of `width`-byte elements accepts: a view where possible, else a copy. */
function aligned(bytes: Uint8Array, width: number, dtype: Dtype): Uint8Array {
  if (bytes.length % width !== 0) throw new WeightError('bytes-length', `${dtype}: ${bytes.length} bytes are no whole number of ${width}-byte elements`);
  return bytes.byteOffset % width === 0 ? bytes : bytes.slice();
}

/**
 * bf16 → f32, exact: the 16 bits become the upper half.
 *
 * @param words [n] bf16 bit patterns
 * @returns [n] the same values, NaN payloads kept
 */
export function bf16ToF32(words: Uint16Array): Float32Array<ArrayBuffer> {
  const out = new Uint32Array(words.length);
  for (let i = 0; i < words.length; i++) out[i] = words[i]! << 16;
  return new Float32Array(out.buffer);
}

/** The f32 bits of an IEEE-like small float: sign, `e` exponent bits, `m` mantissa bits, with infinities and NaN. */
function widen(bits: number, e: number, m: number): number {
  const sign = (bits >>> (e + m)) << 31;
  const exponent = (bits >>> m) & ((1 << e) - 1);
  const mantissa = bits & ((1 << m) - 1);
  if (exponent === (1 << e) - 1) return sign | 0x7f800000 | (mantissa << (23 - m));
  return sign | finite(exponent, mantissa, m, (1 << (e - 1)) - 1);
}

/** f32 bits of a finite magnitude with the given exponent bias; subnormals are normalised (f32 reaches far below them). */
function finite(exponent: number, mantissa: number, m: number, bias: number): number {
  if (exponent !== 0) return ((exponent - bias + 127) << 23) | (mantissa << (23 - m));
  if (mantissa === 0) return 0;
  const shift = Math.clz32(mantissa) - (31 - m); // brings the leading one to bit m
  return ((1 - bias + 127 - shift) << 23) | (((mantissa << shift) & ((1 << m) - 1)) << (23 - m));
}

let f16Table: Uint32Array | undefined; // 256 KiB, made at the first use

/**
 * f16 → f32, exact, by table.
 *
 * @param words [n] IEEE binary16 bit patterns
 * @returns [n] the same values; subnormals, ±0, ±Inf and NaN payloads kept
 */
export function f16ToF32(words: Uint16Array): Float32Array<ArrayBuffer> {
  f16Table ??= Uint32Array.from({ length: 65536 }, (_, bits) => widen(bits, 5, 10));
  const out = new Uint32Array(words.length);
  for (let i = 0; i < words.length; i++) out[i] = f16Table[words[i]!]!;
  return new Float32Array(out.buffer);
}

/** f32 bits of one f8 value. "FN": no infinities, one NaN per sign; "UZ": no negative zero either, 0x80 is the NaN (OCP 8-bit specification; FNUZ as in ONNX). */
function widenF8(bits: number, dtype: F8Dtype): number {
  const sign = (bits >>> 7) << 31;
  switch (dtype) {
    case 'F8_E5M2': return widen(bits, 5, 2);
    case 'F8_E4M3': return (bits & 0x7f) === 0x7f ? sign | 0x7ff00000 : sign | finite((bits >>> 3) & 15, bits & 7, 3, 7);
    case 'F8_E4M3FNUZ': return bits === 0x80 ? 0x7fc00000 : sign | finite((bits >>> 3) & 15, bits & 7, 3, 8);
    case 'F8_E5M2FNUZ': return bits === 0x80 ? 0x7fc00000 : sign | finite((bits >>> 2) & 31, bits & 3, 2, 16);
    case 'F8_E8M0': return bits === 0xff ? 0x7fc00000 : bits === 0 ? 0x00400000 : bits << 23; // 2^(bits - 127); 2^-127 is an f32 subnormal
  }
}

/**
 * 8-bit float → f32, exact.
 *
 * @param bytes [n] bit patterns
 * @param dtype which of the five layouts
 * @returns [n] the same values
 */
export function f8ToF32(bytes: Uint8Array, dtype: F8Dtype): Float32Array<ArrayBuffer> {
  const table = Uint32Array.from({ length: 256 }, (_, bits) => widenF8(bits, dtype));
  const out = new Uint32Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) out[i] = table[bytes[i]!]!;
  return new Float32Array(out.buffer);
}

/**
 * f32 → bf16, round to nearest, ties to even; overflow gives ±Inf. A NaN keeps sign and upper payload and stays a NaN.
 *
 * @param values [n]
 * @returns [n] bf16 bit patterns
 */
export function f32ToBf16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const u = bits[i]!;
    const isNaN = (u & 0x7fffffff) > 0x7f800000;
    if (isNaN) out[i] = (u & 0x7f0000) === 0 ? (u >>> 16) | 0x40 : u >>> 16; // a payload in the lower half only must not turn into Inf
    else out[i] = (u + 0x7fff + ((u >>> 16) & 1)) >>> 16;
  }
  return out;
}

/**
 * f32 → f16, round to nearest, ties to even, subnormals included; ±65520 and beyond give ±Inf. A NaN keeps sign and upper payload.
 *
 * @param values [n]
 * @returns [n] IEEE binary16 bit patterns
 */
export function f32ToF16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) out[i] = narrowF16(bits[i]!);
  return out;
}

function narrowF16(u: number): number {
  const sign = (u >>> 16) & 0x8000;
  const magnitude = u & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7c00 | ((magnitude >>> 13) & 0x3ff || 0x200);
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520, half-way to the number after the largest
  if (magnitude >= 0x38800000) return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13); // 2^-14 and above: normal
  if (magnitude <= 0x33000000) return sign; // 2^-25 is half of the smallest subnormal and ties to 0
  const significand = (magnitude & 0x7fffff) | 0x800000;
  const shift = 126 - (magnitude >>> 23); // 14 … 24: the unit of the result is 2^-24
  const whole = significand >>> shift;
  const rest = significand & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (rest > half || (rest === half && (whole & 1) === 1) ? whole + 1 : whole);
}

/**
 * Any dtype whose every value an f32 holds exactly → f32.
 *
 * @param bytes little-endian elements; for F32 at an aligned offset the result shares them
 * @param dtype F32, F16, BF16, the F8s, I8, U8, I16, U16, or BOOL (0 stays 0, anything else is 1)
 * @returns [n]
 * @throws WeightError `dtype-unsupported` for the others (wider than f32, complex, or packed below a byte), `bytes-length`
 */
export function toF32(bytes: Uint8Array, dtype: Dtype): Float32Array<ArrayBufferLike> {
  const width = DTYPE_BITS[dtype] / 8;
  const view = aligned(bytes, Math.max(1, width), dtype);
  const length = view.length / width;
  switch (dtype) {
    case 'F32': return new Float32Array(view.buffer, view.byteOffset, length);
    case 'BF16': return bf16ToF32(new Uint16Array(view.buffer, view.byteOffset, length));
    case 'F16': return f16ToF32(new Uint16Array(view.buffer, view.byteOffset, length));
    case 'F8_E5M2': case 'F8_E4M3': case 'F8_E8M0': case 'F8_E4M3FNUZ': case 'F8_E5M2FNUZ': return f8ToF32(view, dtype);
    case 'U8': return Float32Array.from(view);
    case 'BOOL': return Float32Array.from(view, (byte) => (byte === 0 ? 0 : 1));
    case 'I8': return Float32Array.from(new Int8Array(view.buffer, view.byteOffset, length));
    case 'I16': return Float32Array.from(new Int16Array(view.buffer, view.byteOffset, length));
    case 'U16': return Float32Array.from(new Uint16Array(view.buffer, view.byteOffset, length));
    default: throw new WeightError('dtype-unsupported', `toF32: ${dtype} does not fit f32 exactly, expected F32, F16, BF16, F8, BOOL or an integer of at most 16 bits`);
  }
}

/** @param dtype of a stored tensor @returns whether {@link toF32} takes it */
export function fitsF32(dtype: Dtype): boolean {
  return dtype === 'F32' || (DTYPE_BITS[dtype] <= 16 && DTYPE_BITS[dtype] >= 8);
}

/**
 * f32 → the bytes of a stored float dtype, rounded to nearest even.
 *
 * @param values [n]
 * @param dtype F32, BF16 or F16
 * @returns little-endian elements; for F32 the bytes are shared with `values`
 */
export function fromF32(values: Float32Array, dtype: 'F32' | 'BF16' | 'F16'): Uint8Array {
  if (dtype === 'F32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return new Uint8Array((dtype === 'BF16' ? f32ToBf16(values) : f32ToF16(values)).buffer);
}

/**
 * Elements as JavaScript numbers, each exact: token ids, masks, counts, f64 values.
 *
 * @param bytes little-endian elements
 * @param dtype anything but C64 and the packed dtypes below a byte
 * @returns [n]
 * @throws WeightError `number-range` for a 64-bit integer beyond ±(2^53 − 1), `dtype-unsupported`, `bytes-length`
 */
export function toNumbers(bytes: Uint8Array, dtype: Dtype): number[] {
  const width = DTYPE_BITS[dtype] / 8;
  const view = aligned(bytes, Math.max(1, width), dtype);
  const length = view.length / width;
  switch (dtype) {
    case 'I32': return Array.from(new Int32Array(view.buffer, view.byteOffset, length));
    case 'U32': return Array.from(new Uint32Array(view.buffer, view.byteOffset, length));
    case 'F64': return Array.from(new Float64Array(view.buffer, view.byteOffset, length));
    case 'I64': case 'U64': {
      const low = new Uint32Array(view.buffer, view.byteOffset, length * 2);
      const high = dtype === 'I64' ? new Int32Array(view.buffer, view.byteOffset, length * 2) : low;
      return Array.from({ length }, (_, i) => safeInteger(high[2 * i + 1]!, low[2 * i]!, dtype, i));
    }
    case 'C64': case 'F4': case 'F6_E2M3': case 'F6_E3M2':
      throw new WeightError('dtype-unsupported', `toNumbers: ${dtype} elements are no single numbers of whole bytes`);
    default: return Array.from(toF32(view, dtype));
  }
}

function safeInteger(high: number, low: number, dtype: Dtype, index: number): number {
  const value = high * 0x100000000 + low;
  // -2^53 rounds from its neighbours, so only what is strictly inside is known to be exact
  if (!Number.isSafeInteger(value)) throw new WeightError('number-range', `toNumbers: ${dtype} element ${index} is about ${value}, expected within ±(2^53 - 1)`);
  return value;
}
