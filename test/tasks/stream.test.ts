import { loadTokenizerJson } from '../../data/tokenizer.ts';
import { VLJEPA } from '../../model/vl_jepa.ts';
import { labelBank } from '../../tasks/classify.ts';
import { watchStream, windowEmbeddings } from '../../tasks/stream.ts';
import type { StreamEvent, TimedPicture, TimedVector } from '../../tasks/stream.ts';
import { TINY } from '../../train/presets.ts';
import { assert, close, device, generator, suite } from '../harness.ts';

const test = suite('stream');

const tiny = async (): Promise<VLJEPA> => VLJEPA.fromConfig(TINY.model, { device: await device(), seed: 3, init: TINY.init as never, tokenizer: await loadTokenizerJson() });
const noise = (seed: number): Uint8Array => {
  const next = generator(seed);
  return Uint8Array.from({ length: 300 }, () => Math.floor(256 * next()));
};
/** Frames at a rate; frame i shows picture `which(i)`. */
function* film(count: number, hz: number, which: (i: number) => number): Generator<TimedPicture> {
  for (let i = 0; i < count; i++) yield { timeS: i / hz, picture: { width: 10, height: 10, data: noise(which(i)) } };
}
async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}
const fails = async (work: () => Promise<unknown>, said: RegExp): Promise<void> => {
  let error: unknown;
  await work().catch(e => { error = e; });
  assert.match((error as Error | undefined)?.message ?? 'nothing was thrown', said);
};

test('windows: times, strides, and the frames that the window shows', async () => {
  const model = await tiny();
  const vectors = await all(windowEmbeddings(model, film(40, 8, i => i), { windowS: 2, strideS: 0.5, frames: 4 }));
  assert.equal(vectors.map(v => v.timeS), [0.75, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75]);
  const clip = [4, 8, 12, 16].map(i => ({ width: 10, height: 10, data: noise(i) })); // the second window: 0.5, 1, 1.5, 2 s
  const expected = model.predict([clip]);
  close([...vectors[1]!.vector], [...(await expected.read())], { abs: 1e-5, name: 'the second window' });
  expected.dispose();
  model.dispose();
});

test('windows: fewer frames than a window, one frame, uneven times, and a query', async () => {
  const model = await tiny();
  assert.is((await all(windowEmbeddings(model, film(3, 8, i => i), { windowS: 4, frames: 8 }))).length, 1);
  const [one] = await all(windowEmbeddings(model, film(1, 8, () => 5), { frames: 2 }));
  const [asked] = await all(windowEmbeddings(model, film(1, 8, () => 5), { frames: 2, query: 'What is this?' }));
  assert.ok(one!.vector.some((v, i) => Math.abs(v - asked!.vector[i]!) > 1e-4), 'the query changes the vector');
  const gap = await all(windowEmbeddings(model, [...film(8, 4, i => i), ...[...film(8, 4, i => i)].map(f => ({ ...f, timeS: f.timeS + 60 }))], { windowS: 1, strideS: 1, frames: 2 }));
  assert.ok(gap.every((v, i) => i === 0 || v.timeS > gap[i - 1]!.timeS) && gap.length >= 3 && gap.length <= 6, 'a gap of a minute is no burst of windows');
  await fails(() => all(windowEmbeddings(model, [])), /stream: there is no frame, expected at least one/);
  await fails(() => all(windowEmbeddings(model, film(2, 1, i => i), { windowS: 0 })), /windowS is 0, expected seconds above 0/);
  await fails(() => all(windowEmbeddings(model, [...film(3, 1, i => i)].reverse())), /a frame at 1 s comes after one at 2 s/);
  model.dispose();
});

test('frames that are too large to be held together are told before the window is full', async () => {
  const model = await tiny();
  const [side, data] = [8192, new Uint8Array(8192 * 4096 * 3)];
  let shown = 0;
  function* huge(): Generator<TimedPicture> {
    for (; shown < 40; shown++) yield { timeS: shown / 8, picture: { width: side, height: side / 2, data } };
  }
  await fails(() => all(windowEmbeddings(model, huge(), { windowS: 2, frames: 16 })), /^stream: the frames of a window, 16 of 8192×4096, need 1610612736 bytes, expected at most 1073741824 /);
  assert.is(shown, 10, 'frames that fit are held');
  model.dispose();
});

test('watching: a change of scene is decoded, with label and text; the end decodes the last scene', async () => {
  const model = await tiny();
  const bank = labelBank(model, ['a cat', 'a dog', 'a red apple']);
  const rows = await bank.vectors.read();
  const dim = rows.length / 3;
  const vectors: TimedVector[] = Array.from({ length: 60 }, (_, i) => ({ timeS: i / 2, vector: rows.slice(dim * Math.floor(i / 20), dim * (1 + Math.floor(i / 20))) }));
  const threshold = 0.2 * Math.min(...[[0, 1], [1, 2]].map(([a, b]) => Array.from({ length: dim }, (_, d) => (rows[a! * dim + d]! - rows[b! * dim + d]!) ** 2).reduce((s, v) => s + v, 0) / 4));
  const events = await all(watchStream(vectors, { bank, window: 6, threshold, minGapS: 3, text: v => `text of ${v.length}` }));
  const decoded = events.filter((e): e is StreamEvent & { run: object } => e.run !== undefined);
  assert.is(events.length, 61);
  assert.equal(decoded.map(e => e.label!.label), ['a cat', 'a dog', 'a red apple']);
  assert.ok(decoded.every(e => e.label!.score > 0.9 && e.text === `text of ${dim}`));
  assert.ok(events.filter(e => !e.run).every(e => e.label === undefined && e.text === undefined));
  assert.equal(await all(watchStream([])), []);
  model.dispose();
});

test('watching frames: nothing grows from window to window', async () => {
  const model = await tiny();
  let before = 0, seen = 0;
  for await (const _ of watchStream(windowEmbeddings(model, film(400, 4, i => Math.floor(i / 100)), { windowS: 1, strideS: 0.25, frames: 2 }), { window: 4 })) {
    if (++seen === 60) before = model.device.liveTensors;
  }
  assert.ok(seen > 350, `${seen} events`);
  assert.is(model.device.liveTensors, before);
  model.dispose();
});

test.run();
