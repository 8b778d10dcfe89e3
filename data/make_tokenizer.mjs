// Trains our own small tokenizer (byte-pair encoding with byte fallback) on the names of set E4 in every template and on
// its tags, and writes data/tokenizer.json in the format of Hugging Face's tokenizers. The same input gives the same file.
//   node data/make_tokenizer.mjs            writes the file
//   node data/make_tokenizer.mjs --check    exit code 1 when the committed file is not what the list gives
import { readFileSync, writeFileSync } from 'node:fs';
import ts from 'typescript';

const TARGET = new URL('./tokenizer.json', import.meta.url);
/** Entries at most, special tokens, bytes, characters and merges together. */
const ENTRIES = 2048;
/** The first ids, in the order of Gemma's vocabulary. */
const SPECIAL = ['<pad>', '<eos>', '<bos>', '<unk>'];
const SPACE = '▁';
/** What separates words after NFKD, which has made plain spaces of all other kinds of space. */
const WHITE = '[\t-\r \u0085\u1680\u2028\u2029]+';
/** Typographic signs that become the one on a keyboard; final sigma, which only some lower-casing makes. */
const SAME = { '’': "'", '‘': "'", '“': '"', '”': '"', '–': '-', '—': '-', ς: 'σ' };

/** What the normaliser of the file does. */
function normalize(text) {
  let plain = text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
  for (const [from, to] of Object.entries(SAME)) plain = plain.replaceAll(from, to);
  return plain;
}

/**
 * Pieces inside which merges may happen: runs of letters, each with the space before it. Digits and signs stay alone,
 * because no merge is ever learnt for them.
 */
function piecesOf(text) {
  return normalize(text)
    .split(new RegExp(WHITE))
    .filter(Boolean)
    .flatMap((word) => (SPACE + word).match(/▁?\p{L}+/gu) ?? []);
}

async function templates() {
  const source = readFileSync(new URL('./templates.ts', import.meta.url), 'utf8');
  const code = ts.transpileModule(source, { compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 } });
  return import(`data:text/javascript,${encodeURIComponent(code.outputText)}`);
}

async function countPieces() {
  const { captionsOf } = await templates();
  const { concepts } = JSON.parse(readFileSync(new URL('./e4.json', import.meta.url), 'utf8'));
  const counts = new Map();
  for (const { name, tags } of concepts) {
    for (const text of [...captionsOf(name), ...tags]) {
      for (const piece of piecesOf(text)) counts.set(piece, (counts.get(piece) ?? 0) + 1);
    }
  }
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Characters that get an entry of their own: printable ASCII without capitals, the space mark, and what the names use. */
function alphabet(pieces) {
  const chars = new Set([SPACE]);
  for (let code = 0x21; code < 0x7f; code++) chars.add(String.fromCharCode(code).toLowerCase());
  for (const [piece] of pieces) for (const char of piece) chars.add(char);
  return [...chars].sort((a, b) => a.codePointAt(0) - b.codePointAt(0));
}

/** The most frequent neighbours; of equally frequent ones the pair of smallest ids. */
function bestPair(words) {
  const counts = new Map();
  for (const { ids, count } of words) {
    for (let i = 1; i < ids.length; i++) {
      const pair = ids[i - 1] * 65536 + ids[i];
      counts.set(pair, (counts.get(pair) ?? 0) + count);
    }
  }
  let best = -1;
  let most = 1; // a pair seen once is not worth an entry
  for (const [pair, count] of counts) {
    if (count > most || (count === most && best >= 0 && pair < best)) [best, most] = [pair, count];
  }
  return best;
}

/** Byte-pair encoding (Sennrich et al. 2016, algorithm 1): joins the most frequent neighbours until the room is used up. */
function train(pieces, vocab, room) {
  const id = new Map(vocab.map((token, i) => [token, i]));
  const words = pieces.map(([piece, count]) => ({ ids: [...piece].map((char) => id.get(char)), count }));
  const merges = [];
  while (vocab.length < room) {
    const pair = bestPair(words);
    if (pair < 0) break;
    const [left, right] = [Math.floor(pair / 65536), pair % 65536];
    const joined = vocab[left] + vocab[right];
    // Two different pairs may join to the same text; the entry is shared.
    if (!id.has(joined)) {
      id.set(joined, vocab.length);
      vocab.push(joined);
    }
    merges.push([vocab[left], vocab[right]]);
    for (const word of words) word.ids = joinPair(word.ids, left, right, id.get(joined));
  }
  return merges;
}

function joinPair(ids, left, right, joined) {
  const out = [];
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] === left && ids[i + 1] === right) {
      out.push(joined);
      i++;
    } else {
      out.push(ids[i]);
    }
  }
  return out;
}

function fileOf(vocab, merges) {
  const replace = ([from, to]) => ({ type: 'Replace', pattern: { String: from }, content: to });
  const special = (token) => ({ id: token, ids: [vocab.indexOf(token)], tokens: [token] });
  const sequence = (token) => ({ SpecialToken: { id: token, type_id: 0 } });
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIAL.map((content, i) => ({
      ...{ id: i, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
    })),
    normalizer: {
      type: 'Sequence',
      normalizers: [{ type: 'NFKD' }, { type: 'StripAccents' }, { type: 'Lowercase' }, ...Object.entries(SAME).map(replace)],
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: WHITE }, behavior: 'Removed', invert: false },
        { type: 'Metaspace', replacement: SPACE, prepend_scheme: 'always', split: false },
      ],
    },
    post_processor: {
      type: 'TemplateProcessing',
      single: [sequence('<bos>'), { Sequence: { id: 'A', type_id: 0 } }, sequence('<eos>')],
      pair: [sequence('<bos>'), { Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }, sequence('<eos>')],
      special_tokens: { '<bos>': special('<bos>'), '<eos>': special('<eos>') },
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        replace([SPACE, ' ']),
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      ...{ dropout: null, unk_token: '<unk>', continuing_subword_prefix: null, end_of_word_suffix: null },
      ...{ fuse_unk: true, byte_fallback: true, ignore_merges: false },
      vocab: Object.fromEntries(vocab.map((token, i) => [token, i])),
      merges,
    },
  };
}

const pieces = await countPieces();
const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
const vocab = [...SPECIAL, ...bytes, ...alphabet(pieces)];
const merges = train(pieces, vocab, ENTRIES);
const text = `${JSON.stringify(fileOf(vocab, merges))}\n`;
if (process.argv.includes('--check')) {
  if (readFileSync(TARGET, 'utf8') !== text) {
    console.error('data/tokenizer.json is not what data/e4.json and data/templates.ts give: run node data/make_tokenizer.mjs');
    process.exit(1);
  }
} else {
  writeFileSync(TARGET, text);
  console.log(`data/tokenizer.json: ${vocab.length} entries, ${merges.length} merges, ${(text.length / 1024).toFixed(0)} KiB`);
}
