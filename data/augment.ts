import { augmentConfig, NO_AUGMENT, type AugmentConfig } from './augment_config.ts';
import { blend, blur, boxOf, colourMatrix, cut, erase, outline, recolour } from './augment_effects.ts';
import { DataError } from './errors.ts';
import { CounterRandom } from './random.ts';

export { NO_AUGMENT, type AugmentConfig };

/** Mean of ImageNet's channels, share of 255, as the vision encoder's preprocessing has it. */
export const MEAN: readonly [number, number, number] = [0.485, 0.456, 0.406];
/** Deviation of ImageNet's channels, share of 255. */
export const STD: readonly [number, number, number] = [0.229, 0.224, 0.225];

/** Which pictures make a batch. */
export interface PictureBatch {
  /** [n, S, S, 3] RGB */
  pictures: Uint8Array;
  /** S */
  size: number;
  /** [B] places in `pictures` */
  picks: ArrayLike<number>;
  /** [B] another picture of the same concept for mixing, −1 for none */
  mates?: ArrayLike<number>;
}

/** Where in a run a batch is made: all that its random numbers depend on, beside the place in the batch. */
export interface BatchMoment {
  seed: number;
  step: number;
  /** 0 or another number for a second view of the same pictures */
  view?: number;
}

/** Place of each draw among the random numbers of one picture, fixed so that turning an effect off moves no other. */
const DRAW = {
  ...{ flip: 0, shiftX: 1, shiftY: 2, scale: 3, aspect: 4, rotate: 5, hue: 6, saturation: 7, brightness: 8, contrast: 9 },
  ...{ gamma: 10, grey: 11, posterise: 12, outline: 13, blur: 14, blurSigma: 15, erase: 16, eraseArea: 17, eraseAspect: 18 },
  ...{ eraseX: 19, eraseY: 20, eraseColour: 21, mix: 24, mixShare: 25, mixCut: 26, cutX: 27, cutY: 28, channels: 32 },
} as const;

/** Streams of random numbers of one picture: its own and its mate's geometry. */
const STREAMS_PER_VIEW = 4;

interface Scratch {
  picture: Float32Array;
  mate: Float32Array;
}

const signed = (u: number): number => 2 * u - 1;
const factor = (u: number, most: number): number => Math.exp(signed(u) * Math.log1p(most));

/**
 * Changes the picked pictures at random and writes them normalised: (level/255 − mean)/std, channels first. Order: one
 * affine map with bilinear sampling, mixing with the mate, outline, colour, blur, erasing. Shrinking by more than 2 aliases.
 * The result depends on the pictures, the recipe, `at` and the place in the batch, on nothing else.
 * @param batch pictures [n, S, S, 3], picks [B], mates [B]
 * @param config the recipe; what is absent is off
 * @param at seed and step of the run
 * @param outSize side of the result, pixels
 * @param out [B, 1, 3, outSize, outSize] f32, written
 * @throws DataError when a size, a pick or the recipe is wrong
 */
export function augmentBatch(
  batch: PictureBatch,
  config: Partial<AugmentConfig>,
  at: BatchMoment,
  outSize: number,
  out: Float32Array,
): void {
  const recipe = augmentConfig(config);
  checkBatch(batch, outSize, out);
  const length = outSize * outSize * 3;
  const scratch: Scratch = { picture: new Float32Array(length), mate: new Float32Array(length) };
  for (let b = 0; b < batch.picks.length; b++) {
    const stream = STREAMS_PER_VIEW * (at.view ?? 0);
    const random = new CounterRandom(at.seed, at.step, b, stream);
    sample(batch, batch.picks[b]!, recipe, random, outSize, scratch.picture);
    const mate = batch.mates?.[b] ?? -1;
    if (mate >= 0 && random.uniform(DRAW.mix) < recipe.mix) {
      sample(batch, mate, recipe, new CounterRandom(at.seed, at.step, b, stream + 1), outSize, scratch.mate);
      mixMate(scratch, outSize, recipe, random);
    }
    restyle(scratch, outSize, recipe, random);
    writeNormalized(scratch.picture, out, b * length);
  }
}

