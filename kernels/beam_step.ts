import { ShapeError, checkDtype, checkFloat, checkSameDevice, checkShape, showShape } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { Tensor } from '../engine/tensor.ts';
import { groupsFor } from './row_loads.ts';
import { beam_step } from './wgsl.gen.ts';

const WG = 32;
/** MOST of the shader. */
const MOST_BEAMS = 16;
/** Columns of a chunk: short vocabularies stay whole on adapters without parallel lanes to fill, long ones are cut. */
const CHUNK = 512;

/** Log-probability of a beam that does not exist yet: the first step has one beam per group, and its continuations push the others out. */
export const NO_BEAM = -1e30;

export interface BeamStepOptions {
  /** Beams per group, 1 to 16; 1 is greedy decoding. */
  readonly width: number;
  /** Token that ends a text. */
  readonly eos: number;
  /** Token that a finished beam gets. */
  readonly pad: number;
  /** Length of the beams that this step makes, from 1; in a plan a function, asked before every run. */
  readonly step: number | (() => number);
  /** Exponent α of the length: beams are ranked by log-probability / lengthᵅ. Default 0; in a plan a function. */
  readonly lengthPenalty?: number | (() => number);
}

/** What a step chose, best beam of each group first. */
export interface BeamStep {
  /** [R] u32 */
  readonly tokens: Tensor;
  /** [R] u32, the row that each beam continues. */
  readonly parents: Tensor;
  /** [R, 3]: log-probability, length (0 = alive, otherwise with its end token), key by which it was ranked. */
  readonly state: Tensor;
}

const ask = (value: number | (() => number)): number => (typeof value === 'function' ? value() : value);

/**
 * One step of beam search, `width` rows per group: candidates are s_r + log softmax(x_r)[c] for every column of a beam that is alive, ranked by their log-probability over
 * stepᵅ (Wu et al. 2016, arXiv 1609.08144, with lengthᵅ), and every finished beam with the key it finished with. Of equal keys the earlier row wins, then the lower column.
 * Carries no gradient. A NaN or an infinity in a row leaves the choice of its group open.
 * @param logits [R, V] float, R a multiple of width
 * @param state [R, 3] f32 of the step before: log-probability, length, key; at the start 0, 0, 0 for the first row of a group and NO_BEAM, 0, NO_BEAM for the others
 * @param options width, eos, pad, step, lengthPenalty
 * @returns tokens [R], parents [R], state [R, 3]
 * @throws ShapeError when shapes do not fit, or width is not 1 to 16 and at most V
 */
export function beamStep(logits: Tensor, state: Tensor, { width, eos, pad, step, lengthPenalty = 0 }: BeamStepOptions): BeamStep {
  checkShape('beamStep', 'logits', logits, [null, null], '[rows, vocabulary]');
  const [rows, cols] = logits.shape as readonly [number, number];
  checkShape('beamStep', 'state', state, [rows, 3], 'a row per row of logits');
  checkFloat('beamStep', 'logits', logits);
  checkDtype('beamStep', 'state', state, 'f32');
  checkSameDevice('beamStep', logits, state);
  if (!Number.isInteger(width) || width < 1 || width > Math.min(MOST_BEAMS, Math.max(1, cols))) throw new ShapeError(`beamStep: width is ${width}, expected 1 to ${Math.min(MOST_BEAMS, cols)} (at most 16, and at most the ${cols} columns of logits)`);
  if (rows % width !== 0 || (rows > 0 && cols < 1)) throw new ShapeError(`beamStep: logits has shape ${showShape(logits.shape)}, expected a multiple of ${width} rows and at least one column`);
  if (!(ask(step) >= 1) || !Number.isFinite(ask(lengthPenalty))) throw new ShapeError(`beamStep: step is ${ask(step)} and lengthPenalty ${ask(lengthPenalty)}, expected a step of at least 1 and a number`);

  const { device } = logits;
  const chunks = Math.ceil(cols / CHUNK);
  const out = { tokens: Tensor.empty(device, [rows], 'u32'), parents: Tensor.empty(device, [rows], 'u32'), state: Tensor.empty(device, [rows, 3]) };
  if (rows === 0) return out;
  const changing = typeof step === 'function' || typeof lengthPenalty === 'function';
  const weight = (): number => ask(step) ** -ask(lengthPenalty);
  const params = { rows, groups: rows / width, cols, width, chunk: CHUNK, chunks, eos, pad, step, weight: changing ? weight : weight() };
  const sums = Tensor.empty(device, [rows, chunks, 2]);
  const values = Tensor.empty(device, [rows, chunks, width]);
  const columns = Tensor.empty(device, [rows, chunks, width], 'u32');
  const options = { constants: { WG } };
  dispatch(device, beam_step, 'best', { logits, sums, values, columns }, params, groupsFor(rows * chunks, WG), options);
  dispatch(device, beam_step, 'merge', { sums_in: sums, values_in: values, columns_in: columns, state, tokens: out.tokens, parents: out.parents, state_out: out.state }, params, groupsFor(params.groups, WG), options);
  for (const t of [sums, values, columns]) t.dispose();
  return out;
}
