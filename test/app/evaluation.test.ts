// The report of every task: its pieces on small examples, and its text and page from given figures. Node only, nothing is computed on an adapter.
import { inFolder } from '../folder.ts';
import { assert, device, isNode, suite } from '../harness.ts';
import type { Evaluation } from '../../app/evaluate_preset.ts';
import { WHY, refusal, vlJepa } from './process.ts';

const test = suite('evaluation');

test.when(isNode, WHY, 'captions: five references, the one caption for all, word for word as the tokenizer spells', async () => {
  const { captionFigure, commonCaption, referencesOf } = await import('../../app/evaluate_captions.ts');
  const items = [[0, 0], [1, 4], [2, 4], [3, 4]].map(([concept, motion]) => ({ concept: concept!, motion: motion! })) as never;
  const references = referencesOf(items, ['cat', 'red dog', 'red fish', 'tree']);
  assert.equal(references[1], ['a red dog growing', 'the red dog is growing', 'red dog growing', 'a video of a red dog growing', 'we see a red dog growing']);
  const right = captionFigure(references.map(r => r[0]!), references);
  assert.is(right.exact.percent, 100);
  const common = commonCaption(references);
  assert.match(common, / growing$/);
  const one = captionFigure(references.map(() => common), references);
  assert.ok(right.ciderD > one.ciderD && one.ciderD > captionFigure(references.map(() => 'nothing at all'), references).ciderD, `${right.ciderD}, ${one.ciderD}`);
  assert.is(captionFigure(['A CAT MOVING LEFT'], [references[0]!], t => t.toLowerCase()).exact.percent, 100);
});

test.when(isNode, WHY, 'neighbours: an object counts once, however many of its clips are near; spreads hold median and range', async () => {
  const { rankOfObject } = await import('../../app/neighbours.ts');
  const hits = [4, 1, 0, 2].map(index => ({ index, score: 1 }));
  assert.equal([7, 8, 9, 5].map(truth => rankOfObject(hits, [8, 7, 9, 7, 7], truth)), [1, 2, 3, Infinity]);
  const { spreadOf } = await import('../../app/evaluate_joined.ts');
  assert.equal([spreadOf([3, 1, 2]), spreadOf([4, 1, 2, 3])], [{ median: 2, low: 1, high: 3 }, { median: 2.5, low: 1, high: 4 }]);
});

test.when(isNode, WHY, 'gallery of clips: every thing with every motion once, by all artists, no thing twice in a part', async () => {
  const { galleryPairs } = await import('../../app/clip_sets.ts');
  for (const [things, artists] of [[7, 3], [9, 2], [4, 1]] as const) {
    const parts = galleryPairs(things, artists);
    assert.equal(parts.flatMap(p => p.pairs.map(({ thing, motion }) => 8 * thing + motion)).sort((a, b) => a - b), Array.from({ length: 8 * things }, (_, i) => i));
    for (const { pairs } of parts) assert.is(new Set(pairs.map(p => p.thing)).size, pairs.length);
    for (let thing = 0; thing < things; thing++) assert.is(new Set(parts.filter(p => p.pairs.some(q => q.thing === thing)).map(p => p.artist)).size, artists);
  }
});

test.when(isNode, WHY, 'neighbours: each asked clip finds its own drawing and motion in whichever part of the gallery they are', async () => {
  const [{ neighbourFigures }, { CounterRandom }] = await Promise.all([import('../../app/neighbours.ts'), import('../../data/random.ts')]);
  const side = 24, backdrop = new Uint8Array(side * side * 3).fill(255);
  const drawings = [0, 1, 2, 3].map(k => Uint8Array.from({ length: side * side * 3 }, (_, i) => (Math.floor(i / 3 / side) % (k + 2) === 0 ? 40 * k + 20 * (i % 3) : 255)));
  const item = (concept: number, motion: number) => ({ concept, motion, drawing: drawings[concept]!, backdrop, random: new CounterRandom(3, concept, motion, 5) });
  const parts = [[item(0, 1), item(1, 2), item(2, 3)], [item(3, 4), item(0, 6), item(2, 0)]];
  const asked = [item(2, 0), item(1, 2), item(0, 6), item(3, 4), item(2, 3)]; // clips of the gallery again
  const { figures, nearest } = await neighbourFigures(await device(), asked, parts, side);
  assert.equal(nearest, [5, 1, 4, 3, 2]);
  assert.equal(Object.entries(figures).filter(([name]) => /all frames/.test(name)).map(([, f]) => [f.object.r1, f.motion.percent]), [[100, 100], [100, 100]]);
  const none = await neighbourFigures(await device(), [item(1, 7)], [[item(0, 1), item(2, 2)], [item(3, 3), item(2, 4)]], side); // its drawing is not there
  for (const f of Object.values(none.figures)) assert.equal([f.object.r10, f.motion.percent], [0, 0]);
});

