import { assert, isNode, suite } from '../harness.ts';
import { DataError } from '../../data/errors.ts';
import { decodePicture, MAX_PIXELS, readPictureHeader } from '../../data/picture.ts';

const test = suite('data: pictures');

const bytesOf = (base64: string): Uint8Array => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));

const FILES = {
  // 3×2: red, green, half transparent blue; transparent, dark, brown
  png: 'iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAYAAACddGYaAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAAHElEQVQImWP4z8DwHwwZ/jcwgACXiNz/EylG/wF28AkUdriyXAAAAABJRU5ErkJggg==',
  // 2×2, one channel: 7, 77, 177, 250
  grey: 'iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAAAAABX3VL4AAAACXBIWXMAAAPoAAAD6AG1e1JrAAAADklEQVQImWNg92XY+AsAA7kCAMZXDj4AAAAASUVORK5CYII=',
  // 16×8: left half red, right half blue
  jpeg: '/9j/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/wAARCAAIABADAREAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAABwj/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QAFQEBAQAAAAAAAAAAAAAAAAAACQf/xAAUEQEAAAAAAAAAAAAAAAAAAAAA/9oADAMBAAIRAxEAPwCdEMKmAjjB0f/Z',
  // 4×4, two frames: light grey, dark grey
  gif: 'R0lGODlhBAAEAIAAAExpccjIyCH5BAUAAAAALAAAAAAEAAQAAAIEjI8ZBQAh+QQFAAAAACwAAAAABAAEAIBMaXEUFBQCBIyPGQUAOw==',
  webpFrames: 'UklGRogAAABXRUJQVlA4WAoAAAACAAAAAwAAAwAAQU5JTQYAAAD/////AQBBTk1GKgAAAAAAAAAAAAMAAAMAAGQAAAJWUDhMEQAAAC8DwAAAB1DkIhe5/4GI6H8AAEFOTUYqAAAAAAAAAAAAAwAAAwAAZAAAAFZQOEwRAAAALwPAAAAHUIpSlKL/gYjofwAA',
  // the pixels of png
  webpLossless: 'UklGRkoAAABXRUJQVlA4TD4AAAAvAkAAEC9AkG2zOQzs/jLXIJO2ad/61zNrI5O2iYj+869yBJI2Nh9P/gCOe/CrtQUK2UaAQ/cKHNFF9D/mFw==',
  // 4×4 light grey
  webpLossy: 'UklGRiQAAABXRUJQVlA4IBgAAAAwAQCdASoEAAQAAUAmJaQAA3AA/vdCAAA=',
  avif: 'AAAAHGZ0eXBhdmlmAAAAAG1pZjFhdmlmbWlhZgAAANZtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9jAAAAAERAAAEAAQAAAAAA+gABAAAAAAAAAB4AAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABhdjAxAAAAAA5waXRtAAAAAAABAAAAVmlwcnAAAAA4aXBjbwAAAAxhdjFDgSACAAAAABRpc3BlAAAAAAAAAAQAAAAEAAAAEHBpeGkAAAAAAwgICAAAABZpcG1hAAAAAAAAAAEAAQOBAgMAAAAmbWRhdBIACgg4BH2kBDQaQDIQGUJjBMAANAAAkEDJHGCMiA==',
};

const PNG = bytesOf(FILES.png);
const PNG_PIXELS = [255, 0, 0, 0, 255, 0, 127, 127, 255, 255, 255, 255, 10, 20, 30, 200, 100, 50];

/** A BMP header of the given size, without pixels. */
function bmpHeader(width: number, height: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(54));
  [0x42, 0x4d].forEach((byte, i) => view.setUint8(i, byte));
  view.setUint32(14, 40, true);
  view.setInt32(18, width, true);
  view.setInt32(22, -height, true); // stored from the top
  return new Uint8Array(view.buffer);
}

/** The PNG with another size in its header: a bomb when the size is large. */
function claiming(width: number, height: number): Uint8Array {
  const bytes = PNG.slice();
  new DataView(bytes.buffer).setUint32(16, width);
  new DataView(bytes.buffer).setUint32(20, height);
  return bytes;
}

