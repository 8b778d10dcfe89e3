// Set MS: clips are functions of their address, motions begin alike and use the same levels, pairs are kept apart, and it is quick.
import { DataError } from '../../data/errors.ts';
import { answerOf, clipCaptions, QUESTIONS } from '../../data/questions.ts';
import { CounterRandom } from '../../data/random.ts';
import { isHeldOutPair, levelsByLot, levelsFrom, MOTIONS, SPRITES, spriteClip, spritePoses } from '../../data/sprites.ts';
import type { Drawing } from '../../data/sprites.ts';
import { assert, isNode, suite } from '../harness.ts';

const test = suite('data: moving sprites');
const SIDE = 24;
const FRAME = SIDE * SIDE * 3;
const at = (step: number, index = 0): CounterRandom => new CounterRandom(5, step, index, 3);

/** A dark ellipse with a light spot off its centre, on white. */
const drawing: Drawing = {
  size: SIDE,
  levels: Uint8Array.from({ length: FRAME }, (_, i) => {
    const [x, y] = [(Math.floor(i / 3) % SIDE) / 11.5 - 1, Math.floor(i / 3 / SIDE) / 11.5 - 1];
    return Math.hypot(x / 0.9, y / 0.6) > 1 ? 255 : Math.hypot(x - 0.4, y) < 0.25 ? 200 : 40;
  }),
};
const clip = (motion: number, step: number): Uint8Array => spriteClip(drawing, motion, at(step), SIDE);
const sorted = (values: Iterable<number>): number[] => [...values].sort((a, b) => a - b);

test('a clip depends on its drawing, its motion and its address alone', () => {
  assert.equal(clip(3, 7), clip(3, 7));
  assert.not.equal(clip(3, 7), clip(3, 8));
  assert.not.equal(clip(3, 7), clip(2, 7));
  assert.is(clip(0, 1).length, SPRITES.frames * FRAME);
  const out = new Uint8Array(3 * SPRITES.frames * FRAME);
  spriteClip(drawing, 3, at(7), SIDE, { out, from: SPRITES.frames * FRAME });
  assert.equal(out.subarray(SPRITES.frames * FRAME, 2 * SPRITES.frames * FRAME), clip(3, 7));
  assert.ok(out.subarray(0, SPRITES.frames * FRAME).every(v => v === 0), 'nothing else is written');
});

test('all motions of an address share their first frame, so one frame cannot give the motion away', () => {
  for (let step = 0; step < 20; step++) {
    const first = MOTIONS.map((_, m) => clip(m, step).subarray(0, FRAME));
    for (const frame of first) assert.equal(frame, first[0]);
  }
});

test('every pose value takes each of its levels once under every motion, so no value tells the motion without the order', () => {
  const all = Array.from({ length: 16 }, (_, i) => i);
  for (let start = 0; start < 16; start++) {
    const drawn = levelsByLot(start, 16, place => at(start, 9).uniform(place));
    for (const levels of [levelsFrom(start, -1, 16), levelsFrom(start, 1, 16), drawn]) {
      assert.is(levels[0], start);
      assert.equal(sorted(levels), all);
      for (let t = 0; t < 16; t += 2) assert.ok([1, 15].includes(Math.abs(levels[t]! - levels[t + 1]!)), 'two frames hold two neighbouring levels');
    }
  }
  assert.equal(levelsByLot(1, 2, () => 0), [1, 0]);
  assert.equal(levelsByLot(1, 2, () => 0.9), [1, 0]);
  for (let m = 0; m < 8; m++) {
    const [a, b] = [spritePoses(m, at(4)), spritePoses((m + 3) % 8, at(4))];
    for (let axis = 0; axis < 4; axis++) assert.equal(sorted(a.filter((_, i) => i % 4 === axis)), sorted(b.filter((_, i) => i % 4 === axis)));
  }
});

