/** Reading a checkpoint's config.json field by field: every number is checked where it is read and named when it is wrong. */

/** A config.json that is not what the network needs: "where: field is value, expected what (why)". */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

/** @returns whether `value` is a JSON object (not null, not an array). */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Checked access to the fields of one JSON object. A field that is absent or null takes the default; without a default that is an error.
 */
export class ConfigReader {
  readonly json: JsonObject;
  readonly where: string;

  /**
   * @param json the parsed object
   * @param where how errors call it, for example the file's path
   * @throws ConfigError when `json` is not an object
   */
  constructor(json: unknown, where: string) {
    if (!isObject(json)) throw new ConfigError(`${where}: the content is ${show(json)}, expected a JSON object`);
    this.json = json;
    this.where = where;
  }

  /** @returns whether the field is there and not null. */
  has(key: string): boolean {
    return this.json[key] !== undefined && this.json[key] !== null;
  }

  /** Throws: "where: key is value, expected what (why)". */
  fail(key: string, expected: string, why = ''): never {
    const value = this.json[key];
    const got = value === undefined ? 'missing' : show(value);
    throw new ConfigError(`${this.where}: ${key} is ${got}, expected ${expected}${why ? ` (${why})` : ''}`);
  }

  /** @returns a finite number in [min, max]. */
  number(key: string, options: { fallback?: number; min?: number; max?: number } = {}): number {
    if (!this.has(key) && options.fallback !== undefined) return options.fallback;
    const value = this.json[key];
    const { min = -Infinity, max = Infinity } = options;
    if (typeof value !== 'number' || !Number.isFinite(value) || value < min || value > max) {
      this.fail(key, `a number${range(min, max)}`);
    }
    return value;
  }

  /** @returns an integer in [min, max]; min is 1 unless given. */
  int(key: string, options: { fallback?: number; min?: number; max?: number } = {}): number {
    if (!this.has(key) && options.fallback !== undefined) return options.fallback;
    const value = this.json[key];
    const { min = 1, max = 2 ** 31 - 1 } = options;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
      this.fail(key, `an integer${range(min, max)}`);
    }
    return value;
  }

  /** @returns a boolean. */
  flag(key: string, fallback: boolean): boolean {
    if (!this.has(key)) return fallback;
    const value = this.json[key];
    if (typeof value !== 'boolean') this.fail(key, 'true or false');
    return value;
  }

  /** @returns one of the given words. */
  word<T extends string>(key: string, words: readonly T[], options: { fallback?: T; why?: string } = {}): T {
    if (!this.has(key) && options.fallback !== undefined) return options.fallback;
    const value = this.json[key];
    const found = words.find((word) => word === value);
    return found ?? this.fail(key, words.map((word) => JSON.stringify(word)).join(' or '), options.why);
  }

  /** @returns a text, perhaps empty. */
  text(key: string, what = 'a text'): string {
    const value = this.json[key];
    return typeof value === 'string' ? value : this.fail(key, what);
  }

  /** @returns a list of `length` numbers. */
  numbers(key: string, length: number, fallback: readonly number[]): readonly number[] {
    if (!this.has(key)) return fallback;
    const value = this.json[key];
    if (!Array.isArray(value) || value.length !== length || value.some((x) => typeof x !== 'number' || !Number.isFinite(x))) {
      this.fail(key, `a list of ${length} numbers`);
    }
    return value as readonly number[];
  }

  /** @returns a nested object, or undefined when it is absent or null. */
  object(key: string): ConfigReader | undefined {
    if (!this.has(key)) return undefined;
    const value = this.json[key];
    if (!isObject(value)) this.fail(key, 'an object');
    return new ConfigReader(value, `${this.where}: ${key}`);
  }

  /** @throws ConfigError when a field that is there has another value than `value`; absent and null pass. */
  must(key: string, value: boolean | number | string, why: string): void {
    if (this.has(key) && this.json[key] !== value) this.fail(key, JSON.stringify(value), why);
  }

  /** @throws ConfigError when a field is switched on: present and neither null, false nor 0. */
  off(key: string, why: string): void {
    const value = this.json[key];
    if (this.has(key) && value !== false && value !== 0) this.fail(key, 'it to be off', why);
  }
}

function range(min: number, max: number): string {
  if (min === -Infinity && max === Infinity) return '';
  if (max === Infinity || max === 2 ** 31 - 1) return ` of at least ${min}`;
  return ` from ${min} to ${max}`;
}

function show(value: unknown): string {
  const text = typeof value === 'string' && value.length > 100 ? JSON.stringify(value.slice(0, 100)) : JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
