import { assert, isNode, suite } from '../harness.ts';
import { DataError } from '../../data/errors.ts';
import { loadE4 } from '../../data/e4.ts';
import { loadTokenizer, loadTokenizerJson, MAX_TEXT_LENGTH, Tokenizer } from '../../data/tokenizer.ts';

const test = suite('data: tokenizer');

interface Fixture {
  versions: { tokenizers: string };
  /** text, ids by the Python package */
  rows: [string, number[]][];
}

async function fixture(): Promise<Fixture> {
  const url = new URL('../../../test/golden/tokenizer/e4.json', import.meta.url);
  if (isNode) {
    const { readFile } = await import('node:fs/promises');
    return JSON.parse(await readFile(url, 'utf8')) as Fixture;
  }
  return (await (await fetch(url)).json()) as Fixture;
}

type Json = Record<string, unknown> & { model: Record<string, unknown> };

/** A small word-level file with words, and what a test adds to it. */
function smallFile(vocab: object, more: object = {}): Json {
  const file = { added_tokens: [], normalizer: null, pre_tokenizer: { type: 'WhitespaceSplit' }, post_processor: null, decoder: null };
  return { ...file, ...more, model: { type: 'BPE', vocab, merges: [], unk_token: null } } as Json;
}

test('ids are those of the Python package tokenizers', async () => {
  const tokenizer = await loadTokenizer();
  const { versions, rows } = await fixture();
  assert.is(versions.tokenizers, '0.23.3');
  assert.ok(rows.length > 800);
  for (const [text, ids] of rows) assert.equal(tokenizer.encode(text), ids, JSON.stringify(text));
});

test('special ids are those of Gemma, every text has bos and eos', async () => {
  const tokenizer = await loadTokenizer();
  assert.equal([tokenizer.pad, tokenizer.eos, tokenizer.bos, tokenizer.unk], [0, 1, 2, 3]);
  assert.is(tokenizer.vocabSize, 2048);
  assert.equal(tokenizer.encode(''), [2, 1]);
  const ids = tokenizer.encode('Zebra');
  assert.equal([ids[0], ids.at(-1)], [2, 1]);
  assert.equal(ids, tokenizer.encode('zebra'));
});

test('most names are two to six tokens long', async () => {
  const tokenizer = await loadTokenizer();
  const lengths = (await loadE4()).concepts.map(({ name }) => tokenizer.encode(name).length - 2);
  const share = lengths.filter((length) => length <= 6).length / lengths.length;
  assert.ok(share > 0.95, `share ${share}`);
  assert.ok(Math.max(...lengths) <= 12);
});

test('any text encodes, without unknown tokens, and comes back', async () => {
  const tokenizer = await loadTokenizer();
  for (const text of ['日本語', '🍕👩‍🚀', '\u0000\u0007', '__proto__ constructor toString', 'a\ud800b', '\udfff', '{}[]|\\~`', 'x'.repeat(2000)]) {
    assert.not.ok(tokenizer.encode(text).includes(tokenizer.unk!), JSON.stringify(text));
  }
  for (const text of ['a picture of a zebra', "don't: 12 o'clock!", '日本 🍕', 'é'.normalize('NFD')]) {
    assert.is(tokenizer.decode(tokenizer.encode(text)), text.normalize('NFKD').replace(/\p{M}/gu, ''));
  }
  assert.is(tokenizer.decode([]), '');
  assert.is(tokenizer.decode(new Uint32Array([2, 1, 0])), '');
  assert.is(tokenizer.decode(tokenizer.encode('a\ud800b')), 'a\ufffdb');
});

test('a batch is padded at the end, a long text keeps its eos', async () => {
  const tokenizer = await loadTokenizer();
  const texts = ['cat', 'a picture of a cat and a dog'];
  const { ids, mask, tokens } = tokenizer.encodeBatch(texts);
  const [short, long] = texts.map((text) => tokenizer.encode(text)) as [number[], number[]];
  assert.is(tokens, long.length);
  assert.equal([...ids], [...short, ...new Array<number>(tokens - short.length).fill(0), ...long]);
  assert.equal([...mask], [...ids.keys()].map((i) => (i < tokens ? Number(i < short.length) : 1)));
  const cut = tokenizer.encodeBatch(texts, { maxLength: 5 });
  assert.is(cut.tokens, 5);
  assert.equal([...cut.ids.subarray(5)], [...long.slice(0, 4), 1]);
  const fixed = tokenizer.encodeBatch(['cat'], { maxLength: 8, pad: 8 });
  assert.equal([fixed.tokens, fixed.ids.length, [...fixed.mask].filter(Boolean).length], [8, 8, short.length]);
});

