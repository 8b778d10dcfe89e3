// Every command does its job on a tiny untrained checkpoint or a golden case; with --json stdout is one JSON object.
import { inFolder } from '../folder.ts';
import { assert, close, device, isNode, nmse, suite } from '../harness.ts';
import { goldenTensors } from '../model/golden.ts';
import { WHY, json, tinyCheckpoint, vlJepa, writePng } from './process.ts';

const test = suite('commands');
/** Compiled tests lie in <root>/<outDir>/test/app. */
const golden = async (name: string): Promise<string> => (await import('node:url')).fileURLToPath(new URL(`../../../test/golden/${name}`, import.meta.url));

test.when(isNode, WHY, 'info: the adapter and its limits', async () => {
  const report = json(await vlJepa(['info', '--json'])) as { adapter: { notice: string; class: string }; limits: Record<string, number>; features: string[] };
  assert.is(report.adapter.notice, (await device()).adapter.notice);
  assert.ok(report.limits.maxStorageBufferBindingSize! >= 2 ** 27 && Array.isArray(report.features));
  const { code, stdout } = await vlJepa(['info']);
  assert.is(code, 0);
  assert.ok(stdout.includes(report.adapter.notice) && stdout.includes('maxBufferSize'));
});

for (const [network, name, more] of [['vision', 'vision/tiny-a', []], ['predictor', 'predictor/tiny-a-causal', ['--causal']], ['text', 'text/tiny-a', []]] as const) {
  test.when(isNode, WHY, `run ${network}: the values of the official implementation, every layer`, () => inFolder(async folder => {
    const { openSafetensors } = await import('../../weights/safetensors.ts');
    const path = await golden(name);
    const out = `${folder}/out.safetensors`;
    const result = json(await vlJepa(['run', network, '--model', path, '--input', `${path}/inputs.safetensors`, '--output', out, '--all-layers', '--json', ...more])) as { outputs: Record<string, number[]> };
    const expected = await goldenTensors(name, 'expected');
    const file = await openSafetensors(out);
    assert.ok(Object.keys(result.outputs).length > 2 && 'last_hidden_state' in result.outputs);
    const mask = (await goldenTensors(name, 'inputs')).get('attention_mask')?.values;
    let compared = 0;
    for (const [key, shape] of Object.entries(result.outputs)) {
      const want = expected.get(key);
      if (!want) continue;
      assert.equal(shape, want.shape, key);
      const got = await file.readF32(key);
      const real = (values: Float32Array): Float32Array => (mask && values.length % mask.length === 0 ? values.map((v, i) => (mask[Math.floor(i / (values.length / mask.length))] ? v : 0)) : values);
      assert.ok(nmse(real(got), real(want.values)) <= 1e-10, `${key}: NMSE ${nmse(real(got), real(want.values))}`);
      compared++;
    }
    assert.ok(compared > 2, `${compared} outputs compared`);
    await file.close();
  }));
}

test.when(isNode, WHY, 'inspect: a folder against its config, and a single file', async () => {
  const path = await golden('vision/tiny-a');
  const report = json(await vlJepa(['inspect', path, '--json'])) as { modelType: string; problems: string[]; used: { tensors: number }; tensors: unknown[] };
  assert.equal([report.modelType, report.problems], ['vjepa2', []]);
  assert.ok(report.used.tensors > 10 && report.tensors.length >= report.used.tensors);
  const people = await vlJepa(['inspect', path]);
  assert.is(people.code, 0);
  assert.match(people.stdout, /every tensor of the config is there, with its shape\n$/);
  const single = json(await vlJepa(['inspect', `${path}/inputs.safetensors`, '--json'])) as { tensors: { name: string }[] };
  assert.equal(single.tensors.map(t => t.name), ['cotangent', 'pixel_values']);
});

