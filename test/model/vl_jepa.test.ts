// The joint model: batching, queries, pools, saving and loading, what learns.
import { scope } from '../../engine/memory.ts';
import { Tensor } from '../../engine/tensor.ts';
import type { Device } from '../../engine/device.ts';
import { ConfigError } from '../../model/config.ts';
import { TRAIN_ALL, TRAIN_NONE, TRAIN_PAPER, VLJEPA } from '../../model/vl_jepa.ts';
import type { Picture, TokenBatch } from '../../model/vl_jepa.ts';
import { backward } from '../../kernels/backward.ts';
import { sum } from '../../kernels/elementwise.ts';
import { assert, close, device, isNode, random, suite } from '../harness.ts';
import { goldenFolder } from './golden.ts';

const test = suite('VLJEPA');

const vision = {
  model_type: 'vjepa2', hidden_size: 24, num_attention_heads: 2, num_hidden_layers: 1, patch_size: 8, crop_size: 16, frames_per_clip: 2, tubelet_size: 2,
  mlp_ratio: 2, in_chans: 3, layer_norm_eps: 1e-6, hidden_act: 'gelu', qkv_bias: true,
};
const predictor = {
  model_type: 'llama', hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 8, vocab_size: 40,
  rms_norm_eps: 1e-5, hidden_act: 'silu', rope_theta: 10000, tie_word_embeddings: true, max_position_embeddings: 128,
};
const text = {
  model_type: 'gemma3_text', hidden_size: 20, intermediate_size: 28, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 10, vocab_size: 40,
  rms_norm_eps: 1e-6, hidden_activation: 'gelu_pytorch_tanh', query_pre_attn_scalar: 10, sliding_window: 8, layer_types: ['sliding_attention', 'full_attention'],
  use_bidirectional_attention: true, max_position_embeddings: 64,
};
const CONFIG = { model_type: 'vl_jepa', embedding_dim: 16, vision_config: vision, predictor_config: predictor, text_config: text };
/** A word-level tokenizer small enough to read: two words, bos 2, eos 1. */
const TOKENIZER = {
  version: '1.0', truncation: null, padding: null,
  added_tokens: ['<pad>', '<eos>', '<bos>', '<unk>'].map((content, id) => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true })),
  normalizer: null, pre_tokenizer: { type: 'WhitespaceSplit' }, decoder: null,
  post_processor: {
    type: 'TemplateProcessing', single: [{ SpecialToken: { id: '<bos>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: '<eos>', type_id: 0 } }], pair: [],
    special_tokens: { '<bos>': { id: '<bos>', ids: [2], tokens: ['<bos>'] }, '<eos>': { id: '<eos>', ids: [1], tokens: ['<eos>'] } },
  },
  model: { type: 'BPE', vocab: { '<pad>': 0, '<eos>': 1, '<bos>': 2, '<unk>': 3, what: 4, colour: 5 }, merges: [], unk_token: '<unk>', ignore_merges: true },
};

const build = (d: Device, fields: object = {}, options: object = {}): VLJEPA => VLJEPA.fromConfig({ ...CONFIG, ...fields }, { device: d, seed: 7, init: { linear: { fanIn: 1 } }, ...options });
const pixels = (d: Device, batch: number, seed = 1): Tensor => Tensor.from(d, random([batch, 2, 3, 16, 16], seed), [batch, 2, 3, 16, 16]);
const ids = (...lists: number[][]): TokenBatch => {
  const tokens = Math.max(...lists.map((list) => list.length));
  return {
    tokens,
    ids: Uint32Array.from(lists.flatMap((list) => [...list, ...Array<number>(tokens - list.length).fill(0)])),
    mask: Uint32Array.from(lists.flatMap((list) => [...list.map(() => 1), ...Array<number>(tokens - list.length).fill(0)])),
  };
};

/** Reads and releases. */
async function take(tensor: Tensor): Promise<Float32Array> {
  const values = await tensor.read();
  tensor.dispose();
  return values;
}

test('vectors have unit length, and a batch equals its rows one by one', async () => {
  const d = await device();
  const model = build(d);
  const x = pixels(d, 3);
  const queries = ids([5, 6, 7], [8], [9, 10]);
  const whole = await take(model.predict(x, queries));
  assert.is(whole.length, 3 * 16);
  for (let row = 0; row < 3; row++) {
    close([whole.slice(row * 16, (row + 1) * 16).reduce((length, v) => length + v * v, 0)], [1], { abs: 1e-6, name: `length of row ${row}` });
  }
  close(await take(model.predict(x, queries, { batchSize: 1 })), whole, { abs: 2e-6, name: 'one by one' });
  const texts = await take(model.encodeText(queries));
  close(await take(model.encodeText(queries, { batchSize: 1 })), texts, { abs: 2e-6, name: 'texts one by one' });
  x.dispose();
  model.dispose();
});

test('what stands behind a mask of 0 does not matter', async () => {
  const d = await device();
  const model = build(d);
  const x = pixels(d, 2);
  const clean = ids([5, 6, 7, 4], [8]);
  const dirty = { ...clean, ids: clean.ids.map((id, i) => (clean.mask[i] ? id : 31)) };
  assert.equal(await take(model.predict(x, dirty)), await take(model.predict(x, clean)));
  x.dispose();
  model.dispose();
});

test('a row without query tokens equals a query-free prediction', async () => {
  const d = await device();
  const model = build(d);
  const x = pixels(d, 2);
  const mixed = await take(model.predict(x, ids([5, 6], [])));
  const free = await take(model.predict(x));
  close(mixed.subarray(16), free.subarray(16), { abs: 2e-6, name: 'row 1' });
  assert.ok(mixed.subarray(0, 16).some((value, i) => Math.abs(value - free[i]!) > 1e-4), 'the query of row 0 changes nothing');
  x.dispose();
  model.dispose();
});

test('pool "query" averages query positions alone, and needs some', async () => {
  const d = await device();
  const [all, query] = [build(d), build(d, { pool: 'query' })];
  const x = pixels(d, 2);
  const q = ids([5, 6], [7]);
  const [a, b] = [await take(all.predict(x, q)), await take(query.predict(x, q))];
  assert.ok(a.some((value, i) => Math.abs(value - b[i]!) > 1e-4), 'both pools give the same');
  assert.throws(() => query.predict(x), /there are no query tokens, expected some \(pool is "query"/);
  x.dispose();
  all.dispose();
  query.dispose();
});

test('visual tokens can be computed once and used for many queries', async () => {
  const d = await device();
  const model = build(d);
  const x = pixels(d, 2);
  const visual = model.encodeImage(x);
  assert.equal(visual.shape, [2, 4, 24]);
  close(await take(model.predict(visual, ids([5], [6]))), await take(model.predict(x, ids([5], [6]))), { abs: 0, name: 'prediction' });
  visual.dispose();
  x.dispose();
  model.dispose();
});

test('pictures and clips of any size are resized, one frame counts as a still', async () => {
  const d = await device();
  const model = build(d, { resize: 'stretch' });
  const picture = (width: number, height: number): Picture => ({ width, height, data: Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37) % 256) });
  const tokens = model.encodeImage([picture(16, 16), [picture(20, 9), picture(20, 9)]]);
  assert.equal(tokens.shape, [2, 4, 24]);
  const still = await take(model.encodeImage([picture(16, 16)]));
  close(still, (await take(tokens)).subarray(0, still.length), { abs: 2e-6, name: 'the still in a mixed batch' });
  assert.throws(() => model.encodeImage([[]]), /clip 0 has no frames/);
  model.dispose();
});

test('texts go through the tokenizer; the default query stands in for a missing one', async () => {
  const d = await device();
  const model = build(d, { default_query: 'what colour' }, { tokenizer: TOKENIZER });
  close(await take(model.encodeText(['what', 'colour what'])), await take(model.encodeText(ids([2, 4, 1], [2, 5, 4, 1]))), { abs: 0, name: 'texts' });
  const x = pixels(d, 2);
  const asked = await take(model.predict(x, ids([2, 4, 5, 1], [2, 4, 5, 1])));
  for (const queries of [undefined, '', 'what colour', ['', undefined]]) {
    assert.equal(await take(model.predict(x, queries)), asked, `queries ${JSON.stringify(queries)}`);
  }
  assert.throws(() => model.predict(x, ['what']), /1 queries, expected 2/);
  x.dispose();
  model.dispose();
});

test('similarity is the cosine', async () => {
  const d = await device();
  const model = build(d);
  const [a, b] = [model.encodeText(ids([5], [6])), model.encodeText(ids([6], [5], [7]))];
  const s = await take(model.similarity(a, b));
  assert.is(s.length, 6);
  close([s[1]!, s[3]!], [1, 1], { abs: 1e-5, name: 'equal texts' });
  a.dispose();
  b.dispose();
  model.dispose();
});

test('frozen parts get no gradient', async () => {
  const d = await device();
  const model = build(d, {}, { train: TRAIN_PAPER });
  assert.not.ok([...model.parameters().keys()].some((name) => name.startsWith('vision.') || name === 'predictor.model.embed_tokens.weight'));
  scope(() => backward(sum(model.forwardPrediction(pixels(d, 1), ids([5])))));
  for (const [name, tensor] of model.tensors()) {
    const wanted = tensor.needsGrad && !name.startsWith('text') && name !== 'log_scale';
    assert.is(tensor.grad !== undefined, wanted, name);
  }
  model.setTrainable(TRAIN_NONE);
  assert.is(model.parameters().size, 0);
  model.dispose();
});

test('a learning vision encoder gets gradients through pixels', async () => {
  const d = await device();
  const model = build(d);
  scope(() => backward(sum(model.forwardPrediction(pixels(d, 1)))));
  assert.ok(model.parameters().get('vision.encoder.embeddings.patch_embeddings.proj.weight')!.grad);
  model.dispose();
});

test('the same seed gives the same weights, another seed others', async () => {
  const d = await device();
  const weights = async (seed: number) => {
    const model = VLJEPA.fromConfig(CONFIG, { device: d, seed });
    const values = await model.tensors().get('text_head.weight')!.read();
    model.dispose();
    return values;
  };
  const first = await weights(1);
  assert.equal(await weights(1), first);
  assert.not.equal(await weights(2), first);
  close([Math.sqrt(first.reduce((s, v) => s + v * v, 0) / first.length)], [0.02], { rel: 0.15, name: 'standard deviation' });
});

test.when(isNode, 'writes files', 'a saved folder loads again, exactly, with progress; bf16 rounds', async () => {
  const { mkdtemp, rm } = await import('node:fs/promises');
  const { tmpdir } = await import('node:os');
  const d = await device();
  const folder = await mkdtemp(`${tmpdir()}/vl-jepa-`);
  try {
    const model = build(d, { dense: 12, default_query: 'what' }, { tokenizer: TOKENIZER });
    await model.save(`${folder}/a`);
    const events: number[] = [];
    const again = await VLJEPA.fromPretrained(`${folder}/a`, { device: d, progress: ({ loaded, total }) => events.push(loaded / total) });
    assert.is(events.at(-1), 1);
    assert.is(again.parameters().size, 0);
    assert.is(again.config.defaultQuery, 'what');
    for (const [name, tensor] of model.tensors()) assert.equal(await again.tensors().get(name)!.read(), await tensor.read(), name);
    close(await take(again.encodeText(['colour'])), await take(model.encodeText(['colour'])), { abs: 0, name: 'text' });
    await model.save(`${folder}/b`, { dtype: 'BF16' });
    const rounded = await VLJEPA.fromPretrained(`${folder}/b`, { device: d });
    close(await take(rounded.encodeText(['colour'])), await take(model.encodeText(['colour'])), { abs: 0.02, name: 'text of bf16 weights' });
    const before = d.memory().liveTensors;
    const aborted = await VLJEPA.fromPretrained(`${folder}/a`, { device: d, signal: AbortSignal.abort(new Error('enough')) }).then(() => 'loaded', (error: Error) => error.message);
    assert.match(aborted, /enough|abort/i);
    assert.is(d.memory().liveTensors, before, 'a cancelled load leaves tensors behind');
    for (const m of [model, again, rounded]) m.dispose();
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('ids outside the vocabulary, texts without a tokenizer, wrong counts are refused', async () => {
  const d = await device();
  const model = build(d);
  const x = pixels(d, 1);
  assert.throws(() => model.encodeText(ids([40])), /ids\[0\] is 40, expected a number below the vocabulary size 40/);
  assert.throws(() => model.encodeText(['a']), (error: unknown) => error instanceof ConfigError && /no tokenizer\.json/.test(error.message));
  assert.throws(() => model.predict(x, ids([5], [6])), /the query has 2 rows, expected 1, one per picture/);
  assert.throws(() => model.predict(x, undefined, { batchSize: 0 }), /batchSize is 0/);
  x.dispose();
  model.dispose();
});

test('empty batches give empty results', async () => {
  const d = await device();
  const model = build(d);
  const x = Tensor.empty(d, [0, 2, 3, 16, 16]);
  const y = model.predict(x);
  assert.equal(y.shape, [0, 16]);
  y.dispose();
  x.dispose();
  model.dispose();
});

test('three folders of the hub make a joint model with untrained heads, each network in its own dtype', async () => {
  const d = await device();
  const folder = goldenFolder('twin/tiny');
  const folders = { vision: folder.sub('vision'), predictor: folder.sub('predictor'), text: folder.sub('text') };
  const before = d.memory().liveTensors;
  const model = await VLJEPA.fromPretrained(folders, { device: d, joint: { embedding_dim: 24 }, dtype: { vision: 'bf16', text: 'int8' }, seed: 3 });
  assert.equal(model.config.predictorLayers, [0, model.config.predictor.layers], 'all layers where there are no more than 8');
  const dtypes = (pattern: RegExp): string[] => [...new Set([...model.tensors()].filter(([name]) => pattern.test(name)).map(([, t]) => t.dtype))];
  assert.equal(dtypes(/^vision.*mlp.*weight$/), ['bf16']);
  assert.equal(dtypes(/^predictor|head|projection|log_scale|norm/), ['f32']);
  assert.equal(dtypes(/^text.*(proj|embed_tokens)\.weight$/), ['i8']);
  assert.is(model.tensors().get('text_head.weight')!.shape[0], 24);
  assert.throws(() => model.setTrainable(TRAIN_ALL), /setTrainable: vision\..* is bf16, expected f32 for what learns/);
  model.dispose();
  assert.is(d.memory().liveTensors, before);
  const message = await VLJEPA.fromPretrained({ ...folders, text: new Map() }, { device: d }).then(() => 'loaded', (e: Error) => e.message);
  assert.match(message, /config\.json is missing, expected the folder of a network/);
  assert.match(await VLJEPA.fromPretrained(folders, { device: d, dtype: { text: 'half' as 'f16' } }).then(() => 'loaded', (e: Error) => e.message), /dtype of text: dtype is "half"/);
  assert.is(d.memory().liveTensors, before);
});

test.run();