test('poses without their order do not tell which value moves: two values lie to each other as two others do', () => {
  // statistics of a pair of values that no order of frames changes: how often neighbouring levels of one are near in the other, and the correlation on the circle
  const N = 16, CLIPS = 3000;
  const tell = (poses: Float64Array, a: number, b: number): number[] => {
    const level = (t: number, axis: number): number => Math.round(((poses[t * 4 + axis]! / (axis < 2 ? SPRITES.shift : (SPRITES.turn * Math.PI) / 180) + 1) * (N - 1)) / 2);
    const other = new Array<number>(N);
    for (let t = 0; t < N; t++) other[level(t, a)] = level(t, b);
    const gaps = other.map((v, i) => Math.min((v - other[(i + 1) % N]! + N) % N, (other[(i + 1) % N]! - v + N) % N));
    const turn = (v: number, f: number): number => (2 * Math.PI * f * v) / N;
    const wave = (f: number): number => Math.hypot(...([Math.cos, Math.sin] as const).flatMap(p => ([Math.cos, Math.sin] as const).map(q => other.reduce((sum, v, i) => sum + p(turn(i, 1)) * q(turn(v, f)), 0)))) / N;
    return [gaps.filter(g => g === 1).length, gaps.reduce((x, y) => x + y) / N, wave(1), wave(3)];
  };
  // axes 0, 1 and 3: with motion 0 the first of them moves, with motion 6 the last, with motion 4 none of them
  for (const [a, b] of [[0, 1], [1, 0], [0, 3], [3, 0]] as const) {
    const means = [0, 1, 4, 6].map(motion => {
      const sums = [0, 0, 0, 0];
      for (let i = 0; i < CLIPS; i++) tell(spritePoses(motion, at(motion, i)), a, b).forEach((v, k) => { sums[k] = sums[k]! + v / CLIPS; });
      return sums;
    });
    for (const k of [0, 1, 2, 3]) {
      const values = means.map(m => m[k]!);
      assert.ok((Math.max(...values) - Math.min(...values)) / values[0]! < 0.03, `values ${a} and ${b}, statistic ${k}: ${values.map(v => v.toFixed(3)).join(' ')}`);
    }
  }
});

test('the moving value moves the way that its answer says', () => {
  const { shift, zoom, turn } = SPRITES;
  MOTIONS.forEach(({ axis, sign }, m) => {
    const poses = spritePoses(m, at(9));
    const values = Array.from({ length: 16 }, (_, t) => poses[t * 4 + axis]!);
    const steps = values.slice(1).map((v, t) => Math.sign(v - values[t]!));
    assert.ok(steps.filter(s => s === sign).length >= 14, `${MOTIONS[m]!.answer}: one wrap at most`);
    const [low, high] = [[-shift, -shift, zoom[0], (-turn * Math.PI) / 180][axis]!, [shift, shift, zoom[1], (turn * Math.PI) / 180][axis]!];
    assert.ok(Math.abs(Math.min(...values) - low) < 1e-9 && Math.abs(Math.max(...values) - high) < 1e-9);
  });
});

test('pixels follow the pose: the ink moves right and down, grows, and turns clockwise', () => {
  const settings = { ...SPRITES, frames: 2, tint: 0 };
  const frame = (pose: number[]): { ink: number; x: number; y: number; spot: number } => {
    const [x, y, zoom, turn] = pose as [number, number, number, number];
    // both frames of a clip of two levels: the ends of the ranges; taken where the pose is the wanted one
    const ends = { ...settings, shift: Math.max(Math.abs(x), Math.abs(y)), zoom: [zoom, zoom] as const, turn: Math.abs(turn) };
    for (let step = 0; step < 400; step++) {
      const poses = spritePoses(0, at(step), ends);
      for (const t of [0, 1]) {
        const p = poses.subarray(t * 4, t * 4 + 4);
        if (pose.every((v, k) => Math.abs((k === 3 ? (p[k]! * 180) / Math.PI : p[k]!) - v) < 1e-6)) return measure(spriteClip(drawing, 0, at(step), SIDE, { settings: ends }).subarray(t * FRAME, (t + 1) * FRAME));
      }
    }
    throw new Error(`no clip has the pose ${pose.join()}`);
  };
  const still = frame([0, 0, 0.8, 0]), away = frame([0.1, 0.1, 0.8, 0]), small = frame([0, 0, 0.5, 0]), turned = frame([0, 0, 0.8, 30]);
  assert.ok(Math.abs(away.x - still.x - 2.4) < 0.1 && Math.abs(away.y - still.y - 2.4) < 0.1, `${away.x - still.x} ${away.y - still.y}`);
  assert.ok(Math.abs(small.ink / still.ink - (0.5 / 0.8) ** 2) < 0.03, `${small.ink / still.ink}`);
  assert.ok(turned.spot > still.spot + 0.5, 'the light spot at the right goes down');
});

