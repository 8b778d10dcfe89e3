import { DataError } from './errors.ts';

/** Pictures of one artist, one a concept, in the same order of concepts for every artist of a comparison. */
export interface PictureSet {
  /** side, pixels, a multiple of 16 */
  size: number;
  /** [n, size, size, 3] RGB on white */
  pixels: Uint8Array;
}

/** Recall of a search among n concepts, per cent. */
export interface Recall {
  n: number;
  r1: number;
  r5: number;
  r10: number;
}

/** Rows of numbers: [n, width]. */
export interface Rows {
  n: number;
  width: number;
  data: Float32Array;
}

/**
 * Baseline without learning: cosine of pictures averaged to 16×16 pixels, each artist's mean picture subtracted, maximum
 * over the artists of the gallery. (The mean of the queries is taken over all queries, so the whole test set is used at once.)
 * @param query [n, S, S, 3] pictures of the artist to be recognised
 * @param gallery pictures of other artists, same concepts, same order
 * @returns recall of the right concept among n
 * @throws DataError when sizes differ
 */
export function rawPixelBaseline(query: PictureSet, gallery: readonly PictureSet[]): Recall {
  return recall(query, gallery, (set) => centred(thumbnails(set, 16)));
}

/**
 * Baseline without learning: colour thumbnails 8×8 and orientation histograms (8×8 cells, 9 unsigned orientations), each
 * of length 1, joined, each artist's mean subtracted, cosine, maximum over the artists of the gallery.
 * @param query [n, S, S, 3] pictures of the artist to be recognised
 * @param gallery pictures of other artists, same concepts, same order
 * @param cells 'l2': each cell divided by its length; 'root': square root of each bin, which is stronger
 * @returns recall of the right concept among n
 * @throws DataError when sizes differ
 */
export function hogBaseline(query: PictureSet, gallery: readonly PictureSet[], cells: 'l2' | 'root' = 'l2'): Recall {
  return recall(query, gallery, (set) => centred(join(unit(thumbnails(set, 8)), unit(orientations(set, cells)))));
}

/**
 * The rows of `rawPixelBaseline` before the mean is taken off, for other searches; frames of clips that lie one after another make [clips, frames · width].
 * @param set pictures
 * @param side of the thumbnails, which divides that of the pictures
 * @returns [n, side · side · 3], 0 to 1
 * @throws DataError when `side` does not divide
 */
export const pixelRows = (set: PictureSet, side = 16): Rows => thumbnails(set, side);

/**
 * The rows of `hogBaseline` (`root` cells) before the mean is taken off: colours 8×8 and orientations, each of length 1.
 * @param set pictures of a side that 8 divides
 * @returns [n, 8 · 8 · (3 + 9)]
 * @throws DataError when 8 does not divide
 */
export const edgeRows = (set: PictureSet): Rows => join(unit(thumbnails(set, 8)), unit(orientations(set, 'root')));

/**
 * The mean row subtracted, then each row of length 1, in place.
 * @param rows of one artist
 * @returns the same rows
 */
export const centredRows = (rows: Rows): Rows => centred(rows);

function recall(query: PictureSet, gallery: readonly PictureSet[], feature: (set: PictureSet) => Rows): Recall {
  const n = query.pixels.length / (query.size * query.size * 3);
  if (gallery.length === 0) throw new DataError('baselines', 'expected at least one artist in the gallery, got none');
  for (const set of gallery) {
    if (set.size !== query.size || set.pixels.length !== query.pixels.length) {
      throw new DataError(
        'baselines',
        `expected ${n} pictures of side ${query.size} from every artist, got ${set.pixels.length} bytes of side ${set.size}`,
      );
    }
  }
  const best = new Float32Array(n * n).fill(-Infinity);
  const rows = feature(query);
  for (const set of gallery) maxSimilarity(rows, feature(set), best);
  return recallOf(best, n);
}

/**
 * Recall from a square table of scores whose diagonal is right; a tie counts for the right answer.
 * @param scores [n, n] query × candidate
 * @param n number of queries
 * @returns recall in per cent
 */
export function recallOf(scores: Float32Array, n: number): Recall {
  const hits = [0, 0, 0];
  for (let q = 0; q < n; q++) {
    const right = scores[q * n + q]!;
    let above = 0;
    for (let c = 0; c < n; c++) if (scores[q * n + c]! > right) above++;
    [1, 5, 10].forEach((k, i) => {
      if (above < k) hits[i]!++;
    });
  }
  const [r1, r5, r10] = hits.map((h) => (100 * h) / n) as [number, number, number];
  return { n, r1, r5, r10 };
}

/** best = max(best, a · bᵀ), two queries by four candidates at a time: eight sums from six loads. */
function maxSimilarity(a: Rows, b: Rows, best: Float32Array): void {
  const { n } = a;
  const sums = new Float64Array(8);
  for (let c = 0; c < n; c += 4) {
    for (let q = 0; q < n; q += 2) {
      dots(a, b, q, Math.min(q + 1, n - 1), c, n - 1, sums);
      for (let k = 0; k < 8; k++) {
        const row = q + (k >> 2);
        const column = c + (k & 3);
        if (row < n && column < n) best[row * n + column] = Math.max(best[row * n + column]!, sums[k]!);
      }
    }
  }
}

