// The Y-Decoder: token by token equals the whole text at once, methods, saving and loading, what is refused.
import { loadTokenizer, loadTokenizerJson } from '../../data/tokenizer.ts';
import type { Device } from '../../engine/device.ts';
import { scope } from '../../engine/memory.ts';
import { noGrad } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import { TextDecoder, decoderConfig } from '../../model/text_decoder.ts';
import { VLJEPA } from '../../model/vl_jepa.ts';
import { assert, close, device, isNode, nmse, random, suite } from '../harness.ts';

const test = suite('TextDecoder');

const LLAMA = {
  model_type: 'llama', hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 8, vocab_size: 2048,
  rms_norm_eps: 1e-5, hidden_act: 'silu', max_position_embeddings: 64, tie_word_embeddings: true, rope_theta: 10000,
};
const CONFIG = { model_type: 'vl_jepa_decoder', embedding_dim: 16, prefix_tokens: 3, max_tokens: 9, eos_token_id: 1, pad_token_id: 0, decoder_config: LLAMA };

/** Large first weights, so that texts differ and some end early. */
const build = async (d: Device, fields: object = {}): Promise<TextDecoder> =>
  TextDecoder.create({ ...CONFIG, ...fields }, { device: d, tokenizer: await loadTokenizer(), seed: 3, init: { linear: { fanIn: 1.5 }, embedding: { std: 0.6 }, bias: { std: 0.3 } } });

const vectorsOf = (d: Device, count: number, seed = 1): Tensor => Tensor.from(d, random([count, 16], seed), [count, 16]);

/** Logits of every step, read. */
async function watched(decoder: TextDecoder, vectors: Tensor, options: object): Promise<{ texts: Awaited<ReturnType<TextDecoder['hypotheses']>>; logits: Float32Array[] }> {
  const logits: Float32Array[] = [];
  const texts = await decoder.hypotheses(vectors, options, async t => { logits.push(await t.read()); });
  return { texts, logits };
}

test('token by token gives the logits of the whole text at once, and the same tokens', async () => {
  const d = await device();
  for (const fields of [{}, { prefix_tokens: 1 }]) {
    const decoder = await build(d, fields);
    const vectors = vectorsOf(d, 4);
    const { texts, logits } = await watched(decoder, vectors, { batchSize: 4 });
    const steps = logits.length;
    assert.ok(steps > 2);
    const given = Uint32Array.from(texts.flatMap(([t]) => Array.from({ length: steps - 1 }, (_, i) => t!.tokens[i] ?? 0)));
    const whole = scope(() => noGrad(() => decoder.forward(vectors, Tensor.from(d, given, [4, steps - 1])))); // [4,steps,V]
    const all = await whole.read();
    const V = 2048;
    for (let row = 0; row < 4; row++) {
      const { tokens } = texts[row]![0]!;
      let sum = 0;
      tokens.forEach((token, step) => {
        const full = all.subarray((row * steps + step) * V, (row * steps + step + 1) * V);
        assert.ok(nmse(logits[step]!.subarray(row * V, (row + 1) * V), full) < 1e-10, `row ${row} step ${step}`);
        assert.is(full.indexOf(Math.max(...full)), token);
        sum += full[token]! - Math.log(full.reduce((s, v) => s + Math.exp(v), 0));
      });
      close([texts[row]![0]!.logProbability], [sum], { abs: 1e-4, name: `log-probability of row ${row}` });
    }
    for (const t of [whole, vectors]) t.dispose();
    decoder.dispose();
  }
});

test('beams: every text has the log-probability that the whole forward pass gives it; width 1 is greedy; wider is not worse', async () => {
  const d = await device();
  const decoder = await build(d);
  const vectors = vectorsOf(d, 3, 2);
  const greedy = await decoder.hypotheses(vectors);
  assert.equal(await decoder.hypotheses(vectors, { method: 'beam', width: 1 }), greedy);
  const beams = await decoder.hypotheses(vectors, { method: 'beam', width: 4, nBest: 4 });
  for (const [i, list] of beams.entries()) {
    assert.is(list.length, 4);
    assert.is(new Set(list.map(h => h.tokens.join())).size, 4, 'four different texts');
    assert.ok(list[0]!.logProbability >= greedy[i]![0]!.logProbability - 1e-5);
    for (const [b, { tokens, logProbability }] of list.entries()) {
      if (b) assert.ok(logProbability <= list[b - 1]!.logProbability + 1e-6, 'best first');
      const logits = scope(() => noGrad(() => decoder.forward(Tensor.from(d, random([3, 16], 2).slice(i * 16, (i + 1) * 16), [1, 16]), Tensor.from(d, Uint32Array.from(tokens.slice(0, -1)), [1, tokens.length - 1]))));
      const all = await logits.read();
      const expected = tokens.reduce((s, token, t) => {
        const row = all.subarray(t * 2048, (t + 1) * 2048);
        return s + row[token]! - Math.log(row.reduce((q, v) => q + Math.exp(v), 0));
      }, 0);
      close([logProbability], [expected], { abs: 2e-4, name: `vector ${i} beam ${b}` });
      logits.dispose();
    }
  }
  const [best] = await decoder.hypotheses(vectors, { method: 'beam', width: 4, lengthPenalty: 1, nBest: 2 });
  assert.ok(best![0]!.logProbability / best![0]!.tokens.length >= best![1]!.logProbability / best![1]!.tokens.length - 1e-6);
  vectors.dispose();
  decoder.dispose();
});

