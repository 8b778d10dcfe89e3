// Effects on one picture of floats, [S, S, 3], levels 0 to 255, in place.

/** A colour change: level' = matrix · level + offset, then a table of levels. */
export interface Colour {
  /** [3, 3] row-major */
  matrix: Float64Array;
  /** added to every channel */
  offset: number;
  gamma: number;
  /** levels a channel, 0 for all */
  levels: number;
}

/** How finely the table of levels is kept: entries a level. */
const FINE = 4;

/**
 * The linear part of a colour change. Hue turns about the grey axis (Rodrigues' formula), saturation scales the distance
 * from luma (BT.601), then channels are mixed; rows have sum 1, so greys and white stay.
 * @param hue radians
 * @param saturation factor, 0 for grey
 * @param mixed [3, 3] random part, rows of sum 1
 * @param share of it, 0 to 1
 * @returns [3, 3]
 */
export function colourMatrix(hue: number, saturation: number, mixed: Float64Array, share: number): Float64Array {
  const cos = Math.cos(hue);
  const side = Math.sin(hue) / Math.sqrt(3);
  const mean = (1 - cos) / 3;
  const turn = [cos + mean, mean - side, mean + side, mean + side, cos + mean, mean - side, mean - side, mean + side, cos + mean];
  const luma = [0.299, 0.587, 0.114];
  const matrix = new Float64Array(9);
  for (let row = 0; row < 3; row++) {
    for (let k = 0; k < 3; k++) {
      const mix = share * mixed[3 * row + k]! + (row === k ? 1 - share : 0);
      for (let column = 0; column < 3; column++) {
        let turned = 0;
        for (let j = 0; j < 3; j++) turned += (saturation * (j === k ? 1 : 0) + (1 - saturation) * luma[j]!) * turn[3 * j + column]!;
        matrix[3 * row + column]! += mix * turned;
      }
    }
  }
  return matrix;
}

/**
 * Applies a colour change and clamps to 0 … 255.
 * @param picture [S, S, 3]
 * @param colour what to do
 */
export function recolour(picture: Float32Array, { matrix, offset, gamma, levels }: Colour): void {
  const [a, b, c, d, e, f, g, h, i] = matrix as unknown as [number, number, number, number, number, number, number, number, number];
  for (let p = 0; p < picture.length; p += 3) {
    const x = picture[p]!;
    const y = picture[p + 1]!;
    const z = picture[p + 2]!;
    const red = clamp(a * x + b * y + c * z + offset);
    const green = clamp(d * x + e * y + f * z + offset);
    const blue = clamp(g * x + h * y + i * z + offset);
    picture[p] = red;
    picture[p + 1] = green;
    picture[p + 2] = blue;
  }
  if (gamma === 1 && levels === 0) return;
  const table = levelTable(gamma, levels);
  for (let p = 0; p < picture.length; p++) picture[p] = table[(picture[p]! * FINE + 0.5) | 0]!;
}

function clamp(level: number): number {
  return level < 0 ? 0 : level > 255 ? 255 : level;
}

function levelTable(gamma: number, levels: number): Float32Array {
  const table = new Float32Array(255 * FINE + 1);
  for (let i = 0; i < table.length; i++) {
    const x = gamma === 1 ? i / (255 * FINE) : (i / (255 * FINE)) ** gamma;
    table[i] = 255 * (levels === 0 ? x : Math.round(x * (levels - 1)) / (levels - 1));
  }
  return table;
}

/**
 * Darkens edges: level · (1 − strength · min(1, 2·edge/255)), edge the sum of the central differences of luma.
 * @param picture [S, S, 3]
 * @param size S
 * @param strength 0 to 1
 * @param luma [S·S] scratch
 */
