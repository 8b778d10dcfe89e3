/** Token ids on their way to the GPU: ragged lists to padded batches, checked against the vocabulary while they are still on the host. */
import { ShapeError } from '../engine/check.ts';
import type { Device } from '../engine/device.ts';
import { Tensor } from '../engine/tensor.ts';
import { ConfigError } from './config.ts';
import { isObject } from './config_reader.ts';

/** Padded token ids on the host, rows of equal length; padding may stand anywhere the mask is 0, the tokenizer puts it at the end. */
export interface TokenBatch {
  /** [B*T] */
  readonly ids: Uint32Array;
  /** [B*T] 1 = token, 0 = padding. */
  readonly mask: Uint32Array;
  /** T, may be 0. */
  readonly tokens: number;
  /** B; needed only when T is 0, otherwise ids tell it. */
  readonly rows?: number;
}

/** Token ids on the GPU. Without a mask every id is a token. */
export interface TokenTensors {
  /** u32 [B,T] */
  readonly ids: Tensor;
  /** u32 [B,T] */
  readonly mask: Tensor | undefined;
}

/** Query ids on the GPU with the masks over visual and query positions. */
export interface QueryTensors {
  /** u32 [B,Tq] */
  readonly ids: Tensor;
  /** u32 [B,N+Tq], 1 = visual position or query token; undefined: all are. */
  readonly mask: Tensor | undefined;
  /** u32 [B,N+Tq], 1 = averaged position; undefined: all are. */
  readonly poolMask: Tensor | undefined;
}

/** u32 values that still lie on the host. */
export interface HostArray {
  readonly data: Uint32Array;
  readonly shape: readonly number[];
}

/** What turns text into ids; `Tokenizer` of data/ is one. */
export interface TextTokenizer {
  encode(text: string, options?: { maxLength?: number }): number[];
  readonly vocabSize: number;
}

/** One text for all pictures, one each ('' and undefined: the default query), or token ids. */
export type Queries = string | readonly (string | undefined)[] | TokenBatch;

/** @returns whether the value is ids rather than texts. */
export function isTokenBatch(value: unknown): value is TokenBatch {
  return typeof value === 'object' && value !== null && 'ids' in value && 'tokens' in value;
}

/**
 * The query of each picture.
 *
 * @param queries as a caller gives them
 * @param count number of pictures
 * @param fallback stands in for a missing one
 * @returns one text each, or undefined when all are empty
 * @throws ShapeError when the counts differ
 */
export function queryTexts(queries: string | readonly (string | undefined)[] | undefined, count: number, fallback: string | null): string[] | undefined {
  const list = typeof queries === 'object' ? queries : Array.from({ length: count }, () => queries);
  if (list.length !== count) throw new ShapeError(`VLJEPA.predict: ${list.length} queries, expected ${count}, one per picture (or one text for all)`);
  const texts = list.map((query) => query || fallback || '');
  return texts.every((text) => text === '') ? undefined : texts;
}

/**
 * @param use which tokenizer, for the message
 * @param tokenizer of the model
 * @param vocabSize rows of the token table
 * @param json its tokenizer.json: then only the vocabulary itself counts. Gemma 3 adds a token for pictures above its table (id 262,144 of 262,144 rows), which
 *   no ordinary text contains; ids are checked again in every batch
 * @throws ConfigError when a tokenizer can give ids that the token table does not have
 */
export function checkVocabulary(use: string, tokenizer: TextTokenizer | undefined, vocabSize: number, json?: object): void {
  const size = json ? vocabularySize(json) : tokenizer?.vocabSize ?? 0;
  if (size > vocabSize) throw new ConfigError(`VLJEPA: the ${use} tokenizer has ${size} entries, expected at most ${vocabSize} (vocab_size of the config)`);
}

/**
 * @param json a tokenizer.json
 * @returns rows that its own vocabulary needs, without added tokens
 */
export function vocabularySize(json: unknown): number {
  const model = isObject(json) ? json.model : undefined;
  const vocab = isObject(model) ? model.vocab : undefined;
  let size = 0;
  if (isObject(vocab)) for (const id of Object.values(vocab)) size = Math.max(size, Number(id) + 1);
  return size;
}

/** @returns the number of rows of a batch. */
export function rowsOf(batch: TokenBatch): number {
  return batch.tokens === 0 ? batch.rows ?? 0 : batch.ids.length / batch.tokens;
}

/**
 * Pads lists of ids at the end to the longest of them.
 *
 * @param lists ids per row
 * @param pad the id of padding; masked out, so any valid id gives the same result
 */
export function padIds(lists: readonly (readonly number[])[], pad = 0): TokenBatch {
  const tokens = lists.reduce((most, list) => Math.max(most, list.length), 0);
  const ids = new Uint32Array(lists.length * tokens).fill(pad);
  const mask = new Uint32Array(lists.length * tokens);
  lists.forEach((list, row) => {
    ids.set(list, row * tokens);
    mask.fill(1, row * tokens, row * tokens + list.length);
  });
  return { ids, mask, tokens, rows: lists.length };
}

/**
 * Some rows of a batch, without columns that hold only padding at the end: masked positions change no result and cost time.
 *
 * @param batch the whole
 * @param start first row
 * @param end one past the last row
 */
export function sliceBatch(batch: TokenBatch, start: number, end: number): TokenBatch {
  const { ids, mask, tokens } = batch;
  let used = 0;
  for (let row = start; row < end; row++) {
    for (let column = tokens - 1; column >= used; column--) if (mask[row * tokens + column] !== 0) used = column + 1;
  }
  const rows = end - start;
  const result = { ids: new Uint32Array(rows * used), mask: new Uint32Array(rows * used), tokens: used, rows };
  for (let row = 0; row < rows; row++) {
    const from = (start + row) * tokens;
    result.ids.set(ids.subarray(from, from + used), row * used);
    result.mask.set(mask.subarray(from, from + used), row * used);
  }
  return result;
}

