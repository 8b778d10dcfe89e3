// Every fault that can be planted into a shader by changing one token, operand or statement.
import { parse } from './tokens.ts';
import type { Parsed, Token } from './tokens.ts';

/** One fault: text [start, end) of the file becomes `to`. */
export interface Site {
  readonly file: string;
  readonly kind: string;
  readonly start: number;
  readonly end: number;
  readonly from: string;
  readonly to: string;
  /** Function around it. */
  readonly fn: string;
  /** From 1. */
  readonly line: number;
  /** Lines that differ in numbers only, as generators write them, are one pattern. */
  readonly pattern: string;
}

type Add = (kind: string, from: Token, to: string, last?: Token) => void;

const SWAPS: Readonly<Record<string, readonly [string, readonly string[]]>> = {
  '+': ['arithmetic', ['-', '*']], '-': ['arithmetic', ['+']], '*': ['arithmetic', ['+', '/']], '/': ['arithmetic', ['*']], '%': ['arithmetic', ['/', '*']],
  '<': ['comparison', ['<=', '>=']], '<=': ['comparison', ['<', '>']], '>': ['comparison', ['>=', '<=']], '>=': ['comparison', ['>', '<']],
  '==': ['comparison', ['!=']], '!=': ['comparison', ['==']], '&&': ['logic', ['||']], '||': ['logic', ['&&']],
  '&': ['bits', ['|']], '|': ['bits', ['&']], '^': ['bits', ['|']], '<<': ['shift', ['>>']], '>>': ['shift', ['<<']],
  '+=': ['update', ['-=', '=']], '-=': ['update', ['+=', '=']], '*=': ['update', ['/=', '=']], '/=': ['update', ['*=']], '|=': ['update', ['&=', '=']], '&=': ['update', ['|=']],
  '++': ['loop step', ['+= 2u']],
};
const CALLS: Readonly<Record<string, readonly string[]>> = {
  min: ['max'], max: ['min'], floor: ['ceil'], ceil: ['floor'], round: ['floor'], abs: [''], sqrt: ['', 'inverseSqrt'], inverseSqrt: ['sqrt'], any: ['all'], all: ['any'], log: [''], trunc: ['ceil'], sign: [''],
};

/** Index of the token that closes the bracket at `open`. */
function closing(tokens: readonly Token[], open: number): number {
  let depth = 0;
  for (let i = open; i < tokens.length; i++) {
    depth += /^[([{]$/.test(tokens[i]!.text) ? 1 : /^[)\]}]$/.test(tokens[i]!.text) ? -1 : 0;
    if (depth === 0) return i;
  }
  return tokens.length - 1;
}

/** First and last token of each argument of the call whose bracket opens at `open`. */
function argumentsOf(tokens: readonly Token[], open: number): [Token, Token][] {
  const end = closing(tokens, open);
  const out: [Token, Token][] = [];
  let depth = 0, first = open + 1;
  for (let i = open + 1; i <= end; i++) {
    const { text } = tokens[i]!;
    if (i === end || (text === ',' && depth === 0)) {
      if (i > first) out.push([tokens[first]!, tokens[i - 1]!]);
      first = i + 1;
    }
    depth += /^[([]$/.test(text) ? 1 : /^[)\]]$/.test(text) ? -1 : 0;
  }
  return out;
}

function literal(t: Token, add: Add): void {
  const [, number, suffix] = /^(.*?)([uifh]?)$/.exec(t.text)!;
  if (/^0x/.test(t.text)) {
    const value = Number(t.text.replace(/u$/, ''));
    add('mask', t, `0x${(value >>> 1).toString(16)}u`);
    return;
  }
  if (/[.e]/.test(number!)) {
    const value = Number(number);
    add('constant', t, value === 0 ? `1.0${suffix}` : floatText(value * 2) + suffix);
    if (value !== 0) add('constant', t, `0.0${suffix}`);
    return;
  }
  add('offset', t, `${Number(number) + 1}${suffix}`);
  if (Number(number) > 0) add('offset', t, `${Number(number) - 1}${suffix}`);
}

const floatText = (v: number): string => { const s = String(v); return /[.e]/.test(s) ? s : `${s}.0`; };

const OPERAND = /^(\w|\)|\])/;

function operator(tokens: readonly Token[], i: number, add: Add): void {
  const t = tokens[i]!;
  const before = tokens[i - 1]?.text ?? '';
  const binary = OPERAND.test(before) && before !== 'return';
  if (!binary && (t.text === '-' || t.text === '!' || t.text === '~')) add(t.text === '-' ? 'sign' : 'logic', t, '');
  const swap = SWAPS[t.text];
  if (!swap || (!binary && t.text !== '++') || t.type) return;
  for (const to of swap[1]) add(swap[0], t, to);
}

const LETTERS = 'xyzw';

