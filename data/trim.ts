// The content of a drawing: the box of what differs from its plain margin.
import { DataError } from './errors.ts';

/** A part of a picture, pixels; it may reach beyond the picture. */
export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

export interface RgbPicture {
  width: number;
  height: number;
  /** [height, width, 3] */
  data: Uint8Array;
}

/** Levels by which a channel must differ from the margin to count as content: above the noise of a JPEG's plain area. */
const DIFFERENCE = 10;

type Margin = 'none' | 'everything' | Box;

const near = (a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number): boolean => [0, 1, 2].every(c => Math.abs(a[i + c]! - b[j + c]!) <= DIFFERENCE);

/** What lies inside the plain margin: a box, or everything is margin, or there is no margin since the corners differ. */
function inside({ width, height, data }: RgbPicture): Margin {
  if (data.length !== width * height * 3) throw new DataError('contentBox', `expected ${width * height * 3} bytes for ${width} x ${height} RGB, got ${data.length}`);
  if (width === 0 || height === 0) return 'none';
  const differs = (i: number): boolean => Math.abs(data[i]! - data[0]!) > DIFFERENCE || Math.abs(data[i + 1]! - data[1]!) > DIFFERENCE || Math.abs(data[i + 2]! - data[2]!) > DIFFERENCE;
  const corners = [width - 1, (height - 1) * width, height * width - 1];
  if (corners.some(p => differs(p * 3))) return 'none';
  let left = width, right = -1, top = height, bottom = -1;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i += 3) {
      if (!differs(i)) continue;
      if (x < left) left = x;
      if (x > right) right = x;
      if (y < top) top = y;
      bottom = y;
    }
  }
  return right < 0 ? 'everything' : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

/**
 * The smallest box that holds every pixel that differs from the margin's colour, which is that of the top left pixel if all four corners agree.
 * @param picture RGB bytes @returns the box; the whole picture when the corners differ (a photograph) or nothing differs
 * @throws DataError when the bytes do not fit the size
 */
export function contentBox(picture: RgbPicture): Box {
  const found = inside(picture);
  return typeof found === 'string' ? { left: 0, top: 0, width: picture.width, height: picture.height } : found;
}

/** The box of a picture, moved half-way to a square: the long side stays, the short side becomes the geometric mean of both, with margin around it. */
function cutOut(picture: RgbPicture, box: Box): RgbPicture {
  const long = Math.max(box.width, box.height);
  const width = Math.round(Math.sqrt(long * box.width)), height = Math.round(Math.sqrt(long * box.height));
  if (width === picture.width && height === picture.height) return picture;
  const out = new Uint8Array(width * height * 3);
  for (let i = 0; i < out.length; i++) out[i] = picture.data[i % 3]!;
  const left = Math.floor((width - box.width) / 2), top = Math.floor((height - box.height) / 2);
  for (let y = 0; y < box.height; y++) {
    const from = ((box.top + y) * picture.width + box.left) * 3;
    out.set(picture.data.subarray(from, from + box.width * 3), ((top + y) * width + left) * 3);
  }
  return { width, height, data: out };
}

/**
 * Trims the plain margin and moves the shape half-way to a square.
 * Artists leave different margins; without them drawings of one thing lie on each other (raw pixels at 16 x 16, Twemoji left out: R@1 39.0 with margins, 45.9 trimmed to a square, 47.0 so).
 * @param picture RGB bytes @returns the content in margin colour, a new picture; the same one when there is no margin and it is square
 * @throws DataError when the bytes do not fit the size
 */
export const trimPicture = (picture: RgbPicture): RgbPicture => cutOut(picture, contentBox(picture));

/**
 * Trims the frames of a clip to one box, that of all frames together, so that what moves still moves: as `trimPicture` for a clip of one frame.
 * @param frames of one size @returns as many frames; the same ones when a frame has no plain margin, margins differ in colour, sizes differ, or nothing is drawn in any
 * @throws DataError when bytes do not fit a size
 */
export function trimClip(frames: readonly RgbPicture[]): readonly RgbPicture[] {
  const first = frames[0];
  if (!first) return frames;
  if (frames.length === 1) return [trimPicture(first)];
  const found = frames.map(inside);
  if (found.includes('none') || frames.some(f => f.width !== first.width || f.height !== first.height || !near(f.data, 0, first.data, 0))) return frames;
  const boxes = found.filter((f): f is Box => typeof f !== 'string');
  if (boxes.length === 0) return frames;
  const left = Math.min(...boxes.map(b => b.left)), top = Math.min(...boxes.map(b => b.top));
  const box = { left, top, width: Math.max(...boxes.map(b => b.left + b.width)) - left, height: Math.max(...boxes.map(b => b.top + b.height)) - top };
  return frames.map(f => cutOut(f, box));
}
