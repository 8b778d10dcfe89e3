// A pull scanner for strict JSON (RFC 8259) over the bytes themselves: it builds nothing that the caller did not ask for, so a header of a
// million names costs no million strings. JSON.parse will not do here: it keeps the last of two equal keys, rounds
// 9007199254740993 down, takes 4.0 and -0 for integers, keeps lone surrogates and re-orders keys like "10"; each of them lets
// two readers see two different models in one file.

import { quote, WeightError, type WeightErrorCode } from './error.ts';

const DEPTH_LIMIT = 32; // of values that are skipped; nothing else nests
const DECODER = new TextDecoder('utf-8', { ignoreBOM: true }); // the default hides a mark at the start of a name

/** Reads one JSON text from left to right. The bytes must have passed {@link checkUtf8}. */
export class JsonScanner {
  readonly bytes: Uint8Array;
  private readonly where: string;
  private at = 0;
  /** The string read last lies in `bytes` from here … */
  start = 0;
  /** … up to here, without its quotes. */
  stop = 0;
  /** It has a backslash, so the bytes are not the text. */
  escaped = false;
  /** It has only characters from space to tilde. */
  plain = true;
  private unescaped: string | undefined;
  /** Gives the tensor that messages are about. Called only when a message is made: a header may have a million names. */
  subject: (() => string) | undefined = undefined;

  /**
   * @param bytes the whole JSON text, valid UTF-8
   * @param where what it is, for messages
   */
  constructor(bytes: Uint8Array, where: string) {
    this.bytes = bytes;
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
    const about = this.subject === undefined ? '' : `tensor ${quote(this.subject())} `;
    throw new WeightError(code, `${this.where}: ${about}${what} (at byte ${this.at})`);
  }

  /**
   * The next character that is not JSON whitespace, not consumed.
   *
   * @returns its code, or -1 at the end
   */
  peek(): number {
    const { bytes } = this;
    let at = this.at;
    while (at < bytes.length) {
      const code = bytes[at]!;
      if (code > 0x20 || (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09)) {
        this.at = at;
        return code;
      }
      at++;
    }
    this.at = at;
    return -1;
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
    return this.peek() === -1 ? 'the text ends' : `found ${quote(this.textOf(this.at, Math.min(this.bytes.length, this.at + 48)).slice(0, 12))}`;
  }

  private textOf(start: number, stop: number): string {
    return DECODER.decode(this.bytes.subarray(start, stop));
  }

  /**
   * Walks the members of an object that begins here; `member` must consume the value. The key lies in `start`, `stop` while it is called.
   *
   * @param code the fault to report when no object begins here
   * @param what what should be an object, for the message
   * @param member called behind each key's colon, in the order of the text
   * @throws WeightError
   */
  members(code: WeightErrorCode, what: string, member: () => void): void {
    if (!this.take(0x7b)) this.fail(code, `${what}: ${this.found()}, expected an object`);
    if (this.take(0x7d)) return;
    do {
      if (this.peek() !== 0x22) this.fail('json-syntax', `${this.found()}, expected a key in double quotes`);
      this.span();
      this.demand(0x3a);
      member();
    } while (this.take(0x2c));
    this.demand(0x7d);
  }

  /**
   * As {@link members}, with each key as text.
   *
   * @param code the fault to report when no object begins here
   * @param what what should be an object, for the message
   * @param member called with each key, unescaped
   * @throws WeightError
   */
  object(code: WeightErrorCode, what: string, member: (key: string) => void): void {
    this.members(code, what, () => member(this.text()));
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
   * Reads past a string that begins here and checks it; `start`, `stop`, `escaped` and `plain` tell about it.
   *
   * @throws WeightError `json-control`, `json-escape`, `json-surrogate`, `json-syntax`
   */
  span(): void {
    this.demand(0x22);
    const { bytes } = this;
    let at = this.at;
    this.start = at;
    this.escaped = false;
    this.plain = true;
    this.unescaped = undefined;
    for (;;) {
      const code = at < bytes.length ? bytes[at]! : -1;
      if (code === 0x22) break;
      if (code >= 0x20 && code < 0x7f && code !== 0x5c) { at++; continue; }
      this.at = at;
      if (code === -1) this.fail('json-syntax', 'the text ends inside a string');
      if (code < 0x20) this.fail('json-control', 'a raw control character inside a string');
      this.plain = false;
      if (code !== 0x5c) { at++; continue; }
      this.escaped = true;
      this.escape();
      at = this.at;
    }
    this.stop = at;
    this.at = at + 1;
  }

  /** @returns the text of the string read last, unescaped */
  text(): string {
    if (!this.escaped) return this.textOf(this.start, this.stop);
    this.unescaped ??= JSON.parse(this.textOf(this.start - 1, this.stop + 1)) as string; // its escapes are checked
    return this.unescaped;
  }

