// Set MS, moving sprites: a drawing on a pale background that moves in one of eight ways. A clip is a seeded function of its address; nothing is stored.
import { DataError } from './errors.ts';
import type { CounterRandom } from './random.ts';

/** A motion: what is said of it, and which of the four pose values runs which way. */
export interface Motion {
  /** answer to "How does it move?" */
  readonly answer: string;
  /** 0 place from left to right, 1 place from top to bottom, 2 size, 3 clockwise turn */
  readonly axis: 0 | 1 | 2 | 3;
  /** 1: the value grows, −1: it falls */
  readonly sign: 1 | -1;
}

/** The eight motions of the set, in the order of their numbers. */
export const MOTIONS: readonly Motion[] = [
  { answer: 'moving left', axis: 0, sign: -1 },
  { answer: 'moving right', axis: 0, sign: 1 },
  { answer: 'moving up', axis: 1, sign: -1 },
  { answer: 'moving down', axis: 1, sign: 1 },
  { answer: 'growing', axis: 2, sign: 1 },
  { answer: 'shrinking', axis: 2, sign: -1 },
  { answer: 'turning clockwise', axis: 3, sign: 1 },
  { answer: 'turning counter-clockwise', axis: 3, sign: -1 },
];

/** How far sprites move and what they lie on: plain data. */
export interface SpriteSettings {
  /** frames of a clip, an even number */
  readonly frames: number;
  /** ± way of the centre along either axis, share of the side */
  readonly shift: number;
  /** side of the sprite as a share of the frame's, least and greatest; steps between are factors */
  readonly zoom: readonly [number, number];
  /** ± turn, degrees */
  readonly turn: number;
  /** darkest level of a background colour: 1 − tint, as a share of white */
  readonly tint: number;
}

/** The settings of the set. */
export const SPRITES: SpriteSettings = { frames: 16, shift: 0.07, zoom: [0.85, 1], turn: 14, tint: 0.12 };

/** Shares of plain backgrounds and of plain or gradient ones; the rest is faded clip art. */
const PLAIN = 0.4, GRADIENT = 0.75;

/** Places of a clip's draws. */
const DRAW = { start: 0, kind: 4, angle: 5, first: 8, second: 12, levels: 16 } as const;

/** A square drawing on white. */
export interface Drawing {
  /** side, pixels */
  readonly size: number;
  /** [size, size, 3] levels, 0 to 255 */
  readonly levels: ArrayLike<number>;
}

/** The levels of the moving value: up or down from the first one, with one wrap. @returns [n] levels */
export const levelsFrom = (start: number, sign: 1 | -1, n: number): number[] => Array.from({ length: n }, (_, t) => (((start + sign * t) % n) + n) % n);

/**
 * The levels of a value that does not move: every two frames hold two neighbouring levels, as they do for the moving value, but which two come next and in which order is
 * drawn by lot. Every value takes each level once and the first level is given, so a first frame does not tell the motion. Nor do all frames without their order: the moving
 * value lies to the others as they lie to each other, since drawn orders of pairs and of the two within them form a group.
 * @param start first level, 0 to n − 1 @param n levels and frames, even @param uniform numbers from 0 to 1 at the places 0 to n − 1 @returns [n] levels
 */
export function levelsByLot(start: number, n: number, uniform: (place: number) => number): number[] {
  const pairs = n / 2;
  const low = uniform(0) < 0.5 ? start : start + n - 1; // of the first pair: the first level is its lower or its upper one
  const others = Array.from({ length: pairs - 1 }, (_, k) => k + 1);
  for (let i = others.length - 1; i > 0; i--) {
    const j = Math.floor(uniform(i) * (i + 1));
    [others[i], others[j]] = [others[j]!, others[i]!];
  }
  return [0, ...others].flatMap((pair, k) => {
    const level = (low + 2 * pair) % n, next = (level + 1) % n;
    return (k === 0 ? low === start : uniform(pairs - 1 + k) < 0.5) ? [level, next] : [next, level];
  });
}

/**
 * Where the sprite is in every frame. All motions of one address begin with the same pose.
 * @param motion 0 to 7 @param random the clip's numbers @param settings ranges
 * @returns [frames, 4] centre to the right and down (shares of the side), side (share of the frame's), clockwise turn (radians)
 * @throws DataError for an unknown motion or an odd number of frames
 */
export function spritePoses(motion: number, random: CounterRandom, settings: SpriteSettings = SPRITES): Float64Array {
  const { frames, shift, zoom: [least, most], turn } = settings;
  const moving = MOTIONS[motion];
  if (!moving) throw new DataError('spritePoses', `expected a motion from 0 to ${MOTIONS.length - 1}, got ${motion}`);
  if (!Number.isInteger(frames) || frames < 2 || frames % 2) throw new DataError('spritePoses', `expected an even number of frames, got ${frames}`);
  const poses = new Float64Array(frames * 4);
  for (let axis = 0; axis < 4; axis++) {
    const start = Math.floor(random.uniform(DRAW.start + axis) * frames);
    const levels = axis === moving.axis ? levelsFrom(start, moving.sign, frames) : levelsByLot(start, frames, (place) => random.uniform(DRAW.levels + axis * frames + place));
    levels.forEach((level, t) => {
      const at = (2 * level) / (frames - 1) - 1; // −1 to 1
      poses[t * 4 + axis] = axis < 2 ? at * shift : axis === 2 ? least * (most / least) ** ((at + 1) / 2) : (at * turn * Math.PI) / 180;
    });
  }
  return poses;
}

