// The checkpoint that ships: small, whole, and as good as its card says.
import { assert, device, isNode, suite } from '../harness.ts';
import { WHY, json, vlJepa } from './process.ts';

const test = suite('checkpoints/nano');
/** Compiled tests lie in <root>/<outDir>/test/app. */
const FOLDER = new URL('../../../checkpoints/nano/', import.meta.url);
const STAGE2 = new URL('../../../checkpoints/nano2/', import.meta.url);
const MOST_BYTES = 12e6;

test.when(isNode, WHY, 'it has at most 12 MB, loads, and gives unit vectors', async () => {
  const { readdir, stat } = await import('node:fs/promises');
  const { fileURLToPath } = await import('node:url');
  const { VLJEPA } = await import('../../model/vl_jepa.ts');
  const names = await readdir(FOLDER);
  for (const name of ['config.json', 'model.safetensors', 'tokenizer.json', 'metrics.json']) assert.ok(names.includes(name), `${name} is missing`);
  let bytes = 0;
  for (const name of names) bytes += (await stat(new URL(name, FOLDER))).size;
  assert.ok(bytes <= MOST_BYTES, `${bytes} bytes, expected at most ${MOST_BYTES}`);
  const model = await VLJEPA.fromPretrained(fileURLToPath(FOLDER), { device: await device() });
  const vectors = model.encodeText(['red apple', 'a fish']);
  const values = await vectors.read();
  const length = (row: number): number => Math.hypot(...values.subarray(row * model.config.embeddingDim, (row + 1) * model.config.embeddingDim));
  assert.ok(Math.abs(length(0) - 1) < 1e-5 && Math.abs(length(1) - 1) < 1e-5);
  vectors.dispose();
  model.dispose();
});

test.when(isNode, WHY, 'R@1 on the unseen artist is that of its card', async () => {
  const { readFile } = await import('node:fs/promises');
  const card = JSON.parse(await readFile(new URL('metrics.json', FOLDER), 'utf8')) as { artist: string; pictureToText: { r1: number }; textToPicture: { r1: number } };
  const now = json(await vlJepa(['eval', '--artist', card.artist, '--json'])) as unknown as typeof card;
  assert.is(card.artist, 'fluent-emoji-flat');
  for (const way of ['pictureToText', 'textToPicture'] as const) assert.ok(Math.abs(now[way].r1 - card[way].r1) <= 0.1, `${way}: R@1 ${now[way].r1}, the card says ${card[way].r1}`);
});

test.when(isNode, WHY, 'after stage 2 it tells what moves and how, and not how where the order of frames is missing', async () => {
  const { fileURLToPath } = await import('node:url');
  const { evaluateClips } = await import('../../app/evaluate_clips.ts');
  const { splits, controls } = await evaluateClips({ model: fileURLToPath(STAGE2), artist: 'fluent-emoji-flat', json: true, most: 96, device: await device() });
  // the first 96 clips of each split, always the same: 95 and 40 (mostly faces) on the unseen artist, with room for the rounding of other adapters
  const whole = Object.entries(splits).filter(([, { motion }]) => motion.n === 96);
  assert.equal(whole.map(([name]) => name), ['trained artists, new seeds', 'trained artists, held-out pairs', 'unseen artist']);
  for (const [name, { motion, object }] of whole) assert.ok(motion.percent > 85 && object.r1 > 30, `${name}: motion ${motion.percent}, object ${object.r1}`);
  for (const name of ['first frame only', 'shuffled frames']) assert.ok(controls[name]!.percent < 25, `${name}: ${controls[name]!.percent}, chance is 12.5`);
  assert.ok(controls['backwards, opposite motion expected']!.percent > 85);
});

test.run();