/** The JPEG with an EXIF segment that says how to turn it. */
function turned(orientation: number): Uint8Array {
  const jpeg = bytesOf(FILES.jpeg);
  const exif = [0xff, 0xe1, 0, 34, 0x45, 0x78, 0x69, 0x66, 0, 0, 0x49, 0x49, 0x2a, 0, 8, 0, 0, 0];
  const entry = [1, 0, 0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0, 0, 0, 0, 0];
  return Uint8Array.from([...jpeg.subarray(0, 2), ...exif, ...entry, ...jpeg.subarray(2)]);
}

async function refusal(work: () => Promise<unknown> | unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    assert.instance(error, DataError);
    assert.not.match((error as Error).message, /\n/);
    return (error as Error).message;
  }
  throw new Error('expected a refusal, got a result');
}

function nearly(data: Uint8Array, at: number, colour: readonly number[], tolerance: number): void {
  colour.forEach((level, c) => {
    const got = data[at * 3 + c]!;
    assert.ok(Math.abs(got - level) <= tolerance, `pixel ${at} channel ${c}: got ${got}, expected ${level} ± ${tolerance}`);
  });
}

test('reads the size of every format without decoding', () => {
  const size = (bytes: Uint8Array) => readPictureHeader(bytes, 'x');
  assert.equal(size(PNG), { format: 'png', width: 3, height: 2 });
  assert.equal(size(bytesOf(FILES.jpeg)), { format: 'jpeg', width: 16, height: 8 });
  assert.equal(size(turned(6)), { format: 'jpeg', width: 16, height: 8 });
  assert.equal(size(bytesOf(FILES.gif)), { format: 'gif', width: 4, height: 4, frames: 2 });
  assert.equal(size(bytesOf(FILES.webpFrames)), { format: 'webp', width: 4, height: 4, frames: 2 });
  assert.equal(size(bytesOf(FILES.webpLossless)), { format: 'webp', width: 3, height: 2 });
  assert.equal(size(bytesOf(FILES.webpLossy)), { format: 'webp', width: 4, height: 4 });
  assert.equal(size(bytesOf(FILES.avif)), { format: 'avif', width: 4, height: 4 });
  assert.equal(size(bmpHeader(7, 5)), { format: 'bmp', width: 7, height: 5 });
  const svg = (text: string) => size(new TextEncoder().encode(text));
  assert.equal(svg('<?xml version="1.0"?><svg width="30px" height="20">'), { format: 'svg', width: 30, height: 20 });
  assert.equal(svg('<svg viewBox="0 0 12 6"/>'), { format: 'svg', width: 12, height: 6 });
});

test('decodes PNG exactly, transparent parts on white', async () => {
  const picture = await decodePicture(PNG, { name: 'small.png' });
  assert.is(picture.name, 'small.png');
  assert.equal([picture.width, picture.height, picture.data.length], [3, 2, 18]);
  PNG_PIXELS.forEach((level, i) => assert.ok(Math.abs(picture.data[i]! - level) <= 1, `level ${i}: ${picture.data[i]}`));
  assert.equal([...picture.data.subarray(9, 15)], [255, 255, 255, 10, 20, 30]);
});

test('decodes a Blob, and names a File', async () => {
  const picture = await decodePicture(new Blob([PNG as Uint8Array<ArrayBuffer>]));
  assert.equal([picture.width, picture.height], [3, 2]);
  const file = new Blob([new Uint8Array(0)]);
  Object.defineProperty(file, 'name', { value: 'mine.png' });
  assert.match(await refusal(() => decodePicture(file)), /mine\.png is empty/);
});

test('repeats the channel of a grey picture', async () => {
  const { data } = await decodePicture(bytesOf(FILES.grey));
  assert.equal([...data], [7, 7, 7, 77, 77, 77, 177, 177, 177, 250, 250, 250]);
});

test('turns a JPEG as EXIF says', async () => {
  const plain = await decodePicture(bytesOf(FILES.jpeg));
  assert.equal([plain.width, plain.height], [16, 8]);
  nearly(plain.data, 0, [255, 0, 0], 12);
  const clockwise = await decodePicture(turned(6));
  assert.equal([clockwise.width, clockwise.height], [8, 16]);
  nearly(clockwise.data, 0, [255, 0, 0], 12);
  nearly(clockwise.data, 8 * 16 - 1, [0, 0, 255], 12);
  const counter = await decodePicture(turned(8));
  assert.equal([counter.width, counter.height], [8, 16]);
  nearly(counter.data, 0, [0, 0, 255], 12);
});

