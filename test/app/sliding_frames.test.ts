// Windows of the page's stream: the same ones however many are taken at once.
import { SlidingFrames } from '../../app/web/sliding_frames.ts';
import { assert, suite } from '../harness.ts';

const test = suite('app: sliding frames');

/** First frames and lengths of the windows of a stream of n frames, taken when so many are there. */
function windowsOf(n: number, framesPerWindow: number, strideFrames: number, atOnce: number): number[][] {
  const frames = new SlidingFrames<number>({ framesPerWindow, strideFrames });
  const windows: number[][] = [];
  for (let i = 0; i < n; i++) {
    frames.push(i);
    if (frames.ready >= atOnce) windows.push(...frames.take());
  }
  if (windows.length === 0) frames.fill();
  return [...windows, ...frames.take()];
}

test('windows begin a stride apart, with gaps between them too', () => {
  for (const [size, stride] of [[1, 1], [1, 4], [4, 4], [16, 4], [3, 7], [2, 64]] as const) {
    const expected: number[][] = [];
    for (let at = 0; at + size <= 100; at += stride) expected.push(Array.from({ length: size }, (_, i) => at + i));
    for (const atOnce of [1, 3, 8]) assert.equal(windowsOf(100, size, stride, atOnce), expected, `windows of ${size}, stride ${stride}, ${atOnce} at once`);
  }
});

test('a stream shorter than a window repeats its last frame; none gives none', () => {
  assert.equal(windowsOf(2, 4, 1, 8), [[0, 1, 1, 1]]);
  assert.equal(windowsOf(0, 4, 1, 8), []);
});

test.run();
