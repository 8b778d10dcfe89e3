// Float64 formulas of kernels/cast.ts and kernels/quantize.ts. Imported by tests only.

/** Explicit bits of the significand, smallest exponent of a normal number, and the largest finite value. */
const FORMATS = {
  f16: { bits: 10, lowest: -14, most: 65_504 },
  bf16: { bits: 7, lowest: -126, most: (2 - 2 ** -7) * 2 ** 127 },
  f32: { bits: 23, lowest: -126, most: (2 - 2 ** -23) * 2 ** 127 },
} as const;

/** Nearest whole number, ties to even. @param x any number @returns the whole number, with the sign of x */
export function roundEven(x: number): number {
  const low = Math.floor(x);
  const up = x - low > 0.5 || (x - low === 0.5 && low % 2 !== 0);
  return up ? low + 1 : x < 0 && low === 0 ? -0 : low;
}

/** The nearest number of a format, ties to even; ±Inf from half a unit above the largest on. @param x any number @param dtype the format @returns the number */
export function roundTo(x: number, dtype: keyof typeof FORMATS): number {
  if (!Number.isFinite(x) || x === 0) return x;
  const { bits, lowest, most } = FORMATS[dtype];
  const exponent = Math.max(lowest, Math.floor(Math.log2(Math.abs(x)) + 1e-12));
  const unit = 2 ** (exponent - bits); // one too large beside a power of two would only halve the steps, so try the finer one too
  const fine = Math.abs(x) < 2 ** exponent && exponent > lowest ? unit / 2 : unit;
  const y = roundEven(Math.abs(x) / fine) * fine;
  return Math.sign(x) * (y > most ? Infinity : y);
}

/** `cast` in float64. @param x [n] @param dtype the format @returns [n] */
export const castRef = (x: Float64Array, dtype: keyof typeof FORMATS): Float64Array => x.map(v => roundTo(v, dtype));
