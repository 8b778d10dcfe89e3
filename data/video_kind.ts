// What a file of moving pictures says about itself before anything is decoded.

/** How a file is decoded: still and animated pictures by the picture decoder, films by a video decoder. */
export type MediaKind = 'picture' | 'video';

/** Bytes of a file's beginning that `mediaKind` looks at. */
export const KIND_BYTES = 64;

/** Shortest time a frame of an animation is shown, s: shorter ones are shown for `DEFAULT_DELAY_S`, as browsers do. */
const SHORTEST_DELAY_S = 0.011;
const DEFAULT_DELAY_S = 0.1;

const ascii = (bytes: Uint8Array, at: number, length: number): string => String.fromCharCode(...bytes.subarray(at, at + length));

/**
 * Whether a file is a film: MP4, QuickTime, WebM, Matroska, AVI, Ogg, FLV, MPEG programme or transport stream. Everything else is left to the picture decoder and its messages.
 * @param head the first bytes of the file, `KIND_BYTES` are enough
 * @returns 'video' or 'picture'
 */
export function mediaKind(head: Uint8Array): MediaKind {
  const box = ascii(head, 4, 4);
  if (box === 'ftyp') return /avif|avis|mif1|msf1|heic|heix/.test(ascii(head, 8, 4)) ? 'picture' : 'video';
  if (['moov', 'mdat', 'wide', 'moof', 'styp', 'pnot'].includes(box)) return 'video';
  const start = ascii(head, 0, 4);
  if (['\x1aE\xdf\xa3', 'OggS', 'FLV\x01', '\0\0\x01\xba', '\0\0\x01\xb3'].includes(start)) return 'video';
  if (start === 'RIFF') return ascii(head, 8, 3) === 'AVI' ? 'video' : 'picture';
  return head.length > 1 && head[0] === 0x47 && (head.length < KIND_BYTES || head[1] !== 0x49) ? 'video' : 'picture'; // 0x47 begins MPEG-TS packets; GIF is 0x47 0x49
}

/**
 * How long each frame of an animated GIF or WebP is shown, from the file's own blocks.
 * @param bytes the file
 * @returns [N] s; empty for every other kind of file, and one entry per frame that is whole
 */
export function animationDelays(bytes: Uint8Array): number[] {
  const delays = ascii(bytes, 0, 3) === 'GIF' ? gifDelays(bytes) : ascii(bytes, 0, 4) === 'RIFF' && ascii(bytes, 8, 4) === 'WEBP' ? webpDelays(bytes) : [];
  return delays.map(s => (s < SHORTEST_DELAY_S ? DEFAULT_DELAY_S : s));
}

/** Graphic control extensions hold the delay of the image that follows, in hundredths of a second (GIF89a, 23). */
function gifDelays(bytes: Uint8Array): number[] {
  const colours = (flags: number): number => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
  const delays: number[] = [];
  let next = 0;
  for (let at = 13 + colours(bytes[10] ?? 0); at < bytes.length; at += 1) {
    if (bytes[at] === 0x2c && at + 10 < bytes.length) {
      delays.push(next / 100);
      next = 0;
      at += 11 + colours(bytes[at + 9]!);
    } else if (bytes[at] === 0x21) {
      if (bytes[at + 1] === 0xf9 && at + 5 < bytes.length) next = bytes[at + 4]! | (bytes[at + 5]! << 8);
      at += 2;
    } else {
      break;
    }
    while (at < bytes.length && bytes[at] !== 0) at += 1 + bytes[at]!;
  }
  return delays;
}

/** ANMF chunks: x, y, width, height, then the duration in ms, 24 bits each. */
function webpDelays(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const delays: number[] = [];
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at + 4, true);
    if (ascii(bytes, at, 4) === 'ANMF' && at + 8 + size <= bytes.length && size >= 16) delays.push((view.getUint32(at + 20, true) & 0xffffff) / 1000);
    at += 8 + size + (size & 1);
  }
  return delays;
}
