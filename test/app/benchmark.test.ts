// Benchmarks of the user's own data: a small manifest of drawings for every shape, with the checkpoint that ships.
import { openManifest } from '../../data/manifest.ts';
import type { BenchmarkResult } from '../../tasks/benchmark.ts';
import type { VLJEPA } from '../../model/vl_jepa.ts';
import { PAPER_COLUMNS, paperColumn } from '../../tasks/paper_tables.ts';
import { inFolder } from '../folder.ts';
import { assert, close, device, isNode, suite } from '../harness.ts';
import { WHY, json, vlJepa } from './process.ts';

const test = suite('benchmarks');
const COUNT = 24;

interface Drawn { readonly name: string; readonly other: string; readonly png: Uint8Array }
let drawn: Drawn[] | undefined;

/** Drawings by the artist that no training has seen, every 61st of the set. */
async function drawings(): Promise<Drawn[]> {
  if (drawn) return drawn;
  const [{ loadE4, TEST_ARTIST }, { decodedPictures, loadArtistSet }, { default: sharp }] = await Promise.all([import('../../data/e4.ts'), import('../../app/e4_set.ts'), import('sharp')]);
  const e4 = await loadE4();
  const set = await loadArtistSet(e4, TEST_ARTIST);
  const pictures = decodedPictures(set);
  drawn = await Promise.all(Array.from({ length: COUNT }, async (_, i) => {
    const { width, height, data } = pictures[i * 61]!;
    const name = (k: number): string => e4.concepts[set.concepts[(k % COUNT) * 61]!]!.name;
    return { name: name(i), other: name(i + 7), png: await sharp(data, { raw: { width, height, channels: 3 } }).png().toBuffer() };
  }));
  return drawn;
}

let shipped: VLJEPA | undefined;
async function model(): Promise<VLJEPA> {
  const [{ VLJEPA: Model }, { PACKAGE_ROOT }] = await Promise.all([import('../../model/vl_jepa.ts'), import('../../app/checkpoint_path.ts')]);
  return (shipped ??= await Model.fromPretrained(`${PACKAGE_ROOT}/checkpoints/nano`, { device: await device() }));
}

async function bench(path: string, more = {}): Promise<BenchmarkResult> {
  const [{ runBenchmark }, { mediaLoader }] = await Promise.all([import('../../tasks/benchmark.ts'), import('../../app/media.ts')]);
  const manifest = await openManifest(path);
  return runBenchmark(await model(), manifest, { load: mediaLoader(path, manifest.header.frames), ...more });
}

/** Writes the drawings, and a manifest beside them. */
async function place(folder: string, name: string, lines: readonly (string | object)[]): Promise<string> {
  const { writeFile } = await import('node:fs/promises');
  for (const [i, { png }] of (await drawings()).entries()) await writeFile(`${folder}/${i}.png`, png);
  const path = `${folder}/${name}`;
  await writeFile(path, lines.map(l => (typeof l === 'string' ? l : JSON.stringify(l))).join('\n'));
  return path;
}
const fails = async (work: () => Promise<unknown>, said: RegExp): Promise<void> => {
  let error: unknown;
  await work().catch(e => { error = e; });
  assert.match((error as Error | undefined)?.message ?? 'nothing was thrown', said);
};

