// Sentence vectors against sentence-transformers: layout, tokens, prompts, limit, Dense layers, Matryoshka; and what is refused.
import { safetensorsBytes } from '../../weights/writer.ts';
import { folderSource } from '../../weights/folder.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { ConfigError } from '../../model/config.ts';
import { SentenceEncoder } from '../../model/sentence_encoder.ts';
import { readSentenceModules, readSentenceSettings } from '../../model/sentence_folder.ts';
import { TextEncoder } from '../../model/text_encoder.ts';
import { assert, close, device, nmse, suite } from '../harness.ts';
import { goldenFolder, goldenTensors, pick } from './golden.ts';

const test = suite('sentence vectors');
const LIMIT = 1e-10;

async function texts(): Promise<string[]> {
  return JSON.parse((await goldenFolder('sentence').readText('texts.json'))!) as string[];
}

async function values(vectors: Tensor): Promise<Float32Array> {
  const read = await vectors.read();
  vectors.dispose();
  return read;
}

test('tokens, prompts, mean, Dense layers and unit length are those of sentence-transformers', async () => {
  const encoder = await SentenceEncoder.load(goldenFolder('sentence'), { device: await device() });
  const all = await texts();
  const expected = await goldenTensors('sentence', 'expected');
  assert.is(encoder.maxTokens, 40);
  const { ids, mask, tokens } = encoder.tokenize(all);
  assert.equal([all.length, tokens], [...pick(expected, 'input_ids').shape]);
  assert.equal([...ids], [...pick(expected, 'input_ids').values]);
  assert.equal([...mask], [...pick(expected, 'attention_mask').values]);
  assert.is(tokens, 40, 'one text is cut at the limit');
  assert.is(ids[all.findIndex((text) => text.startsWith('The quick')) * tokens + tokens - 1], 1, 'a cut text keeps its end token');
  const calls: [string, Tensor][] = [
    ['plain', encoder.encodeText(all)], ['query', encoder.encodeQuery(all)], ['document', encoder.encodeDocument(all)], ['sts', encoder.encodeText(all, { promptName: 'STS', batchSize: 3 })],
    ['prompt', encoder.encodeText(all, { prompt: 'note: ' })], ['query_12', encoder.encodeQuery(all, { truncateDim: 12 })],
  ];
  for (const [name, vectors] of calls) {
    assert.equal(vectors.shape, pick(expected, name).shape, name);
    const got = await values(vectors);
    const error = nmse(got, pick(expected, name).values);
    assert.ok(error <= LIMIT, `${name}: NMSE ${error.toExponential(2)}, limit ${LIMIT}`);
    const width = got.length / all.length;
    for (let row = 0; row < all.length; row++) close([Math.hypot(...got.subarray(row * width, (row + 1) * width))], [1], { abs: 1e-6, name: `${name}: length of row ${row}` });
  }
  const doubled = await values(encoder.encodeQuery([`task: search result | query: ${all[0]!}`]));
  assert.ok(nmse(doubled, pick(expected, 'query').values.subarray(0, encoder.dim)) > 1e-4, 'a doubled prompt changes the vector');
  assert.throws(() => encoder.encodeText(all, { promptName: 'nothing' }), /config_sentence_transformers\.json: there is no prompt "nothing", expected one of STS, document, query/);
  assert.throws(() => encoder.encodeText(all, { truncateDim: 33 }), /truncateDim is 33, expected 1 to 32/);
  assert.throws(() => encoder.encodeText(all, { truncateDim: 0 }), /truncateDim is 0/);
  assert.equal((await values(encoder.encodeText([]))).length, 0);
  encoder.dispose();
});

test('without the Dense layers the vectors are other ones', async () => {
  const d = await device();
  const encoder = await SentenceEncoder.load(goldenFolder('sentence'), { device: d });
  const bare = new SentenceEncoder(new TextEncoder(encoder.text.config, encoder.text.params), encoder.tokenizer, encoder.settings);
  const [a, b] = [await values(encoder.encodeText(['a cat'])), await values(bare.encodeText(['a cat']))];
  assert.ok(a.reduce((sum, v, i) => sum + v * b[i]!, 0) < 0.7);
  encoder.dispose();
});

const json = (value: unknown) => new globalThis.TextEncoder().encode(JSON.stringify(value));

/** A folder of settings in memory. */
const folder = (files: Record<string, unknown>) => folderSource(new Map(Object.entries(files).map(([name, value]) => [name, json(value)])));