/** Ink (255 − level), its centre, and the row of the light spot within it. */
function measure(levels: ArrayLike<number>): { ink: number; x: number; y: number; spot: number } {
  let ink = 0, x = 0, y = 0, spot = 0, light = 0;
  for (let i = 0; i < SIDE * SIDE; i++) {
    const level = levels[i * 3]!;
    const v = 255 - level;
    [ink, x, y] = [ink + v, x + v * (i % SIDE), y + v * Math.floor(i / SIDE)];
    if (level > 170 && level < 215 && i % SIDE > SIDE / 2 + 1) [spot, light] = [spot + Math.floor(i / SIDE), light + 1];
  }
  return { ink, x: x / ink, y: y / ink, spot: spot / light };
}

test('one pair of object and motion in ten is kept apart, evenly over motions', () => {
  const counts = MOTIONS.map((_, m) => Array.from({ length: 4000 }, (_, i) => isHeldOutPair(`1f${(i * 37).toString(16)}`, m)).filter(Boolean).length);
  for (const n of counts) assert.ok(n > 320 && n < 480, counts.join());
  assert.is(isHeldOutPair('1f600', 3), isHeldOutPair('1f600', 3));
});

test('questions have answers and captions hold the name and the motion', () => {
  assert.equal([answerOf('object', 'red apple', 2), answerOf('motion', 'red apple', 2), answerOf('caption', 'red apple', 2), answerOf('picture', 'red apple', 0)], ['red apple', 'moving up', 'a red apple moving up', 'red apple']);
  const captions = clipCaptions('$& apple', 7);
  assert.is(new Set(captions).size, 5);
  for (const c of captions) assert.ok(c.includes('$& apple') && c.includes('turning counter-clockwise'), c);
  for (const texts of Object.values(QUESTIONS)) assert.is(new Set(texts).size, texts.length);
});

test('wrong motions, odd clips, drawings that do not fit and too little room are errors', () => {
  assert.throws(() => clip(8, 0), (e: Error) => e instanceof DataError && /motion from 0 to 7, got 8/.test(e.message));
  assert.throws(() => spritePoses(0, at(0), { ...SPRITES, frames: 7 }), /even number of frames, got 7/);
  assert.throws(() => spriteClip({ size: 5, levels: drawing.levels }, 0, at(0), SIDE), /expected 75 levels/);
  assert.throws(() => spriteClip(drawing, 0, at(0), SIDE, { out: new Uint8Array(5) }), /expected room for/);
});

test.when(isNode, 'processor time is known in Node alone', '64 clips of 16 frames take less than half a second of processor time (about 50 ms on a free core)', () => {
  for (let i = 0; i < 16; i++) clip(i % 8, i);
  const began = process.cpuUsage();
  for (let i = 0; i < 64; i++) clip(i % 8, i);
  const { user, system } = process.cpuUsage(began);
  console.log(`  64 clips of 16 frames: ${((user + system) / 1000).toFixed(0)} ms`);
  assert.ok(user + system < 500_000, `${user + system} microseconds`);
});

test.run();