test.when(isNode, WHY, 'class: top-1 among the names, damaged files skipped and named, groups of labels that are no class refused', () => inFolder(async folder => {
  const set = await drawings();
  const rows = set.map(({ name }, i) => ({ image: `${i}.png`, label: name }));
  const { writeFile } = await import('node:fs/promises');
  await writeFile(`${folder}/cut.png`, set[0]!.png.subarray(0, 60));
  const path = await place(folder, 'class.jsonl', [{ task: 'class', name: 'K400', templates: ['{name}', 'a picture of {name}'], classes: set.map(d => d.name) }, ...rows, { image: 'cut.png', label: set[0]!.name }, { image: 'none.png', label: set[0]!.name }]);
  const result = await bench(path, { batchSize: 7 });
  assert.equal([result.n, result.skipped, result.candidates, result.main], [COUNT, 2, COUNT, 'top-1']);
  assert.match(result.faults[0]!, /^line 26: .*cut\.png/);
  assert.match(result.faults[1]!, /^line 27: .*there is no file .*none\.png$/);
  assert.ok(result.figures['top-1']! >= 60 && result.figures['top-5']! >= 85, JSON.stringify(result.figures));
  assert.ok(result.interval![0] <= result.figures['top-1']! && result.interval![1] >= result.figures['top-1']!);
  assert.is(result.paper!.table, 'Table 1');
  await fails(async () => bench(await place(folder, 'odd.jsonl', [{ task: 'class', classes: ['x'] }, rows[0]!])), /odd\.jsonl: line 2: label is ".*", expected one of the 1 classes/);
  await fails(async () => bench(await place(folder, 'no.jsonl', [{ image: 'none.png', label: 'a' }])), /no sample can be used, 1 were skipped \(the first: line 1: /);
}));

test.when(isNode, WHY, 'retrieval from CSV, and the same out of a tar', () => inFolder(async folder => {
  const set = await drawings();
  const [{ writeFile }, { packTar }] = await Promise.all([import('node:fs/promises'), import('modern-tar')]);
  const csv = await bench(await place(folder, 'r.csv', ['image,text', ...set.map(({ name }, i) => `${i}.png,"${name.replaceAll('"', '""')}"`)]));
  assert.ok(csv.figures['R@1']! >= 60 && csv.figures['R@5']! >= 85 && csv.figures['median rank'] === 1, JSON.stringify(csv.figures));
  const entry = (name: string, body: Uint8Array) => ({ header: { name, size: body.length, type: 'file' as const }, body });
  await writeFile(`${folder}/r.tar`, await packTar(set.flatMap(({ name, png }, i) => [entry(`${String(i).padStart(3, '0')}.png`, png), entry(`${String(i).padStart(3, '0')}.txt`, new TextEncoder().encode(name))])));
  assert.equal((await bench(`${folder}/r.tar`)).figures, csv.figures);
}));

test.when(isNode, WHY, 'questions: candidates per row, POPE\'s settings, TallyQA\'s weights, and a question that is too long', () => inFolder(async folder => {
  const set = await drawings();
  const two = await bench(await place(folder, 'q.jsonl', set.map(({ name, other }, i) => ({ image: `${i}.png`, question: 'What is this?', answer: name, candidates: [other, name], group: i % 2 ? 'odd' : 'even' }))));
  assert.equal([two.n, two.main, Object.keys(two.groups).sort()], [COUNT, 'accuracy', ['even', 'odd']]);
  assert.ok(two.figures.accuracy! >= 0 && two.figures.accuracy! <= 100);
  const pope = await bench(await place(folder, 'p.jsonl', [{ task: 'vqa', name: 'POPE', metric: 'pope', classes: ['yes', 'no'] }, ...set.map((_, i) => ({ image: `${i}.png`, question: 'Is it red?', answer: i % 2 ? 'yes' : 'no', group: ['random', 'popular', 'adversarial'][i % 3] }))]));
  assert.ok('adversarial yes ratio' in pope.figures && pope.paper!.benchmark === 'POPE' && pope.interval === undefined);
  close([pope.figures.accuracy!], [(pope.figures['random accuracy']! + pope.figures['popular accuracy']! + pope.figures['adversarial accuracy']!) / 3], { abs: 1e-9, name: 'mean of settings' });
  const tally = await bench(await place(folder, 't.jsonl', [{ task: 'vqa', metric: 'tally' }, ...set.map((_, i) => ({ image: `${i}.png`, question: 'How many?', answer: i % 3, group: i % 2 ? 'simple' : 'complex' }))]));
  assert.is(tally.main, 'weighted accuracy');
  await fails(async () => bench(await place(folder, 'l.jsonl', [{ image: '0.png', question: 'long '.repeat(9000), answer: 'x' }])), /line 1: the question has more than \d+ tokens/);
  await fails(async () => bench(await place(folder, 'a.jsonl', [{ image: '0.png', question: 'q', answer: 'x', candidates: ['y', 'z'] }])), /line 1: answer is "x", expected one of its 2 candidates/);
}));

test.when(isNode, WHY, 'captions: given ones are scored; without a decoder the nearest other reference; a decoder by callback', () => inFolder(async folder => {
  const set = await drawings();
  const rows = set.map(({ name }, i) => ({ image: `${i}.png`, references: [`a drawing of ${name}`, `this is ${name}`] }));
  const plain = await bench(await place(folder, 'c.jsonl', rows));
  assert.is(plain.figures['CIDEr-D'], plain.figures['CIDEr-D of the nearest other reference']);
  const told = await bench(`${folder}/c.jsonl`, { caption: async () => set.map(d => `a drawing of ${d.name}`) });
  assert.ok(told.figures['CIDEr-D']! > 5 && told.figures['CIDEr-D']! > plain.figures['CIDEr-D of the most frequent reference']!);
  const given = await bench(await place(folder, 'g.jsonl', rows.map(({ references }) => ({ references, prediction: references[0] }))));
  close([given.figures['CIDEr-D']!, given.figures.CIDEr!], [told.figures['CIDEr-D']!, told.figures.CIDEr!], { abs: 1e-9, name: 'the same captions' });
  await fails(async () => bench(await place(folder, 'm.jsonl', [rows[0]!, { references: ['x'], prediction: 'y' }])), /line 2: prediction is there, expected it in every row or in none/);
}));

test.when(isNode, WHY, 'pairs need no picture; clips come as frames or as an animation', () => inFolder(async folder => {
  const pairs = await bench(await place(folder, 'sugar.jsonl', [{ task: 'pairs', name: 'SugarCrepe++' }, { p1: 'a red apple', p2: 'a red apple', negative: 'church', group: 'swap' }, { p1: 'dog', p2: 'church', negative: 'dog', group: 'swap' }]));
  assert.equal([pairs.figures['triplet accuracy'], pairs.groups.swap!.n, pairs.paper!.table], [50, 2, 'Table 6']);
  const { default: sharp } = await import('sharp');
  const set = await drawings();
  await sharp(set.slice(0, 4).map(d => Buffer.from(d.png)), { join: { animated: true } }).gif({ delay: [100, 100, 100, 100], loop: 0 }).toFile(`${folder}/a.gif`);
  const clips = await bench(await place(folder, 'clips.jsonl', [{ task: 'class', frames: 4 }, { frames: ['0.png', '1.png'], label: 'x' }, { video: 'a.gif', label: 'y' }, { image: '3.png', label: 'x' }]));
  assert.equal([clips.n, clips.skipped], [3, 0], clips.faults.join('; '));
}));

test.when(isNode, WHY, 'the command: figures beside the paper\'s', () => inFolder(async folder => {
  const set = await drawings();
  const path = await place(folder, 'k.jsonl', [{ task: 'class', name: 'kinetics-400' }, ...set.slice(0, 6).map(({ name }, i) => ({ image: `${i}.png`, label: name }))]);
  const { code, stdout, stderr } = await vlJepa(['eval', '--manifest', path]);
  assert.is(code, 0, stderr);
  for (const part of ['kinetics-400: 6 samples, 6 candidates', 'bootstrap over samples, 95 %', 'Table 1 of the paper, Kinetics-400, top-1', 'PE-Core ViT-G', '76.4', 'this model, here']) assert.ok(stdout.includes(part), part);
  const object = json(await vlJepa(['eval', '--manifest', path, '--json'])) as unknown as BenchmarkResult;
  assert.equal([object.task, object.n, object.paper!.rows.length], ['class', 6, 12]);
  shipped?.dispose();
}));

test('the paper\'s tables: averages of the cells, names as people write them', () => {
  const mean = (names: readonly string[], model: string): number => names.reduce((s, n) => s + paperColumn(n)!.rows.find(([m]) => m === model)![1], 0) / names.length;
  const [cls, ret] = [['SSv2', 'EK-100', 'EgoExo4D', 'k400', 'coin step', 'COIN task', 'CrossTask step', 'CrossTask task'], ['MSR-VTT', 'ActivityNet', 'DiDeMo', 'MSVD', 'YouCook2', 'PVD-Bench', 'dream-1k', 'VDC-1k']];
  close([mean(cls, 'VL-JEPA_BASE ViT-L'), mean(ret, 'VL-JEPA_BASE ViT-L'), mean(cls, 'VL-JEPA_SFT ViT-L (not zero-shot)'), mean(ret, 'PE-Core ViT-G')], [52.5, 63.69, 75.43, 58.08], { abs: 0.006, name: 'averages of spec 1.12' });
  assert.is(paperColumn('my own set'), undefined);
  assert.ok(PAPER_COLUMNS.length === 18 + 4 + 1 + 4 + 1 + 9 + 3 && PAPER_COLUMNS.every(c => c.rows.length >= 3 && c.rows.every(([, v]) => v >= 0 && v <= 100)));
  assert.equal(paperColumn('previous best'), undefined);
  assert.is(paperColumn('GQA')!.rows.at(-1)![1], 61.5);
});

test.run();
