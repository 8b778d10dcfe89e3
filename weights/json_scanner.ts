// A pull scanner for strict JSON (RFC 8259) that never builds what the caller did not ask for. JSON.parse will not do here:
// it keeps the last of two equal keys, rounds 9007199254740993 down, takes 4.0 and -0 for integers, keeps lone
// surrogates and re-orders keys like "10"; each of them lets two readers see two different models in one file.

import { quote, WeightError, type WeightErrorCode } from './error.ts';

const DEPTH_LIMIT = 32; // of values that are skipped; nothing else nests

/**
 * Decodes UTF-8 strictly.
 *
 * @param bytes untrusted bytes
 * @param where what they are, for the message
 * @returns the text, a leading byte-order mark refused
 * @throws WeightError `utf8` (also overlong forms and encoded surrogates), `bom`
 */
export function decodeText(bytes: Uint8Array, where: string): string {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes); // the defaults replace bad bytes and hide a BOM
  } catch (error) {
    throw new WeightError('utf8', `${where}: the text is not valid UTF-8`, error);
  }
  if (text.charCodeAt(0) === 0xfeff) throw new WeightError('bom', `${where}: the text begins with a byte-order mark, expected {`);
  return text;
}

/** Reads one JSON text from left to right. */
export class JsonScanner {
  private readonly text: string;
  private readonly where: string;
  private at = 0;
  /** The tensor that messages are about. Quoted only when a message is made: a header may have a million names. */
  subject: string | undefined = undefined;

  /**
   * @param text the whole JSON text
   * @param where what it is, for messages
   */
  constructor(text: string, where: string) {
    this.text = text;
    this.where = where;
  }

  /**
   * Throws with the position.
   *
   * @param code which fault
   * @param what the sentence after "where:"
   * @throws WeightError always
   */
  fail(code: WeightErrorCode, what: string): never {
    const about = this.subject === undefined ? '' : `tensor ${quote(this.subject)} `;
    throw new WeightError(code, `${this.where}: ${about}${what} (at character ${this.at})`);
  }