test('gives the first frame of an animated file and their number', async () => {
  for (const name of ['gif', 'webpFrames'] as const) {
    const picture = await decodePicture(bytesOf(FILES[name]), { name });
    assert.is(picture.frames, 2, name);
    nearly(picture.data, 5, [200, 200, 200], 1);
  }
  assert.is((await decodePicture(PNG)).frames, undefined);
});

test('decodes WebP and AVIF', async () => {
  for (const name of ['webpLossy', 'avif'] as const) nearly((await decodePicture(bytesOf(FILES[name]), { name })).data, 0, [200, 200, 200], 4);
  nearly((await decodePicture(bytesOf(FILES.webpLossless))).data, 5, [200, 100, 50], 0);
});

test('refuses a bomb by its header, before decoding', async () => {
  const start = performance.now();
  for (const [width, height] of [[8193, 4096], [65535, 65535], [4294967295, 1]] as const) {
    assert.match(await refusal(() => decodePicture(claiming(width, height), { name: 'bomb.png' })), /bomb\.png has \d+×\d+ pixels, expected at most 33554432/);
  }
  assert.ok(performance.now() - start < 1000);
  assert.is(MAX_PIXELS, 8192 * 4096);
  assert.match(await refusal(() => decodePicture(PNG, { maxPixels: 5 })), /3×2 pixels, expected at most 5/);
  assert.match(await refusal(() => decodePicture(claiming(0, 4), { name: 'flat.png' })), /flat\.png says it has 0×4 pixels/);
});

test('refuses what is empty, cut off or no picture, and names it', async () => {
  const text = new TextEncoder().encode('this is no picture at all');
  assert.match(await refusal(() => decodePicture(new Uint8Array(0), { name: 'a.png' })), /a\.png is empty/);
  assert.match(await refusal(() => decodePicture(text, { name: 'b.png' })), /b\.png is no picture/);
  assert.match(await refusal(() => decodePicture(PNG.subarray(0, 20), { name: 'c.png' })), /c\.png ends before its size is told/);
  for (const name of ['png', 'jpeg', 'webpLossless', 'avif'] as const) {
    const whole = bytesOf(FILES[name]);
    const half = whole.subarray(0, Math.floor(whole.length * 0.7));
    assert.match(await refusal(() => decodePicture(half, { name: `half.${name}` })), /half\.\w+ (is a|ends before)/);
  }
});

test('never fails in another way on damaged bytes', () => {
  for (const [name, base64] of Object.entries(FILES)) {
    const whole = bytesOf(base64);
    for (let cut = 0; cut <= Math.min(whole.length, 200); cut++) {
      for (const flip of [0, 0xff]) {
        const bytes = whole.slice(0, cut);
        if (cut > 8) bytes[8 + (cut % (cut - 8))]! ^= flip;
        try {
          readPictureHeader(bytes, name);
        } catch (error) {
          assert.instance(error, DataError, `${name} at ${cut}: ${String(error)}`);
        }
      }
    }
  }
});

test.when(isNode, 'reads paths, which a page does not have', 'names a file that is missing, a folder, or text', async () => {
  const { mkdtemp, rm, writeFile } = await import('node:fs/promises');
  const { tmpdir } = await import('node:os');
  const { join } = await import('node:path');
  const folder = await mkdtemp(join(tmpdir(), 'vl-jepa-pictures-'));
  try {
    const path = join(folder, 'note.png');
    await writeFile(path, 'just text');
    assert.match(await refusal(() => decodePicture(path)), /note\.png is no picture/);
    assert.match(await refusal(() => decodePicture(join(folder, 'none.png'))), /there is no file .*none\.png/);
    assert.match(await refusal(() => decodePicture(folder)), /is not a file but a folder/);
    await writeFile(path, PNG);
    assert.is((await decodePicture(path)).name, path);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test.when(isNode, 'SVG is decoded by sharp', 'draws an SVG', async () => {
  const text = '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="2"><rect width="2" height="2" fill="#ff0000"/></svg>';
  const { width, height, data } = await decodePicture(new TextEncoder().encode(text));
  assert.equal([width, height], [4, 2]);
  nearly(data, 0, [255, 0, 0], 0);
  nearly(data, 3, [255, 255, 255], 0);
});

test.run();