test('prompts and limits are read, wrong ones are named', async () => {
  const plain = await readSentenceSettings(folder({}));
  assert.equal([plain.prompts.size, plain.defaultPrompt, plain.maxTokens], [0, undefined, undefined]);
  const said = await readSentenceSettings(folder({ 'config_sentence_transformers.json': { prompts: { query: 'q: ', '': '' }, default_prompt_name: 'query' }, 'sentence_bert_config.json': { max_seq_length: 512 } }));
  assert.equal([[...said.prompts], said.defaultPrompt, said.maxTokens], [[['query', 'q: '], ['', '']], 'query', 512]);
  const limit = async (files: Record<string, unknown>) => (await readSentenceSettings(folder(files))).maxTokens;
  assert.is(await limit({ 'tokenizer_config.json': { model_max_length: 512 } }), 512, 'where version 6 writes it');
  assert.is(await limit({ 'tokenizer_config.json': { model_max_length: 1e30 } }), undefined);
  assert.is(await limit({ 'tokenizer_config.json': {}, 'sentence_bert_config.json': { max_seq_length: 2048 } }), 2048);
  const refused = async (files: Record<string, unknown>, message: RegExp) => {
    const error = await readSentenceSettings(folder(files)).then(() => undefined, (e: unknown) => e);
    assert.ok(error instanceof ConfigError && message.test(error.message), `${String(message)}: ${String(error)}`);
  };
  await refused({ 'config_sentence_transformers.json': { prompts: { query: 5 } } }, /query is 5, expected a text/);
  await refused({ 'config_sentence_transformers.json': { prompts: {}, default_prompt_name: 'query' } }, /default_prompt_name is "query", expected one of no prompts/);
  await refused({ 'config_sentence_transformers.json': [] }, /expected a JSON object/);
  await refused({ 'sentence_bert_config.json': { max_seq_length: 0 } }, /max_seq_length is 0, expected an integer of at least 2/);
  await refused({ 'sentence_bert_config.json': { do_lower_case: true } }, /do_lower_case is true, expected it to be off/);
});

test('module lists of several versions are read, others are refused by name', async () => {
  const list = (...types: string[]) => types.map((type, i) => ({ idx: i, name: String(i), path: i ? `${i}_${type.split('.').at(-1)}` : '', type }));
  const layout = (pooling: object, dense: object = {}) => folder({
    'modules.json': list('sentence_transformers.base.modules.transformer.Transformer', 'sentence_transformers.sentence_transformer.modules.pooling.Pooling', 'sentence_transformers.models.Dense', 'sentence_transformers.models.Normalize'),
    '1_Pooling/config.json': pooling, '2_Dense/config.json': { in_features: 8, out_features: 4, bias: false, activation_function: 'torch.nn.modules.linear.Identity', ...dense },
  });
  for (const pooling of [{ embedding_dimension: 8, pooling_mode: 'mean', include_prompt: true }, { embedding_dimension: 8, pooling_mode: ['mean'] }, { word_embedding_dimension: 8, pooling_mode_mean_tokens: true, pooling_mode_cls_token: false }, { word_embedding_dimension: 8 }]) {
    const { dense, normalize } = await readSentenceModules(layout(pooling), 8);
    assert.equal([dense.length, dense[0]!.outFeatures, normalize], [1, 4, true]);
  }
  const refused = async (source: ReturnType<typeof folder>, message: RegExp) => {
    const error = await readSentenceModules(source, 8).then(() => undefined, (e: unknown) => e);
    assert.ok(error instanceof ConfigError && message.test(error.message), `${String(message)}: ${String(error)}`);
  };
  await refused(layout({ embedding_dimension: 9 }), /embedding_dimension is 9, expected 8/);
  await refused(layout({ pooling_mode: 'cls' }), /pooling_mode is "cls", expected "mean"/);
  await refused(layout({ pooling_mode: ['mean', 'max'] }), /pooling_mode is \["mean","max"\]/);
  await refused(layout({ pooling_mode_mean_tokens: true, pooling_mode_max_tokens: true }), /pooling_mode_max_tokens is true/);
  await refused(layout({ include_prompt: false }), /include_prompt is false, expected true/);
  await refused(layout({}, { activation_function: 'torch.nn.modules.activation.Tanh' }), /activation_function is .*Tanh.*expected Identity/);
  await refused(layout({}, { use_residual: true }), /use_residual is true/);
  await refused(layout({}, { module_input_name: 'token_embeddings' }), /module_input_name is "token_embeddings"/);
  await refused(layout({}, { in_features: 7 }), /in_features is 7, expected 8/);
  await refused(folder({ 'modules.json': list('a.Transformer', 'a.Pooling', 'a.LayerNorm'), '1_Pooling/config.json': {} }), /type is "a\.LayerNorm"/);
});

test('a folder without a vocabulary is refused', async () => {
  const bare = await SentenceEncoder.load(new Map([['config.json', json({})], ['model.safetensors', safetensorsBytes([])]])).then(() => undefined, (e: unknown) => e);
  assert.ok(bare instanceof ConfigError && /tokenizer\.json: the file is missing/.test(bare.message));
});

test.run();
