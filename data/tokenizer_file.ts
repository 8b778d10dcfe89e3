import { DataError } from './errors.ts';

/** Ids of the tokens with a role; undefined where a file has none. */
export interface SpecialIds {
  readonly pad: number | undefined;
  readonly eos: number | undefined;
  readonly bos: number | undefined;
  readonly unk: number | undefined;
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

/**
 * Regular expressions that a file may carry, by exact text. A pattern from a file runs on the user's text, and a pattern
 * that backtracks can take minutes on one line, so others are refused.
 */
const KNOWN_PATTERNS: ReadonlySet<string> = new Set([
  // our own file: what separates words
  '[\t-\r \u0085\u1680\u2028\u2029]+',
  // Llama 3
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
]);

/** The parts that the runner wants to see, even when they are empty. */
const PARTS = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, added_tokens: [] };

/**
 * Checks a parsed `tokenizer.json` before any of it is used.
 * @param json the file
 * @returns the file with absent parts set to null
 * @throws DataError when it is no tokenizer, an id is out of range, or a pattern is not known
 */
export function checkTokenizerFile(json: object): object {
  const where = 'Tokenizer.fromJSON';
  const file = json as { model?: { vocab?: unknown }; added_tokens?: unknown } | null;
  if (typeof file !== 'object' || file === null || typeof file.model !== 'object' || file.model === null) {
    throw new DataError(where, 'expected a tokenizer.json with an object "model", got something else');
  }
  const { vocab } = file.model;
  if (typeof vocab !== 'object' || vocab === null) {
    throw new DataError(where, `expected a vocabulary in "model.vocab", got ${typeof vocab}`);
  }
  if (!Array.isArray(vocab)) {
    for (const [token, id] of Object.entries(vocab)) checkId(where, token, id);
  }
  if (file.added_tokens !== undefined && !Array.isArray(file.added_tokens)) {
    throw new DataError(where, `expected a list "added_tokens", got ${typeof file.added_tokens}`);
  }
  for (const token of (file.added_tokens ?? []) as { content?: unknown; id?: unknown }[]) {
    if (typeof token?.content !== 'string' || token.content === '') {
      throw new DataError(where, `expected every added token to have a text "content", got ${JSON.stringify(token)}`);
    }
    checkId(where, token.content, token.id);
  }
  const { normalizer, pre_tokenizer, decoder } = json as Record<string, unknown>;
  checkPatterns([normalizer, pre_tokenizer, decoder]);
  return { ...PARTS, ...json };
}

function checkId(where: string, token: string, id: unknown): void {
  if (!(Number.isInteger(id) && (id as number) >= 0 && (id as number) <= MAX_ID)) {
    throw new DataError(where, `the id of ${JSON.stringify(token)} must be an integer from 0 to ${MAX_ID}, got ${JSON.stringify(id)}`);
  }
}

/** Walks the small parts of the file and refuses every `Regex` that is not on the list. */
function checkPatterns(part: unknown): void {
  if (typeof part !== 'object' || part === null) return;
  for (const [name, value] of Object.entries(part)) {
    if (name === 'Regex' && !KNOWN_PATTERNS.has(String(value))) {
      throw new DataError('Tokenizer.fromJSON', `the pattern ${JSON.stringify(value)} is not on the list of those known to be fast`);
    }
    checkPatterns(value);
  }
}

/**
 * Finds the tokens with a role: by the names in the config, or else by the names that known files use.
 * @param config a parsed `tokenizer_config.json`
 * @param idOf id of a token, undefined when there is none
 * @returns their ids
 * @throws DataError when the config names a token that the vocabulary lacks
 */
export function specialTokens(config: object, idOf: (token: string) => number | undefined): SpecialIds {
  const find = (role: keyof SpecialIds): number | undefined => {
    const key = `${role}_token`;
    const entry = Object.hasOwn(config, key) ? (config as Record<string, unknown>)[key] : undefined;
    const named = typeof entry === 'object' && entry !== null ? (entry as { content?: unknown }).content : entry;
    if (typeof named !== 'string') return NAMES[role].map(idOf).find((id) => id !== undefined);
    const id = idOf(named);
    if (id === undefined) throw new DataError('Tokenizer.fromJSON', `the config names ${named} as ${key}, which is not in the vocabulary`);
    return id;
  };
  return { pad: find('pad'), eos: find('eos'), bos: find('bos'), unk: find('unk') };
}
