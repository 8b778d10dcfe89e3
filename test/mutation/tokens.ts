// WGSL as far as planting faults needs it: tokens inside function bodies and constants, with the function they stand in.

/** One token and where it stands. */
export interface Token {
  readonly text: string;
  readonly start: number;
  readonly end: number;
  /** Function around it; empty at the top level. */
  readonly fn: string;
  /** Part of a type's angle brackets. */
  readonly type: boolean;
}

/** A file taken apart. */
export interface Parsed {
  readonly tokens: readonly Token[];
  /** Fields of the uniform struct by type. */
  readonly fields: Readonly<Record<string, readonly string[]>>;
  /** Names that each function declares, with the place from which they are known. */
  readonly locals: ReadonlyMap<string, readonly { readonly name: string; readonly from: number }[]>;
  /** Functions that are entry points. */
  readonly entries: ReadonlySet<string>;
  /** Names that stand in each function. */
  readonly mentions: ReadonlyMap<string, ReadonlySet<string>>;
}

const TOKEN = /0x[0-9a-fA-F]+u?|\d+\.\d*(?:e[+-]?\d+)?[fh]?|\d+e[+-]?\d+[fh]?|\d+[uifh]?|[A-Za-z_]\w*|<<=|>>=|<<|>>|<=|>=|==|!=|&&|\|\||\+\+|--|[-+*/%&|^]=|->|[-+*/%&|^!~<>=(){}[\],;:.@?]/g;
const GENERIC = /^(vec[234]|array|bitcast|ptr|mat\d.*|atomic|select_of)$/;

/** The text with comments blanked, so that offsets stay. @param code WGSL @returns as long a text */
export const withoutComments = (code: string): string => code.replace(/\/\/.*$/gm, c => ' '.repeat(c.length)).replace(/\/\*[^]*?\*\//g, c => c.replace(/[^\n]/g, ' '));

/** Marks what stands in angle brackets behind a type's name. */
function marked(raw: readonly { text: string; start: number; end: number }[]): boolean[] {
  const out = raw.map(() => false);
  for (let i = 1; i < raw.length; i++) {
    if (raw[i]!.text !== '<' || !GENERIC.test(raw[i - 1]!.text)) continue;
    let depth = 0;
    for (let k = i; k < raw.length && k < i + 12; k++) {
      const { text } = raw[k]!;
      depth += text === '<' ? 1 : text === '>' ? -1 : text === '>>' ? -2 : 0;
      out[k] = true;
      if (depth <= 0) break;
    }
  }
  return out;
}

/** Takes a file apart. @param code WGSL @returns its tokens in bodies and constants */
export function parse(code: string): Parsed {
  const bare = withoutComments(code);
  const raw = [...bare.matchAll(TOKEN)].map(m => ({ text: m[0], start: m.index, end: m.index + m[0].length }));
  const types = marked(raw);
  const tokens: Token[] = [];
  const locals = new Map<string, { name: string; from: number }[]>();
  const mentions = new Map<string, Set<string>>();
  const entries = new Set<string>();
  let i = 0, compute = false;
  const upTo = (stop: string): void => { while (i < raw.length && raw[i]!.text !== stop) i++; };
  while (i < raw.length) {
    const { text } = raw[i]!;
    if (text === '@') {
      compute ||= raw[i + 1]?.text === 'compute';
      i += 2;
      if (raw[i]?.text === '(') upTo(')');
      continue;
    }
    if (text === 'struct') { upTo('}'); i++; continue; }
    if (text === 'alias' || text === 'enable' || text === 'var' || text === 'override') { upTo(';'); i++; continue; }
    if (text === 'const') {
      upTo('=');
      for (i++; raw[i] && raw[i]!.text !== ';'; i++) tokens.push({ ...raw[i]!, fn: '', type: types[i]! });
      continue;
    }
    if (text !== 'fn') { i++; continue; }
    const fn = raw[i + 1]!.text;
    if (compute) entries.add(fn);
    compute = false;
    const names: { name: string; from: number }[] = [];
    const words = new Set<string>();
    for (; raw[i]!.text !== '{'; i++) if (raw[i + 1]?.text === ':') names.push({ name: raw[i]!.text, from: raw[i]!.end });
    let depth = 0;
    do {
      const t = raw[i]!;
      depth += t.text === '{' ? 1 : t.text === '}' ? -1 : 0;
      if ((t.text === 'let' || t.text === 'var') && raw[i + 1]) names.push({ name: raw[i + 1]!.text, from: bare.indexOf(';', t.end) });
      words.add(t.text);
      tokens.push({ ...t, fn, type: types[i]! });
      i++;
    } while (depth > 0 && i < raw.length);
    locals.set(fn, names);
    mentions.set(fn, words);
  }
  const fields: Record<string, string[]> = {};
  for (const [, name, type] of (/struct Params \{([^}]*)\}/.exec(bare)?.[1] ?? '').matchAll(/(\w+)\s*:\s*(\w+)/g)) (fields[type!] ??= []).push(name!);
  return { tokens, fields, locals, entries, mentions };
}

/** Entry points that a function is part of. @param p a file @param fn its function; empty for what stands outside of all @returns names of entry points */
export function entriesOf({ entries, mentions }: Parsed, fn: string): Set<string> {
  if (fn === '') return new Set(entries);
  const reached = new Set([fn]);
  for (let before = 0; before !== reached.size; ) {
    before = reached.size;
    for (const [caller, words] of mentions) if (!reached.has(caller) && [...reached].some(f => words.has(f))) reached.add(caller);
  }
  return new Set([...entries].filter(e => reached.has(e)));
}
