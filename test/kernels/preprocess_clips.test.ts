// Clips through the resize, crop and normalisation against the official video processor: real pictures, odd sizes, portraits, tiny and large ones, both modes.
import { preprocess } from '../../kernels/preprocess.ts';
import { preprocessLevels } from '../../kernels/preprocess.ref.ts';
import { openSafetensors } from '../../weights/safetensors.ts';
import { assert, close, device, fingerprint, isNode, suite } from '../harness.ts';

const test = suite('preprocess: clips');
const MEAN = [0.485, 0.456, 0.406] as const;
const STD = [0.229, 0.224, 0.225] as const;
const FOLDER = new URL('../../../test/golden/preprocess/', import.meta.url);

/** What the official processor made of a clip, see test/reference/preprocess.py. */
interface Case {
  readonly picture: string; readonly width: number; readonly height: number; readonly frames: number; readonly dx: number; readonly dy: number; readonly side: number;
  readonly crop: Answer; readonly direct: Answer;
}
interface Answer {
  readonly sha256: string;
  readonly at: readonly number[];
  readonly values: readonly number[];
}

async function cases(): Promise<readonly Case[]> {
  const url = new URL('clips.json', FOLDER);
  const text = isNode ? await (await import('node:fs/promises')).readFile(url, 'utf8') : await (await fetch(url)).text();
  return (JSON.parse(text) as { cases: Case[] }).cases;
}

const pictures = new Map<string, { width: number; height: number; data: Uint8Array }>();

async function pictureOf(name: string): Promise<{ width: number; height: number; data: Uint8Array }> {
  const known = pictures.get(name);
  if (known) return known;
  const file = await openSafetensors(new URL(`${name}/inputs.safetensors`, FOLDER));
  const { shape, bytes } = await file.read('frames');
  await file.close();
  const picture = { width: shape[2]!, height: shape[1]!, data: bytes.slice(0, shape[1]! * shape[2]! * 3) };
  pictures.set(name, picture);
  return picture;
}

/** A window that wanders over a picture, mirrored at its edges. */
async function clipOf({ picture, width, height, frames, dx, dy }: Case): Promise<{ width: number; height: number; data: Uint8Array }[]> {
  const from = await pictureOf(picture);
  const mirror = (i: number, n: number): number => {
    const m = ((i % (2 * n)) + 2 * n) % (2 * n);
    return m < n ? m : 2 * n - 1 - m;
  };
  return Array.from({ length: frames }, (_, t) => {
    const data = new Uint8Array(width * height * 3);
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
      const at = (mirror(y + t * dy, from.height) * from.width + mirror(x + t * dx, from.width)) * 3;
      for (let c = 0; c < 3; c++) data[(y * width + x) * 3 + c] = from.data[at + c]!;
    }
    return { width, height, data };
  });
}

/** Normalised values back to whole levels; fails where one is none. */
function wholeLevels(values: ArrayLike<number>, side: number): Uint8Array {
  return Uint8Array.from(values as ArrayLike<number>, (v, i) => {
    const c = Math.floor(i / (side * side)) % 3;
    const level = (v * STD[c]! + MEAN[c]!) * 255;
    if (!(Math.abs(level - Math.round(level)) < 1e-3)) throw new Error(`value ${i} is ${v}, level ${level}, expected a whole one`);
    return Math.round(level);
  });
}

async function sha256(bytes: Uint8Array): Promise<string> {
  return Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', Uint8Array.from(bytes))), (b) => b.toString(16).padStart(2, '0')).join('');
}

test('every level of every clip is the official one, cropped and direct', async () => {
  const d = await device();
  const all = await cases();
  assert.ok(all.length >= 15);
  for (const one of all) {
    const name = `${one.picture} ${one.width}x${one.height} x${one.frames} to ${one.side}`;
    const clip = await clipOf(one);
    for (const [mode, answer] of [['official', one.crop], ['direct', one.direct]] as const) {
      const out = preprocess(d, clip, { crop: one.side, mode });
      assert.equal(out.shape, [one.frames, 3, one.side, one.side]);
      const values = await out.read();
      out.dispose();
      close(answer.at.map((i) => values[i]!), answer.values, { abs: 1e-6, name: `${name}, ${mode}` });
      assert.is(await sha256(wholeLevels(values, one.side)), answer.sha256, `${name}, ${mode}: levels`);
      if (one.side <= 64) await fingerprint(`preprocess ${name} ${mode}`, values);
    }
  }
});

test('the formula on the CPU gives the same levels', async () => {
  for (const one of (await cases()).filter(({ width, height, side }) => width * height * side <= 200_000)) {
    const [first] = await clipOf(one);
    for (const [mode, direct, answer] of [['official', false, one.crop], ['direct', true, one.direct]] as const) {
      const exact = preprocessLevels(first!.data, one.width, one.height, one.side, direct, MEAN, STD);
      const at = answer.at.flatMap((i, k) => (i < exact.length ? [[exact[i]!, answer.values[k]!] as const] : []));
      assert.ok(at.length > 0);
      close(at.map(([a]) => a), at.map(([, b]) => b), { abs: 1e-6, name: `${one.picture} ${one.width}x${one.height} to ${one.side}, ${mode}` });
    }
  }
});

test.run();
