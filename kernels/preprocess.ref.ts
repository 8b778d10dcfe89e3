// Float64 formula of kernels/preprocess.ts without rounding: every output pixel weighs all inputs with a triangle. Imported by tests only.

/** Triangle weights of every input for one output: max(0, 1 - |j + ½ - c| / s), c = (i + ½) · scale, s = max(scale, 1), normalised. */
function triangle(inputs: number, outputs: number, i: number): Float64Array {
  const scale = inputs / outputs;
  const w = Float64Array.from({ length: inputs }, (_, j) => Math.max(0, 1 - Math.abs(j + 0.5 - (i + 0.5) * scale) / Math.max(scale, 1)));
  const total = w.reduce((s, v) => s + v, 0);
  return w.map(v => v / total);
}

/**
 * Resize, crop, normalise one frame.
 * @param data [height, width, 3] bytes @param width pixels @param height pixels @param size side of the result @param direct straight to size × size, no crop
 * @param mean per channel @param std per channel @returns [3, size, size]
 */
export function preprocessFrame(data: Uint8Array, width: number, height: number, size: number, direct: boolean, mean: readonly number[], std: readonly number[]): Float64Array {
  const short = Math.floor((size * 256) / 224);
  const tall = direct ? size : height <= width ? short : Math.trunc((short * height) / width);
  const wide = direct ? size : height <= width ? Math.trunc((short * width) / height) : short;
  const top = Math.floor((tall - size) / 2);
  const left = Math.floor((wide - size) / 2);
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