const share = (percent: number, n = 40): { percent: number; interval: [number, number]; n: number } => ({ percent, interval: [percent - 1, percent + 1], n });
const recall = (r1: number): { n: number; r1: number; r5: number; r10: number; medianRank: number; interval: [number, number] } => ({ n: 40, r1, r5: r1 + 1, r10: r1 + 2, medianRank: 1, interval: [r1 - 1, r1 + 1] });
const figure = (ciderD: number): Evaluation['captions'][string][string] => ({ ciderD, interval: [ciderD - 0.1, ciderD + 0.1], exact: share(5) });
const names = { names: share(1), objects: share(2), subgroups: share(3), subgroupOfNearest: share(4), candidates: { names: 1594, objects: 853, subgroups: 95 } };
const points = (gain: number): { rateHz: number; decodes: number; cider: number }[] => [{ rateHz: 0.5, decodes: 5, cider: 1 + gain }, { rateHz: 1, decodes: 10, cider: 2 + gain }];

const objectiveRun = (objective: 'embeddings' | 'tokens', seed: number, motion: number) => ({ objective, seed, steps: 9, parameters: 2000, lastLoss: 1, seconds: 1, curve: [{ step: 9, motion, object: 10, ciderD: 1.234, motionRanked: motion, top1: 30, top5: 60 }] });
const OBJECTIVES = { adapter: 'an adapter', date: '2026-01-02', command: 'vl-jepa compare', artist: 'fluent-emoji-flat', clips: 40, candidates: 50, runs: [objectiveRun('embeddings', 1, 60), objectiveRun('tokens', 1, 20), objectiveRun('embeddings', 2, 70)] };

function example(training: Evaluation['training']): Evaluation {
  return {
    preset: 'nano', checkpoint: 'checkpoints/<nano>', weights: 'x', measured: { date: '2026-01-02', adapter: 'an adapter', seconds: 61, command: 'vl-jepa eval --preset nano' }, artist: 'fluent-emoji-flat',
    pictures: { n: 40, pictureToText: recall(50), textToPicture: recall(51), classification: names },
    clips: { splits: { 'unseen artist': { object: recall(40), motion: share(94), captionOfVideo: recall(45), videoOfCaption: recall(46) }, 'trained artists, new seeds': { object: recall(80), motion: share(92) } }, controls: { 'first frame only': share(12), 'backwards, opposite motion expected': share(93) }, wordings: { 'Which way?': share(91) }, chance: { motion: 12.5, object: 0.1 }, classification: names },
    questions: { object: { ...share(40), question: 'What?', candidates: 1594 }, motion: { ...share(94), question: 'How?', candidates: 8 }, caption: { ...share(23), question: 'Describe.', candidates: 12752 } },
    neighbours: { 'raw pixels, first frame': { object: { n: 40, r1: 30, r5: 40, r10: 50 }, motion: share(13) } },
    captions: { 'unseen artist': { greedy: figure(1.5), 'text bank (oracle: the nearest of all captions)': figure(2.5), 'one caption for all ("a cat growing")': figure(0.4) } },
    examples: [{ truth: 'a cat growing', decoded: 'a cat growing' }, { truth: 'a dog growing', decoded: 'a <b>' }],
    joined: {
      seeds: 2, streams: 1, clips: 20, seconds: 120, annotations: 20, text: 'the nearest of all captions',
      curve: { seconds: 120, annotations: 20, curves: { 'adaptive average': points(0.3), 'uniform average': points(0) }, ratios: [{ uniformHz: 1, adaptiveHz: 0.5, cider: 2, ratio: 2 }] },
      ratio: { median: 2, low: 1.5, high: 2.5 }, ratios: [{ uniformHz: 1, seeds: 2, ratio: { median: 2, low: 1.5, high: 2.5 } }],
      gain: [{ rateHz: 0.5, adaptive: 1.3, uniform: 1, gain: { median: -0.1, low: -0.2, high: 0.3 } }, { rateHz: 1, adaptive: 2.3, uniform: 2, gain: { median: 0.3, low: 0.1, high: 0.4 } }], boundaries: [{ toleranceS: 0.5, adaptive: 90, uniform: 30 }],
    },
    training,
  };
}

