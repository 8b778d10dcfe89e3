// Float64 formulas of kernels/preprocess.ts: every output pixel weighs all inputs with a triangle. Imported by tests only.

/** Triangle weights of every input for one output: max(0, 1 - |j + ½ - c| / s), c = (i + ½) · scale, s = max(scale, 1), normalised. */
function triangle(inputs: number, outputs: number, i: number): Float64Array {
  const scale = inputs / outputs;
  const w = Float64Array.from({ length: inputs }, (_, j) => Math.max(0, 1 - Math.abs(j + 0.5 - (i + 0.5) * scale) / Math.max(scale, 1)));
  const total = w.reduce((s, v) => s + v, 0);
  return w.map(v => v / total);
}

/** Where the result lies in the resized frame. */
function geometry(width: number, height: number, size: number, direct: boolean): { tall: number; wide: number; top: number; left: number } {
  const short = Math.floor((size * 256) / 224);
  const tall = direct ? size : height <= width ? short : Math.trunc((short * height) / width);
  const wide = direct ? size : height <= width ? Math.trunc((short * width) / height) : short;
  return { tall, wide, top: Math.floor((tall - size) / 2), left: Math.floor((wide - size) / 2) };
}

/**
 * Resize, crop, normalise one frame.
 * @param data [height, width, 3] bytes @param width pixels @param height pixels @param size side of the result @param direct straight to size × size, no crop
 * @param mean per channel @param std per channel @returns [3, size, size]
 */
export function preprocessFrame(data: Uint8Array, width: number, height: number, size: number, direct: boolean, mean: readonly number[], std: readonly number[]): Float64Array {
  const { tall, wide, top, left } = geometry(width, height, size, direct);
  const out = new Float64Array(3 * size * size);
  const across = Array.from({ length: size }, (_, x) => triangle(width, wide, left + x));
  for (let y = 0; y < size; y++) {
    const down = triangle(height, tall, top + y);
    for (let x = 0; x < size; x++) for (let c = 0; c < 3; c++) {
      let level = 0;
      for (let v = 0; v < height; v++) for (let u = 0; u < width; u++) level += down[v]! * across[x]![u]! * data[(v * width + u) * 3 + c]!;
      out[(c * size + y) * size + x] = (level / 255 - mean[c]!) / std[c]!;
    }
  }
  return out;
}

/** Weights of one axis in whole units of 2^-bits, with the most bits (22 at most) that keep the largest weight of the axis below 2^15. */
function wholeWeights(inputs: number, outputs: number): { bits: number; of: (i: number) => Float64Array } {
  const all = Array.from({ length: outputs }, (_, i) => triangle(inputs, outputs, i));
  const largest = Math.max(...all.flatMap(w => [...w]));
  let bits = 22;
  while (bits > 0 && Math.trunc(0.5 + largest * 2 ** bits) >= 2 ** 15) bits--;
  return { bits, of: i => all[i]!.map(w => Math.trunc(0.5 + w * 2 ** bits)) };
}

/**
 * The same with 8-bit levels after each pass, columns first, as the official processor: whole weights, sums rounded half up.
 * @param data [height, width, 3] bytes @param width pixels @param height pixels @param size side of the result @param direct straight to size × size, no crop
 * @param mean per channel @param std per channel @returns [3, size, size]
 */
export function preprocessLevels(data: Uint8Array, width: number, height: number, size: number, direct: boolean, mean: readonly number[], std: readonly number[]): Float64Array {
  const { tall, wide, top, left } = geometry(width, height, size, direct);
  const across = wholeWeights(width, wide), down = wholeWeights(height, tall);
  const round = (sum: number, bits: number): number => Math.min(255, Math.max(0, Math.floor((sum + 2 ** (bits - 1)) / 2 ** bits)));
  const columns = Array.from({ length: size }, (_, x) => across.of(left + x));
  const rows = Array.from({ length: size }, (_, y) => down.of(top + y));
  const out = new Float64Array(3 * size * size);
  for (let c = 0; c < 3; c++) for (let x = 0; x < size; x++) {
    const narrow = Float64Array.from({ length: height }, (_, v) => round(columns[x]!.reduce((s, w, u) => s + w * data[(v * width + u) * 3 + c]!, 0), across.bits));
    for (let y = 0; y < size; y++) out[(c * size + y) * size + x] = (round(rows[y]!.reduce((s, w, v) => s + w * narrow[v]!, 0), down.bits) / 255 - mean[c]!) / std[c]!;
  }
  return out;
}