  /**
   * Reads a string that begins here, unescaped.
   *
   * @returns the text, without lone surrogates
   * @throws WeightError as {@link span}
   */
  string(): string {
    this.span();
    return this.text();
  }

  /**
   * Reads a string that was read before.
   *
   * @param at where its first quote is
   * @returns the text, unescaped
   */
  stringAt(at: number): string {
    this.at = at;
    return this.string();
  }

  /**
   * Compares the string read last.
   *
   * @param word ASCII text
   * @param letters its bytes
   * @returns whether they are equal after unescaping
   */
  is(word: string, letters: Uint8Array): boolean {
    if (this.escaped) return this.text() === word;
    const { bytes, start } = this;
    if (this.stop - start !== letters.length) return false;
    for (let i = 0; i < letters.length; i++) if (bytes[start + i] !== letters[i]) return false;
    return true;
  }

  /** Reads past one escape, from its backslash. */
  private escape(): void {
    const kind = this.bytes[this.at + 1] ?? -1;
    if (kind !== 0x75) {
      if (kind === -1 || !'"\\/bfnrt'.includes(String.fromCharCode(kind))) this.fail('json-escape', `unknown escape ${quote(this.textOf(this.at, Math.min(this.bytes.length, this.at + 5)).slice(0, 2))}`);
      this.at += 2;
      return;
    }
    const unit = this.hexUnit();
    if (unit < 0xd800 || unit > 0xdfff) return;
    if (unit > 0xdbff || this.bytes[this.at] !== 0x5c || this.bytes[this.at + 1] !== 0x75) this.fail('json-surrogate', 'a lone surrogate in an escape');
    const low = this.hexUnit();
    if (low < 0xdc00 || low > 0xdfff) this.fail('json-surrogate', 'a lone surrogate in an escape');
  }

  /** Reads a backslash, u and four hexadecimal digits. */
  private hexUnit(): number {
    let unit = 0;
    for (let i = this.at + 2; i < this.at + 6; i++) {
      const code = this.bytes[i] ?? 0;
      const digit = code >= 0x30 && code <= 0x39 ? code - 0x30 : (code | 0x20) >= 0x61 && (code | 0x20) <= 0x66 ? (code | 0x20) - 0x57 : -1;
      if (digit < 0) this.fail('json-escape', `${quote(`\\u${this.textOf(this.at + 2, Math.min(this.bytes.length, this.at + 6))}`)} has no four hexadecimal digits`);
      unit = unit * 16 + digit;
    }
    this.at += 6;
    return unit;
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
    const first = this.peek();
    const start = this.at;
    const value = this.digits();
    const next = this.at < this.bytes.length ? this.bytes[this.at]! : -1;
    const continues = next === 0x2e || next === 0x65 || next === 0x45; // . e E
    if (this.at === start || continues || (first === 0x30 && this.at > start + 1)) {
      this.at = start;
      this.fail(invalid, `${what}: ${this.found()}, expected an unsigned integer`);
    }
    if (value > Number.MAX_SAFE_INTEGER) this.fail(tooLarge, `${what}: ${quote(this.textOf(start, Math.min(this.at, start + 1000)))} passes 2^53 - 1`);
    return value;
  }

  /** Reads past digits, perhaps none. */
  private digits(): number {
    const { bytes } = this;
    let at = this.at;
    let value = 0;
    for (; at < bytes.length; at++) {
      const digit = bytes[at]! - 0x30;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit; // exact up to 2^53, and never falls back below it
    }
    this.at = at;
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
    if (code === 0x7b) return this.members('json-syntax', 'value', () => this.skip(depth + 1));
    if (code === 0x5b) return this.array('json-syntax', 'value', () => this.skip(depth + 1));
    if (code === 0x22) return this.span();
    const word = code === 0x74 ? 'true' : code === 0x66 ? 'false' : code === 0x6e ? 'null' : '';
    if (word === '') return this.skipNumber();
    if (this.textOf(this.at, Math.min(this.bytes.length, this.at + word.length)) !== word) this.fail('json-syntax', `${this.found()}, expected a value`);
    this.at += word.length;
  }

  /** Reads past -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)?, as far as it goes. */
  private skipNumber(): void {
    const { bytes } = this;
    const begin = this.at;
    const count = (): number => { const from = this.at; this.digits(); return this.at - from; };
    if (bytes[this.at] === 0x2d) this.at++;
    if (bytes[this.at] === 0x30) this.at++;
    else if (count() === 0) { this.at = begin; this.fail('json-syntax', `${this.found()}, expected a value`); }
    const whole = this.at;
    if (bytes[this.at] === 0x2e) { this.at++; if (count() === 0) { this.at = whole; return; } } // what is left is no comma: the caller says so
    const fraction = this.at;
    if (bytes[this.at] !== 0x65 && bytes[this.at] !== 0x45) return;
    this.at++;
    if (bytes[this.at] === 0x2b || bytes[this.at] === 0x2d) this.at++;
    if (count() === 0) this.at = fraction;
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
