// A seeded generator of texts for comparing tokenizers: many scripts, emoji, marks, controls, digits, spaces, code, special tokens, long words, halves of pairs.
import { generator } from '../harness.ts';

/** First and last code point of blocks from which words are drawn. */
const SCRIPTS: readonly (readonly [number, number])[] = [
  [0x61, 0x7a], [0x61, 0x7a], [0x41, 0x5a], [0xc0, 0x24f], [0x250, 0x2af], [0x370, 0x3ff], [0x400, 0x52f], [0x531, 0x58a], [0x5d0, 0x5ea], [0x620, 0x6d3], [0x700, 0x74f], [0x905, 0x939],
  [0x985, 0x9b9], [0xb85, 0xbb9], [0xc05, 0xc39], [0xe01, 0xe3a], [0xe81, 0xeb0], [0xf40, 0xf6c], [0x1000, 0x102a], [0x10a0, 0x10ff], [0x1200, 0x137c], [0x13a0, 0x13f4], [0x1780, 0x17b3], [0x1820, 0x1878],
  [0x1e00, 0x1eff], [0x1f00, 0x1ffe], [0x2c80, 0x2cff], [0x3041, 0x3096], [0x30a1, 0x30fa], [0x3105, 0x312f], [0x3400, 0x34ff], [0x4e00, 0x9fff], [0xac00, 0xd7a3], [0xff01, 0xff9d], [0x10330, 0x1034a],
  [0x12000, 0x12399], [0x1d400, 0x1d7ff], [0x20000, 0x20fff],
];
const SIGNS: readonly (readonly [number, number])[] = [[0x21, 0x2f], [0x3a, 0x40], [0x5b, 0x60], [0x7b, 0x7e], [0xa1, 0xbf], [0x2010, 0x203e], [0x20a0, 0x20c0], [0x2190, 0x23ff], [0x2460, 0x24ff], [0x2500, 0x25ff], [0x3001, 0x303f], [0xfe50, 0xfe6b]];
const DIGITS: readonly (readonly [number, number])[] = [[0x30, 0x39], [0x30, 0x39], [0x660, 0x669], [0x966, 0x96f], [0xb2, 0xb3], [0xbc, 0xbe], [0x2150, 0x2188], [0xff10, 0xff19], [0x1d7ce, 0x1d7ff], [0x3220, 0x3229]];
const MARKS: readonly (readonly [number, number])[] = [[0x300, 0x36f], [0x483, 0x489], [0x591, 0x5bd], [0x610, 0x61a], [0x64b, 0x65f], [0x93c, 0x94d], [0xe34, 0xe3a], [0x1ab0, 0x1abd], [0x20d0, 0x20f0], [0xfe00, 0xfe0f], [0x3099, 0x309a]];
const CONTROLS: readonly (readonly [number, number])[] = [[0x00, 0x08], [0x0b, 0x0c], [0x0e, 0x1f], [0x7f, 0x9f], [0xad, 0xad], [0x200b, 0x200f], [0x202a, 0x202e], [0x2060, 0x2064], [0xfeff, 0xfeff], [0xfff9, 0xfffd], [0xe000, 0xe0ff], [0xe0020, 0xe007f]];
const SPACES = [' ', ' ', ' ', ' ', '  ', '   ', '\n', '\n\n', '\r\n', '\t', '\t\t', '\u00a0', '\u2003', '\u3000', '\u2028', '\u0085', '\v', '\f', ' \n', '\n ', ' \t ', '\u1680', '\u202f', '\ufeff', '▁'];
const EMOJI = ['😀', '👍🏽', '👩‍🚀', '👨‍👩‍👧‍👦', '🏳️‍🌈', '🇩🇪', '🇯🇵🇫🇷', '❤️', '☎', '1️⃣', '🧑🏿‍🦰', '🫠', '🏴󠁧󠁢󠁳󠁣󠁴󠁿', '‍', '🏽', '🦄', '🪼', '©', '™'];
const CODE = ['for (let i = 0; i < n; i++) {\n    sum += x[i];\n}\n', 'def f(x: int) -> str:\n\treturn f"{x!r}"\n', '<div class="a-b">&amp;</div>', '{"key": [1, 2.5e-3, null]}', '#include <stdio.h>\n', 'SELECT * FROM t WHERE a != \'b\';', 'https://example.org/a/b?c=d&e=%20#f', '\\frac{a}{b}', '$x^2$', '== != === <= >= => -> :: .. ...', "I'm you're he'll we've she'd it's DON'T ’s 'S 'ſ", '// ----------', '/* ******** */', '0x1F4A9', '1,234,567.89', 'snake_case camelCase', 'C:\\dir\\file.txt', '<0x0A>', '<0xE4>', '__proto__', '[[[[]]]]', '\\n\\t'];

/** What a text may be made of besides: tokens that stand for themselves. */
export interface StringOptions {
  readonly special: readonly string[];
  /** Pieces per text at most. */
  readonly pieces?: number;
}

/**
 * @param seed same seed, same texts
 * @param options special tokens
 * @returns texts, one after the other, without end
 */
export function* strings(seed: number, { special, pieces = 9 }: StringOptions): Generator<string> {
  const next = generator(seed);
  const below = (n: number): number => Math.floor(next() * n);
  const one = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const from = ([low, high]: readonly [number, number]): string => String.fromCodePoint(low + below(high - low + 1));
  const many = (most: number, make: () => string): string => Array.from({ length: 1 + below(most) }, make).join('');
  const word = (most = 9): string => {
    const script = one(SCRIPTS);
    return many(most, () => from(script));
  };
  const kinds: (() => string)[] = [
    () => word(), () => word(), () => word(), () => ` ${word()}`, () => ` ${word(5)}`, () => word(3) + one(SIGNS.map(from)),
    () => many(3, () => from(one(SIGNS))), () => many(6, () => from(one(DIGITS))), () => many(12, () => String(below(10))),
    () => word(4) + many(4, () => from(one(MARKS))), () => many(2, () => from(one(CONTROLS))), () => many(3, () => one(SPACES)), () => one(SPACES).repeat(1 + below(12)),
    () => many(3, () => one(EMOJI)), () => one(CODE), () => one(special), () => one(special).slice(0, -1), () => one(special) + word(3),
    () => from([0xa0, 0xd7ff]), () => from([0xe000, 0x10ffff]), () => from([0x20, 0x7e]).repeat(1 + below(30)), () => many(2, () => String.fromCharCode(0xd800 + below(0x800))),
    () => (below(12) === 0 ? word(200) : word(20)), () => word(3).toUpperCase() + word(3), () => "'" + from([0x61, 0x7a]) + word(2),
  ];
  for (;;) yield many(pieces, () => one(kinds)());
}
