// Films and animations: the test clips show a square that moves 3 pixels to the right per frame, so that its place tells which frame it is.
import { assert, isNode, suite } from '../harness.ts';
import { DataError } from '../../data/errors.ts';
import { openFrames, sampleFrames } from '../../data/frame_source.ts';
import type { Frame, FrameOptions } from '../../data/frame_source.ts';
import { animationDelays, mediaKind } from '../../data/video_kind.ts';
import { turnPixels } from '../../data/video_mediabunny.ts';

const test = suite('data: frame source');

const FRAMES = 16;
const FILMS = ['square.mp4', 'square_vp9.webm', 'square_vp8.webm'];
const ANIMATIONS = ['square.gif', 'square.webp'];

/** A decoder for films in this place: WebCodecs, or in Node an ffmpeg or @mediabunny/server. */
const films = !isNode || (await (async () => {
  const { spawnSync } = await import('node:child_process');
  const server = '@mediabunny/server';
  return spawnSync(process.env.VL_JEPA_FFMPEG ?? 'ffmpeg', ['-version']).status === 0 || import(server).then(() => true, () => false);
})());
const film = (name: string, handler: () => Promise<void>): void => test.when(films, 'needs ffmpeg on PATH or @mediabunny/server', name, handler);

const clip = (name: string): string => new URL(`../../../test/data/clips/${name}`, import.meta.url).href;
const open = (name: string, options?: FrameOptions) => openFrames(clip(name), { name, ...options });
const bytesOf = async (name: string): Promise<Uint8Array> => isNode ? (await import('node:fs/promises')).readFile(new URL(clip(name))) : new Uint8Array(await (await fetch(clip(name))).arrayBuffer());

/** Middle of the yellow square. */
function squareAt({ rgb, width, height }: Omit<Frame, 'timeS'>): [number, number] {
  let [n, sx, sy] = [0, 0, 0];
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const i = (y * width + x) * 3;
    if (rgb[i]! > 135 && rgb[i + 1]! > 120) [n, sx, sy] = [n + 1, sx + x, sy + y];
  }
  return [sx / n, sy / n];
}

const near = (a: readonly number[], b: readonly number[], most: number, what: string): void => assert.ok(a.length === b.length && a.every((x, i) => Math.abs(x - b[i]!) <= most), `${what}: ${a.join(' ')}, expected ${b.join(' ')}`);
const middle = (i: number): [number, number] => [3 * i + 5.5, 11.5];
const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

async function refusal(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
  } catch (error) {
    assert.instance(error, DataError);
    assert.not.match((error as Error).message, /\n/);
    return (error as Error).message;
  }
  return assert.unreachable('nothing was refused') as never;
}

/** All frames, their times and places. */
async function follow(name: string): Promise<{ timesS: number[]; size: [number, number] }> {
  const source = await open(name);
  const timesS: number[] = [];
  for await (const frame of source.frames()) {
    assert.equal([frame.width, frame.height], [64, 48]);
    assert.is(frame.rgb.length, 64 * 48 * 3);
    near(squareAt(frame), middle(timesS.length), 0.6, `${name} frame ${timesS.length}`);
    timesS.push(frame.timeS);
  }
  near(await source.times(), timesS, 1e-3, `${name} table of times`);
  await source.close();
  return { timesS, size: [source.width, source.height] };
}

for (const [names, register] of [[FILMS, film], [ANIMATIONS, test]] as const) for (const name of names) {
  register(`${name}: every frame in order, with its time`, async () => {
    const { timesS, size } = await follow(name);
    assert.equal(size, [64, 48]);
    near(timesS, range(FRAMES).map(i => i / 10), 2e-3, 'times');
  });

  register(`${name}: even samples, frames at times, leaving early`, async () => {
    const source = await open(name);
    near([source.durationS], [1.6], 0.011, 'duration');
    const { frames, timesS } = await sampleFrames(source, 5);
    near(timesS, [0, 0.3, 0.7, 1.1, 1.5], 2e-3, 'sampled times'); // floor(i 15 / 4)
    [0, 3, 7, 11, 15].forEach((f, i) => near(squareAt({ ...frames[i]!, rgb: frames[i]!.data }), middle(f), 0.6, `sample ${i}`));
    const at: number[] = [];
    for await (const frame of source.frames([-1, 0.35, 0.36, 1.2, 99])) at.push(frame.timeS);
    near(at, [0, 0.3, 0.3, 1.2, 1.5], 2e-3, 'the frame that is shown at each time');
    for await (const frame of source.frames()) {
      near([frame.timeS], [0], 1e-6, 'first');
      break;
    }
    near((await sampleFrames(source, 1)).timesS, [0.7], 2e-3, 'one frame is the one in the middle');
    assert.is((await sampleFrames(source, 40)).frames.length, 40);
    await source.close();
    assert.match(await refusal(() => source.frames().next()), /closed/);
  });
}

