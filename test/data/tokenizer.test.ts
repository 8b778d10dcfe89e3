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
  refused(() => tokenizer.encode('a'.repeat(MAX_TEXT_LENGTH + 1)), /has 1048577 characters, expected at most 1048576/);
  refused(() => tokenizer.encode(5 as unknown as string), /expected a text, got number/);
  refused(() => tokenizer.encode('a', { maxLength: 1 }), /maxLength must be at least 2, got 1/);
  refused(() => tokenizer.encodeBatch([]), /at least one text/);
  refused(() => tokenizer.encodeBatch(['a'], { pad: 3 }), /pad must be an integer of at least maxLength = 64, got 3/);
});

test('the longest hostile texts come through', async () => {
  const tokenizer = await loadTokenizer();
  for (const unit of ['a', ' ', 'ab', '日', '\u0316\u0301', '<eos']) {
    const ids = tokenizer.encode(unit.repeat(Math.floor(MAX_TEXT_LENGTH / unit.length)), { maxLength: 64 });
    assert.ok(ids.length <= 64 && ids[0] === 2 && ids.at(-1) === 1); // quadratic time would be hours, and the suite's limit is minutes
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
  refused(smallFile({ a: 0 }, { normalizer: { type: 'Nonsense' } }), /the normalizer \{"type":"Nonsense"\} is not known, expected Replace/);
  const slow = { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated', invert: false };
  refused(smallFile({ a: 0 }, { pre_tokenizer: { type: 'Sequence', pretokenizers: [slow] } }), /pattern "\(a\+\)\+\$" is not on the list/);
  const cut = (pattern: unknown, behavior = 'Isolated') => smallFile({ a: 0 }, { pre_tokenizer: { type: 'Split', pattern, behavior, invert: false } });
  refused(cut({ Regex: '[' }), /pattern "\[" is not on the list/);
  refused(cut({ Regex: '(?<n' }), /is not on the list/);
  refused(cut({}), /expected a pattern/);
  refused(cut({ String: ' ' }, 'MergedWithPrevious'), /the pre_tokenizer .* is not known/);
  refused(smallFile({ a: 0 }, { normalizer: { type: 'Replace', pattern: { Regex: 'a' }, content: '' } }), /not on the list/);
  refused(smallFile({ a: 0 }, { pre_tokenizer: { type: 'Sequence' } }), /expected a list "pretokenizers"/);
  refused(smallFile({ a: 0 }, { decoder: { type: 'CTC' } }), /the decoder .* is not known/);
  refused(smallFile({ a: 0 }, { post_processor: { type: 'RobertaProcessing' } }), /post_processor "RobertaProcessing" is not known/);
  refused(smallFile({ a: 0 }, { post_processor: { type: 'TemplateProcessing', single: [{ SpecialToken: { id: 'x' } }, { Sequence: { id: 'A' } }], special_tokens: {} } }), /names "x", which is not among/);
  refused(smallFile({ a: 0 }, { post_processor: { type: 'TemplateProcessing', single: [], special_tokens: {} } }), /has not one Sequence/);
  refused({ model: { type: 'WordPiece', vocab: { a: 0 } } }, /model.type is "WordPiece", expected "BPE"/);
  refused({ model: { type: 'BPE', vocab: { a: 0 } } }, /a list "model.merges", got undefined/);
  const model = (more: object) => ({ model: { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [], ...more } });
  refused(model({ merges: ['a b'] }), /merge 0 needs the entry "ab"/);
  refused(model({ merges: [['a', 5]] }), /merge 0 is \["a",5\], expected two entries/);
  refused(model({ dropout: 0.1 }), /model.dropout is 0.1, expected none/);
  refused(model({ byte_fallback: true }), /byte_fallback needs the entry "<0x00>"/);
  refused(model({ unk_token: '?' }), /model.unk_token needs the entry "\?"/);
  refused(smallFile({ a: 0 }, { added_tokens: [{ content: 'z', id: 1, lstrip: true }] }), /"z" has lstrip, expected none/);
  refused(smallFile({ a: 0 }, { added_tokens: [{ content: 'a', id: 1 }] }), /"a" has the id 1, expected 0/);
  const json = (await loadTokenizerJson()) as Json;
  assert.is(Tokenizer.fromJSON(json).vocabSize, 2048);
});

test('merges go by rank, then from the left, on short and on long texts, with bytes and unknown tokens', () => {
  const vocab = { a: 0, b: 1, c: 2, ab: 3, bc: 4, abc: 5, aa: 6, '?': 7 };
  const of = (merges: unknown[], more: object = {}) => Tokenizer.fromJSON({ model: { type: 'BPE', vocab, merges, ...more } });
  assert.equal(of(['b c', 'a b']).encode('abc'), [0, 4]);
  assert.equal(of(['a b', 'b c']).encode('abc'), [3, 2]);
  assert.equal(of([['a', 'b'], ['ab', 'c']]).encode('abcabab'), [5, 3, 3]);
  assert.equal(of(['a a']).encode('aaaaa'), [6, 6, 0]);
  const long = 'abcaab'.repeat(500); // a heap from 24 symbols on
  const tokenizer = of(['a a', 'b c', 'a b', 'a bc'].filter((m) => m !== 'a bc'));
  assert.equal(tokenizer.encode(long), Array.from({ length: 500 }, (_, i) => (i ? [0, 4, 6, 1] : [0, 4, 6, 1])).flat());
  assert.equal(of([], { unk_token: '?' }).encode('axxb'), [0, 7, 7, 1]);
  assert.equal(of([], { unk_token: '?', fuse_unk: true }).encode('axx😀b'), [0, 7, 1]);
  assert.equal(of([]).encode('axb'), [0, 1], 'without an unknown token a character without an entry is left out');
  assert.equal(of(['a b'], { ignore_merges: true }).encode('abc'), [5]);
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

test('the template says what stands around a text, and a limit keeps it', () => {
  const end = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const template = (single: object[]) => smallFile({ a: 0, b: 1, '<': 2, '>': 3 }, { post_processor: { type: 'Sequence', processors: [{ type: 'ByteLevel' }, { type: 'TemplateProcessing', single, special_tokens: { '<': { ids: [2] }, '>': { ids: [3] } } }] } });
  const a = { Sequence: { id: 'A' } };
  assert.equal(Tokenizer.fromJSON(template([end('<'), a])).encode('aba'), [2, 0, 1, 0]);
  assert.equal(Tokenizer.fromJSON(template([end('<'), a]), { bos_token: '<', eos_token: '>', add_eos_token: true, add_bos_token: false }).encode('aba'), [2, 0, 1, 0], 'a config changes nothing');
  const both = Tokenizer.fromJSON(template([end('<'), a, end('>')]));
  assert.equal([3, 4, 5, 6].map((maxLength) => both.encode('aba', { maxLength })), [[2, 0, 3], [2, 0, 1, 3], [2, 0, 1, 0, 3], [2, 0, 1, 0, 3]]);
  assert.equal(both.encode('', { maxLength: 2 }), [2, 3]);
  assert.throws(() => both.encode('a', { maxLength: 1 }), /maxLength must be at least 2/);
  assert.equal(Tokenizer.fromJSON(template([a]), {}, { prompt: 'bb' }).encode('a'), [1, 1, 0]);
});

test('what decodes from bytes is what the reference gives', async () => {
  const tokenizer = await loadTokenizer();
  const byte = (b: number) => tokenizer.encode('\u0001')[2]! + b - 1; // the entries <0x00> … <0xFF> follow each other
  assert.is(tokenizer.decode([0xef, 0xbb, 0xbf, 0x41].map(byte)), '\ufeffA', 'a byte order mark stays');
  assert.is(tokenizer.decode([0xe2, 0x82].map(byte)), '\ufffd\ufffd', 'one sign per broken byte');
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