function name(p: Parsed, i: number, inIndex: boolean, code: string, add: Add): void {
  const { tokens } = p;
  const t = tokens[i]!;
  const next = tokens[i + 1]?.text, before = tokens[i - 1]?.text;
  if (next === '(' && before !== '.') {
    for (const to of CALLS[t.text] ?? []) add('function', t, to);
    if (t.text === 'select' || t.text === 'subgroupBroadcast' || t.text === 'atan2') {
      const [a, b] = argumentsOf(tokens, i + 1);
      if (t.text === 'select' && a && b) add('select', a[0], `${code.slice(b[0].start, b[1].end)}, ${code.slice(a[0].start, a[1].end)}`, b[1]);
    }
    if (t.text === 'clamp') {
      const args = argumentsOf(tokens, i + 1);
      if (args.length === 3) add('bounds', t, code.slice(args[0]![0].start, args[0]![1].end), tokens[closing(tokens, i + 1)]!);
    }
    if (t.text === 'min') { // the bounds check of an index, or a value's cap, dropped
      const args = argumentsOf(tokens, i + 1);
      if (args.length === 2) for (const [first, last] of args) add('bounds', t, code.slice(first.start, last.end), tokens[closing(tokens, i + 1)]!);
    }
    return;
  }
  if (before === '.') {
    if (tokens[i - 2]?.text === 'params') {
      const same = Object.values(p.fields).find(list => list.includes(t.text)) ?? [];
      const at = same.indexOf(t.text);
      if (same.length > 1) add('parameter', t, same[(at + 1) % same.length]!);
      if (same.length > 2) add('parameter', t, same[(at + same.length - 1) % same.length]!);
    } else if (t.text.length === 1 && LETTERS.includes(t.text)) add('component', t, t.text === 'x' ? 'y' : 'x');
    return;
  }
  const locals = (p.locals.get(t.fn) ?? []).filter(l => l.from < t.start).map(l => l.name);
  if (inIndex && locals.includes(t.text)) {
    const others = [...new Set(locals)].filter(l => l !== t.text);
    const other = others[(t.start * 31 + others.length) % Math.max(1, others.length)];
    if (other) add('index', t, other);
  }
}

/** Assignments and calls that can be left out, conditions that can be always or never true. */
function statements({ tokens }: Parsed, add: Add): void {
  let depth = 0;
  for (let i = 0; i < tokens.length; i++) {
    const t = tokens[i]!;
    const before = tokens[i - 1]?.text;
    if (t.text === 'if' && tokens[i + 1]?.text === '(') {
      const end = closing(tokens, i + 1);
      const [first, last] = [tokens[i + 2]!, tokens[end - 1]!];
      add('condition', first, 'false', last);
      add('condition', first, 'true', last);
    }
    if (t.text === 'continue' || t.text === 'break') add('statement', t, '');
    depth += /^[([]$/.test(t.text) ? 1 : /^[)\]]$/.test(t.text) ? -1 : 0;
    const begins = t.fn !== '' && depth === 0 && (before === ';' || before === '{' || before === '}') && /^[A-Za-z_]/.test(t.text);
    if (!begins || /^(let|var|const|return|if|else|for|while|loop|switch|case|default|break|continue|discard)$/.test(t.text)) continue;
    let end = i;
    while (end < tokens.length && tokens[end]!.text !== ';') end++;
    if (tokens[end - 1]) add('statement', t, '', tokens[end - 1]!);
  }
}

/**
 * All faults of one file. @param file its name @param code its text
 * @returns sites in order; `from` and `to` are what stands there and what shall stand there
 */
export function sitesOf(file: string, code: string): Site[] {
  const parsed = parse(code);
  const lines = code.split('\n');
  const starts = lines.reduce<number[]>((all, l) => [...all, all[all.length - 1]! + l.length + 1], [0]);
  const sites: Site[] = [];
  const add: Add = (kind, first, to, last = first) => {
    let line = 0;
    while (starts[line + 1]! <= first.start) line++;
    const from = code.slice(first.start, last.end);
    const column = lines[line]!.slice(0, first.start - starts[line]!).replace(/\d+/g, '#');
    sites.push({ file, kind, start: first.start, end: last.end, from, to, fn: first.fn, line: line + 1, pattern: `${column}|${from.replace(/\d+/g, '#')}|${to.replace(/\d+/g, '#')}` });
  };
  let square = 0, load = 0;
  parsed.tokens.forEach((t, i) => {
    if (t.type) return;
    if (t.text === '[') square++;
    if (t.text === ']') square--;
    if (/^load_/.test(t.text)) load = closing(parsed.tokens, i + 1);
    if (/^[\d]/.test(t.text)) literal(t, add);
    else if (/^\w/.test(t.text)) name(parsed, i, square > 0 || i < load, code, add);
    else operator(parsed.tokens, i, add);
  });
  statements(parsed, add);
  return sites;
}

/** Code lines of a file, those that differ in numbers only counted once: what its share of the faults goes by. @param code WGSL @returns count */
export const weightOf = (code: string): number => new Set(parse(code).tokens.length ? code.split('\n').map(l => l.replace(/\/\/.*$/, '').trim().replace(/\d+/g, '#')).filter(l => l.length > 1) : []).size;