test('refuses texts and limits that are out of range', async () => {
  const tokenizer = await loadTokenizer();
  const refused = (work: () => unknown, message: RegExp) => assert.throws(work, (error: Error) => error instanceof DataError && message.test(error.message));
  refused(() => tokenizer.encode('a'.repeat(MAX_TEXT_LENGTH + 1)), /has 16385 characters, expected at most 16384/);
  refused(() => tokenizer.encode(5 as unknown as string), /expected a text, got number/);
  refused(() => tokenizer.encode('a', { maxLength: 1 }), /maxLength must be at least 2, got 1/);
  refused(() => tokenizer.encodeBatch([]), /at least one text/);
  refused(() => tokenizer.encodeBatch(['a'], { pad: 3 }), /pad must be an integer of at least maxLength = 64, got 3/);
});

test('the longest hostile texts take bounded time', async () => {
  const tokenizer = await loadTokenizer();
  for (const unit of ['a', '_', '^', ' ', 'a ', 'ab', '日', '🍕', '\u0301', '\n', '<eos', '▁']) {
    const text = unit.repeat(Math.floor(MAX_TEXT_LENGTH / unit.length));
    const start = performance.now();
    tokenizer.encode(text);
    const time = performance.now() - start;
    assert.ok(time < 10_000, `${JSON.stringify(unit)}: ${time.toFixed(0)} ms`); // quadratic time would be minutes
  }
});

test('refuses files that are no tokenizer, and patterns that may not be fast', async () => {
  const refused = (json: unknown, message: RegExp) =>
    assert.throws(() => Tokenizer.fromJSON(json as object), (error: Error) => error instanceof DataError && message.test(error.message), String(message));
  refused(null, /object "model"/);
  refused({}, /object "model"/);
  refused({ model: {} }, /a vocabulary/);
  refused(smallFile({ a: -1 }), /id of "a" must be an integer/);
  refused(smallFile({ a: 2 ** 40 }), /id of "a" must be an integer/);
  refused(smallFile({ a: 0 }, { added_tokens: [{ content: '', id: 1 }] }), /text "content"/);
  refused(smallFile({ a: 0 }, { added_tokens: {} }), /a list "added_tokens"/);
  refused(smallFile({ a: 0 }, { normalizer: { type: 'Nonsense' } }), /cannot be used/);
  const slow = { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated', invert: false };
  refused(smallFile({ a: 0 }, { pre_tokenizer: { type: 'Sequence', pretokenizers: [slow] } }), /pattern "\(a\+\)\+\$" is not on the list/);
  const json = (await loadTokenizerJson()) as Json;
  assert.is(Tokenizer.fromJSON(json).vocabSize, 2048);
});

test('special tokens may be named by the config, and are missed when needed', () => {
  const file = smallFile({ a: 0, b: 1, '@': 2 });
  const bare = Tokenizer.fromJSON(file);
  assert.is(bare.pad, undefined);
  assert.throws(() => bare.encodeBatch(['a', 'ab']), /no pad token/);
  const named = Tokenizer.fromJSON(file, { pad_token: '@', eos_token: { content: 'b' } });
  assert.equal([named.pad, named.eos], [2, 1]);
  assert.equal([...named.encodeBatch(['a', 'ab']).ids], [0, 2, 0, 1]);
  assert.throws(() => Tokenizer.fromJSON(file, { pad_token: 'no' }), /names no as pad_token, which is not in the vocabulary/);
});

test('tokens named like parts of an object are plain tokens', () => {
  const vocab = JSON.parse('{"_":0,"__":1,"__proto__":2,"p":3}') as object;
  assert.is(Tokenizer.fromJSON(smallFile(vocab)).vocabSize, 4);
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
  const added = smallFile({ a: 0 }, { added_tokens: ['__proto__', 'constructor', 'toString'].map((content, i) => ({ content, id: i + 1, special: true })) });
  assert.equal(Tokenizer.fromJSON(added).encode('aconstructora__proto__'), [0, 2, 0, 1]);
});

test.when(isNode, 'the trainer runs in Node', 'the committed file is what the trainer gives', async () => {
  const { execFileSync } = await import('node:child_process');
  const { fileURLToPath } = await import('node:url');
  execFileSync(process.execPath, [fileURLToPath(new URL('../../../data/make_tokenizer.mjs', import.meta.url)), '--check']);
});

test.run();