test.when(isNode, WHY, 'the report says what was measured, what was not run, and where adaptive lies below uniform', async () => {
  const { evaluationLines, evaluationPage } = await import('../../app/evaluation_report.ts');
  const [bare, full] = [example({}), example({ baselines: { 'raw 16x16 pixels': { r1: 34.5, r5: 52, r10: 61 }, chance: { r1: 0, r5: 0, r10: 0 } }, trainingControls: { note: 'on other drawings', 'shuffled texts': { motion: { percent: 12.9, interval: [1, 2] } } }, seeds: [{ seed: 1, motion: { percent: 90 } }, { seed: 2, motion: { percent: 94 } }], objectives: OBJECTIVES })];
  const [text, more] = [bare, full].map(e => evaluationLines(e).join('\n')) as [string, string];
  assert.is(text.split('not run').length - 1, 2);
  assert.not.match(more, /not run/);
  for (const said of [/853 objects \(groups 3 to 7\)/, /below uniform at 0\.5 Hz\./, /needs 2\.00 times fewer decodes .* \(median of 2 seeds, 1\.50 to 2\.50;/, /"Describe\." of 12,752 +23\.0 +22\.0 to 24\.0/, /decoder, greedy +1\.50/]) assert.match(text, said);
  assert.match(more, /motion, percent +92\.0 +90\.0 to 94\.0 +2\n/);
  assert.match(more, /embeddings predicted \(VL-JEPA\), 2 seeds +65\.0 \(60\.0 to 70\.0\) .* 1\.23 \(1\.23 to 1\.23\)\n/);
  assert.match(more, /Embeddings or tokens: 9 steps/);
  assert.not.match(text, /Embeddings or tokens/);
  assert.match(more, /Controls: on other drawings\./);
  assert.match(more, /shuffled texts, motion, percent +12\.9/);
  for (const html of [bare, full].map(evaluationPage)) {
    assert.ok(html.startsWith('<!doctype html>') && html.includes('checkpoints/&#60;nano&#62;') && html.includes('a &#60;b&#62;') && html.includes('<svg'));
    assert.not.match(html, /NaN|undefined|Infinity|(src|href)="(?!data:)/);
  }
  assert.match(evaluationLines({ ...bare, joined: { ...bare.joined, ratio: undefined } }).at(-1)!, /there is no ratio/);
  const { gain, ratio } = bare.joined;
  const placed = evaluationLines({ ...bare, joined: { ...bare.joined, anywhere: { segment: { ratio, gain: gain.slice(1) }, point: { ratio: undefined, gain } } } }).at(-1)!;
  assert.match(placed, /\(median of 2 seeds.* anywhere in their scenes, matched to the segment that they lie in, it is 2\.00 times \(1\.50 to 2\.50\), and in the median of seeds adaptive decoding lies nowhere below uniform\./);
  assert.match(placed, /matched to the decode nearest in time, there is no ratio, and in the median of seeds adaptive decoding lies below uniform at 0\.5 Hz\.$/);
});

test.when(isNode, WHY, 'a tie with a wrong subgroup is wrong; the command and the number of seeds are those that were', async () => {
  const { allNearestOf } = await import('../../app/figures.ts');
  const right = (c: number): boolean => c < 2;
  assert.equal([[0.5, 0.5, 0.1], [0.5, 0.1, 0.5], [0.1, 0.2, 0.3], [NaN, 0.1, 0.1], []].map(s => allNearestOf(Float32Array.from(s), right)), [true, false, false, false, false]);
  const { commandOf } = await import('../../app/evaluate_preset.ts');
  assert.is(commandOf({ preset: 'nano', artist: 'noto', most: 8 }, '/m'), 'vl-jepa eval --preset nano --artist noto --most 8');
  assert.is(commandOf({ preset: 'nano', artist: 'fluent-emoji-flat' }, '/m'), 'vl-jepa eval --preset nano');
  const { evaluationLines } = await import('../../app/evaluation_report.ts');
  const { joined, clips, ...rest } = example({});
  const none = { ...clips.splits['unseen artist']!, motion: share(0, 0), object: { ...recall(0), n: 0 } };
  const text = evaluationLines({ ...rest, clips: { ...clips, splits: { ...clips.splits, nothing: none } }, joined: { ...joined, ratio: { ...joined.ratio!, seeds: 1 } } }).join('\n');
  assert.match(text, /median of 1 of 2 seeds/);
  assert.match(text, /motion; nothing +– +0\n/);
  assert.match(text, /chance +0\.06 +0\.31 +0\.63/);
});

test.when(isNode, WHY, 'weights in one file or in shards are told apart by every byte, with those of the decoder', () => inFolder(async folder => {
  const { createHash } = await import('node:crypto');
  const { mkdir, rm, writeFile } = await import('node:fs/promises');
  const { weightsDigest } = await import('../../app/weights_digest.ts');
  const sha = (text: string): string => createHash('sha256').update(text).digest('hex');
  assert.match(await weightsDigest(folder).then(() => '', (error: Error) => error.message), /^model: .* has no weights, expected model\.safetensors, or model\.safetensors\.index\.json with its shards$/);
  await writeFile(`${folder}/b.safetensors`, 'bb');
  await writeFile(`${folder}/a.safetensors`, 'a');
  await writeFile(`${folder}/model.safetensors.index.json`, JSON.stringify({ weight_map: { x: 'b.safetensors', y: 'a.safetensors', z: 'b.safetensors' } }));
  assert.is(await weightsDigest(folder), sha('abb'));
  await mkdir(`${folder}/decoder`);
  await writeFile(`${folder}/decoder/model.safetensors`, 'd');
  assert.is(await weightsDigest(folder), sha('abbd'));
  await rm(`${folder}/b.safetensors`);
  assert.match(await weightsDigest(folder).then(() => '', (error: Error) => error.message), /b\.safetensors/);
  await rm(`${folder}/model.safetensors.index.json`);
  await writeFile(`${folder}/model.safetensors`, 'm');
  assert.is(await weightsDigest(folder), sha('md'));
}));

test.when(isNode, WHY, 'an unknown preset is told', async () => {
  assert.match(refusal(await vlJepa(['eval', '--preset', 'giga'])), /^eval: --preset is giga, expected one of nano$/);
});

test.run();
