// Float64 formula of kernels/quantize.ts, read back. Imported by tests only.
import { roundEven } from './cast.ref.ts';

/**
 * Whole numbers of a block times its scale: q = round(x / s) with s = max |x| / (2^(bits−1) − 1).
 * @param x [n] @param block elements per scale @param bits 8 or 4 @returns [n] q s
 */
export function quantizeRef(x: Float64Array, block: number, bits: number): Float64Array {
  const top = 2 ** (bits - 1) - 1;
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += block) {
    const part = x.subarray(start, start + block);
    const scale = part.reduce((m, v) => Math.max(m, Math.abs(v)), 0) / top;
    part.forEach((v, i) => { y[start + i] = scale === 0 ? 0 : roundEven(v / scale) * scale; });
  }
  return y;
}