/** A background [S, S, 3] as shares of white: one colour, two colours that run into each other, or a faded drawing. */
function background(random: CounterRandom, backdrop: Drawing | undefined, tint: number, side: number): Float32Array {
  const kind = random.uniform(DRAW.kind);
  const colour = (from: number): number[] => [0, 1, 2].map((c) => 1 - tint * random.uniform(from + c));
  const [first, second] = [colour(DRAW.first), colour(DRAW.second)];
  const angle = 2 * Math.PI * random.uniform(DRAW.angle);
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const art = kind >= GRADIENT ? backdrop : undefined;
  const scale = art ? art.size / side : 0;
  const out = new Float32Array(side * side * 3);
  for (let y = 0, i = 0; y < side; y++) {
    for (let x = 0; x < side; x++, i += 3) {
      const from = art ? (Math.floor((y + 0.5) * scale) * art.size + Math.floor((x + 0.5) * scale)) * 3 : 0;
      const share = kind < PLAIN ? 0 : Math.min(1, Math.max(0, 0.5 + cos * ((x + 0.5) / side - 0.5) + sin * ((y + 0.5) / side - 0.5)));
      for (let c = 0; c < 3; c++) out[i + c] = art ? 1 - tint * (1 - art.levels[from + c]! / 255) : first[c]! * (1 - share) + second[c]! * share;
    }
  }
  return out;
}

/** One frame: the sprite, bilinear, printed on the background (levels multiply, so white is clear). Shrinking by more than 2 aliases. */
function drawFrame({ size, levels }: Drawing, pose: Float64Array, behind: Float32Array, side: number, out: Uint8Array, from: number): void {
  const [right, down, zoom, turn] = pose as unknown as [number, number, number, number];
  const step = size / side / zoom;
  const [cos, sin] = [Math.cos(turn) * step, Math.sin(turn) * step];
  const [startX, startY] = [0.5 - side * (0.5 + right), 0.5 - side * (0.5 + down)];
  const middle = size / 2 - 0.5;
  const row = size * 3;
  for (let y = 0, i = 0; y < side; y++) {
    let px = middle + cos * startX + sin * (y + startY);
    let py = middle - sin * startX + cos * (y + startY);
    for (let x = 0; x < side; x++, i += 3, px += cos, py -= sin) {
      const left = Math.floor(px), top = Math.floor(py);
      const fx = px - left, fy = py - top;
      if (left >= 0 && top >= 0 && left < size - 1 && top < size - 1) {
        const at = top * row + left * 3;
        for (let c = 0; c < 3; c++) {
          const upper = levels[at + c]! + (levels[at + c + 3]! - levels[at + c]!) * fx;
          const lower = levels[at + row + c]! + (levels[at + row + c + 3]! - levels[at + row + c]!) * fx;
          out[from + i + c] = (upper + (lower - upper) * fy) * behind[i + c]! + 0.5;
        }
        continue;
      }
      for (let c = 0; c < 3; c++) {
        const level = (u: number, v: number): number => (u >= 0 && v >= 0 && u < size && v < size ? levels[v * row + u * 3 + c]! : 255);
        const upper = level(left, top) + (level(left + 1, top) - level(left, top)) * fx;
        const lower = level(left, top + 1) + (level(left + 1, top + 1) - level(left, top + 1)) * fx;
        out[from + i + c] = (upper + (lower - upper) * fy) * behind[i + c]! + 0.5;
      }
    }
  }
}

/**
 * One clip.
 * @param sprite the drawing that moves @param motion 0 to 7 @param random all that is drawn by lot: seed, step and index are the clip's address
 * @param side of the frames, pixels @param options settings of the set; a drawing for backgrounds of clip art (a gradient without one); where to write
 * @returns [frames, side, side, 3] levels
 * @throws DataError when the drawing does not fit its size, the motion is unknown or `out` is too short
 */
export function spriteClip(
  sprite: Drawing,
  motion: number,
  random: CounterRandom,
  side: number,
  { settings = SPRITES, backdrop, out, from = 0 }: { settings?: SpriteSettings; backdrop?: Drawing | undefined; out?: Uint8Array; from?: number } = {},
): Uint8Array {
  const each = side * side * 3;
  const frames = out ?? new Uint8Array(from + settings.frames * each);
  for (const { size, levels } of backdrop ? [sprite, backdrop] : [sprite]) {
    if (levels.length !== size * size * 3) throw new DataError('spriteClip', `expected ${size * size * 3} levels for a drawing of ${size} x ${size}, got ${levels.length}`);
  }
  if (frames.length < from + settings.frames * each) throw new DataError('spriteClip', `expected room for ${settings.frames * each} levels from ${from}, got ${frames.length}`);
  const poses = spritePoses(motion, random, settings);
  const behind = background(random, backdrop, settings.tint, side);
  for (let t = 0; t < settings.frames; t++) drawFrame(sprite, poses.subarray(t * 4, t * 4 + 4), behind, side, frames, from + t * each);
  return frames;
}

/**
 * Whether an object and a motion are kept apart from training: one pair in ten, by FNV-1a of both.
 * @param key of the concept @param motion 0 to 7 @returns true for a held-out pair
 */
export function isHeldOutPair(key: string, motion: number): boolean {
  let hash = 0x811c9dc5;
  for (const char of `${key}/${motion}`) hash = Math.imul(hash ^ char.codePointAt(0)!, 0x01000193) >>> 0;
  return (hash ^ (hash >>> 15)) % 10 === 0;
}
