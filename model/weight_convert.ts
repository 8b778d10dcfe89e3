/** Stored numbers into the types of the GPU, straight into the target: nothing is allocated per call, so that a load leaves no garbage behind however large the file is. */
import { f16ToF32, f32ToF16, toF32 } from '../weights/dtype.ts';
import type { Dtype } from '../weights/dtype.ts';

/** Float types that weights are held in. */
export type FloatDtype = 'f32' | 'f16' | 'bf16';

/** Makes numbers of one stored type into another; the target is exactly as long as the result. */
export type Convert = (from: Uint8Array, to: Uint8Array) => void;

const SAME: Readonly<Partial<Record<Dtype, FloatDtype>>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };

/** A view of the bytes as words; a source at an odd place is copied first (readers hand out aligned bytes). */
const words16 = (bytes: Uint8Array): Uint16Array => { const b = bytes.byteOffset % 2 ? bytes.slice() : bytes; return new Uint16Array(b.buffer, b.byteOffset, b.byteLength >> 1); };
const words32 = (bytes: Uint8Array): Uint32Array => { const b = bytes.byteOffset % 4 ? bytes.slice() : bytes; return new Uint32Array(b.buffer, b.byteOffset, b.byteLength >> 2); };

let f16Values: Uint32Array | undefined; // all 65,536 f16 numbers as f32 bits, made at the first use

function bf16Widened(from: Uint8Array, to: Uint8Array): void {
  const source = words16(from), target = words32(to);
  for (let i = 0; i < source.length; i++) target[i] = source[i]! << 16;
}

function f16Widened(from: Uint8Array, to: Uint8Array): void {
  f16Values ??= new Uint32Array(f16ToF32(Uint16Array.from({ length: 65536 }, (_, i) => i)).buffer);
  const source = words16(from), target = words32(to), table = f16Values;
  for (let i = 0; i < source.length; i++) target[i] = table[source[i]!]!;
}

/** Rounds to nearest, ties to even; a NaN stays one (weights/dtype.ts f32ToBf16, without its arrays). */
function bf16Rounded(from: Uint8Array, to: Uint8Array): void {
  const source = words32(from), target = words16(to);
  for (let i = 0; i < source.length; i++) {
    const u = source[i]!;
    if ((u & 0x7fffffff) > 0x7f800000) target[i] = (u & 0x7f0000) === 0 ? (u >>> 16) | 0x40 : u >>> 16;
    else target[i] = (u + 0x7fff + ((u >>> 16) & 1)) >>> 16;
  }
}

/** Rounds to nearest, ties to even. Numbers with a normal f16, nearly all weights, take the short way. */
function f16Rounded(from: Uint8Array, to: Uint8Array): void {
  const source = words32(from), target = words16(to);
  for (let i = 0; i < source.length; i++) {
    const u = source[i]!, m = u & 0x7fffffff;
    if (m >= 0x38800000 && m < 0x477ff000) target[i] = ((u >>> 16) & 0x8000) | ((m - 0x38000000 + 0xfff + ((m >>> 13) & 1)) >>> 13); // 2^-14 up to what rounds to infinity
    else if (m <= 0x33000000) target[i] = (u >>> 16) & 0x8000; // half of the smallest number and below
    else target[i] = f32ToF16(new Float32Array(source.buffer, source.byteOffset + 4 * i, 1))[0]!;
  }
}

/** Any other stored type that f32 holds exactly, by way of an array of f32. */
function anyWidened(stored: Dtype, then: Convert | undefined): Convert {
  return (from, to) => {
    const values = toF32(from, stored);
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    if (then) then(bytes, to);
    else to.set(bytes);
  };
}

/**
 * @param stored type in the file
 * @param wanted type on the GPU
 * @returns how the bytes of one become those of the other; equal types are copied
 * @throws WeightError `dtype-unsupported` for a stored type that f32 cannot hold
 */
export function converter(stored: Dtype, wanted: FloatDtype): Convert {
  if (SAME[stored] === wanted) return (from, to) => to.set(from);
  const rounded = wanted === 'bf16' ? bf16Rounded : wanted === 'f16' ? f16Rounded : undefined;
  if (stored === 'F32') return rounded!;
  if (wanted === 'f32' && stored === 'BF16') return bf16Widened;
  if (wanted === 'f32' && stored === 'F16') return f16Widened;
  toF32(new Uint8Array(0), stored); // refuses before anything is read
  return anyWidened(stored, rounded);
}

/** Adding it to a number below 2^22 leaves the nearest whole number, ties to even, in the low bits. */
const ROUNDER = 1.5 * 2 ** 23;

/**
 * Elements per scale of weights held as int8: 16 where rows are whole blocks, or 8, else a row. Rounding with a scale per row of 768 to 8192 normally distributed weights has an
 * NMSE of 6e-5 to 8e-5, in blocks of 16 2.2e-5 at 10 bits a weight; EmbeddingGemma's 24 layers make 30 times that of it.
 *
 * @param k elements of a row
 */
export const int8Block = (k: number): number => (k % 16 === 0 ? 16 : k % 8 === 0 ? 8 : k) || 1;

/** Blocks as whole numbers of 8 bits with one scale each, as kernels/quantize.ts makes them. */
export class BlockQuantizer {
  private values = new Float32Array(0);
  private scales = new Float32Array(0);
  private readonly widen: Convert;
  private readonly stored: Dtype;

  /** @param stored type in the file @throws WeightError `dtype-unsupported` */
  constructor(stored: Dtype) {
    this.stored = stored;
    this.widen = converter(stored, 'f32');
  }

  /**
   * @param from whole blocks as stored
   * @param block elements of one
   * @param whole [blocks, block] filled with numbers from -127 to 127
   * @returns [blocks] scales: largest magnitude / 127, 0 for a block of zeros, NaN for one with NaN or infinity; valid until the next call
   */
  run(from: Uint8Array, block: number, whole: Int8Array): Float32Array {
    const count = whole.length, blocks = count / block;
    if (this.scales.length < blocks) this.scales = new Float32Array(blocks);
    const values = this.asF32(from, count);
    const bits = new Uint32Array(values.buffer, values.byteOffset, count);
    for (let b = 0; b < blocks; b++) {
      const begin = b * block, end = begin + block;
      let most = 0;
      for (let i = begin; i < end; i++) {
        const magnitude = bits[i]! & 0x7fffffff; // of floats without their signs, the larger bits are the larger number, and NaN is above all
        if (magnitude > most) most = magnitude;
      }
      this.scales[b] = most >= 0x7f800000 ? NaN : most < 0x00800000 ? 0 : floatOf(most) / 127;
      const scale = this.scales[b]!;
      if (scale > 0) for (let i = begin; i < end; i++) whole[i] = Math.fround(Math.fround(values[i]! / scale) + ROUNDER) - ROUNDER;
      else whole.fill(0, begin, end);
    }
    return this.scales.subarray(0, blocks);
  }

  private asF32(from: Uint8Array, count: number): Float32Array {
    if (this.stored === 'F32' && from.byteOffset % 4 === 0) return new Float32Array(from.buffer, from.byteOffset, count);
    if (this.values.length < count) this.values = new Float32Array(count);
    const values = this.values.subarray(0, count);
    this.widen(from, new Uint8Array(values.buffer, 0, 4 * count));
    return values;
  }
}

const one = new Uint32Array(1), oneFloat = new Float32Array(one.buffer);
const floatOf = (bits: number): number => { one[0] = bits; return oneFloat[0]!; };
