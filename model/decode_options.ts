/** How texts are decoded: the settings of greedy decoding, beam search and sampling, checked. */
import { ShapeError } from '../engine/check.ts';

export type DecodeMethod = 'greedy' | 'beam' | 'sample';

/** What callers may say; what a method does not use is refused, so that nothing is passed over. */
export interface DecodeOptions {
  /** Default 'greedy'. */
  readonly method?: DecodeMethod;
  /** Tokens at most, end token included; the config's by default. */
  readonly maxTokens?: number;
  /** Vectors at a time, default 32. */
  readonly batchSize?: number;
  /** beam: beams per vector, 1 to 16, default 4. */
  readonly width?: number;
  /** beam: exponent of the length by which log-probabilities are divided, default 0. */
  readonly lengthPenalty?: number;
  /** beam: texts per vector that `hypotheses` gives, at most `width`; sample: texts drawn per vector. Default 1. */
  readonly nBest?: number;
  /** sample: divides the logits, default 1. */
  readonly temperature?: number;
  /** sample: how many of the largest logits stay, 0 (default): all. */
  readonly topK?: number;
  /** sample: share of the probability that has to stay, default 1. */
  readonly topP?: number;
  /** sample: equal seeds give equal texts, default 0. */
  readonly seed?: number;
}

/** The same with every default put in. */
export interface DecodeSettings {
  readonly method: DecodeMethod;
  readonly maxTokens: number;
  readonly batchSize: number;
  /** Rows per vector: beams, or draws. */
  readonly width: number;
  readonly nBest: number;
  readonly lengthPenalty: number;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly seed: number;
}

const MOST_BEAMS = 16;
const USES: Readonly<Record<DecodeMethod, readonly string[]>> = { greedy: [], beam: ['width', 'lengthPenalty', 'nBest'], sample: ['temperature', 'topK', 'topP', 'seed', 'nBest'] };
const SHARED: readonly string[] = ['method', 'maxTokens', 'batchSize'];

/**
 * Checks settings and puts defaults in.
 *
 * @param options as given
 * @param most tokens of a text at most
 * @throws ShapeError that names the setting, what was expected and what came
 */
export function decodeSettings(options: DecodeOptions, most: number): DecodeSettings {
  const { method = 'greedy' } = options;
  const refuse = (name: string, value: unknown, expected: string): never => { throw new ShapeError(`decode: ${name} is ${String(value)}, expected ${expected}`); };
  if (!Object.hasOwn(USES, method)) refuse('method', method, 'greedy, beam or sample');
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined && !SHARED.includes(name) && !USES[method].includes(name)) refuse(name, value, `it with ${Object.entries(USES).filter(([, used]) => used.includes(name)).map(([m]) => `method ${m}`).join(' or ') || 'no method'}, not with ${method}`);
  }
  const whole = (name: 'maxTokens' | 'batchSize' | 'width' | 'nBest' | 'topK', fallback: number, least: number, top = Infinity): number => {
    const value = options[name] ?? fallback;
    return Number.isInteger(value) && value >= least && value <= top ? value : refuse(name, value, `a whole number ${top === Infinity ? `of at least ${least}` : `from ${least} to ${top}`}`);
  };
  const width = whole('width', method === 'beam' ? 4 : 1, 1, MOST_BEAMS);
  const nBest = whole('nBest', 1, 1, method === 'beam' ? width : 64);
  const { lengthPenalty = 0, temperature = 1, topP = 1, seed = 0 } = options;
  if (!Number.isFinite(lengthPenalty) || lengthPenalty < 0) refuse('lengthPenalty', lengthPenalty, 'a number of at least 0');
  if (!Number.isFinite(temperature) || temperature <= 0) refuse('temperature', temperature, 'a number above 0 (method greedy takes the likeliest token)');
  if (!(topP > 0 && topP <= 1)) refuse('topP', topP, 'a number above 0, at most 1');
  if (!Number.isSafeInteger(seed) || seed < 0) refuse('seed', seed, 'a whole number from 0 to 2^53 - 1');
  return {
    method, width: method === 'sample' ? nBest : width, nBest, lengthPenalty, temperature, topP, seed,
    maxTokens: whole('maxTokens', most, 1, most), batchSize: whole('batchSize', 32, 1), topK: whole('topK', 0, 0),
  };
}
