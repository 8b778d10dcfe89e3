import { contentBox, trimClip, trimPicture } from '../../data/trim.ts';
import { assert, suite } from '../harness.ts';

const test = suite('trim');

/** A plain picture with one rectangle of another colour. */
function drawing(width: number, height: number, [left, top, w, h]: readonly [number, number, number, number], margin = 255, ink = 20): { width: number; height: number; data: Uint8Array } {
  const data = new Uint8Array(width * height * 3).fill(margin);
  for (let y = top; y < top + h; y++) data.fill(ink, (y * width + left) * 3, (y * width + left + w) * 3);
  return { width, height, data };
}

test('finds the box of the content', () => {
  assert.equal(contentBox(drawing(20, 10, [3, 2, 5, 4])), { left: 3, top: 2, width: 5, height: 4 });
  assert.equal(contentBox(drawing(20, 10, [19, 0, 1, 1], 255)), { left: 0, top: 0, width: 20, height: 10 }); // a corner differs: no plain margin
  assert.equal(contentBox(drawing(7, 7, [6, 3, 1, 1])), { left: 6, top: 3, width: 1, height: 1 });
});

test('a plain picture, a photograph and faint noise stay whole', () => {
  assert.equal(contentBox(drawing(8, 6, [2, 2, 0, 0])), { left: 0, top: 0, width: 8, height: 6 });
  assert.equal(contentBox(drawing(8, 6, [2, 2, 3, 3], 200, 206)), { left: 0, top: 0, width: 8, height: 6 });
  const photo = { width: 5, height: 5, data: Uint8Array.from({ length: 75 }, (_, i) => (i * 37) % 256) };
  assert.equal(contentBox(photo), { left: 0, top: 0, width: 5, height: 5 });
});

test('trims and moves half-way to a square, in the margin\'s colour, with every content pixel kept', () => {
  const trimmed = trimPicture(drawing(64, 64, [10, 20, 36, 16], 250, 10));
  assert.equal([trimmed.width, trimmed.height], [36, 24]); // √(36·36), √(36·16)
  let dark = 0;
  for (let i = 0; i < trimmed.data.length; i += 3) {
    assert.ok(trimmed.data[i] === 10 || trimmed.data[i] === 250);
    if (trimmed.data[i] === 10) dark++;
  }
  assert.is(dark, 36 * 16);
});

test('the frames of a clip are trimmed to one box, so what moves still moves', () => {
  const frames = [drawing(40, 30, [4, 6, 8, 10]), drawing(40, 30, [12, 6, 8, 10]), drawing(40, 30, [0, 0, 0, 0]), drawing(40, 30, [20, 8, 8, 10])];
  const trimmed = trimClip(frames);
  const [width, height] = [24, Math.round(Math.sqrt(24 * 12))]; // all lie in 4..27 x 6..17
  assert.equal(trimmed.map(f => [f.width, f.height]), frames.map(() => [width, height]));
  const above = Math.floor((height - 12) / 2);
  const box = (f: { width: number; height: number; data: Uint8Array }): unknown => contentBox(f);
  assert.equal([0, 1, 3].map(i => box(trimmed[i]!)), [[0, above], [8, above], [16, above + 2]].map(([left, top]) => ({ left, top, width: 8, height: 10 })));
  assert.ok(trimmed[2]!.data.every(v => v === 255), 'an empty frame stays empty');
  assert.equal(trimClip([frames[0]!]), [trimPicture(frames[0]!)]);
});

test('clips without one plain margin keep their frames', () => {
  const plain = drawing(16, 16, [4, 6, 3, 3]);
  const same = (clip: { width: number; height: number; data: Uint8Array }[]): boolean => trimClip(clip) === clip;
  assert.ok(same([]));
  assert.ok(same([plain, drawing(16, 16, [0, 0, 3, 3])]), 'a corner is covered');
  assert.ok(same([plain, drawing(16, 16, [4, 6, 3, 3], 200)]), 'the margin changes its colour');
  assert.ok(same([plain, drawing(16, 18, [4, 6, 3, 3])]), 'sizes differ');
  assert.ok(same([drawing(16, 16, [0, 0, 0, 0]), drawing(16, 16, [0, 0, 0, 0])]), 'nothing is drawn');
});

test('bytes that do not fit the size are refused', () => {
  assert.throws(() => contentBox({ width: 4, height: 4, data: new Uint8Array(47) }), /48 bytes for 4 x 4 RGB, got 47/);
});

test.run();
