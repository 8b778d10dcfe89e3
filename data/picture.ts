import { DataError } from './errors.ts';
import { readPictureHeader, type PictureHeader } from './picture_header.ts';
import { importSharp, IS_NODE } from './platform.ts';

export { readPictureHeader, type PictureHeader };

/** Largest picture that is decoded, pixels (8192 × 4096). */
export const MAX_PIXELS = 33_554_432;

/** Largest picture file that is read, bytes. */
export const MAX_FILE_BYTES = 268_435_456;

/** A decoded picture. */
export interface Picture {
  /** file name, or what the caller called it */
  name: string;
  width: number;
  height: number;
  /** [height, width, 3] RGB, transparent parts on white, turned as EXIF says */
  data: Uint8Array;
  /** frames of an animated file; `data` is the first */
  frames?: number;
}

/** What `decodePicture` may be told. */
export interface PictureOptions {
  /** name for messages; the path or the file's own name when absent */
  name?: string;
  /** pixels at most, `MAX_PIXELS` when absent */
  maxPixels?: number;
}

/**
 * Decodes one picture to RGB. The size is read from the header first; a picture above the limit is refused before any of
 * it is decoded. Node decodes with sharp, a browser with `createImageBitmap`.
 * @param source path (Node) or URL (browser), a `Blob` or `File`, or the bytes of a file
 * @param options name and limit
 * @returns the picture, data [height, width, 3]
 * @throws DataError, one sentence that names the file: missing, empty, no picture, cut off, too large
 */
export async function decodePicture(source: string | Blob | Uint8Array, options: PictureOptions = {}): Promise<Picture> {
  const name = options.name ?? nameOf(source);
  const bytes = await bytesOf(source, name);
  const header = readPictureHeader(bytes, name);
  const most = options.maxPixels ?? MAX_PIXELS;
  if (header.width * header.height > most) {
    throw new DataError('decodePicture', `${name} has ${header.width}×${header.height} pixels, expected at most ${most}`);
  }
  const decoded = IS_NODE ? await decodeWithSharp(bytes, header, name, most) : await decodeInBrowser(bytes, header, name, most);
  return header.frames !== undefined && header.frames > 1 ? { name, ...decoded, frames: header.frames } : { name, ...decoded };
}

function nameOf(source: string | Blob | Uint8Array): string {
  if (typeof source === 'string') return source;
  if (source instanceof Blob && 'name' in source && typeof source.name === 'string') return source.name;
  return 'the picture';
}

async function bytesOf(source: string | Blob | Uint8Array, name: string): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source;
  if (typeof source === 'string') return IS_NODE ? readPath(source, name) : fetchUrl(source, name);
  checkBytes(source.size, name);
  try {
    return new Uint8Array(await source.arrayBuffer());
  } catch (cause) {
    throw new DataError('decodePicture', `${name} cannot be read (was the file moved or changed?)`, cause);
  }
}

function checkBytes(bytes: number, name: string): void {
  if (bytes > MAX_FILE_BYTES) throw new DataError('decodePicture', `${name} has ${bytes} bytes, expected at most ${MAX_FILE_BYTES}`);
}

async function readPath(path: string, name: string): Promise<Uint8Array> {
  const { readFile, stat } = await import('node:fs/promises');
  try {
    const about = await stat(path);
    if (!about.isFile()) throw new DataError('decodePicture', `${name} is not a file${about.isDirectory() ? ' but a folder' : ''}`);
    checkBytes(about.size, name);
    return await readFile(path);
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new DataError('decodePicture', missing ? `there is no file ${name}` : `${name} cannot be read (${String(cause)})`, cause);
  }
}

async function fetchUrl(url: string, name: string): Promise<Uint8Array> {
  let answer: Response;
  try {
    answer = await fetch(url);
  } catch (cause) {
    throw new DataError('decodePicture', `${name} cannot be fetched (${String(cause)})`, cause);
  }
  if (!answer.ok) throw new DataError('decodePicture', `there is no file ${name} (the server answered ${answer.status})`);
  checkBytes(Number(answer.headers.get('content-length') ?? 0), name);
  return new Uint8Array(await answer.arrayBuffer());
}

type Pixels = Pick<Picture, 'width' | 'height' | 'data'>;

function damaged(name: string, format: string, cause: unknown): DataError {
  const why = cause instanceof Error ? cause.message.split('\n')[0]! : String(cause);
  return new DataError('decodePicture', `${name} is a ${format} file that cannot be decoded (cut off or damaged: ${why})`, cause);
}

async function decodeWithSharp(bytes: Uint8Array, { format }: PictureHeader, name: string, most: number): Promise<Pixels> {
  if (format === 'bmp') {
    throw new DataError('decodePicture', `${name} is a BMP file, which Node cannot decode here (save it as PNG; browsers can read it)`);
  }
  const sharp = await importSharp('decodePicture');
  try {
    const { data, info } = await sharp(bytes, { limitInputPixels: most, failOn: 'truncated' })
      .autoOrient()
      .flatten({ background: '#ffffff' })
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const pixels = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return { width: info.width, height: info.height, data: info.channels === 3 ? pixels : greyToRgb(pixels, info.channels) };
  } catch (cause) {
    throw damaged(name, format, cause);
  }
}

/** Repeats the first of one or two channels three times. */
function greyToRgb(pixels: Uint8Array, channels: number): Uint8Array {
  const rgb = new Uint8Array((pixels.length / channels) * 3);
  for (let i = 0; i < rgb.length / 3; i++) rgb.fill(pixels[i * channels]!, 3 * i, 3 * i + 3);
  return rgb;
}

const MIME: Record<PictureHeader['format'], string> = {
  png: 'image/png',
  jpeg: 'image/jpeg',
  gif: 'image/gif',
  webp: 'image/webp',
  bmp: 'image/bmp',
  avif: 'image/avif',
  svg: 'image/svg+xml',
};

async function decodeInBrowser(bytes: Uint8Array, { format }: PictureHeader, name: string, most: number): Promise<Pixels> {
  if (format === 'svg') throw new DataError('decodePicture', `${name} is an SVG file, which is decoded in Node only (save it as PNG)`);
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes as Uint8Array<ArrayBuffer>], { type: MIME[format] }), { imageOrientation: 'from-image' });
  } catch (cause) {
    throw damaged(name, format, cause);
  }
  const { width, height } = bitmap;
  if (width * height > most) throw new DataError('decodePicture', `${name} has ${width}×${height} pixels, expected at most ${most}`);
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (context === null) throw new DataError('decodePicture', `${name} cannot be drawn (the browser gave no canvas of ${width}×${height})`);
  context.fillStyle = '#ffffff';
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = context.getImageData(0, 0, width, height).data;
  const data = new Uint8Array(width * height * 3);
  for (let i = 0, j = 0; j < data.length; i += 4, j += 3) {
    data[j] = rgba[i]!;
    data[j + 1] = rgba[i + 1]!;
    data[j + 2] = rgba[i + 2]!;
  }
  return { width, height, data };
}