test('samples follow the seed, whatever the batch; top 1 is greedy', async () => {
  const d = await device();
  const decoder = await build(d);
  const vectors = vectorsOf(d, 5, 3);
  const draw = (options: object): Promise<string[]> => decoder.decode(vectors, { method: 'sample', ...options });
  const first = await draw({ seed: 7 });
  assert.equal(await draw({ seed: 7, batchSize: 2 }), first);
  assert.not.equal(await draw({ seed: 8 }), first);
  assert.equal(await draw({ seed: 9, topK: 1 }), await decoder.decode(vectors));
  assert.equal(await draw({ seed: 9, temperature: 1e-3 }), await decoder.decode(vectors));
  const several = await decoder.hypotheses(vectors, { method: 'sample', seed: 7, nBest: 3 });
  assert.equal(several.map(l => l.length), [3, 3, 3, 3, 3]);
  vectors.dispose();
  decoder.dispose();
});

test('calls that overlap do not meet, a text does not depend on its neighbours, nothing is left behind', async () => {
  const d = await device();
  const decoder = await build(d);
  const values = random([6, 16], 4);
  const vectors = Tensor.from(d, values, [6, 16]);
  const [a, b] = await Promise.all([decoder.decode(vectors), decoder.decode(vectors, { method: 'beam', width: 3 })]);
  assert.equal(await decoder.decode(vectors), a);
  assert.equal(await decoder.decode(vectors, { method: 'beam', width: 3, batchSize: 2 }), b);
  for (let i = 0; i < 6; i++) {
    const one = Tensor.from(d, values.slice(i * 16, (i + 1) * 16), [1, 16]);
    assert.equal(await decoder.decode(one), [a[i]]);
    one.dispose();
  }
  const before = d.liveTensors;
  for (let k = 0; k < 3; k++) await decoder.decode(vectors, { batchSize: 2 });
  assert.is(d.liveTensors, before);
  vectors.dispose();
  decoder.dispose();
});

test('one step is one replay, and one tensor is read', async () => {
  const d = await device();
  const decoder = await build(d);
  const vectors = vectorsOf(d, 2, 5);
  await decoder.decode(vectors);
  const before = { ...d.recorder.counters };
  let steps = 0;
  await decoder.hypotheses(vectors, {}, async () => { steps++; });
  const { submits, pipelines } = d.recorder.counters;
  assert.is(pipelines, before.pipelines);
  assert.ok(submits - before.submits <= steps + 3, `${submits - before.submits} submits for ${steps} steps`);
  vectors.dispose();
  decoder.dispose();
});

test('a vector of NaN is refused, and does no harm to the next call', async () => {
  const d = await device();
  const decoder = await build(d);
  const vectors = vectorsOf(d, 2, 6);
  const before = await decoder.decode(vectors);
  const broken = Tensor.from(d, new Float32Array(32).fill(NaN), [2, 16]);
  let message = '';
  await decoder.decode(broken).catch((e: Error) => { message = e.message; });
  assert.match(message, /the log-probability of vector 0 is NaN, expected a number/);
  assert.equal(await decoder.decode(vectors), before);
  for (const t of [broken, vectors]) t.dispose();
  decoder.dispose();
});

