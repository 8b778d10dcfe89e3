// Training of the Y-Decoder: batches, learning by heart, resuming to the bit, what is refused.
import { loadTokenizer } from '../../data/tokenizer.ts';
import type { Device } from '../../engine/device.ts';
import { Tensor } from '../../engine/tensor.ts';
import { TextDecoder } from '../../model/text_decoder.ts';
import { DecoderTrainer } from '../../train/decoder.ts';
import { DecoderBatches, IGNORED } from '../../train/decoder_batches.ts';
import type { DecoderLesson } from '../../train/decoder_batches.ts';
import { DECODER_TINY, checkDecoderRecipe } from '../../train/decoder_recipe.ts';
import type { DecoderRecipe } from '../../train/decoder_recipe.ts';
import { assert, device, isNode, random, suite } from '../harness.ts';

const test = suite('decoder training');

const DIM = 16;
const TEXTS = ['red apple', 'grinning face', 'cat', 'dog', 'a dog moving left', 'tomato', 'clockwise', 'a very long sentence about a cat'];
const LLAMA = { ...(DECODER_TINY.decoder.decoder_config as object), hidden_size: 48, head_dim: 16, num_attention_heads: 3, intermediate_size: 64 };
const RECIPE: DecoderRecipe = { ...DECODER_TINY, decoder: { ...DECODER_TINY.decoder, decoder_config: LLAMA }, batch: 16, steps: 120, warmup: 5, lr: 1e-2, noise: 0.1, average: 0.9 };

/** Unit rows. */
function unit(rows: number, seed: number): Float32Array {
  const out = random([rows, DIM], seed);
  for (let r = 0; r < rows; r++) {
    const row = out.subarray(r * DIM, (r + 1) * DIM);
    const length = Math.hypot(...row);
    row.forEach((v, i) => { row[i] = v / length; });
  }
  return out;
}

const lesson = (): DecoderLesson => ({ share: 1, vectors: unit(TEXTS.length, 3), texts: TEXTS });
const build = async (d: Device, recipe: DecoderRecipe): Promise<TextDecoder> =>
  TextDecoder.create({ ...recipe.decoder, embedding_dim: DIM }, { device: d, tokenizer: await loadTokenizer(), seed: recipe.seed, init: recipe.init as never });

test('batches: a function of the step, rows of one length class, noise no longer than asked', () => {
  const encode = (text: string): number[] => [...Array.from({ length: text.split(' ').length }, (_, i) => i + 5), 1];
  const make = (noise: number): DecoderBatches => new DecoderBatches([lesson()], DIM, encode, { seed: 4, batch: 32, noise });
  assert.equal(make(0.1).at(7), make(0.1).at(7));
  assert.not.equal(make(0.1).at(7), make(0.1).at(8));
  const lengths = new Set<number>();
  for (let step = 0; step < 40; step++) {
    const { vectors, ids, targets, tokens } = make(0.2).at(step);
    lengths.add(tokens);
    assert.is(targets.length, 32 * (tokens + 1));
    for (let b = 0; b < 32; b++) {
      const row = [...targets.subarray(b * (tokens + 1), (b + 1) * (tokens + 1))];
      const real = row.filter(t => t !== IGNORED);
      assert.is(real.at(-1), 1, 'ends with the end token');
      assert.equal([...ids.subarray(b * tokens, b * tokens + real.length - 1)], real.slice(0, -1), 'what is seen is what came before');
      const v = vectors.subarray(b * DIM, (b + 1) * DIM);
      assert.ok(Math.abs(Math.hypot(...v) - 1) < 1e-5);
      const best = Math.max(...TEXTS.map((_, i) => lesson().vectors.subarray(i * DIM, (i + 1) * DIM).reduce((s, x, j) => s + x * v[j]!, 0)));
      assert.ok(best > 0.9, `cosine ${best} with its own vector`);
    }
  }
  assert.ok(lengths.size > 1);
  const both = new DecoderBatches([lesson(), { ...lesson(), noise: 0 }], DIM, encode, { seed: 4, batch: 32, noise: 0.5 }).at(3).vectors;
  const untouched = Array.from({ length: 32 }, (_, b) => TEXTS.some((_, i) => lesson().vectors.subarray(i * DIM, (i + 1) * DIM).every((x, j) => Math.abs(x - both[b * DIM + j]!) < 1e-6)));
  assert.ok(untouched.includes(true) && untouched.includes(false), 'a lesson\'s own noise is for its vectors alone');
  const exact = make(0).at(0).vectors;
  assert.ok(TEXTS.some((_, i) => lesson().vectors.subarray(i * DIM, (i + 1) * DIM).every((x, j) => Math.abs(x - exact[j]!) < 1e-6)));
});

