// The token-generating counterpart: one pass equals token by token, labels by likelihood, and training on stage 2's batches.
import { loadTokenizer } from '../../data/tokenizer.ts';
import type { Device } from '../../engine/device.ts';
import { scope } from '../../engine/memory.ts';
import { noGrad } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import { TokenGenerator, layTokenRows } from '../../model/token_generator.ts';
import { ClipBatches } from '../../train/clips.ts';
import { TINY_CLIPS } from '../../train/presets.ts';
import type { Recipe } from '../../train/recipe.ts';
import { TokenTrainer, tokenRowsOf } from '../../train/token_trainer.ts';
import { ShapeError } from '../../engine/check.ts';
import { rejects } from '../engine/rejects.ts';
import { assert, device, nmse, random, suite } from '../harness.ts';
import { EDGE, NAMES, noiseTable } from './tiny.ts';

const test = suite('token generator');

const { vision_config: vision, predictor_config: llama } = TINY_CLIPS.model as { vision_config: object; predictor_config: object };
const LARGE = { linear: { fanIn: 1.5 }, embedding: { std: 0.6 }, bias: { std: 0.3 } } as const;
const build = async (d: Device, init: object = LARGE): Promise<TokenGenerator> => TokenGenerator.create({ vision, llama: { ...llama, num_hidden_layers: 2 }, maxTokens: 8 }, { device: d, tokenizer: await loadTokenizer(), seed: 3, init });
const batchesOf = (recipe: Recipe): ClipBatches => new ClipBatches(noiseTable(), { keys: NAMES.map((_, i) => `1f${600 + i}`), unseen: NAMES.map((_, i) => i % 6 === 5) }, recipe, EDGE);
const visualOf = (d: Device, generator: TokenGenerator, rows: number): Tensor => {
  const shape = [rows, 3, generator.vision.config.hiddenSize];
  return Tensor.from(d, random(shape, 5), shape);
};

/** Log-probabilities of answers, row by row, by a pass of its own for every row. */
async function byHand(generator: TokenGenerator, visual: Tensor, row: number, question: string, answer: string): Promise<{ mean: number; likeliest: number[] }> {
  const d = generator.device;
  const given = generator.row(question, answer);
  const laid = layTokenRows([given], 3);
  const width = visual.shape[2]!;
  const one = Tensor.from(d, (await visual.read()).slice(row * 3 * width, (row + 1) * 3 * width), [1, 3, width]);
  const logits = await scope(() => noGrad(() => generator.forward(one, Tensor.from(d, laid.ids, [1, laid.tokens]), Tensor.from(d, laid.places)))).read();
  const V = logits.length / given.answer.length;
  let sum = 0;
  const likeliest = given.answer.map((token, i) => {
    const of = Array.from(logits.subarray(i * V, (i + 1) * V));
    sum += of[token]! - Math.log(of.reduce((s, v) => s + Math.exp(v), 0));
    return of.indexOf(Math.max(...of));
  });
  one.dispose();
  return { mean: sum / given.answer.length, likeliest };
}

test('what greedy decoding says is what one pass over the whole answer finds likeliest at every place', async () => {
  const d = await device();
  const generator = await build(d);
  const visual = visualOf(d, generator, 3);
  const texts = await generator.answer(visual, 'How does it move?', 2);
  assert.is(texts.length, 3);
  await rejects(() => generator.answer(visual, 'how '.repeat(600)), ShapeError, /^TokenGenerator\.answer: question and visual tokens are \d+ positions, expected at most 504 /);
  assert.ok(new Set(texts).size > 1, texts.join('; '));
  for (const [row, text] of texts.entries()) {
    const { likeliest } = await byHand(generator, visual, row, 'How does it move?', text);
    const said = generator.row('', text).answer;
    if (generator.encode(text).length < 8) assert.equal(likeliest.slice(0, said.length - 1), said.slice(0, -1), `row ${row}: ${text}`); // a text may spell its tokens in another way only where it was cut off
  }
  visual.dispose();
  generator.dispose();
});

