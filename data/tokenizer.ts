import { Tokenizer as Runner } from '@huggingface/tokenizers';
import { AddedTokens } from './added_tokens.ts';
import { exchangeByteDecoder } from './byte_decoder.ts';
import { BytePairs } from './byte_pairs.ts';
import { DataError } from './errors.ts';
import { orderMarks } from './mark_order.ts';
import { readOwnJson } from './platform.ts';
import type { TextCutter } from './text_cutter.ts';
import { checkTokenizerFile, type SpecialIds, type Template, type TokenizerFile } from './tokenizer_file.ts';

/** Longest text that is encoded, UTF-16 units: what one call may cost is bounded (about a second at worst). */
export const MAX_TEXT_LENGTH = 1_048_576;

/** Texts as numbers, each row padded at its end. */
export interface TokenRows {
  /** [B, T] */
  ids: Uint32Array;
  /** [B, T] 1 where there is a token, 0 where there is padding */
  mask: Uint32Array;
  /** T */
  tokens: number;
}

/** How texts are encoded. */
export interface EncodeOptions {
  /** tokens of a text at most, special ones included; 64 for batches and no limit for single texts when absent */
  maxLength?: number;
}

/** How a batch is encoded. */
export interface BatchOptions extends EncodeOptions {
  /** T for every batch, at least `maxLength`; the longest row when absent */
  pad?: number;
}

/**
 * Text to token ids by a `tokenizer.json` of Hugging Face's tokenizers. @huggingface/tokenizers normalises and decodes; the cuts, the merges, the added
 * tokens and the template are ours, which stops at a length limit, takes linear or n log n time on any text, and needs no second copy of the vocabulary. Ids are those of the Rust package.
 */
export class Tokenizer implements SpecialIds {
  readonly #runner: Runner;
  readonly #prompt: string;
  /** The Unicode normal form with which normalisation begins, if it does. */
  readonly #form: string | undefined;
  readonly #pairs: BytePairs;
  readonly #cut: TextCutter;
  readonly #template: Template;
  readonly #added: AddedTokens;
  readonly #addedNormal: AddedTokens;
  readonly #tokens: string[] = []; // by id
  readonly #silent: ReadonlySet<number>; // ids that decoded texts leave out
  readonly pad: number | undefined;
  readonly eos: number | undefined;
  readonly bos: number | undefined;
  readonly unk: number | undefined;
  /** one more than the greatest id */
  readonly vocabSize: number;

  private constructor(runner: Runner, { model, added, template, special, cut, form }: TokenizerFile, prompt: string) {
    this.#runner = runner;
    this.#form = form;
    this.#prompt = prompt;
    exchangeByteDecoder(runner.decoder);
    this.#pairs = new BytePairs(model);
    this.#cut = cut;
    this.#template = template;
    this.#added = new AddedTokens(added.filter((token) => !token.normalized).map(({ content, id }) => [content, id]));
    this.#addedNormal = new AddedTokens(added.filter((token) => token.normalized).map(({ content, id }) => [this.#normalize(content), id]));
    this.pad = special.pad;
    this.eos = special.eos;
    this.bos = special.bos;
    this.unk = special.unk;
    for (const [token, id] of model.vocab) this.#tokens[id] = token;
    for (const { content, id } of added) this.#tokens[id] = content;
    this.#silent = new Set(added.filter((token) => token.special).map(({ id }) => id));
    this.vocabSize = Math.max(this.#tokens.length, ...[...template.before, ...template.after].map((id) => id + 1));
  }

  /**
   * @param json a parsed `tokenizer.json`
   * @param config a parsed `tokenizer_config.json`, which may name the special tokens (`pad_token`, `eos_token`, …)
   * @param options.prompt text put before every text that is encoded, '' by default
   * @returns the tokenizer
   * @throws DataError when the file is no tokenizer, holds a pattern that is not known to run in linear time, or asks for something that is not done exactly
   */
  static fromJSON(json: object, config: object = {}, { prompt = '' }: { prompt?: string } = {}): Tokenizer {
    const file = checkTokenizerFile(json, config);
    let runner: Runner;
    try {
      runner = new Runner(file.stages, config);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new DataError('Tokenizer.fromJSON', `expected a tokenizer.json, got one that cannot be used (${why})`, cause);
    }
    return new Tokenizer(runner, file, prompt);
  }

  #normalize(text: string): string {
    if (!this.#runner.normalizer) return text;
    return this.#runner.normalizer.normalize(this.#form ? orderMarks(text, this.#form.includes('K')) : text);
  }

  /**
   * @param text any text; lone surrogates count as U+FFFD
   * @param options length limit; a longer text loses its end, but keeps the tokens that the file's template puts after it
   * @returns ids, with the special tokens that the file's template adds
   * @throws DataError when the text is longer than `MAX_TEXT_LENGTH`
   */
  encode(text: string, { maxLength = Infinity }: EncodeOptions = {}): number[] {
    if (typeof text !== 'string') throw new DataError('Tokenizer.encode', `expected a text, got ${typeof text}`);
    if (text.length > MAX_TEXT_LENGTH) {
      throw new DataError('Tokenizer.encode', `the text has ${text.length} characters, expected at most ${MAX_TEXT_LENGTH}`);
    }
    const { before, after } = this.#template;
    const least = Math.max(2, before.length + after.length);
    if (!(maxLength >= least)) throw new DataError('Tokenizer.encode', `maxLength must be at least ${least}, got ${maxLength}`);
    const ids = [...before];
    const enough = maxLength - after.length;
    this.#body((this.#prompt + text).replace(/\p{Surrogate}/gu, '\ufffd'), ids, enough);
    if (ids.length > enough) ids.length = enough;
    for (const id of after) ids.push(id);
    return ids;
  }

  /** Adds the ids of a text to `ids`, all of them or at least as many as are enough. */
  #body(text: string, ids: number[], enough: number): void {
    for (const part of this.#added.split(text)) {
      if (ids.length >= enough) return;
      if (typeof part === 'number') {
        ids.push(part);
        continue;
      }
      for (const inner of this.#addedNormal.split(this.#normalize(part))) {
        if (typeof inner === 'number') ids.push(inner);
        else for (const piece of this.#cut(inner)) {
          if (ids.length >= enough) return;
          this.#pairs.encode(piece, ids, enough);
        }
      }
    }
  }

