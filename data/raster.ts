// Node only: pictures of set E4 from the icon packages, drawn with sharp and kept in a cache on disk.
import { DataError } from './errors.ts';
import { conceptsOf, loadE4, type Artist } from './e4.ts';
import { importSharp } from './platform.ts';
import { readCache, writeCache } from './raster_cache.ts';

/** What the cached pictures depend on beside the packages: raise it when `rasterSvg` draws differently. */
const RASTER_VERSION = 1;

/** How many pictures are drawn at once; sharp works on them in its own threads. */
const DRAW_AT_ONCE = 16;

/** Pictures of one artist. */
export interface ArtistPictures {
  artist: Artist;
  /** side, pixels */
  size: number;
  /** [n] keys of the concepts */
  keys: string[];
  /** [n, size, size, 3] RGB on white */
  pixels: Uint8Array;
}

/** An icon package in Iconify's JSON format, as far as it is read here. */
interface IconSet {
  width?: number;
  height?: number;
  icons: Record<string, { body: string; left?: number; top?: number; width?: number; height?: number }>;
  aliases?: Record<string, { parent: string }>;
}

/**
 * Draws an SVG text into a square on white: the whole picture fits, centred.
 * @param svg the text
 * @param size side, pixels, 1 to 4096
 * @returns [size, size, 3] RGB
 * @throws DataError when sharp is missing or cannot draw the text
 */
export async function rasterSvg(svg: string, size: number): Promise<Uint8Array> {
  if (!Number.isInteger(size) || size < 1 || size > 4096) {
    throw new DataError('rasterSvg', `size must be an integer from 1 to 4096, got ${size}`);
  }
  const sharp = await importSharp('rasterSvg');
  try {
    const pixels = await sharp(new TextEncoder().encode(svg))
      .resize(size, size, { fit: 'contain', background: '#ffffff' })
      .flatten({ background: '#ffffff' })
      .toColourspace('srgb')
      .raw()
      .toBuffer();
    return new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength);
  } catch (cause) {
    throw new DataError('rasterSvg', `expected an SVG text, got one that cannot be drawn (${reasonOf(cause)})`, cause);
  }
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message.split('\n')[0]! : String(cause);
}

/**
 * Reads a file of an installed npm package.
 * @throws DataError that names the package when it is not installed
 */
async function packageFile(name: string, file: string, where: string): Promise<string> {
  const { createRequire } = await import('node:module');
  const { readFile } = await import('node:fs/promises');
  try {
    return await readFile(createRequire(import.meta.url).resolve(`${name}/${file}`), 'utf8');
  } catch (cause) {
    throw new DataError(where, `needs the npm package ${name}, which is not installed (run: npm install --no-save ${name})`, cause);
  }
}

async function versionOf(name: string, where: string): Promise<string> {
  return (JSON.parse(await packageFile(name, 'package.json', where)) as { version: string }).version;
}

/**
 * The text of one icon at a given size; the viewBox scales, so librsvg draws at the final size.
 * @throws DataError when the set has no such icon
 */
function svgOf(set: IconSet, icon: string, size: number, artist: Artist): string {
  const parent = set.aliases?.[icon]?.parent;
  const found = Object.hasOwn(set.icons, icon) ? set.icons[icon] : parent === undefined ? undefined : set.icons[parent];
  if (found === undefined) {
    throw new DataError('loadArtist', `@iconify-json/${artist} has no icon ${icon} (is it the version that data/e4.json names?)`);
  }
  const { left = 0, top = 0, width = set.width ?? 16, height = set.height ?? 16 } = found;
  const scale = size / Math.max(width, height);
  const attributes = `viewBox="${left} ${top} ${width} ${height}" width="${width * scale}" height="${height * scale}"`;
  const spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"';
  return `<svg ${spaces} ${attributes}>${found.body}</svg>`;
}

async function drawAll(artist: Artist, size: number, icons: string[]): Promise<Uint8Array> {
  const set = JSON.parse(await packageFile(`@iconify-json/${artist}`, 'icons.json', 'loadArtist')) as IconSet;
  const bytes = size * size * 3;
  const pixels = new Uint8Array(icons.length * bytes);
  for (let start = 0; start < icons.length; start += DRAW_AT_ONCE) {
    const drawn = icons.slice(start, start + DRAW_AT_ONCE).map((icon) => rasterSvg(svgOf(set, icon, size, artist), size));
    (await Promise.all(drawn)).forEach((picture, i) => pixels.set(picture, (start + i) * bytes));
  }
  return pixels;
}

/**
 * Pictures of one artist on set E4. The first call draws them all (seconds) and keeps them in `.cache/` of the
 * repository, or in the user's cache folder when the module is installed as a package; later calls read them, checked by
 * SHA-256. The name of the cache file carries the versions of the icon package and of sharp, and the size.
 * @param artist who
 * @param size side, pixels
 * @param keys concepts wanted, in this order; all that the artist draws, in the order of the list, when absent
 * @returns keys [n] and pixels [n, size, size, 3]
 * @throws DataError when sharp or the icon package is missing, or the artist does not draw a key
 */
export async function loadArtist(artist: Artist, size: number, keys?: readonly string[]): Promise<ArtistPictures> {
  const concepts = conceptsOf(await loadE4(), artist);
  if (concepts.length === 0) throw new DataError('loadArtist', `expected an artist of set E4, got ${artist}`);
  const sharp = (await importSharp('loadArtist')).versions.sharp ?? 'unknown';
  const icons = await versionOf(`@iconify-json/${artist}`, 'loadArtist');
  const order = concepts.map((concept) => concept.key);
  const name = `${artist}-${icons}-sharp-${sharp}-r${RASTER_VERSION}-${size}`;
  const length = order.length * size * size * 3;
  let pixels = await readCache(name, order, length);
  if (pixels === undefined) {
    pixels = await drawAll(artist, size, concepts.map((concept) => concept.icons[artist]!));
    await writeCache(name, order, pixels);
  }
  return keys === undefined ? { artist, size, keys: order, pixels } : select({ artist, size, keys: order, pixels }, keys);
}

function select(all: ArtistPictures, keys: readonly string[]): ArtistPictures {
  const place = new Map(all.keys.map((key, i) => [key, i]));
  const bytes = all.size * all.size * 3;
  const pixels = new Uint8Array(keys.length * bytes);
  keys.forEach((key, i) => {
    const from = place.get(key);
    if (from === undefined) throw new DataError('loadArtist', `${all.artist} draws no concept with the key ${key}`);
    pixels.set(all.pixels.subarray(from * bytes, (from + 1) * bytes), i * bytes);
  });
  return { ...all, keys: [...keys], pixels };
}
