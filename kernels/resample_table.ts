// Weight tables of the antialiased bilinear resize, made on the CPU in float64: triangle filter, half-pixel centres, support widened when shrinking
// (torchvision `resize(antialias=True)`, Pillow `BILINEAR`).

/** One axis of a resize, for the outputs that are wanted. */
export interface ResampleTable {
  /** [outputs, 2 + K] words: first input, how many, then weights (bits of f32, or i32 in fixed point) padded to K. */
  readonly words: Uint32Array;
  /** Words per output. */
  readonly stride: number;
  /** Bits after the point of fixed-point weights; 0 for f32. */
  readonly bits: number;
  /** Inputs that are read: first and count. */
  readonly first: number;
  readonly span: number;
}

function weightsOf(output: number, scale: number, inputs: number): { start: number; weights: number[] } {
  const centre = scale * (output + 0.5);
  const support = Math.max(scale, 1);
  const start = Math.max(0, Math.trunc(centre - support + 0.5));
  const end = Math.min(inputs, Math.trunc(centre + support + 0.5));
  const raw = Array.from({ length: end - start }, (_, k) => Math.max(0, 1 - Math.abs(start + k + 0.5 - centre) / support));
  const total = raw.reduce((sum, w) => sum + w, 0);
  return { start, weights: raw.map(w => w / total) };
}

/** The most bits with which the largest weight of the whole axis stays below 2^15: the rule of Pillow and of torchvision's 8-bit path. */
function bitsFor(scale: number, inputs: number, outputs: number): number {
  let largest = 0;
  for (let i = 0; i < outputs; i++) for (const w of weightsOf(i, scale, inputs).weights) largest = Math.max(largest, w);
  let bits = 0;
  while (bits < 22 && Math.trunc(0.5 + largest * 2 ** (bits + 1)) < 2 ** 15) bits++;
  return bits;
}

/**
 * Weights that take an axis of `inputs` samples to `outputs`, for the outputs first … first + count - 1.
 * @param inputs samples of the source axis @param outputs samples of the whole resized axis @param first first wanted output @param count how many
 * @param fixedPoint true: i32 weights for whole levels, false: f32 weights
 * @returns the table
 */
export function resampleTable(inputs: number, outputs: number, first: number, count: number, fixedPoint: boolean): ResampleTable {
  const scale = inputs / outputs;
  const bits = fixedPoint ? bitsFor(scale, inputs, outputs) : 0;
  const rows = Array.from({ length: count }, (_, i) => weightsOf(first + i, scale, inputs));
  const stride = 2 + rows.reduce((most, r) => Math.max(most, r.weights.length), 0);
  const words = new Uint32Array(count * stride);
  const floats = new Float32Array(words.buffer);
  rows.forEach(({ start, weights }, i) => {
    words.set([start, weights.length], i * stride);
    weights.forEach((w, k) => {
      if (fixedPoint) words[i * stride + 2 + k] = Math.trunc(0.5 + w * 2 ** bits);
      else floats[i * stride + 2 + k] = w;
    });
  });
  const low = Math.min(...rows.map(r => r.start));
  return { words, stride, bits, first: low, span: Math.max(...rows.map(r => r.start + r.weights.length)) - low };
}
