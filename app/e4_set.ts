// Set E4 as the model sees it: pictures of each artist with the concept of each (Node only: drawings come from npm packages).
import type { Artist, E4 } from '../data/e4.ts';
import { loadArtist } from '../data/raster.ts';
import { scope } from '../engine/memory.ts';
import { pixelsOf } from '../model/pictures.ts';
import type { Picture } from '../model/pictures.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';
import { pictureTable } from '../train/pictures.ts';
import type { PictureTable } from '../train/pictures.ts';

/** Edge at which drawings are rasterised, pixels. */
export const RASTER = 64;

/** Pictures that are resized between two readbacks. */
const AT_ONCE = 256;

/** One artist's drawings. */
export interface ArtistSet {
  artist: Artist;
  /** Index of each picture's concept in the list of set E4. */
  concepts: number[];
  /** [n, RASTER, RASTER, 3] as drawn. */
  drawn: Uint8Array;
}

/**
 * Draws one artist's pictures, or takes them from the cache.
 * @param e4 the list @param artist who @returns pictures with concepts @throws DataError when the artist's npm package is missing
 */
export async function loadArtistSet(e4: E4, artist: Artist): Promise<ArtistSet> {
  const { keys, pixels } = await loadArtist(artist, RASTER);
  const place = new Map(e4.concepts.map(c => [c.key, c.index]));
  return { artist, concepts: keys.map(k => place.get(k)!), drawn: pixels };
}

/** Drawings as decoded pictures, the form in which a user's files come too. @param set drawings @returns [n] pictures of RASTER x RASTER */
export function decodedPictures(set: ArtistSet): Picture[] {
  const bytes = RASTER * RASTER * 3;
  return set.concepts.map((_, i) => ({ width: RASTER, height: RASTER, data: set.drawn.subarray(i * bytes, (i + 1) * bytes) }));
}

/**
 * Drawings at the model's size as bytes, for augmentation on the host: trimmed, resized and rounded to whole levels as the model does it with a user's picture.
 * @param model whose preprocessing counts @param set drawings @returns [n, crop, crop, 3]
 */
export async function smallPictures({ device, config }: VLJEPA, set: ArtistSet): Promise<Uint8Array> {
  const { cropSize } = config.vision;
  const plane = cropSize * cropSize;
  const pictures = decodedPictures(set);
  const out = new Uint8Array(pictures.length * plane * 3);
  for (let start = 0; start < pictures.length; start += AT_ONCE) {
    const end = Math.min(start + AT_ONCE, pictures.length);
    const pixels = scope(() => pixelsOf(device, config, pictures, start, end)); // [end - start, 1, 3, S, S]
    const values = await pixels.read();
    pixels.dispose();
    for (let p = 0; p < end - start; p++) {
      for (let c = 0; c < 3; c++) {
        for (let i = 0; i < plane; i++) out[((start + p) * plane + i) * 3 + c] = Math.round((values[(p * 3 + c) * plane + i]! * config.std[c]! + config.mean[c]!) * 255);
      }
    }
  }
  return out;
}

/**
 * The drawings of several artists in one table, to train on.
 * @param model whose preprocessing counts @param e4 the list @param artists whose @returns pictures at the model's size, by concept
 */
export async function artistTable(model: VLJEPA, e4: E4, artists: readonly Artist[]): Promise<PictureTable> {
  const sets: { concepts: readonly number[]; pixels: Uint8Array }[] = [];
  for (const artist of artists) {
    const set = await loadArtistSet(e4, artist);
    sets.push({ concepts: set.concepts, pixels: await smallPictures(model, set) });
  }
  return pictureTable(e4.concepts.map(c => c.name), sets, model.config.vision.cropSize);
}
