// `vl-jepa compare`: every objective is trained and measured alike, what is finished is kept, what does not fit is refused.
import type { CompareOptions } from '../../app/compare_objectives.ts';
import { comparisonLines, objectiveMeans } from '../../app/comparison.ts';
import type { ObjectiveRun } from '../../app/comparison.ts';
import { CliError } from '../../app/errors.ts';
import { loadTokenizerJson } from '../../data/tokenizer.ts';
import { VLJEPA } from '../../model/vl_jepa.ts';
import { TINY, TINY_CLIPS } from '../../train/presets.ts';
import { inFolder } from '../folder.ts';
import { assert, device, isNode, suite } from '../harness.ts';
import { rejects } from '../engine/rejects.ts';
import { WHY, refusal, vlJepa } from './process.ts';

const test = suite('compare');

const run = (objective: ObjectiveRun['objective'], seed: number, motion: number, ciderD: number): ObjectiveRun =>
  ({ objective, seed, steps: 4, parameters: 1234, lastLoss: 1, seconds: 2, curve: [{ step: 2, motion: 0, object: 0, ciderD: 0 }, { step: 4, motion, object: 10, ciderD, motionRanked: motion, top1: 20, top5: 40 }] });

test('means over seeds with their ranges, by objective and step', () => {
  const runs = [run('tokens', 1, 10, 1), run('embeddings', 1, 50, 2), run('embeddings', 2, 60, 3)];
  const means = objectiveMeans({ runs });
  assert.equal(means.map(m => [m.objective, m.step, m.seeds]), [['embeddings', 2, 2], ['embeddings', 4, 2], ['tokens', 2, 1], ['tokens', 4, 1]]);
  assert.equal(means[1]!.figures.motion, { mean: 55, low: 50, high: 60 });
  assert.equal(Object.keys(means[0]!.figures), ['motion', 'object', 'ciderD']);
  const text = comparisonLines({ adapter: 'a', date: '', command: '', artist: 'x', clips: 8, candidates: 50, recipe: TINY_CLIPS, runs }).join('\n');
  assert.match(text, /embeddings 1,234, tokens 1,234/);
  assert.match(text, /embeddings +4 steps, 2 seeds: motion 55\.0 \(50\.0 to 60\.0\), .*CIDEr-D 2\.50 \(2\.00 to 3\.00\)/);
});

test.when(isNode, WHY, 'both kinds of model are trained on the tiny recipe and measured; a second call trains nothing again', () => inFolder(async folder => {
  const { compareObjectives } = await import('../../app/compare_objectives.ts');
  const d = await device();
  const model = VLJEPA.fromConfig(TINY.model, { device: d, seed: 1, init: TINY.init as never, tokenizer: await loadTokenizerJson() });
  await model.save(`${folder}/start`);
  model.dispose();
  const options: CompareOptions = { preset: 'tiny', from: `${folder}/start`, steps: 2, seeds: [1], marks: 0, objectives: ['shuffled', 'tokens'], clips: 8, out: `${folder}/out`, json: true, device: d };
  const first = await compareObjectives(options);
  assert.equal(first.runs.map(r => [r.objective, r.seed, r.curve.length]), [['shuffled', 1, 1], ['tokens', 1, 1]]);
  for (const { curve, lastLoss, parameters } of first.runs) {
    const { step, ciderD, ...shares } = curve[0]!;
    assert.is(step, 2);
    assert.ok(Number.isFinite(lastLoss) && parameters > 1000);
    assert.ok(ciderD >= 0 && ciderD <= 10);
    assert.equal(Object.keys(shares).sort(), ['motion', 'motionRanked', 'object', 'top1', 'top5']);
    for (const share of Object.values(shares)) assert.ok(share >= 0 && share <= 100);
  }
  assert.equal((await compareObjectives(options)).runs, first.runs);
  const live = d.memory().liveTensors; // with what is kept for later, such as tables of angles
  const more = await compareObjectives({ ...options, seeds: [2], objectives: ['tokens'] });
  assert.equal(more.runs.slice(0, 2), first.runs);
  assert.equal(more.runs.slice(2).map(r => [r.objective, r.seed]), [['tokens', 2]]);
  assert.not.equal(more.runs[2]!.lastLoss, first.runs[1]!.lastLoss);
  assert.is(d.memory().liveTensors, live, 'nothing else stays on the device');
  await rejects(() => compareObjectives({ ...options, steps: 3 }), CliError, /^compare: .*compare\.json holds runs of other settings, another start or another adapter, expected another --out/);
  await rejects(() => compareObjectives({ ...options, from: 'checkpoints/nano' }), CliError, /^compare: the vision encoder of .* takes 24 pixels and is 192 wide, expected 16 and 24 as the preset tiny$/);
}));

test.when(isNode, WHY, 'settings that do not fit are refused in one sentence', async () => {
  assert.match(refusal(await vlJepa(['compare', '--seeds', '1,x'])), /^compare: --seeds has "x", expected whole numbers of at least 0 with commas between$/);
  assert.match(refusal(await vlJepa(['compare', '--objectives', 'tokens,luck'])), /^compare: --objectives has luck, expected embeddings, tokens, shuffled$/);
  assert.match(refusal(await vlJepa(['compare', '--preset', 'huge'])), /^compare: --preset is huge, expected one of nano, tiny$/);
});

test.run();