/** Dot products of rows q0 and q1 of a with rows c … c+3 of b; rows past `last` repeat it. */
function dots(a: Rows, b: Rows, q0: number, q1: number, c: number, last: number, out: Float64Array): void {
  const { width } = a;
  const x = a.data;
  const y = b.data;
  const r0 = q0 * width;
  const r1 = q1 * width;
  const b0 = Math.min(c, last) * width;
  const b1 = Math.min(c + 1, last) * width;
  const b2 = Math.min(c + 2, last) * width;
  const b3 = Math.min(c + 3, last) * width;
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let t0 = 0;
  let t1 = 0;
  let t2 = 0;
  let t3 = 0;
  for (let i = 0; i < width; i++) {
    const u = x[r0 + i]!;
    const v = x[r1 + i]!;
    const y0 = y[b0 + i]!;
    const y1 = y[b1 + i]!;
    const y2 = y[b2 + i]!;
    const y3 = y[b3 + i]!;
    s0 += u * y0;
    s1 += u * y1;
    s2 += u * y2;
    s3 += u * y3;
    t0 += v * y0;
    t1 += v * y1;
    t2 += v * y2;
    t3 += v * y3;
  }
  out[0] = s0;
  out[1] = s1;
  out[2] = s2;
  out[3] = s3;
  out[4] = t0;
  out[5] = t1;
  out[6] = t2;
  out[7] = t3;
}

/** Pictures averaged to side × side pixels, 0 to 1. */
function thumbnails({ size, pixels }: PictureSet, side: number): Rows {
  const box = size / side;
  if (!Number.isInteger(box)) throw new DataError('baselines', `expected a side that ${side} divides, got ${size}`);
  const n = pixels.length / (size * size * 3);
  const width = side * side * 3;
  const data = new Float32Array(n * width);
  const scale = 1 / (255 * box * box);
  for (let p = 0, from = 0; p < n; p++) {
    for (let y = 0; y < size; y++) {
      const row = p * width + Math.floor(y / box) * side * 3;
      for (let x = 0; x < size; x++, from += 3) {
        const to = row + Math.floor(x / box) * 3;
        for (let c = 0; c < 3; c++) data[to + c]! += pixels[from + c]! * scale;
      }
    }
  }
  return { n, width, data };
}

/** Orientation histograms of the grey picture: [n, 8·8·9], weighted by gradient length. */
function orientations({ size, pixels }: PictureSet, cells: 'l2' | 'root'): Rows {
  const n = pixels.length / (size * size * 3);
  const width = 8 * 8 * 9;
  const data = new Float32Array(n * width);
  const grey = new Float32Array(size * size);
  const cell = size / 8;
  for (let p = 0; p < n; p++) {
    const from = p * grey.length * 3;
    for (let i = 0; i < grey.length; i++) {
      const at = from + 3 * i;
      grey[i] = (0.299 * pixels[at]! + 0.587 * pixels[at + 1]! + 0.114 * pixels[at + 2]!) / 255;
    }
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        const i = y * size + x;
        const gx = x > 0 && x < size - 1 ? grey[i + 1]! - grey[i - 1]! : 0;
        const gy = y > 0 && y < size - 1 ? grey[i + size]! - grey[i - size]! : 0;
        const turn = Math.atan2(gy, gx) / Math.PI;
        const bin = Math.min(8, Math.floor((turn - Math.floor(turn)) * 9));
        data[p * width + (Math.floor(y / cell) * 8 + Math.floor(x / cell)) * 9 + bin]! += Math.hypot(gx, gy);
      }
    }
  }
  for (let i = 0; i < data.length; i += 9) {
    let squares = 1e-2; // keeps a cell without edges at zero instead of blowing its noise up
    for (let k = 0; k < 9; k++) squares += data[i + k]! ** 2;
    for (let k = 0; k < 9; k++) data[i + k] = cells === 'l2' ? data[i + k]! / Math.sqrt(squares) : Math.sqrt(data[i + k]!);
  }
  return { n, width, data };
}

/** Each row divided by its length, in place. */
function unit(rows: Rows): Rows {
  for (let r = 0; r < rows.n; r++) {
    const row = rows.data.subarray(r * rows.width, (r + 1) * rows.width);
    let squares = 0;
    for (const x of row) squares += x * x;
    const scale = 1 / Math.max(Math.sqrt(squares), 1e-8);
    for (let i = 0; i < row.length; i++) row[i]! *= scale;
  }
  return rows;
}

/** As `centredRows`. */
function centred(rows: Rows): Rows {
  const mean = new Float64Array(rows.width);
  for (let i = 0; i < rows.data.length; i++) mean[i % rows.width]! += rows.data[i]! / rows.n;
  for (let i = 0; i < rows.data.length; i++) rows.data[i]! -= mean[i % rows.width]!;
  return unit(rows);
}

function join(a: Rows, b: Rows): Rows {
  const width = a.width + b.width;
  const data = new Float32Array(a.n * width);
  for (let r = 0; r < a.n; r++) {
    data.set(a.data.subarray(r * a.width, (r + 1) * a.width), r * width);
    data.set(b.data.subarray(r * b.width, (r + 1) * b.width), r * width + a.width);
  }
  return { n: a.n, width, data };
}