test('settings and configs that do not fit are refused by name', async () => {
  const d = await device();
  const decoder = await build(d);
  const vectors = vectorsOf(d, 2);
  const refused: [object, RegExp][] = [
    [{ method: 'best' }, /method is best, expected greedy, beam or sample/], [{ width: 3 }, /width is 3, expected it with method beam, not with greedy/], [{ method: 'beam', seed: 3 }, /seed is 3, expected it with method sample/],
    [{ method: 'beam', width: 17 }, /width is 17, expected a whole number from 1 to 16/], [{ method: 'beam', width: 2, nBest: 3 }, /nBest is 3, expected a whole number from 1 to 2/], [{ maxTokens: 10 }, /maxTokens is 10, expected a whole number from 1 to 9/],
    [{ method: 'sample', temperature: 0 }, /temperature is 0/], [{ method: 'sample', topP: 2 }, /topP is 2/], [{ batchSize: 0 }, /batchSize is 0/], [{ heat: 1 }, /heat is 1, expected it with no method/],
  ];
  for (const [options, message] of refused) assert.throws(() => decoder.hypotheses(vectors, options), message);
  assert.throws(() => decoder.hypotheses(Tensor.zeros(d, [2, 8])), /TextDecoder.decode: vectors has shape \[2, 8\], expected \[\*, 16\]/);
  assert.equal(await decoder.decode(Tensor.zeros(d, [0, 16])), []);
  assert.throws(() => decoderConfig({ ...CONFIG, max_tokens: 62 }), /max_tokens is 62, expected at most 61/);
  assert.throws(() => decoderConfig({ ...CONFIG, eos_token_id: 2048 }), /eos_token_id is 2048, expected an integer from 0 to 2047/);
  assert.throws(() => decoderConfig({ ...CONFIG, decoder_config: { ...LLAMA, tie_word_embeddings: false } }), /expected tie_word_embeddings true/);
  assert.throws(() => decoderConfig({ ...CONFIG, model_type: 'vl_jepa' }), /model_type is "vl_jepa", expected "vl_jepa_decoder"/);
  vectors.dispose();
  decoder.dispose();
});

const TINY = {
  model_type: 'vl_jepa', embedding_dim: 16,
  vision_config: { model_type: 'vjepa2', hidden_size: 24, num_attention_heads: 2, num_hidden_layers: 1, patch_size: 8, crop_size: 16, frames_per_clip: 2, tubelet_size: 2, mlp_ratio: 2, in_chans: 3, layer_norm_eps: 1e-6, hidden_act: 'gelu', qkv_bias: true },
  predictor_config: { ...LLAMA, num_hidden_layers: 1 },
  text_config: {
    model_type: 'gemma3_text', hidden_size: 20, intermediate_size: 28, num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 10, vocab_size: 2048,
    rms_norm_eps: 1e-6, hidden_activation: 'gelu_pytorch_tanh', query_pre_attn_scalar: 10, sliding_window: 8, layer_types: ['full_attention'], use_bidirectional_attention: true, max_position_embeddings: 64,
  },
};

test.when(isNode, 'writing folders is for Node', 'saved in f16 and loaded again it says the same; other models, widths and folders are refused', async () => {
  const { mkdtemp, rm } = await import('node:fs/promises');
  const { join } = await import('node:path');
  const { tmpdir } = await import('node:os');
  const d = await device();
  const folder = await mkdtemp(join(tmpdir(), 'decoder-'));
  const tokenizer = await loadTokenizerJson();
  const modelOf = (seed: number, fields: object = {}): VLJEPA => VLJEPA.fromConfig({ ...TINY, ...fields }, { device: d, seed, tokenizer });
  const [model, other, wide] = [modelOf(1), modelOf(2), modelOf(1, { embedding_dim: 24 })];
  const reason = async (work: Promise<unknown>): Promise<string> => work.then(() => 'nothing', (e: Error) => e.message);
  try {
    await model.save(folder);
    assert.match(await reason(TextDecoder.fromPretrained(folder, { model })), /decoder\/config.json is missing, expected a model with a decoder/);
    const decoder = await build(d);
    decoder.bind(model);
    await decoder.save(folder, { dtype: 'F16' });
    const again = await TextDecoder.fromPretrained(folder, { model });
    const f16 = await TextDecoder.fromPretrained(folder, { device: d, dtype: 'f16' });
    const vectors = vectorsOf(d, 4, 8);
    assert.equal(await again.decode(vectors), await f16.decode(vectors), 'held as f16 or widened, the numbers are the same');
    assert.match(await reason(TextDecoder.fromPretrained(folder, { model: other })), /has cosine .* with the one that the decoder was trained for, expected at least 0.98 \(a decoder of another model/);
    assert.match(await reason(TextDecoder.fromPretrained(folder, { model: wide })), /embedding_dim is 16, expected 24, that of the model/);
    assert.throws(() => decoder.bind(wide), /embedding_dim is 16, expected 24/);
    const llama = await TextDecoder.create(CONFIG, { device: d, tokenizer: await loadTokenizer(), seed: 9, llama: join(folder, 'decoder') }).then(() => 'nothing', (e: Error) => e.message);
    assert.match(llama, /prefix.bias|not used by this network/, 'a Llama folder has no prefix');
    for (const one of [decoder, again, f16]) one.dispose();
    vectors.dispose();
  } finally {
    for (const m of [model, other, wide]) m.dispose();
    await rm(folder, { recursive: true, force: true });
  }
});

test('texts as the decoder spells them: no start token, an end token, cut to fit', async () => {
  const d = await device();
  const decoder = await build(d);
  const ids = decoder.encode('grinning face');
  assert.equal(ids, [768, 382, 1]);
  assert.is(decoder.spell('OK hand'), 'ok hand');
  assert.is(decoder.encode('a b c d e f g h i j k l m n o p').length, 9);
  decoder.dispose();
});

test.run();
