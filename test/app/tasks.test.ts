// The commands of the tasks on files: index and search, questions, streams.
import { inFolder } from '../folder.ts';
import { assert, generator, isNode, suite } from '../harness.ts';
import { WHY, json, refusal, tinyCheckpoint, vlJepa, writePng } from './process.ts';

const test = suite('task commands');

/** A PNG that is like no other. */
async function writeNoise(path: string, seed: number): Promise<void> {
  const { default: sharp } = await import('sharp');
  const next = generator(seed + 1);
  await sharp(Uint8Array.from({ length: 1200 }, () => Math.floor(256 * next())), { raw: { width: 20, height: 20, channels: 3 } }).png().toFile(path);
}

test.when(isNode, WHY, 'index and retrieve: in both directions, damaged files named, another model\'s index refused by name', () => inFolder(async folder => {
  const { writeFile } = await import('node:fs/promises');
  const [model, index, texts] = [`${folder}/model`, `${folder}/pictures.safetensors`, `${folder}/texts.safetensors`];
  await tinyCheckpoint(model);
  const files = ['a', 'b', 'c'].map(n => `${folder}/${n}.png`);
  for (const [i, f] of files.entries()) await writeNoise(f, i);
  await writeFile(`${folder}/broken.png`, 'no picture');
  const made = json(await vlJepa(['index', ...files, `${folder}/broken.png`, '--output', index, '--model', model, '--json'])) as { count: number; skipped: string[]; kind: string };
  assert.equal([made.count, made.kind, made.skipped.length], [3, 'pictures', 1]);
  assert.match(made.skipped[0]!, /broken\.png is no picture/);
  const direct = json(await vlJepa(['retrieve', ...files, '--query', 'a cat', '--model', model, '--json']));
  assert.equal(json(await vlJepa(['retrieve', '--index', index, '--query', 'a cat', '--model', model, '--json'])), direct);
  json(await vlJepa(['index', '--texts', 'a cat,a dog,two birds', '--output', texts, '--model', model, '--json']));
  const named = json(await vlJepa(['retrieve', '--index', texts, '--picture', files[0]!, '--model', model, '--top', '2', '--json'])) as unknown as { file: string; score: number }[];
  const classes = json(await vlJepa(['classify', files[0]!, '--labels', 'a cat,a dog,two birds', '--model', model, '--top', '2', '--json'])) as unknown as { top: [string, number][] }[];
  assert.equal(named.map(h => h.file), classes[0]!.top.map(([l]) => l));
  assert.match(refusal(await vlJepa(['retrieve', '--index', index, '--query', 'a cat'])), /^index .*: it was made by model .*\/model \([0-9a-f]{8}\), expected the shipped checkpoint \([0-9a-f]{8}\): vectors of different models cannot be compared, embed the files again$/);
  assert.match(refusal(await vlJepa(['retrieve', '--index', `${model}/model.safetensors`, '--query', 'a cat', '--model', model])), /it is no index, expected the format/);
  assert.match(refusal(await vlJepa(['index', `${folder}/broken.png`, '--output', index, '--model', model])), /^index: none of 1 files could be read/);
}));

test.when(isNode, WHY, 'ask: candidate answers, also from a file; a question of 100 KB is told', () => inFolder(async folder => {
  const { writeFile } = await import('node:fs/promises');
  const [model, red, answers] = [`${folder}/model`, `${folder}/red.png`, `${folder}/answers.txt`];
  await tinyCheckpoint(model);
  await writePng(red, 30, 30);
  await writeFile(answers, 'yes\nno\n');
  const said = json(await vlJepa(['ask', red, '--question', 'Is it red?', '--answers', answers, '--model', model, '--json'])) as unknown as { file: string; top: [string, number][] }[];
  assert.equal([said[0]!.file, said[0]!.top.map(([l]) => l).sort()], [red, ['no', 'yes']]);
  assert.match(refusal(await vlJepa(['ask', red, '--question', 'red '.repeat(25_000), '--answers', 'yes,no', '--model', model])), /^ask: the question has more than \d+ tokens, expected at most so many beside \d+ visual ones \(it is 100,000 characters long; shorten it\)$/);
}));

test.when(isNode, WHY, 'stream: an animation, its embeddings stored and watched again', () => inFolder(async folder => {
  const { default: sharp } = await import('sharp');
  const [model, gif, vectors] = [`${folder}/model`, `${folder}/a.gif`, `${folder}/v.safetensors`];
  await tinyCheckpoint(model);
  const frames = await Promise.all(Array.from({ length: 24 }, (_, i) => sharp({ create: { width: 40, height: 30, channels: 3, background: i < 12 ? { r: 250, g: 10, b: 10 } : { r: 10, g: 20, b: 250 } } }).composite([{ input: { create: { width: 8, height: 8, channels: 3, background: { r: 9 * i, g: 255, b: 0 } } }, left: i, top: 5 }]).png().toBuffer()));
  await sharp(frames, { join: { animated: true } }).gif({ delay: frames.map(() => 250), loop: 0 }).toFile(gif);
  const options = ['--labels', 'red,blue', '--model', model, '--threshold', '0', '--gap-s', '1', '--window', '3'];
  const watched = json(await vlJepa(['stream', gif, ...options, '--window-s', '1', '--stride-s', '0.5', '--frames', '2', '--output', vectors, '--json'])) as { windows: number; decodes: { atS: number; label: string }[]; windowsPerSecond: number };
  assert.ok(watched.windows >= 10 && watched.windows <= 12 && watched.decodes.length >= 2, JSON.stringify(watched));
  assert.ok(watched.decodes.every(d => ['red', 'blue'].includes(d.label)) && watched.windowsPerSecond > 0);
  const again = json(await vlJepa(['stream', vectors, ...options, '--json'])) as typeof watched;
  assert.equal(again.decodes.map(d => d.label), watched.decodes.map(d => d.label));
  const people = await vlJepa(['stream', vectors, ...options]);
  assert.match(people.stdout, /^0:\d\d\.\d to 0:\d\d\.\d {2}(red|blue) \(-?\d\.\d{3}\)\n[^]*\d+ windows, \d+ decoded; [\d.]+ windows per second\n$/);
  assert.match(refusal(await vlJepa(['stream', `${model}/model.safetensors`, '--labels', 'x', '--model', model])), /lacks vectors or times, expected vectors \[T, 16\]/);
  assert.match(refusal(await vlJepa(['stream', `${folder}/none.mp4`, '--labels', 'x', '--model', model])), /there is no file .*none\.mp4$/);
}));

test.run();