/**
 * Checks sizes and ids.
 *
 * @param where the public function, for errors
 * @param batch ids and mask
 * @param vocabSize ids are below it
 * @param maxTokens longest row
 * @throws ShapeError
 */
export function checkBatch(where: string, batch: TokenBatch, vocabSize: number, maxTokens: number): void {
  const { ids, mask, tokens } = batch;
  if (ids.length !== mask.length) throw new ShapeError(`${where}: mask has ${mask.length} entries, expected ${ids.length}, one per id`);
  if (!Number.isInteger(tokens) || tokens < 0 || (tokens === 0 ? ids.length !== 0 : ids.length % tokens !== 0)) {
    throw new ShapeError(`${where}: tokens is ${tokens}, expected a length of rows that divides the ${ids.length} ids`);
  }
  if (tokens > maxTokens) throw new ShapeError(`${where}: a row has ${tokens} tokens, expected at most ${maxTokens}`);
  for (let i = 0; i < ids.length; i++) {
    if (ids[i]! >= vocabSize) throw new ShapeError(`${where}: ids[${i}] is ${ids[i]}, expected a number below the vocabulary size ${vocabSize}`);
    if (mask[i]! > 1) throw new ShapeError(`${where}: mask[${i}] is ${mask[i]}, expected 0 or 1`);
  }
}

/**
 * The length that a batch is padded to, so that batches of nearly the same length share a recorded plan: up to 8 even numbers, then four lengths per power of two (10, 12, 14, 16,
 * 20, 24, …), at most a quarter more than needed.
 *
 * @param tokens longest row
 * @returns at least as many tokens
 */
export function bucketLength(tokens: number): number {
  if (tokens <= 2) return Math.min(tokens * 2, 2);
  const step = Math.max(2, 2 ** Math.floor(Math.log2(tokens - 1)) / 4);
  return Math.ceil(tokens / step) * step;
}

/**
 * Adds columns of masked padding. They change no result but for the rounding of sums that are cut elsewhere.
 *
 * @param batch ids and mask
 * @param tokens new length of rows; a smaller one leaves the batch as it is
 */
export function padBatch(batch: TokenBatch, tokens: number): TokenBatch {
  if (tokens <= batch.tokens) return batch;
  const rows = rowsOf(batch);
  const wider = (from: Uint32Array): Uint32Array => {
    const to = new Uint32Array(rows * tokens);
    for (let row = 0; row < rows; row++) to.set(from.subarray(row * batch.tokens, (row + 1) * batch.tokens), row * tokens);
    return to;
  };
  return { ids: wider(batch.ids), mask: wider(batch.mask), tokens, rows };
}

/** @returns ids [B,T] and mask [B,T] of a checked batch, no mask where nothing is padding. */
export function textArrays(batch: TokenBatch): { ids: HostArray; mask: HostArray | undefined } {
  const shape = [rowsOf(batch), batch.tokens];
  return { ids: { data: batch.ids, shape }, mask: batch.mask.includes(0) ? { data: batch.mask, shape } : undefined };
}

/**
 * Ids of a checked query batch with the masks over the whole sequence: visual positions first, then the query, padding at the end (spec section 1.3).
 *
 * @param visualTokens N, positions before the query
 * @param pool which positions are averaged
 * @returns ids [B,Tq], masks [B,N+Tq], no mask where it would be 1 everywhere
 */
export function queryArrays(batch: TokenBatch, visualTokens: number, pool: 'all' | 'query'): { ids: HostArray; mask: HostArray | undefined; poolMask: HostArray | undefined } {
  const rows = rowsOf(batch);
  const width = visualTokens + batch.tokens;
  const whole = (visual: 0 | 1): HostArray => {
    const mask = new Uint32Array(rows * width).fill(visual);
    for (let row = 0; row < rows; row++) mask.set(batch.mask.subarray(row * batch.tokens, (row + 1) * batch.tokens), row * width + visualTokens);
    return { data: mask, shape: [rows, width] };
  };
  const mask = batch.mask.includes(0) ? whole(1) : undefined;
  return { ids: { data: batch.ids, shape: [rows, batch.tokens] }, mask, poolMask: pool === 'all' ? mask : whole(0) };
}

const upload = (device: Device, array: HostArray): Tensor => Tensor.from(device, array.data, array.shape);

/**
 * Uploads a checked batch.
 *
 * @returns ids u32 [B,T] and mask u32 [B,T], no mask where nothing is padding
 */
export function uploadTokens(device: Device, batch: TokenBatch): TokenTensors {
  const { ids, mask } = textArrays(batch);
  return { ids: upload(device, ids), mask: mask && upload(device, mask) };
}

/**
 * Uploads a checked query batch with its masks, see {@link queryArrays}.
 *
 * @param visualTokens N, positions before the query
 * @param pool which positions are averaged
 * @returns ids u32 [B,Tq], masks u32 [B,N+Tq], no mask where it would be 1 everywhere
 */
export function uploadQueryTokens(device: Device, batch: TokenBatch, visualTokens: number, pool: 'all' | 'query'): QueryTensors {
  const { ids, mask, poolMask } = queryArrays(batch, visualTokens, pool);
  const own = mask && upload(device, mask);
  return { ids: upload(device, ids), mask: own, poolMask: poolMask === mask ? own : poolMask && upload(device, poolMask) };
}