film('a variable frame rate keeps its times', async () => {
  const { timesS } = await follow('uneven.mp4');
  near(timesS, range(FRAMES).map(i => Math.floor(i + (i * i) / 5) / 10), 2e-3, 'times');
});

film('a film that is stored lying on its side stands up', async () => {
  const source = await open('turned.mp4');
  assert.equal([source.width, source.height], [48, 64]);
  let i = 0;
  for await (const frame of source.frames()) near(squareAt(frame), [47 - 11.5, 3 * i++ + 5.5], 0.6, `frame ${i}`);
  assert.is(i, FRAMES);
  await source.close();
});

film('a film of five hours is sampled without decoding it all', async () => {
  const source = await open('three_hours.mp4');
  const { frames, timesS } = await sampleFrames(source, 4);
  near(timesS, [0, 6000, 12000, 18000], 0.01, 'times');
  [0, 5, 10, 15].forEach((f, i) => near(squareAt({ ...frames[i]!, rgb: frames[i]!.data }), middle(f), 0.6, `sample ${i}`));
  await source.close();
});

film('one frame, sound alone, and frames above 8k', async () => {
  const one = await open('one.mp4');
  assert.equal((await sampleFrames(one, 3)).timesS, [0, 0, 0]);
  await one.close();
  assert.match(await refusal(() => open('sound.mp4')), /sound\.mp4 has no pictures, expected a film with a video track/);
  assert.match(await refusal(() => open('wide.mp4')), /wide\.mp4 has frames of 9600×4400 pixels, expected at most 33554432/);
  assert.match(await refusal(() => open('square.mp4', { maxPixels: 1000 })), /64×48 pixels, expected at most 1000/);
});

film('files cut off at any place give their frames or one sentence', async () => {
  for (const name of FILMS) {
    const bytes = await bytesOf(name);
    for (const part of [0.02, 0.3, 0.6, 0.97]) {
      let got = 0;
      let said = '';
      try {
        const source = await openFrames(new Blob([bytes.slice(0, Math.floor(bytes.length * part))]), { name });
        try {
          for await (const frame of source.frames()) near(squareAt(frame), middle(Math.round(frame.timeS * 10)), 0.8, `${name} cut at ${part}, frame ${got++}`); // the packet that is missing last need not be shown last
          assert.is((await source.times()).length, got);
        } finally {
          await source.close();
        }
      } catch (error) {
        assert.instance(error, DataError, String(error));
        said = (error as Error).message;
        assert.match(said, new RegExp(name.replace('.', '\\.')));
      }
      assert.ok(said || got > 0);
      if (name.endsWith('mp4')) assert.ok(said, `${name} cut at ${part}: the index promises more frames than there are`);
    }
  }
});

film('a signal ends it', async () => {
  const stop = new AbortController();
  const source = await open('square.mp4', { signal: stop.signal });
  const frames = source.frames();
  await frames.next();
  stop.abort(new Error('enough'));
  const reason = await frames.next().then(() => 'went on', (error: Error) => error.message);
  assert.is(reason, 'enough');
  await source.close();
  assert.is(await open('square.mp4', { signal: AbortSignal.abort(new Error('never')) }).then(() => '', (error: Error) => error.message), 'never');
});

test('pictures are films of one frame', async () => {
  const png = Uint8Array.from(atob('iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAYAAACddGYaAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAAHElEQVQImWP4z8DwHwwZ/jcwgACXiNz/EylG/wF28AkUdriyXAAAAABJRU5ErkJggg=='), c => c.charCodeAt(0));
  const source = await openFrames(new Blob([png]), { name: 'dot.png' });
  const { frames, timesS } = await sampleFrames(source, 2);
  assert.equal([frames.length, ...timesS, source.durationS, frames[0]!.width, frames[0]!.height], [2, 0, 0, 0, 3, 2]);
  await source.close();
});