function checkBatch({ pictures, size, picks, mates }: PictureBatch, outSize: number, out: Float32Array): void {
  const n = pictures.length / (size * size * 3);
  if (!Number.isInteger(n)) throw new DataError('augment', `expected pictures [n, ${size}, ${size}, 3], got ${pictures.length} bytes`);
  const expected = picks.length * outSize * outSize * 3;
  if (out.length !== expected) {
    throw new DataError('augment', `expected out [${picks.length}, 1, 3, ${outSize}, ${outSize}] = ${expected} floats, got ${out.length}`);
  }
  if (mates && mates.length !== picks.length) throw new DataError('augment', `expected ${picks.length} mates, got ${mates.length}`);
  for (let b = 0; b < picks.length; b++) {
    const [pick, mate] = [picks[b]!, mates?.[b] ?? -1];
    if (!(Number.isInteger(pick) && pick >= 0 && pick < n && Number.isInteger(mate) && mate >= -1 && mate < n)) {
      throw new DataError('augment', `pick and mate ${b} must be integers below ${n}, got ${pick} and ${mate}`);
    }
  }
}

/** Affine map from result to source, drawn at random, and bilinear sampling: fills to [S', S', 3]. */
function sample(batch: PictureBatch, pick: number, config: AugmentConfig, random: CounterRandom, outSize: number, to: Float32Array): void {
  const angle = config.rotate === 0 ? 0 : (signed(random.uniform(DRAW.rotate)) * config.rotate * Math.PI) / 180;
  const zoom = config.scale === 0 ? 1 : factor(random.uniform(DRAW.scale), config.scale);
  const stretch = config.aspect === 0 ? 1 : Math.sqrt(factor(random.uniform(DRAW.aspect), config.aspect));
  const mirror = random.uniform(DRAW.flip) < config.flip ? -1 : 1;
  const shiftX = config.shift === 0 ? 0 : signed(random.uniform(DRAW.shiftX)) * config.shift;
  const shiftY = config.shift === 0 ? 0 : signed(random.uniform(DRAW.shiftY)) * config.shift;
  const { size } = batch;
  const scale = size / outSize;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  // source = centre + mirror · stretch⁻¹ · rotation⁻¹ · (result − centre − shift) / zoom
  const xx = (mirror * cos * scale) / (zoom * stretch);
  const xy = (mirror * sin * scale) / (zoom * stretch);
  const yx = (-sin * scale * stretch) / zoom;
  const yy = (cos * scale * stretch) / zoom;
  const startX = 0.5 - outSize * (0.5 + shiftX);
  const startY = 0.5 - outSize * (0.5 + shiftY);
  const source = batch.pictures.subarray(pick * size * size * 3, (pick + 1) * size * size * 3);
  const middle = size / 2 - 0.5;
  const row = size * 3;
  for (let y = 0, at = 0; y < outSize; y++) {
    for (let x = 0; x < outSize; x++, at += 3) {
      const px = middle + xx * (x + startX) + xy * (y + startY);
      const py = middle + yx * (x + startX) + yy * (y + startY);
      if (px >= 0 && py >= 0 && px < size - 1 && py < size - 1) {
        const left = px | 0;
        const top = py | 0;
        const fx = px - left;
        const fy = py - top;
        const i = top * row + left * 3;
        for (let k = 0; k < 3; k++) {
          const a = source[i + k]!;
          const c = source[i + row + k]!;
          const upper = a + (source[i + k + 3]! - a) * fx;
          to[at + k] = upper + (c + (source[i + row + k + 3]! - c) * fx - upper) * fy;
        }
      } else {
        edge(source, size, px, py, config.background, to, at);
      }
    }
  }
}

/** One bilinear sample of three channels where some of the four pixels may lie outside: those have the background's level. */
function edge(source: Uint8Array, size: number, x: number, y: number, background: number, to: Float32Array, at: number): void {
  const left = Math.floor(x);
  const top = Math.floor(y);
  const fx = x - left;
  const fy = y - top;
  const i = (top * size + left) * 3;
  const l = left >= 0 && left < size;
  const r = left >= -1 && left < size - 1;
  const t = top >= 0 && top < size;
  const b = top >= -1 && top < size - 1;
  for (let c = 0; c < 3; c++) {
    const p00 = t && l ? source[i + c]! : background;
    const p01 = t && r ? source[i + 3 + c]! : background;
    const p10 = b && l ? source[i + size * 3 + c]! : background;
    const p11 = b && r ? source[i + size * 3 + 3 + c]! : background;
    const upper = p00 + (p01 - p00) * fx;
    to[at + c] = upper + (p10 + (p11 - p10) * fx - upper) * fy;
  }
}

function mixMate({ picture, mate }: Scratch, size: number, c: AugmentConfig, random: CounterRandom): void {
  const share = random.uniform(DRAW.mixShare) * c.mixShare;
  if (random.uniform(DRAW.mixCut) < c.mixCut) {
    cut(picture, mate, size, boxOf(size, share, 1, random.uniform(DRAW.cutX), random.uniform(DRAW.cutY)));
  } else {
    blend(picture, mate, share);
  }
}

