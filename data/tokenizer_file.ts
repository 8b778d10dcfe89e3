import type { PairModel } from './byte_pairs.ts';
import { DataError } from './errors.ts';
import type { TextCutter } from './text_cutter.ts';
import { checkStages, type Json } from './tokenizer_stages.ts';

/** Ids of the tokens with a role; undefined where a file has none. */
export interface SpecialIds {
  readonly pad: number | undefined;
  readonly eos: number | undefined;
  readonly bos: number | undefined;
  readonly unk: number | undefined;
}

/** A token that stands for itself in any text. */
export interface AddedToken {
  readonly content: string;
  readonly id: number;
  /** Left out of decoded text. */
  readonly special: boolean;
  /** Looked for after normalisation. */
  readonly normalized: boolean;
}

/** Ids that stand around every text. */
export interface Template {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** A checked `tokenizer.json`. */
export interface TokenizerFile {
  readonly model: PairModel;
  readonly added: readonly AddedToken[];
  readonly template: Template;
  readonly special: SpecialIds;
  readonly cut: TextCutter;
  /** The Unicode normal form with which normalisation begins, if it does. */
  readonly form: string | undefined;
  /** What @huggingface/tokenizers gets: the normaliser and the decoder in a form that it runs as the reference does. */
  readonly stages: object;
}

/** Names that tokens with a role have in the files we know, tried in this order. */
const NAMES: Record<keyof SpecialIds, readonly string[]> = {
  pad: ['<pad>', '[PAD]', '<|finetune_right_pad_id|>'],
  eos: ['<eos>', '</s>', '[SEP]', '<|end_of_text|>', '<|endoftext|>'],
  bos: ['<bos>', '<s>', '[CLS]', '<|begin_of_text|>', '<|endoftext|>'],
  unk: ['<unk>', '[UNK]'],
};

/** Greatest id that a vocabulary may use. */
const MAX_ID = 4_194_303;
const WHERE = 'Tokenizer.fromJSON';

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Checks a parsed `tokenizer.json` before any of it is used. Its truncation and padding are not used: both are asked for call by call. What stands around a text is what its template
 * says; `add_bos_token` and `add_eos_token` of a config count for nothing beside a tokenizer.json, as in transformers 5.
 * @param json the file
 * @param config a parsed `tokenizer_config.json`
 * @returns what is needed to run it
 * @throws DataError when it is no tokenizer, an id is out of range, a pattern is not known, or it asks for something that is not done exactly
 */
export function checkTokenizerFile(json: unknown, config: object): TokenizerFile {
  if (!isObject(json) || !isObject(json.model)) throw new DataError(WHERE, 'expected a tokenizer.json with an object "model", got something else');
  const model = checkModel(json.model);
  const added = checkAdded(json.added_tokens, model.vocab, isObject(json.normalizer));
  const ids = new Map([...model.vocab, ...added.map(({ content, id }) => [content, id] as const)]);
  const idOf = (token: string): number | undefined => ids.get(token);
  const { normalizer, form, decoder, cut } = checkStages(json);
  const stages = { normalizer, decoder, pre_tokenizer: null, model: { type: 'BPE', vocab: {}, merges: [] }, added_tokens: added, post_processor: null };
  return { model, added, template: templateOf(json.post_processor), special: specialTokens(config, idOf), cut, form, stages };
}

function checkModel(model: Json): PairModel {
  if (model.type !== undefined && model.type !== 'BPE') throw new DataError(WHERE, `model.type is ${JSON.stringify(model.type)}, expected "BPE"`);
  if (!isObject(model.vocab)) throw new DataError(WHERE, `expected a vocabulary in "model.vocab", got ${typeof model.vocab}`);
  const vocab = new Map(Object.entries(model.vocab)) as Map<string, number>;
  for (const [token, id] of vocab) checkId(token, id);
  if (!Array.isArray(model.merges)) throw new DataError(WHERE, `expected a list "model.merges", got ${typeof model.merges}`);
  for (const key of ['dropout', 'continuing_subword_prefix', 'end_of_word_suffix']) {
    if (model[key]) throw new DataError(WHERE, `model.${key} is ${JSON.stringify(model[key])}, expected none`);
  }
  for (const key of ['fuse_unk', 'byte_fallback', 'ignore_merges']) {
    if (typeof (model[key] ?? false) !== 'boolean') throw new DataError(WHERE, `model.${key} is ${JSON.stringify(model[key])}, expected true or false`);
  }
  return { ...model, vocab } as unknown as PairModel;
}

function checkAdded(list: unknown, vocab: ReadonlyMap<string, number>, normalizes: boolean): AddedToken[] {
  if (list !== undefined && list !== null && !Array.isArray(list)) throw new DataError(WHERE, `expected a list "added_tokens", got ${typeof list}`);
  return ((list ?? []) as unknown[]).map((token) => {
    if (!isObject(token) || typeof token.content !== 'string' || token.content === '') {
      throw new DataError(WHERE, `expected every added token to have a text "content", got ${JSON.stringify(token)}`);
    }
    const { content, special = false } = token;
    checkId(content, token.id);
    if ((vocab.get(content) ?? token.id) !== token.id) {
      throw new DataError(WHERE, `the added token ${JSON.stringify(content)} has the id ${token.id as number}, expected ${vocab.get(content)} as in the vocabulary`);
    }
    const flag = ['lstrip', 'rstrip', 'single_word'].find((name) => token[name] === true);
    if (flag) throw new DataError(WHERE, `the added token ${JSON.stringify(content)} has ${flag}, expected none of lstrip, rstrip, single_word`);
    return { content, id: token.id as number, special: special === true, normalized: normalizes && (token.normalized ?? special !== true) === true };
  });
}

function checkId(token: string, id: unknown): void {
  if (!(Number.isInteger(id) && (id as number) >= 0 && (id as number) <= MAX_ID)) {
    throw new DataError(WHERE, `the id of ${JSON.stringify(token)} must be an integer from 0 to ${MAX_ID}, got ${JSON.stringify(id)}`);
  }
}

/** What a config calls the token with a role. */
function nameOf(config: Json, role: string): string | undefined {
  const entry = Object.hasOwn(config, `${role}_token`) ? config[`${role}_token`] : undefined;
  const name = isObject(entry) ? entry.content : entry;
  return typeof name === 'string' ? name : undefined;
}

/** Reads the post-processor: ids before and after a single text. */
function templateOf(part: unknown): Template {
  if (part === null || part === undefined) return { before: [], after: [] };
  const { type, processors, single, special_tokens: special } = part as Json;
  if (type === 'ByteLevel') return { before: [], after: [] }; // offsets only
  if (type === 'Sequence' && Array.isArray(processors)) {
    return processors.map(templateOf).reduce((all, one) => ({ before: [...one.before, ...all.before], after: [...all.after, ...one.after] }), { before: [], after: [] });
  }
  if (type !== 'TemplateProcessing' || !Array.isArray(single)) throw new DataError(WHERE, `the post_processor ${JSON.stringify(type)} is not known, expected TemplateProcessing`);
  const ids = (single as Json[]).map((item) => {
    if (isObject(item?.Sequence)) return undefined; // the text
    const token = isObject(item?.SpecialToken) ? String(item.SpecialToken.id) : '';
    const entry = isObject(special) && Object.hasOwn(special, token) ? (special[token] as Json) : undefined;
    if (!Array.isArray(entry?.ids)) throw new DataError(WHERE, `the template names ${JSON.stringify(token)}, which is not among its special_tokens`);
    for (const id of entry.ids) checkId(token, id);
    return entry.ids as number[];
  });
  const at = ids.indexOf(undefined);
  if (at < 0 || ids.includes(undefined, at + 1)) throw new DataError(WHERE, 'the template of a single text has not one Sequence, expected it once');
  return { before: ids.slice(0, at).flatMap((list) => list!), after: ids.slice(at + 1).flatMap((list) => list!) };
}

/** Finds the tokens with a role: by the names in the config, or else by the names that known files use. */
function specialTokens(config: object, idOf: (token: string) => number | undefined): SpecialIds {
  const find = (role: keyof SpecialIds): number | undefined => {
    const named = nameOf(config as Json, role);
    if (named === undefined) return NAMES[role].map(idOf).find((id) => id !== undefined);
    const id = idOf(named);
    if (id === undefined) throw new DataError(WHERE, `the config names ${named} as ${role}_token, which is not in the vocabulary`);
    return id;
  };
  return { pad: find('pad'), eos: find('eos'), bos: find('bos'), unk: find('unk') };
}
