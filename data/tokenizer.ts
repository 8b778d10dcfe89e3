import { Tokenizer as Runner } from '@huggingface/tokenizers';
import { DataError } from './errors.ts';
import { readOwnJson } from './platform.ts';
import { checkTokenizerFile, specialTokens, type SpecialIds } from './tokenizer_file.ts';

/** Longest text that is encoded, UTF-16 units: what one call may cost is bounded (a second at worst). */
export const MAX_TEXT_LENGTH = 16_384;

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

/** Text to token ids by a `tokenizer.json` of Hugging Face's tokenizers. */
export class Tokenizer implements SpecialIds {
  readonly #runner: Runner;
  readonly pad: number | undefined;
  readonly eos: number | undefined;
  readonly bos: number | undefined;
  readonly unk: number | undefined;
  /** one more than the greatest id */
  readonly vocabSize: number;

  private constructor(runner: Runner, ids: SpecialIds, vocabSize: number) {
    this.#runner = runner;
    this.pad = ids.pad;
    this.eos = ids.eos;
    this.bos = ids.bos;
    this.unk = ids.unk;
    this.vocabSize = vocabSize;
  }

  /**
   * @param json a parsed `tokenizer.json`
   * @param config a parsed `tokenizer_config.json`, which may name the special tokens (`pad_token`, `eos_token`, …)
   * @returns the tokenizer
   * @throws DataError when the file is no tokenizer, or holds a pattern that is not known to run in linear time
   */
  static fromJSON(json: object, config: object = {}): Tokenizer {
    const file = checkTokenizerFile(json);
    let runner: Runner;
    try {
      runner = new Runner(file, config);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new DataError('Tokenizer.fromJSON', `expected a tokenizer.json, got one that cannot be used (${why})`, cause);
    }
    let greatest = -1;
    for (const id of runner.get_vocab().values()) greatest = Math.max(greatest, id);
    return new Tokenizer(runner, specialTokens(config, (token) => runner.token_to_id(token)), greatest + 1);
  }

  /**
   * @param text any text; lone surrogates count as U+FFFD
   * @param options length limit; a longer text loses its end, but keeps an end token
   * @returns ids, with the special tokens that the file's template adds
   * @throws DataError when the text is longer than `MAX_TEXT_LENGTH`
   */
  encode(text: string, { maxLength = Infinity }: EncodeOptions = {}): number[] {
    if (typeof text !== 'string') throw new DataError('Tokenizer.encode', `expected a text, got ${typeof text}`);
    if (text.length > MAX_TEXT_LENGTH) {
      throw new DataError('Tokenizer.encode', `the text has ${text.length} characters, expected at most ${MAX_TEXT_LENGTH}`);
    }
    if (!(maxLength >= 2)) throw new DataError('Tokenizer.encode', `maxLength must be at least 2, got ${maxLength}`);
    const { ids } = this.#runner.encode(text.replace(/\p{Surrogate}/gu, '\ufffd'));
    if (ids.length <= maxLength) return ids;
    const last = ids[ids.length - 1]!;
    const cut = ids.slice(0, maxLength);
    if (last === this.eos) cut[maxLength - 1] = last;
    return cut;
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
   * @param ids token ids
   * @returns the text, without special tokens
   */
  decode(ids: Iterable<number>): string {
    const list = Array.from(ids);
    if (list.length === 0) return '';
    // clean_up_tokenization_spaces would join " ." and the like, which the reference does not do for these files
    return this.#runner.decode(list, { skip_special_tokens: true, clean_up_tokenization_spaces: false });
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