test('the score of a candidate is the mean log-probability of its tokens, whatever is padded beside it', async () => {
  const d = await device();
  const generator = await build(d);
  const visual = visualOf(d, generator, 5);
  const candidates = Array.from({ length: 5 }, (_, i) => [NAMES[i]!, 'moving left', 'a cat']);
  const scores = await generator.scores(visual, 'What is in the video?', candidates);
  for (const row of [0, 3, 4]) for (const [c, text] of candidates[row]!.entries()) {
    const { mean } = await byHand(generator, visual, row, 'What is in the video?', text);
    assert.ok(Math.abs(scores[row]![c]! - mean) < 1e-4, `row ${row}, ${text}: ${scores[row]![c]} and ${mean}`);
  }
  visual.dispose();
  generator.dispose();
});

test('what comes after a token, another row or padding changes no logit of it', async () => {
  const d = await device();
  const generator = await build(d);
  const visual = visualOf(d, generator, 2);
  const rows = [generator.row('What is this?', 'a red apple'), generator.row('', 'cat')];
  const run = (tokens: number, changed: boolean): Promise<Float32Array> => {
    const laid = layTokenRows(rows, 3, tokens);
    if (changed) laid.ids[tokens - 1] = 77;
    return scope(() => noGrad(() => generator.forward(visual, Tensor.from(d, laid.ids, [2, tokens]), Tensor.from(d, laid.places)))).read();
  };
  const longest = rows[0]!.question.length + rows[0]!.answer.length - 1;
  const exact = await run(longest, false);
  assert.ok(nmse(await run(longest + 5, false), exact) < 1e-10);
  assert.ok(nmse(await run(longest + 5, true), exact) < 1e-10);
  assert.throws(() => layTokenRows(rows, 3, longest - 1), /^layTokenRows: row 0 has \d+ tokens, expected at most \d+$/);
  visual.dispose();
  generator.dispose();
});

test('rows of a batch ask what VL-JEPA is asked and are answered what it is answered', async () => {
  const generator = await build(await device());
  const batch = batchesOf(TINY_CLIPS).at(1);
  const [still, asked, moving] = tokenRowsOf(generator, batch);
  const [P, C] = [batch.pictures.captions.length, batch.concepts.length];
  assert.equal([still!.length, asked!.length, moving!.length], [P, 4, 3 * C]);
  assert.ok(still!.every(r => r.question.length === 0));
  assert.equal(asked![0], generator.row(batch.questions[0]!, batch.pictures.captions[0]!));
  assert.equal(moving![C], generator.row(batch.questions[4 + C]!, batch.texts[batch.answers[P + 4 + C]!]!));
  generator.dispose();
});

test('it learns: the loss of a repeated batch falls, in every part, and leaves no tensor behind', async () => {
  const d = await device();
  const recipe = { ...TINY_CLIPS, steps: 30, warmup: 2, lr: 1e-2, batch: 6, average: 0.8 };
  const batches = batchesOf(recipe);
  const first = batches.at(0);
  batches.at = () => first;
  const generator = await build(d, recipe.init as object);
  const before = new Map<string, Float32Array>();
  for (const [name, t] of generator.parameters()) before.set(name, await t.read());
  const trainer = new TokenTrainer(generator, batches);
  const losses: number[] = [];
  const live: number[] = [];
  for (let step = 0; step < recipe.steps; step++) {
    losses.push((await trainer.advance()).loss);
    live.push(d.memory().liveTensors);
  }
  assert.ok(losses.at(-1)! < 0.5 * losses[0]!, losses.map(l => l.toFixed(2)).join(' '));
  assert.is(live.at(-1), live[5]);
  for (const name of ['connector.weight', 'vision.encoder.layer.0.mlp.fc1.weight', 'generator.model.embed_tokens.weight', 'generator.model.layers.1.mlp.down_proj.weight']) {
    assert.not.equal(await generator.parameters().get(name)!.read(), before.get(name), name);
  }
  trainer.dispose();
  generator.dispose();
});

test.run();