test('lessons and recipes that do not fit are refused', async () => {
  const encode = (): number[] => [1];
  assert.throws(() => new DecoderBatches([], DIM, encode, RECIPE), /there is no text, expected at least one lesson/);
  assert.throws(() => new DecoderBatches([{ ...lesson(), vectors: new Float32Array(3) }], DIM, encode, RECIPE), /3 values, expected 8 vectors of 16/);
  assert.throws(() => new DecoderBatches([{ ...lesson(), share: -1 }], DIM, encode, RECIPE), /share is -1/);
  assert.throws(() => new DecoderBatches([{ ...lesson(), noise: NaN }], DIM, encode, RECIPE), /noise is NaN, expected a number ≥ 0/);
  assert.throws(() => new DecoderBatches([lesson()], DIM, () => Array<number>(600).fill(5), RECIPE), /a text has 600 tokens, expected at most 512/);
  for (const [field, value] of [['steps', 0], ['batch', 1.5], ['lr', 0], ['noise', -1], ['predictedNoise', -1], ['seed', -1], ['predictions', 1], ['predictions', -0.1], ['predicted', 0]] as const) assert.throws(() => checkDecoderRecipe({ ...RECIPE, [field]: value }), new RegExp(`${field} is ${value}`));
});

test('a few texts are learned by heart and said back, also from vectors with noise', async () => {
  const d = await device();
  const decoder = await build(d, RECIPE);
  const trainer = new DecoderTrainer(decoder, RECIPE, [lesson()]);
  let first = 0, last = 0;
  while (trainer.step < RECIPE.steps) {
    const { loss, step } = await trainer.advance();
    if (step === 0) first = loss;
    last = loss;
  }
  assert.ok(last < first / 10, `loss ${first} to ${last}`);
  const vectors = Tensor.from(d, lesson().vectors, [TEXTS.length, DIM]);
  assert.equal(await trainer.withAverage(() => decoder.decode(vectors)), TEXTS.map(t => decoder.spell(t)));
  vectors.dispose();
  trainer.dispose();
  decoder.dispose();
});

test.when(isNode, 'states are files', 'a run that is stopped and resumed gives the bits of one that is not; another model is refused', async () => {
  const { mkdtemp, rm } = await import('node:fs/promises');
  const { join } = await import('node:path');
  const { tmpdir } = await import('node:os');
  const d = await device();
  const folder = await mkdtemp(join(tmpdir(), 'decoder-run-'));
  const recipe = { ...RECIPE, steps: 8 };
  const after = async (stop: number | undefined): Promise<Map<string, Float32Array>> => {
    const decoder = await build(d, recipe);
    let trainer = new DecoderTrainer(decoder, recipe, [lesson()], 'here');
    while (trainer.step < (stop ?? 8)) await trainer.advance();
    let own = decoder;
    if (stop !== undefined) {
      await trainer.save(folder);
      trainer.dispose();
      decoder.dispose();
      own = await build(d, recipe);
      trainer = new DecoderTrainer(own, recipe, [lesson()], 'here');
      assert.ok(await trainer.resume(folder, text => assert.unreachable(text)));
      assert.is(trainer.step, stop);
      while (trainer.step < 8) await trainer.advance();
    }
    const out = new Map<string, Float32Array>();
    for (const [name, t] of own.parameters()) out.set(name, await t.read());
    trainer.dispose();
    own.dispose();
    return out;
  };
  try {
    const [whole, resumed] = [await after(undefined), await after(3)];
    for (const [name, values] of whole) assert.equal(resumed.get(name), values, name);
    const decoder = await build(d, recipe);
    const trainer = new DecoderTrainer(decoder, recipe, [lesson()], 'elsewhere');
    const message = await trainer.resume(folder, () => undefined).then(() => 'nothing', (e: Error) => e.message);
    assert.match(message, /was made with other settings \(space was "here" and is "elsewhere"\)/);
    trainer.dispose();
    decoder.dispose();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test.run();