test('what is no film says so', async () => {
  assert.match(await refusal(() => openFrames(new Blob([]), { name: 'nothing.mp4' })), /nothing\.mp4 is empty/);
  assert.match(await refusal(() => openFrames(new Blob(['hello, this is text']), { name: 'letter.mp4' })), /letter\.mp4/);
  assert.match(await refusal(() => open('missing.mp4')), /there is no file missing\.mp4/);
  const gif = await bytesOf('square.gif');
  const cut = await openFrames(new Blob([gif.slice(0, 200)]), { name: 'cut.gif' }).then(async s => { for await (const _ of s.frames()) continue; return 'decoded'; }, (e: Error) => e.message).catch((e: Error) => e.message);
  assert.match(cut, /cut\.gif|decoded/);
  const source = await open('square.gif');
  assert.match(await refusal(() => source.frames([1, 0]).next()), /times of square\.gif have 0 at place 1, expected finite seconds in ascending order/);
  assert.match(await refusal(() => sampleFrames(source, 0)), /n is 0, expected a whole number of at least 1/);
  assert.match(await refusal(() => sampleFrames(source, 1_000_000)), /need 9216000000 bytes, expected at most 1073741824/);
  await source.close();
});

test.when(isNode, 'a browser draws each frame over the last', 'an animation that would take hours is told at once', async () => {
  const size = 4096;
  const block = (...bytes: number[]): number[] => [0x2c, 0, 0, 0, 0, size & 255, size >> 8, size & 255, size >> 8, 0, ...bytes];
  const head = [...new TextEncoder().encode('GIF89a'), size & 255, size >> 8, size & 255, size >> 8, 0x80, 0, 0, 0, 0, 0, 255, 255, 255];
  const frame = [0x21, 0xf9, 4, 0, 10, 0, 0, 0, ...block(2, 2, 0x44, 1, 0)]; // one black pixel; the rest of the frame is missing
  const gif = new Blob([new Uint8Array([...head, ...Array.from({ length: 300 }, () => frame).flat(), 0x3b])]);
  const source = await openFrames(gif, { name: 'long.gif' });
  try {
    const began = performance.now();
    const error = await source.frames().next().then(() => undefined, (e: unknown) => e);
    assert.ok(error instanceof DataError, String(error));
    assert.match(error.message, /^FrameSource\.frames: long\.gif is too long an animation: 300 of its frames of 4096×4096 take 45150 drawings, as each lies over all before it, expected at most 1788 /);
    assert.ok(performance.now() - began < 5000);
  } finally {
    await source.close();
  }
});

test('kinds of files by their first bytes', async () => {
  const kinds = async (names: readonly string[]): Promise<string[]> => Promise.all(names.map(async n => mediaKind((await bytesOf(n)).subarray(0, 64))));
  assert.equal(await kinds([...FILMS, 'sound.mp4']), ['video', 'video', 'video', 'video']);
  assert.equal(await kinds(ANIMATIONS), ['picture', 'picture']);
  assert.equal(['RIFF\0\0\0\0AVI LIST', '\0\0\0\x1cftypavif', '\0\0\0\x1cftypheic', 'OggS', '\x89PNG\r\n\x1a\n', '<svg'].map(s => mediaKind(Uint8Array.from(s, c => c.charCodeAt(0)))), ['video', 'picture', 'picture', 'video', 'picture', 'picture']);
});

test('delays of animations; a delay of nothing counts as a tenth of a second', async () => {
  const gif = (await bytesOf('square.gif')).slice();
  near(animationDelays(gif), range(FRAMES).map(() => 0.1), 1e-9, 'gif');
  near(animationDelays(await bytesOf('square.webp')), range(FRAMES).map(() => 0.1), 1e-9, 'webp');
  for (let i = 0; i < gif.length - 2; i++) if (gif[i] === 0x21 && gif[i + 1] === 0xf9) gif.set([25, 0], i + 4);
  near(animationDelays(gif), range(FRAMES).map(() => 0.25), 1e-9, 'a quarter of a second');
  for (let i = 0; i < gif.length - 2; i++) if (gif[i] === 0x21 && gif[i + 1] === 0xf9) gif.set([0, 0], i + 4);
  near(animationDelays(gif), range(FRAMES).map(() => 0.1), 1e-9, 'none');
  assert.equal(animationDelays(Uint8Array.from([1, 2, 3])), []);
});

test('quarter turns and mirrors', () => {
  const of = (...grey: number[]): Uint8Array => Uint8Array.from(grey.flatMap(g => [g, g, g]));
  const picture = of(1, 2, 3, 4, 5, 6); // 3 x 2
  assert.equal(turnPixels(picture, 3, 2, 90), of(4, 1, 5, 2, 6, 3));
  assert.equal(turnPixels(picture, 3, 2, 180), of(6, 5, 4, 3, 2, 1));
  assert.equal(turnPixels(picture, 3, 2, 270), of(3, 6, 2, 5, 1, 4));
  assert.equal(turnPixels(picture, 3, 2, 0, true), of(3, 2, 1, 6, 5, 4));
  assert.equal(turnPixels(picture, 3, 2, 90, true), of(1, 4, 2, 5, 3, 6));
});

test.run();
