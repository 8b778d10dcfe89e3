import { ShapeError, checkDtype, checkFloat, checkSameDevice, checkShape } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { Tensor } from '../engine/tensor.ts';
import { groupsFor } from './row_loads.ts';
import { sample_token } from './wgsl.gen.ts';

const WG = 32;
/** Most that logits are multiplied by: further on f32 overflows, and no difference would become NaN. The largest logit has won long before. */
const COLDEST = 1e30;

/** A number, or in a plan a function that is asked before every run. */
type Changing = number | (() => number);

export interface SampleTokenOptions {
  /** Divides the logits, above 0; 1 by default. */
  readonly temperature?: Changing;
  /** How many of the largest logits stay; 0 (default): all. Equal logits at the edge all stay. */
  readonly topK?: Changing;
  /** Share of what topK left that has to stay, above 0 up to 1 (default). */
  readonly topP?: Changing;
  /** Whole number from 0 to 2^53 − 1: the same seed, rows and steps give the same tokens. */
  readonly seed: Changing;
  /** Length of the texts with the token that this step adds, from 1. */
  readonly step: Changing;
  /** Number of the first row among all that are decoded, default 0: what is drawn does not depend on how rows are batched. */
  readonly firstRow?: Changing;
  /** Token that ends a text. */
  readonly eos: number;
  /** Token that a finished row gets. */
  readonly pad: number;
}

const ask = (value: Changing): number => (typeof value === 'function' ? value() : value);
/** A uniform field of one or more settings: fixed where they are, otherwise asked again. */
const field = (changing: boolean, value: () => number): Changing => (changing ? value : value());

function checkSettings({ temperature = 1, topK = 0, topP = 1, seed, step, firstRow = 0 }: SampleTokenOptions): void {
  const [t, k, p, s] = [temperature, topK, topP, seed].map(ask) as [number, number, number, number];
  const wrong = (name: string, value: number, expected: string): never => { throw new ShapeError(`sampleToken: ${name} is ${value}, expected ${expected}`); };
  if (!(t > 0 && Number.isFinite(t))) wrong('temperature', t, 'a number above 0 (greedy decoding is a beam of width 1)');
  if (!Number.isInteger(k) || k < 0) wrong('topK', k, 'a whole number of at least 0');
  if (!(p > 0 && p <= 1)) wrong('topP', p, 'a number above 0, at most 1');
  if (!Number.isSafeInteger(s) || s < 0) wrong('seed', s, 'a whole number from 0 to 2^53 - 1');
  if (!Number.isInteger(ask(step)) || ask(step) < 1) wrong('step', ask(step), 'a whole number of at least 1');
  if (!Number.isInteger(ask(firstRow)) || ask(firstRow) < 0) wrong('firstRow', ask(firstRow), 'a whole number of at least 0');
}

/**
 * One token per row, drawn from softmax(x / temperature) restricted to the topK largest logits and then to the fewest largest that hold topP of what is left
 * (Holtzman et al. 2019, arXiv 1904.09751). The draw is a function of seed, step and row number (Philox4x32-10), and nothing else. Log-probabilities are those of
 * softmax(x), without temperature and cuts. Carries no gradient. A NaN or an infinity in a row leaves its choice open.
 * @param logits [R, V] float
 * @param state [R, 3] f32 of the step before: log-probability, length (0 = alive), key; zeros at the start
 * @param options temperature, topK, topP, seed, step, firstRow, eos, pad
 * @returns tokens [R] u32 and state [R, 3]; finished rows keep their state
 * @throws ShapeError when shapes do not fit or a setting is out of range
 */
export function sampleToken(logits: Tensor, state: Tensor, options: SampleTokenOptions): { readonly tokens: Tensor; readonly state: Tensor } {
  checkShape('sampleToken', 'logits', logits, [null, null], '[rows, vocabulary]');
  const [rows, cols] = logits.shape as readonly [number, number];
  if (cols < 1) throw new ShapeError('sampleToken: logits has 0 columns, expected at least 1');
  checkShape('sampleToken', 'state', state, [rows, 3], 'a row per row of logits');
  checkFloat('sampleToken', 'logits', logits);
  checkDtype('sampleToken', 'state', state, 'f32');
  checkSameDevice('sampleToken', logits, state);
  checkSettings(options);
  const { temperature = 1, topK = 0, topP = 1, seed, step, firstRow = 0, eos, pad } = options;
  const { device } = logits;
  const tokens = Tensor.empty(device, [rows], 'u32');
  const next = Tensor.empty(device, [rows, 3]);
  if (rows === 0) return { tokens, state: next };
  const seeded = typeof seed === 'function';
  const params = {
    rows, cols, first_row: firstRow, top_k: topK, top_p: topP, inverse_temperature: field(typeof temperature === 'function', () => Math.min(COLDEST, 1 / ask(temperature))),
    seed_low: field(seeded, () => ask(seed) % 2 ** 32), seed_high: field(seeded, () => Math.floor(ask(seed) / 2 ** 32)), step, eos, pad,
  };
  dispatch(device, sample_token, 'forward', { logits, state, tokens, state_out: next }, params, groupsFor(rows, WG), { constants: { WG } });
  return { tokens, state: next };
}
