import { DataError } from './errors.ts';

/** Kinds of picture files that are recognised by their first bytes. */
export type PictureFormat = 'png' | 'jpeg' | 'gif' | 'webp' | 'bmp' | 'avif' | 'svg';

/** What a file says about itself before anything is decoded. */
export interface PictureHeader {
  format: PictureFormat;
  /** pixels as stored, before an EXIF turn; an SVG without a size has 0 */
  width: number;
  height: number;
  /** frames of an animated GIF or WebP that the file holds */
  frames?: number;
}

/** How far into an SVG its opening tag is looked for, bytes. */
const SVG_HEAD = 65_536;

/**
 * Reads format and size from the first bytes of a picture file, without decoding it.
 * @param bytes the file
 * @param name of the file, for messages
 * @returns format, width and height
 * @throws DataError when the file is empty, cut off before its size, or no picture of a known kind
 */
export function readPictureHeader(bytes: Uint8Array, name: string): PictureHeader {
  if (bytes.length === 0) throw new DataError('readPictureHeader', `${name} is empty`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let header: PictureHeader | undefined;
  try {
    header = byMagic(bytes, view);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause; // DataView refuses to read past the end
    throw new DataError('readPictureHeader', `${name} ends before its size is told (${bytes.length} bytes; is it cut off?)`, cause);
  }
  if (header === undefined) {
    const start = [...bytes.subarray(0, 8)].map((b) => b.toString(16).padStart(2, '0')).join(' ');
    throw new DataError('readPictureHeader', `${name} is no picture (expected PNG, JPEG, GIF, WebP, BMP, AVIF or SVG, got a file that starts with ${start})`);
  }
  if (header.format !== 'svg' && !(header.width > 0 && header.height > 0)) {
    throw new DataError('readPictureHeader', `${name} says it has ${header.width}×${header.height} pixels (a ${header.format} file needs at least one)`);
  }
  return header;
}

function ascii(bytes: Uint8Array, at: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + length));
}

function byMagic(bytes: Uint8Array, view: DataView): PictureHeader | undefined {
  if (ascii(bytes, 0, 8) === '\x89PNG\r\n\x1a\n') return { format: 'png', width: view.getUint32(16), height: view.getUint32(20) };
  if (view.byteLength > 2 && view.getUint16(0) === 0xffd8) return jpeg(view);
  if (/^GIF8[79]a$/.test(ascii(bytes, 0, 6))) return gif(view);
  if (ascii(bytes, 0, 4) === 'RIFF' && ascii(bytes, 8, 4) === 'WEBP') return webp(bytes, view);
  if (ascii(bytes, 0, 2) === 'BM') return bmp(view);
  if (ascii(bytes, 4, 4) === 'ftyp') return avif(bytes, view);
  return svg(bytes);
}

/** Segments up to the first start-of-frame marker (ITU T.81, table B.1). */
function jpeg(view: DataView): PictureHeader {
  for (let at = 2; ; ) {
    if (view.getUint8(at) !== 0xff) throw new RangeError('no marker');
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) {
      at += 1; // fill byte
      continue;
    }
    const frame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (frame) return { format: 'jpeg', width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    const alone = marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8);
    at += alone ? 2 : 2 + Math.max(2, view.getUint16(at + 2));
  }
}

/** Screen size, and the number of image blocks up to the end of the file. */
function gif(view: DataView): PictureHeader {
  const colours = (flags: number): number => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
  let at = 13 + colours(view.getUint8(10));
  let frames = 0;
  const end = view.byteLength;
  while (at < end) {
    const kind = view.getUint8(at);
    if (kind === 0x2c && at + 10 < end) {
      frames++;
      at += 11 + colours(view.getUint8(at + 9));
    } else if (kind === 0x21) {
      at += 2;
    } else {
      break;
    }
    while (at < end && view.getUint8(at) !== 0) at += 1 + view.getUint8(at);
    at += 1;
  }
  return { format: 'gif', width: view.getUint16(6, true), height: view.getUint16(8, true), frames };
}

function webp(bytes: Uint8Array, view: DataView): PictureHeader | undefined {
  const kind = ascii(bytes, 12, 4);
  const format = 'webp';
  if (kind === 'VP8 ') return { format, width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
  if (kind === 'VP8L') {
    const bits = view.getUint32(21, true);
    return { format, width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
  }
  if (kind !== 'VP8X') return undefined;
  const width = (view.getUint32(24, true) & 0xffffff) + 1;
  const height = (view.getUint32(26, true) >>> 8) + 1;
  let frames = 0;
  for (let at = 12; at + 8 <= view.byteLength; at += 8 + view.getUint32(at + 4, true) + (view.getUint32(at + 4, true) & 1)) {
    if (ascii(bytes, at, 4) === 'ANMF') frames++;
  }
  return frames === 0 ? { format, width, height } : { format, width, height, frames };
}

function bmp(view: DataView): PictureHeader {
  if (view.getUint32(14, true) === 12) {
    return { format: 'bmp', width: view.getUint16(18, true), height: view.getUint16(20, true) };
  }
  return { format: 'bmp', width: view.getInt32(18, true), height: Math.abs(view.getInt32(22, true)) };
}

/** The largest `ispe` (spatial extent) of the file: boxes meta > iprp > ipco > ispe (ISO/IEC 23008-12, 6.5.3). */
function avif(bytes: Uint8Array, view: DataView): PictureHeader | undefined {
  if (!/avif|avis/.test(ascii(bytes, 8, Math.min(64, view.getUint32(0)) - 8))) return undefined;
  let best: PictureHeader | undefined;
  const walk = (from: number, end: number, depth: number): void => {
    for (let at = from; at + 8 <= end; ) {
      const size = view.getUint32(at);
      const kind = ascii(bytes, at + 4, 4);
      const stop = size === 0 ? end : Math.min(end, at + size);
      if (kind === 'ispe' && stop - at >= 20) {
        const [width, height] = [view.getUint32(at + 12), view.getUint32(at + 16)];
        if (best === undefined || width * height > best.width * best.height) best = { format: 'avif', width, height };
      } else if (depth < 3 && (kind === 'meta' || kind === 'iprp' || kind === 'ipco')) {
        walk(at + (kind === 'meta' ? 12 : 8), stop, depth + 1);
      }
      if (size !== 0 && size < 8) return; // a 64-bit or broken box: nothing before the pixels uses one
      at = stop;
    }
  };
  walk(0, view.byteLength, 0);
  if (best === undefined) throw new RangeError('no ispe box');
  return best;
}

/** Size from the attributes of the `<svg` tag or its viewBox; pixels only, other units count as unknown (0). */
function svg(bytes: Uint8Array): PictureHeader | undefined {
  const text = new TextDecoder().decode(bytes.subarray(0, SVG_HEAD)).trimStart();
  if (!text.startsWith('<')) return undefined;
  const start = text.indexOf('<svg');
  if (start < 0) return undefined;
  const end = text.indexOf('>', start);
  if (end < 0) throw new RangeError('no end of the svg tag');
  const tag = text.slice(start, end);
  const value = (name: string): string => new RegExp(`[\\s]${name}=["']([^"']*)["']`).exec(tag)?.[1] ?? '';
  const pixels = (name: string): number => Number(value(name).replace(/px$/, '')) || 0;
  const box = value('viewBox').trim().split(/[\s,]+/).map(Number);
  return { format: 'svg', width: pixels('width') || box[2] || 0, height: pixels('height') || box[3] || 0 };
}
