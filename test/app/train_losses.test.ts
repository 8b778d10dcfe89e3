// `vl-jepa train` with other losses: what it warns of, what its log holds, what it refuses.
import type { TrainOptions } from '../../app/train.ts';
import { inFolder } from '../folder.ts';
import { assert, device, isNode, suite } from '../harness.ts';
import { WHY } from './process.ts';

const test = suite('vl-jepa train with other losses');

interface Row { step: number; loss: number; meters?: { alignment: number; uniformity: number[]; texts: { deviation: number } }; warnings?: { kind: string; message: string }[] }

/** Runs `train` and returns what it said on the error stream and its log. */
async function trained(options: Partial<TrainOptions> & { out: string }): Promise<{ said: string[]; rows: Row[] }> {
  const { readFile } = await import('node:fs/promises');
  const { train } = await import('../../app/train.ts');
  const d = await device();
  const { error } = console;
  const poison = d.pool.onAcquire;
  const said: string[] = [];
  console.error = (text: string) => { said.push(text); };
  d.pool.onAcquire = undefined; // half of the dispatches otherwise
  try {
    await train({ preset: 'tiny', saveEvery: 1000, evalEvery: 1000, quiet: true, device: d, ...options });
  } finally {
    console.error = error;
    d.pool.onAcquire = poison;
  }
  const text = await readFile(`${options.out}/log.jsonl`, 'utf8');
  return { said, rows: text.trim().split('\n').map(line => JSON.parse(line) as Row) };
}

test.when(isNode, WHY, 'a run that collapses says so on the error stream and in its log', () => inFolder(async folder => {
  const { said, rows } = await trained({ out: folder, loss: 'cosine', steps: 51, batch: 12, lr: 0.02 });
  const warnings = rows.flatMap(r => r.warnings ?? []);
  assert.is(rows.length, 51);
  assert.ok(warnings.length > 0 && warnings.every(w => w.kind === 'collapse'));
  assert.equal(said, warnings.map(w => `warning: ${w.message}`));
  assert.match(said[0]!, /^warning: collapse at step \d+: the (predictions|texts) are nearly one vector: spread 0\.0\d+, expected at least 0\.1/);
  assert.equal(rows.filter(r => r.meters).map(r => r.step), [0, 10, 20, 30, 40, 50]);
}));

test.when(isNode, WHY, 'SigLIP with frozen texts in micro-batches trains and says nothing', () => inFolder(async folder => {
  const { said, rows } = await trained({ out: folder, loss: 'siglip', steps: 12, batch: 8, microBatch: 3, freezeText: true });
  assert.equal(said, []);
  assert.ok(rows.every(r => Number.isFinite(r.loss)) && rows[0]!.meters!.uniformity.length === 2);
}));

test.when(isNode, WHY, 'what the command line says goes into the recipe, and unknown losses are refused', async () => {
  const { recipeOf } = await import('../../app/train.ts');
  const options = { preset: 'tiny', out: '', evalEvery: 1, saveEvery: 1 };
  const { loss, microBatch, freezeText } = recipeOf({ ...options, loss: 'l2', microBatch: 4, freezeText: true });
  assert.equal([loss, microBatch, freezeText], ['l2', 4, true]);
  assert.equal(['loss', 'microBatch', 'freezeText'].filter(k => k in recipeOf({ ...options, freezeText: false })), [], 'old runs go on: their settings have no such fields');
  assert.throws(() => recipeOf({ ...options, loss: 'hinge' }), /train: loss is hinge, expected one of info-nce, siglip, cosine, l1, l2/);
});

test.run();
