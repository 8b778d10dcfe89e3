// Words of a caption as the caption benchmarks count them: the Penn Treebank rules of Stanford's tokenizer (3.4.1), lower case, punctuation dropped (spec 1.14).

/** What is dropped; brackets become words such as -lrb- and stay, as in the scorers that papers use. */
const DROPPED = new Set(["''", "'", '``', '`', '"', '“', '”', '‘', '’', '.', '?', '!', ',', ':', '-', '–', '—', '--', '...', '…', ';']);

const NAMED: Readonly<Record<string, string>> = { '(': '-lrb-', ')': '-rrb-', '[': '-lsb-', ']': '-rsb-', '{': '-lcb-', '}': '-rcb-', '½': '1/2', '¼': '1/4', '¾': '3/4' };

/** Two words written as one. */
const PAIRS: Readonly<Record<string, readonly [string, string]>> = {
  cannot: ['can', 'not'], gonna: ['gon', 'na'], gotta: ['got', 'ta'], wanna: ['wan', 'na'], gimme: ['gim', 'me'], lemme: ['lem', 'me'],
};

const LETTER = '[\\p{L}\\p{M}\\p{N}_]';
const TOKEN = new RegExp([
  'https?://[^\\s"<>]*[^\\s"<>.,;:!?)\\]]', // addresses stay whole
  `[#@]${LETTER}+`,
  "'\\d\\ds?(?![\\p{L}\\p{N}])", // '90s
  '(?:\\p{L}\\.){2,}', // u.s., a.m., e.g.
  '(?:mr|mrs|ms|dr|st|vs|etc|prof|jr|sr|inc|ltd|corp|gen|rev|sgt|capt|mt|ave|blvd|ft)\\.(?!\\p{L})',
  '\\d+(?:[.,:]\\d+)+',
  `['’]n['’](?=${LETTER})`, `${LETTER}+(?:(?:[-/&]|['’](?!n['’])(?=${LETTER}))${LETTER}+)*`,
  '[?!]{2,}', '\\.{2,}', '-{2,}',
  '[^\\s\\p{L}\\p{M}\\p{N}]',
].join('|'), 'giu');

/** Endings that are words of their own: n't, 's, 'll … */
const ENDING = /^(.+?)(n't|'(?:s|m|d|ll|re|ve))$/u;

function split(word: string, into: string[]): void {
  const plain = word.replace(/’/gu, "'");
  const pair = Object.hasOwn(PAIRS, plain) ? PAIRS[plain] : undefined;
  const ending = ENDING.exec(plain);
  if (pair) into.push(...pair);
  else if (ending) {
    split(ending[1]!, into);
    into.push(ending[2]!);
  } else if (plain.startsWith("y'") && plain.length > 2) into.push("y'", plain.slice(2));
  else into.push(plain);
}

/**
 * Words of a caption for CIDEr: split by the Penn Treebank rules, lower case, without punctuation. A symbol beyond Latin text, such as an emoji, is no word.
 * @param text one caption @returns words in order
 */
export function captionTokens(text: string): string[] {
  const words: string[] = [];
  for (const [token] of text.toLowerCase().matchAll(TOKEN)) {
    if (DROPPED.has(token) || /^(\.{2,}|-{2,})$/.test(token)) continue;
    if (Object.hasOwn(NAMED, token)) words.push(NAMED[token]!);
    else if (!/\p{Extended_Pictographic}|\p{Cs}|\p{Cf}|\p{So}/u.test(token) || token === '°') split(token, words);
  }
  return words;
}