export function outline(picture: Float32Array, size: number, strength: number, luma: Float32Array): void {
  for (let i = 0, p = 0; p < picture.length; i++, p += 3) {
    luma[i] = 0.299 * picture[p]! + 0.587 * picture[p + 1]! + 0.114 * picture[p + 2]!;
  }
  const scale = (2 * strength) / 255;
  for (let y = 0, i = 0; y < size; y++) {
    const up = y > 0 ? -size : 0;
    const down = y < size - 1 ? size : 0;
    for (let x = 0; x < size; x++, i++) {
      const right = luma[x < size - 1 ? i + 1 : i]! - luma[x > 0 ? i - 1 : i]!;
      const edge = Math.abs(right) + Math.abs(luma[i + down]! - luma[i + up]!);
      const keep = 1 - Math.min(strength, edge * scale);
      picture[3 * i]! *= keep;
      picture[3 * i + 1]! *= keep;
      picture[3 * i + 2]! *= keep;
    }
  }
}

/**
 * Gaussian blur in two passes, cut off at 2σ; edges repeat.
 * @param picture [S, S, 3]
 * @param size S
 * @param sigma pixels
 * @param scratch [S·S·3]
 */
export function blur(picture: Float32Array, size: number, sigma: number, scratch: Float32Array): void {
  const radius = Math.max(1, Math.ceil(2 * sigma));
  const taps = Float64Array.from({ length: 2 * radius + 1 }, (_, i) => Math.exp(-((i - radius) ** 2) / (2 * sigma * sigma)));
  const sum = taps.reduce((a, b) => a + b, 0);
  taps.forEach((tap, i) => {
    taps[i] = tap / sum;
  });
  blurAlong(picture, scratch, size, taps, 3, 3 * size);
  blurAlong(scratch, picture, size, taps, 3 * size, 3);
}

function blurAlong(from: Float32Array, to: Float32Array, size: number, taps: Float64Array, step: number, across: number): void {
  const radius = (taps.length - 1) / 2;
  for (let line = 0; line < size; line++) {
    for (let x = 0; x < size; x++) {
      let red = 0;
      let green = 0;
      let blue = 0;
      for (let t = -radius; t <= radius; t++) {
        const at = line * across + Math.min(size - 1, Math.max(0, x + t)) * step;
        const tap = taps[t + radius]!;
        red += tap * from[at]!;
        green += tap * from[at + 1]!;
        blue += tap * from[at + 2]!;
      }
      const at = line * across + x * step;
      to[at] = red;
      to[at + 1] = green;
      to[at + 2] = blue;
    }
  }
}

/** A rectangle inside a picture: left, top, width, height in pixels. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/**
 * @param size side of the picture, pixels
 * @param area share of the picture, 0 to 1
 * @param aspect width / height wanted
 * @param u uniform in [0, 1): place across
 * @param v uniform in [0, 1): place down
 * @returns a rectangle that lies inside
 */
export function boxOf(size: number, area: number, aspect: number, u: number, v: number): Box {
  const width = Math.min(size, Math.round(size * Math.sqrt(area * aspect)));
  const height = Math.min(size, Math.round(size * Math.sqrt(area / aspect)));
  return { x: Math.floor(u * (size - width + 1)), y: Math.floor(v * (size - height + 1)), width, height };
}

/**
 * Fills a rectangle with one colour.
 * @param picture [S, S, 3]
 * @param size S
 * @param box where
 * @param colour [3] levels
 */
export function erase(picture: Float32Array, size: number, box: Box, colour: readonly number[]): void {
  for (let y = box.y; y < box.y + box.height; y++) {
    for (let x = box.x; x < box.x + box.width; x++) {
      for (let c = 0; c < 3; c++) picture[(y * size + x) * 3 + c] = colour[c]!;
    }
  }
}

/**
 * Blends another picture in: (1 − share)·picture + share·mate.
 * @param picture [S, S, 3]
 * @param mate [S, S, 3]
 * @param share 0 to 1
 */
export function blend(picture: Float32Array, mate: Float32Array, share: number): void {
  for (let i = 0; i < picture.length; i++) picture[i]! += share * (mate[i]! - picture[i]!);
}

/**
 * Copies a rectangle of another picture.
 * @param picture [S, S, 3]
 * @param mate [S, S, 3]
 * @param size S
 * @param box where
 */
export function cut(picture: Float32Array, mate: Float32Array, size: number, box: Box): void {
  for (let y = box.y; y < box.y + box.height; y++) {
    const from = (y * size + box.x) * 3;
    picture.set(mate.subarray(from, from + box.width * 3), from);
  }
}