/** Everything after geometry: outline, colour, blur, erasing. */
function restyle({ picture, mate }: Scratch, size: number, c: AugmentConfig, random: CounterRandom): void {
  if (random.uniform(DRAW.outline) < c.outline) outline(picture, size, c.outlineStrength, mate);
  changeColour(picture, c, random);
  if (c.blurSigma > 0 && random.uniform(DRAW.blur) < c.blur) {
    blur(picture, size, Math.max(0.1, random.uniform(DRAW.blurSigma) * c.blurSigma), mate);
  }
  if (random.uniform(DRAW.erase) < c.erase) {
    const aspect = factor(random.uniform(DRAW.eraseAspect), 2); // from 1:3 to 3:1
    const area = random.uniform(DRAW.eraseArea) * c.eraseArea;
    const box = boxOf(size, area, aspect, random.uniform(DRAW.eraseX), random.uniform(DRAW.eraseY));
    erase(picture, size, box, [0, 1, 2].map((k) => 255 * random.uniform(DRAW.eraseColour + k)));
  }
}

function changeColour(picture: Float32Array, c: AugmentConfig, random: CounterRandom): void {
  const grey = random.uniform(DRAW.grey) < c.grey;
  const levels = random.uniform(DRAW.posterise) < c.posterise ? Math.round(c.posteriseLevels) : 0;
  if (!grey && levels === 0 && !(c.hue || c.saturation || c.brightness || c.contrast || c.gamma || c.channelMix)) return;
  const saturation = grey ? 0 : c.saturation === 0 ? 1 : factor(random.uniform(DRAW.saturation), c.saturation);
  const hue = (signed(random.uniform(DRAW.hue)) * c.hue * Math.PI) / 180;
  const mixed = c.channelMix === 0 || grey ? new Float64Array(9) : randomRows(random);
  const contrast = c.contrast === 0 ? 1 : factor(random.uniform(DRAW.contrast), c.contrast);
  const matrix = colourMatrix(hue, saturation, mixed, grey ? 0 : c.channelMix).map((m) => m * contrast);
  const offset = 127.5 * (1 - contrast) + 255 * signed(random.uniform(DRAW.brightness)) * c.brightness;
  const gamma = c.gamma === 0 ? 1 : factor(random.uniform(DRAW.gamma), c.gamma);
  recolour(picture, { matrix, offset, gamma, levels });
}

/** [3, 3] uniform numbers, each row divided by its sum. */
function randomRows(random: CounterRandom): Float64Array {
  const rows = Float64Array.from({ length: 9 }, (_, i) => random.uniform(DRAW.channels + i) + 1e-3);
  for (let r = 0; r < 9; r += 3) {
    const sum = rows[r]! + rows[r + 1]! + rows[r + 2]!;
    for (let k = 0; k < 3; k++) rows[r + k]! /= sum;
  }
  return rows;
}

/** [S, S, 3] levels to [3, S, S] normalised, from `at` in `out`. */
function writeNormalized(picture: ArrayLike<number>, out: Float32Array, at: number, from = 0, length = picture.length): void {
  const plane = length / 3;
  for (let c = 0; c < 3; c++) {
    const scale = 1 / (255 * STD[c]!);
    const offset = -MEAN[c]! / STD[c]!;
    const to = at + c * plane;
    for (let i = 0, p = from + c; i < plane; i++, p += 3) out[to + i] = picture[p]! * scale + offset;
  }
}

/**
 * Normalises pictures without changing them: (level/255 − mean)/std, channels first.
 * @param pictures [n, S, S, 3] RGB
 * @param size S
 * @param out [B, 1, 3, S, S], made when absent
 * @param picks [B] places in `pictures`; all in order when absent
 * @returns out
 * @throws DataError when a size or a pick is wrong
 */
export function normalizePictures(pictures: Uint8Array, size: number, out?: Float32Array, picks?: ArrayLike<number>): Float32Array {
  const length = size * size * 3;
  const chosen = picks ?? Uint32Array.from({ length: Math.floor(pictures.length / length) }, (_, i) => i);
  const target = out ?? new Float32Array(chosen.length * length);
  checkBatch({ pictures, size, picks: chosen }, size, target);
  for (let b = 0; b < chosen.length; b++) writeNormalized(pictures, target, b * length, chosen[b]! * length, length);
  return target;
}