test.when(isNode, WHY, 'embed, classify and retrieve agree with each other', () => inFolder(async folder => {
  const { writeFile } = await import('node:fs/promises');
  const { openSafetensors } = await import('../../weights/safetensors.ts');
  const { default: sharp } = await import('sharp');
  const model = `${folder}/model`, red = `${folder}/red.png`, photo = `${folder}/noise.jpg`, out = `${folder}/vectors.safetensors`, labels = `${folder}/labels.txt`;
  await tinyCheckpoint(model);
  await writePng(red, 50, 20);
  await sharp(Buffer.from(Uint8Array.from({ length: 32 * 32 * 3 }, (_, i) => (i * 7919) % 251)), { raw: { width: 32, height: 32, channels: 3 } }).jpeg().toFile(photo);
  const vectors = json(await vlJepa(['embed', red, photo, '--text', 'a cat', '--model', model, '--output', out, '--json'])) as Record<string, number[]>;
  assert.equal(Object.keys(vectors), [red, photo, 'text: a cat']);
  const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((s, v, i) => s + v * b[i]!, 0);
  for (const v of Object.values(vectors)) close([v.length, dot(v, v)], [16, 1], { abs: 1e-6, name: 'a unit vector' });
  const file = await openSafetensors(out);
  for (const [name, v] of Object.entries(vectors)) assert.equal([...(await file.readF32(name))], v);
  await file.close();
  const cosine = dot(vectors[red]!, vectors['text: a cat']!);
  await writeFile(labels, 'a dog\r\n\na cat\n');
  for (const list of ['a dog, a cat', labels]) {
    const answers = json(await vlJepa(['classify', red, photo, '--labels', list, '--model', model, '--json'])) as unknown as { file: string; top: [string, number][] }[];
    assert.equal(answers.map(a => [a.file, a.top.map(([l]) => l).sort()]), [[red, ['a cat', 'a dog']], [photo, ['a cat', 'a dog']]]);
    assert.ok(answers.every(a => a.top[0]![1] >= a.top[1]![1]), 'best first');
    close([answers[0]!.top.find(([l]) => l === 'a cat')![1]], [cosine], { abs: 1e-5, name: 'cosine of classify and embed' });
  }
  const hits = json(await vlJepa(['retrieve', red, photo, '--query', 'a cat', '--model', model, '--top', '1', '--json'])) as unknown as { file: string; score: number }[];
  const best = cosine >= dot(vectors[photo]!, vectors['text: a cat']!) ? red : photo;
  assert.is(hits.length, 1);
  assert.is(hits[0]!.file, best);
  const people = await vlJepa(['classify', red, '--labels', 'a dog,a cat', '--model', model]);
  assert.match(people.stdout, /^red.png: a (cat|dog) \(-?\d\.\d{3}\), a (cat|dog) \(-?\d\.\d{3}\)\n$/);
}));

test.when(isNode, WHY, 'ask: an answer stands as soon as its file was seen, and a missing file is told before any', () => inFolder(async folder => {
  const { writeFile } = await import('node:fs/promises');
  const model = `${folder}/model`, red = `${folder}/red.png`, broken = `${folder}/broken.png`;
  await tinyCheckpoint(model);
  await writePng(red, 50, 20);
  await writeFile(broken, 'no picture');
  const ask = (...files: string[]): ReturnType<typeof vlJepa> => vlJepa(['ask', ...files, '--question', 'What is this?', '--answers', 'a dog,a cat', '--model', model]);
  const stopped = await ask(red, broken, red);
  assert.is(stopped.code, 1);
  assert.match(stopped.stdout, /^red.png: a (cat|dog) \(-?\d\.\d{3}\), a (cat|dog) \(-?\d\.\d{3}\)\n$/);
  assert.match(stopped.stderr, /broken\.png/);
  const missing = await ask(red, `${folder}/none.png`);
  assert.equal([missing.code, missing.stdout], [1, '']);
  assert.match(missing.stderr, /there is no file .*none\.png/);
  assert.is((await ask(red, `file:${red}`)).stdout.split('\n').length, 3, 'paths and file: addresses');
}));

test.when(isNode, WHY, 'demo: the unseen artist, own pictures, and a report that stands alone', () => inFolder(async folder => {
  const { readFile } = await import('node:fs/promises');
  const model = `${folder}/model`, red = `${folder}/red.png`, out = `${folder}/out/deep`;
  await tinyCheckpoint(model);
  await writePng(red, 64, 64);
  const own = json(await vlJepa(['demo', red, '--model', model, '--out', out, '--json'])) as { classify: { file: string; truth: null; top5: [string, number][] }[]; retrieval: { candidates: number; r1: number; r10: number } };
  assert.is(own.classify.length, 1);
  assert.equal([own.classify[0]!.file, own.classify[0]!.truth, own.classify[0]!.top5.length], ['red.png', null, 5]);
  assert.is(own.retrieval.candidates, 1594);
  assert.ok(own.retrieval.r1 < 5 && own.retrieval.r10 < 10, 'an untrained model guesses');
  const page = await vlJepa(['demo', '--model', model, '--out', out]);
  assert.is(page.code, 0, page.stderr);
  for (const part of ['adapter ', 'checkpoint ', '1594 candidates', 'texts → pictures', 'R@10', `report      ${out}/report.html`]) assert.ok(page.stdout.includes(part), part);
  const html = await readFile(`${out}/report.html`, 'utf8');
  assert.ok(html.startsWith('<!doctype html>') && html.includes('data:image/png;base64,') && html.endsWith('</html>\n'));
  assert.not.match(html, /(src|href)="(?!data:)/, 'nothing is fetched from anywhere');
  const figures = json(await vlJepa(['eval', '--model', model, '--json'])) as { pictureToText: { r1: number }; r1Interval: [number, number]; candidates: number };
  assert.is(figures.pictureToText.r1, own.retrieval.r1);
  assert.ok(figures.r1Interval[0] <= figures.pictureToText.r1 && figures.pictureToText.r1 <= figures.r1Interval[1]);
}));

test.run();
