import { DataError } from './errors.ts';
import { textCutter, type TextCutter } from './text_cutter.ts';

/** A parsed object of a file. */
export type Json = Record<string, unknown>;

const WHERE = 'Tokenizer.fromJSON';

/** The stages of a file around its model. */
export interface Stages {
  readonly normalizer: Json | null;
  /** The Unicode normal form with which normalisation begins, if it does. */
  readonly form: string | undefined;
  readonly decoder: Json | null;
  readonly cut: TextCutter;
}

/**
 * The stages of a `tokenizer.json` around its model; normalizer and decoder in a form that @huggingface/tokenizers runs exactly as the Rust package does.
 * @param json the file
 * @returns normalizer and decoder for the package, and what cuts a text into pieces
 * @throws DataError for a stage that is not done exactly, and for a pattern that is not on the list of those known to be fast
 */
export function checkStages(json: Json): Stages {
  const normalizer = sequence(json.normalizer, 'normalizer', 'normalizers', normalizerPart);
  const spaceless = JSON.stringify(normalizer) === '{"type":"Replace","pattern":{"String":" "},"content":"▁"}';
  return { normalizer, form: firstForm(normalizer), decoder: sequence(json.decoder, 'decoder', 'decoders', decoderPart), cut: textCutter(json.pre_tokenizer, spaceless) };
}

function firstForm(stage: Json | null): string | undefined {
  if (stage?.type === 'Sequence') return firstForm(((stage.normalizers as Json[])[0] ?? null));
  return /^NFK?[CD]$/.test(String(stage?.type)) ? String(stage!.type) : undefined;
}

/** Applies `one` to a stage, or to all parts of a Sequence; a part may become none or several. */
function sequence(stage: unknown, name: string, list: string, one: (part: Json) => Json[]): Json | null {
  if (stage === null || stage === undefined) return null;
  const part = stage as Json;
  if (typeof part !== 'object' || typeof part.type !== 'string') throw new DataError(WHERE, `expected "${name}" to be an object with a "type", got ${JSON.stringify(stage)}`);
  if (part.type === 'Sequence') {
    if (!Array.isArray(part[list])) throw new DataError(WHERE, `expected a list "${list}" in the Sequence of "${name}", got ${typeof part[list]}`);
    return { type: 'Sequence', [list]: (part[list] as unknown[]).map((inner) => sequence(inner, name, list, one)).filter(Boolean) };
  }
  const parts = one(part);
  return parts.length === 1 ? parts[0]! : parts.length === 0 ? null : { type: 'Sequence', [list]: parts };
}

/**
 * Refuses a part of a stage.
 * @param stage its name
 * @param part what the file has
 * @param expected what is done exactly
 * @throws DataError
 */
export function refuse(stage: string, part: Json, expected: string): never {
  const text = JSON.stringify(part);
  throw new DataError(WHERE, `the ${stage} ${text.length > 160 ? `${text.slice(0, 157)}...` : text} is not known, expected ${expected}`);
}

/**
 * @param stage name of the stage
 * @param part with a field `pattern`
 * @param known whether a regular expression is on the list
 * @returns the text or the expression of its pattern
 * @throws DataError when there is none, or it is not on the list
 */
export function patternOf(stage: string, part: Json, known: (regex: string) => boolean): { readonly String?: string; readonly Regex?: string } {
  const pattern = part.pattern as Json | null | undefined;
  if (typeof pattern?.String === 'string' && pattern.String !== '') return { String: pattern.String };
  if (typeof pattern?.Regex !== 'string') return refuse(stage, part, 'a pattern {"String": …} or {"Regex": …}');
  if (!known(pattern.Regex)) throw new DataError(WHERE, `the pattern ${JSON.stringify(pattern.Regex)} is not on the list of those known to be fast`);
  return { Regex: pattern.Regex };
}

const none = (): boolean => false;
const replace = (from: string, to: string): Json => ({ type: 'Replace', pattern: { String: from }, content: to });

function normalizerPart(part: Json): Json[] {
  if (['NFC', 'NFD', 'NFKC', 'NFKD', 'StripAccents'].includes(part.type as string)) return [{ type: part.type }];
  if (part.type === 'Lowercase') return [replace('Σ', 'σ'), part]; // the reference knows no final sigma
  if (part.type === 'Prepend' && typeof part.prepend === 'string') return [part];
  if (part.type !== 'Replace' || typeof part.content !== 'string') refuse('normalizer', part, 'Replace, Prepend, Lowercase, StripAccents or a Unicode form');
  return [{ type: 'Replace', pattern: patternOf('normalizer', part, none), content: part.content }];
}

function decoderPart(part: Json): Json[] {
  const { type } = part;
  if (type === 'Replace' && typeof part.content === 'string') return [{ type, pattern: patternOf('decoder', part, none), content: part.content }];
  if (['Fuse', 'Strip', 'ByteLevel'].includes(type as string) || (type === 'Metaspace' && (part.prepend_scheme ?? 'always') === 'always')) return [part];
  if (type === 'ByteFallback') return [part]; // inside a Sequence, see byte_decoder.ts
  return refuse('decoder', part, 'Replace, ByteFallback, Fuse, Strip, ByteLevel or Metaspace');
}
