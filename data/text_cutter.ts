import { DataError } from './errors.ts';
import { patternOf, refuse, type Json } from './tokenizer_stages.ts';

/** Cuts a text into the pieces inside which merges may happen, one after the other, so that a caller may stop. */
export type TextCutter = (text: string) => Iterable<string>;

/** Words of GPT-2, which a ByteLevel part with its own expression means. */
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/**
 * Regular expressions that a file may carry, by exact text, and what they are in JavaScript, where \s is another set and (?i: may be missing. A pattern from a file runs on the
 * user's text, and a pattern that backtracks can take minutes on one line, so others are refused.
 */
const KNOWN: ReadonlyMap<string, string> = new Map([
  // our own file: what separates words
  ['[\t-\r \u0085\u1680\u2028\u2029]+', '[\t-\r \u0085\u1680\u2028\u2029]+'],
  // Llama 3
  [
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    "'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\p{White_Space}\\p{L}\\p{N}]+[\\r\\n]*|\\p{White_Space}*[\\r\\n]+|\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+",
  ],
  [GPT2, "'(?:[stmd]|re|ve|ll)| ?\\p{L}+| ?\\p{N}+| ?[^\\p{White_Space}\\p{L}\\p{N}]+|\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+"],
]);

/**
 * The pre-tokeniser of a file.
 * @param stage the part `pre_tokenizer`
 * @param spaceless the normaliser leaves no space in a text
 * @returns what cuts, as the Rust package does
 * @throws DataError for a part that is not known, and for a pattern that is not on the list of those known to be fast
 */
export function textCutter(stage: unknown, spaceless: boolean): TextCutter {
  if (stage === null || stage === undefined) return (text) => [text];
  const part = stage as Json;
  if (part.type !== 'Sequence') return onePart(part, spaceless);
  if (!Array.isArray(part.pretokenizers)) throw new DataError('Tokenizer.fromJSON', `expected a list "pretokenizers" in the Sequence of "pre_tokenizer", got ${typeof part.pretokenizers}`);
  return part.pretokenizers.map((inner) => textCutter(inner, spaceless)).reduce(chain, (text) => [text]);
}

/** One after the other. */
function chain(first: TextCutter, second: TextCutter): TextCutter {
  return function* both(text) {
    for (const piece of first(text)) yield* second(piece);
  };
}

function onePart(part: Json, spaceless: boolean): TextCutter {
  const { type } = part;
  if (type === 'Split' && !part.invert) {
    const pattern = patternOf('pre_tokenizer', part, (text) => KNOWN.has(text));
    const source = pattern.Regex === undefined ? pattern.String!.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&') : KNOWN.get(pattern.Regex)!;
    if (part.behavior === 'Isolated' || part.behavior === 'Removed') return cutAt(source, part.behavior === 'Isolated');
    if (pattern.String === ' ' && spaceless) return (text) => [text];
  }
  if (type === 'ByteLevel' && !(part.add_prefix_space ?? true)) {
    const bytes: TextCutter = (text) => [byteLetters(text)];
    return part.use_regex ?? true ? chain(cutAt(KNOWN.get(GPT2)!, true), bytes) : bytes;
  }
  if (type === 'Digits') return cutAt(part.individual_digits ? '\\p{N}' : '\\p{N}+', true);
  if (type === 'WhitespaceSplit') return cutAt('\\p{White_Space}+', false);
  if (type === 'Metaspace' && part.split === false && ['always', 'never'].includes(part.prepend_scheme as string)) return metaspace(part);
  return refuse('pre_tokenizer', part, 'Split, ByteLevel without add_prefix_space, Digits, WhitespaceSplit, or Metaspace without split');
}

/** What matches is a piece of its own, or is left out; so is what lies between. */
function cutAt(source: string, keep: boolean): TextCutter {
  const sticky = new RegExp(source, 'uy'); // far cheaper than match objects, where matches follow each other
  const anywhere = new RegExp(source, 'gu');
  return function* cut(text) {
    for (let at = 0; at < text.length; ) {
      sticky.lastIndex = at;
      let [from, to] = [at, 0];
      if (sticky.test(text)) to = sticky.lastIndex;
      else {
        anywhere.lastIndex = at;
        const match = anywhere.exec(text);
        [from, to] = match ? [match.index, match.index + match[0].length] : [text.length, text.length];
        yield text.slice(at, from);
      }
      if (keep && from < to) yield text.slice(from, to);
      at = to;
    }
  };
}

function metaspace(part: Json): TextCutter {
  const mark = typeof part.replacement === 'string' ? part.replacement : '▁';
  return (text) => {
    const marked = text.replaceAll(' ', () => mark);
    return [part.prepend_scheme === 'always' && !marked.startsWith(mark) ? mark + marked : marked];
  };
}

/** GPT-2's letter for each byte: printable Latin-1 stands for itself, the rest for letters from U+0100 on. */
const LETTERS: readonly string[] = (() => {
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode((b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae ? b : next++));
})();

const UTF8 = new TextEncoder();
const UNITS = Uint16Array.from(LETTERS, (letter) => letter.charCodeAt(0));
const UTF16 = new TextDecoder('utf-16le', { ignoreBOM: true }); // every machine that runs WebGPU is little-endian
/** Bytes from which a decoder call is cheaper than joining letters one by one. */
const MANY = 256;
/** Characters up to which plain ASCII, a word with its space say, is cheaper letter by letter than through the encoder. */
const FEW = 64;
const PLAIN = /^[!-~]*$/;

/** The UTF-8 bytes of a text as letters. */
function byteLetters(text: string): string {
  if (PLAIN.test(text)) return text;
  let letters = '';
  if (text.length <= FEW) {
    let i = 0;
    for (; i < text.length && text.charCodeAt(i) < 0x80; i++) letters += LETTERS[text.charCodeAt(i)]!;
    if (i === text.length) return letters;
    letters = '';
  }
  const bytes = UTF8.encode(text);
  if (bytes.length > MANY) {
    const units = new Uint16Array(bytes.length);
    for (let i = 0; i < bytes.length; i++) units[i] = UNITS[bytes[i]!]!;
    return UTF16.decode(units);
  }
  for (let i = 0; i < bytes.length; i++) letters += LETTERS[bytes[i]!]!;
  return letters;
}