  /**
   * @param texts [B]
   * @param options limit and fixed length
   * @returns ids [B, T] and mask [B, T], padded at the end with the pad token, T the longest row or `pad`
   * @throws DataError when there is no text, a text is too long, or padding is needed and the file has no pad token
   */
  encodeBatch(texts: readonly string[], { maxLength = 64, pad }: BatchOptions = {}): TokenRows {
    if (texts.length === 0) throw new DataError('Tokenizer.encodeBatch', 'expected at least one text, got none');
    if (pad !== undefined && !(Number.isInteger(pad) && pad >= maxLength)) {
      throw new DataError('Tokenizer.encodeBatch', `pad must be an integer of at least maxLength = ${maxLength}, got ${pad}`);
    }
    const rows = texts.map((text) => this.encode(text, { maxLength }));
    const tokens = pad ?? rows.reduce((most, row) => Math.max(most, row.length), 1);
    if (this.pad === undefined && rows.some((row) => row.length < tokens)) {
      throw new DataError('Tokenizer.encodeBatch', 'the texts differ in length, but the tokenizer has no pad token (name one as pad_token in its config)');
    }
    const ids = new Uint32Array(texts.length * tokens).fill(this.pad ?? 0);
    const mask = new Uint32Array(texts.length * tokens);
    rows.forEach((row, b) => {
      ids.set(row, b * tokens);
      mask.fill(1, b * tokens, b * tokens + row.length);
    });
    return { ids, mask, tokens };
  }

  /**
   * @param ids token ids; those that the vocabulary lacks count for nothing
   * @returns the text, without special tokens
   */
  decode(ids: Iterable<number>): string {
    const tokens: string[] = [];
    for (const id of ids) {
      const token = this.#silent.has(id) ? undefined : this.#tokens[id];
      if (token !== undefined) tokens.push(token);
    }
    return this.#runner.decoder ? this.#runner.decoder.decode_chain(tokens).join('') : tokens.join(' ');
  }
}

/**
 * @returns `data/tokenizer.json`, parsed: byte-pair encoding with byte fallback, 2,048 entries, lower case, trained by
 *   `data/make_tokenizer.mjs` on the names of set E4; pad 0, eos 1, bos 2, unk 3
 * @throws DataError when the file is missing
 */
export async function loadTokenizerJson(): Promise<object> {
  return (await readOwnJson('tokenizer.json')) as object;
}

/**
 * @returns our own small tokenizer
 * @throws DataError when its file is missing
 */
export async function loadTokenizer(): Promise<Tokenizer> {
  return Tokenizer.fromJSON(await loadTokenizerJson());
}
