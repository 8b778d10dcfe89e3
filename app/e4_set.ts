// Set E4 as the model sees it: pictures of each artist at the size of the model's input, with the concept of each (Node only: drawings come from npm packages).
import type { Artist, E4 } from '../data/e4.ts';
import { loadArtist } from '../data/raster.ts';
import type { Device } from '../engine/device.ts';
import { scope } from '../engine/memory.ts';
import type { Tensor } from '../engine/tensor.ts';
import { resizeCropNormalize } from '../kernels/preprocess.ts';
import type { Triple } from '../kernels/preprocess.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';

/** Edge at which drawings are rasterised, pixels. */
export const RASTER = 64;

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

/**
 * Pictures as a model takes them, through the same resizing as a user's picture.
 * @param model whose size and normalisation count @param set drawings @returns [n, 1, 3, crop, crop]
 */
export function modelPixels({ device, config }: VLJEPA, set: ArtistSet): Tensor {
  return resized(device, set, config.vision.cropSize, config.mean as unknown as Triple, config.std as unknown as Triple);
}

function resized(device: Device, set: ArtistSet, crop: number, mean: Triple, std: Triple): Tensor {
  return scope(() => resizeCropNormalize(device, { width: RASTER, height: RASTER, data: set.drawn }, { crop, mode: 'direct', mean, std }).view([set.concepts.length, 1, 3, crop, crop]));
}

/**
 * Drawings at the model's size as bytes, for augmentation on the host: the same resizing, rounded to whole levels.
 * @param device where @param set drawings @param crop edge of the model's input @returns [n, crop, crop, 3]
 */
export async function smallPictures(device: Device, set: ArtistSet, crop: number): Promise<Uint8Array> {
  const plain = resized(device, set, crop, [0, 0, 0], [1, 1, 1]);
  const values = await plain.read(); // [n, 3, S, S], 0 to 1
  plain.dispose();
  const plane = crop * crop;
  const out = new Uint8Array(values.length);
  for (let p = 0; p < set.concepts.length; p++) {
    for (let c = 0; c < 3; c++) for (let i = 0; i < plane; i++) out[(p * plane + i) * 3 + c] = Math.round(values[(p * 3 + c) * plane + i]! * 255);
  }
  return out;
}