  /**
   * The next character that is not JSON whitespace, not consumed.
   *
   * @returns its code, or -1 at the end
   */
  peek(): number {
    const { text } = this;
    for (;;) {
      if (this.at >= text.length) return -1;
      const code = text.charCodeAt(this.at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return code;
      this.at++;
    }
  }

  /**
   * Consumes one punctuation character if it is next.
   *
   * @param code its character code
   * @returns whether it was there
   */
  take(code: number): boolean {
    if (this.peek() !== code) return false;
    this.at++;
    return true;
  }

  /** Consumes one punctuation character that the grammar demands here. */
  private demand(code: number): void {
    if (!this.take(code)) this.fail('json-syntax', `${this.found()}, expected ${String.fromCharCode(code)}`);
  }

  /** What stands here, for messages. */
  found(): string {
    return this.peek() === -1 ? 'the text ends' : `found ${quote(this.text.slice(this.at, this.at + 12))}`;
  }

  /**
   * Walks the members of an object that begins here; `member` must consume the value.
   *
   * @param code the fault to report when no object begins here
   * @param what what should be an object, for the message
   * @param member called with each key, unescaped, in the order of the text
   * @throws WeightError
   */
  object(code: WeightErrorCode, what: string, member: (key: string) => void): void {
    if (!this.take(0x7b)) this.fail(code, `${what}: ${this.found()}, expected an object`);
    if (this.take(0x7d)) return;
    do {
      if (this.peek() !== 0x22) this.fail('json-syntax', `${this.found()}, expected a key in double quotes`);
      const key = this.string();
      this.demand(0x3a);
      member(key);
    } while (this.take(0x2c));
    this.demand(0x7d);
  }

  /**
   * Walks the items of an array that begins here; `item` must consume the value.
   *
   * @param code the fault to report when no array begins here
   * @param what what should be an array, for the message
   * @param item called before each item with its index
   * @throws WeightError
   */
  array(code: WeightErrorCode, what: string, item: (index: number) => void): void {
    if (!this.take(0x5b)) this.fail(code, `${what}: ${this.found()}, expected an array`);
    if (this.take(0x5d)) return;
    let index = 0;
    do item(index++); while (this.take(0x2c));
    this.demand(0x5d);
  }

  /**
   * Reads a string that begins here, unescaped.
   *
   * @returns the text, without lone surrogates
   * @throws WeightError `json-control`, `json-escape`, `json-surrogate`, `json-syntax`
   */
  string(): string {
    this.demand(0x22);
    const { text } = this;
    const start = this.at;
    for (;;) {
      if (this.at >= text.length) this.fail('json-syntax', 'the text ends inside a string');
      const code = text.charCodeAt(this.at);
      if (code === 0x22) return text.slice(start, this.at++);
      if (code === 0x5c) return this.escapedString(start);
      if (code < 0x20) this.fail('json-control', 'a raw control character inside a string');
      this.at++;
    }
  }

  /** The slow path of {@link string}, from the first backslash. */
  private escapedString(start: number): string {
    const { text } = this;
    let out = text.slice(start, this.at);
    for (;;) {
      if (this.at >= text.length) this.fail('json-syntax', 'the text ends inside a string');
      const code = text.charCodeAt(this.at);
      if (code === 0x22) { this.at++; return out; }
      if (code < 0x20) this.fail('json-control', 'a raw control character inside a string');
      if (code === 0x5c) out += this.escape();
      else { out += text[this.at]!; this.at++; }
    }
  }

  private escape(): string {
    const kind = this.text[this.at + 1] ?? '';
    const index = '"\\/bfnrt'.indexOf(kind);
    if (kind !== '' && index >= 0) { this.at += 2; return '"\\/\b\f\n\r\t'[index]!; }
    if (kind !== 'u') this.fail('json-escape', `unknown escape ${quote(`\\${kind}`)}`);
    const unit = this.hexUnit();
    if (unit < 0xd800 || unit > 0xdfff) return String.fromCharCode(unit);
    if (unit > 0xdbff || this.text[this.at] !== '\\' || this.text[this.at + 1] !== 'u') this.fail('json-surrogate', 'a lone surrogate in an escape');
    const low = this.hexUnit();
    if (low < 0xdc00 || low > 0xdfff) this.fail('json-surrogate', 'a lone surrogate in an escape');
    return String.fromCharCode(unit, low);
  }

  /** Reads a backslash, u and four hexadecimal digits. */
  private hexUnit(): number {
    const digits = this.text.slice(this.at + 2, this.at + 6);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.fail('json-escape', `${quote(`\\u${digits}`)} has no four hexadecimal digits`);
    this.at += 6;
    return Number.parseInt(digits, 16);
  }

  /**
   * Reads an unsigned integer written with digits alone: no sign, fraction, exponent or leading zero.
   *
   * @param invalid the fault when something else stands here
   * @param tooLarge the fault above 2^53 − 1
   * @param what what it is, for the message
   * @returns the integer, exact
   * @throws WeightError
   */
  integer(invalid: WeightErrorCode, tooLarge: WeightErrorCode, what: string): number {
    const { text } = this;
    const first = this.peek();
    const start = this.at;
    let value = 0;
    while (this.at < text.length) {
      const digit = text.charCodeAt(this.at) - 0x30;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit; // exact up to 2^53, and never falls back below it
      this.at++;
    }
    const next = this.at < text.length ? text.charCodeAt(this.at) : -1;
    const continues = next === 0x2e || next === 0x65 || next === 0x45; // . e E
    if (this.at === start || continues || (first === 0x30 && this.at > start + 1)) {
      this.at = start;
      this.fail(invalid, `${what}: ${this.found()}, expected an unsigned integer`);
    }
    if (value > Number.MAX_SAFE_INTEGER) this.fail(tooLarge, `${what}: ${quote(text.slice(start, this.at))} passes 2^53 - 1`);
    return value;
  }

  /**
   * Reads past one value of any kind, checking its grammar.
   *
   * @param depth how deep this value already is
   * @throws WeightError `json-depth` beyond 32 levels, and the grammar's faults
   */
  skip(depth = 0): void {
    if (depth > DEPTH_LIMIT) this.fail('json-depth', `more than ${DEPTH_LIMIT} levels`);
    const code = this.peek();
    if (code === 0x7b) return this.object('json-syntax', 'value', () => this.skip(depth + 1));
    if (code === 0x5b) return this.array('json-syntax', 'value', () => this.skip(depth + 1));
    if (code === 0x22) { this.string(); return; }
    const rest = /(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)/y;
    rest.lastIndex = this.at;
    if (!rest.test(this.text)) this.fail('json-syntax', `${this.found()}, expected a value`);
    this.at = rest.lastIndex;
  }

  /**
   * Demands that nothing but whitespace is left.
   *
   * @throws WeightError `json-trailing`
   */
  end(): void {
    if (this.peek() !== -1) this.fail('json-trailing', `${this.found()} behind the object, expected only whitespace`);
  }
}
