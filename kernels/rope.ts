import { ShapeError, checkDtype, checkFloat, checkSameDevice, checkShape, showShape } from '../engine/check.ts';
import type { Device } from '../engine/device.ts';
import { dispatch } from '../engine/dispatch.ts';
import { record } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { groupsFor, rowLoads, rowOptions } from './row_loads.ts';
import { rope as halves, rope_adjacent as adjacent } from './wgsl.gen.ts';

/** Cosines and sines per token and element, f32 [T, Dh] each. */
export interface RopeTable {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** Which elements of a head turn together: 'half' (i, i + Dh/2) or 'adjacent' (2k, 2k + 1). */
export type RopePairs = 'half' | 'adjacent';

/** Frequency scaling of Llama 3 checkpoints (spec 3.4; `rope_scaling` of type llama3). */
export interface RopeScaling {
  factor: number;
  lowFreqFactor: number;
  highFreqFactor: number;
  /** Context length of the pretraining, in tokens. */
  originalMaxPositions: number;
}

const WG = 64;

/**
 * Rotary position embedding (Su et al. 2021, arXiv 2104.09864) with one table entry per element.
 * half: y_i = x_i cos_i − x_(i+h) sin_i, y_(i+h) = x_(i+h) cos_(i+h) + x_i sin_(i+h), h = Dh/2; adjacent: the same with i = 2k and i + h = 2k + 1.
 * The gradient is the transpose of this map; with the V-JEPA 2 table (spec 2.4) that differs from the inverse rotation.
 * NaN and infinities as in IEEE arithmetic, within their pair.
 * @param x [B, T, H, Dh] f32, Dh even
 * @param table cos and sin f32 [T', Dh], T' ≥ T; token t uses row t
 * @param options pairs: 'half' (Llama, Gemma) or 'adjacent' (V-JEPA 2)
 * @returns [B, T, H, Dh]
 * @throws ShapeError when Dh is odd or the table does not fit
 */
export function rope(x: Tensor, table: RopeTable, { pairs }: { pairs: RopePairs }): Tensor {
  checkShape('rope', 'x', x, [null, null, null, null], '[B, T, H, Dh]');
  const [, tokens, heads, headDim] = x.shape as readonly [number, number, number, number];
  if (headDim % 2 !== 0 || headDim === 0) throw new ShapeError(`rope: x has shape ${showShape(x.shape)}, expected an even head dimension`);
  for (const [name, t] of [['table.cos', table.cos], ['table.sin', table.sin]] as const) {
    checkShape('rope', name, t, [null, headDim], 'a row per token and an entry per element of x', x);
    if (t.shape[0]! < tokens) throw new ShapeError(`rope: ${name} has shape ${showShape(t.shape)}, expected at least ${tokens} rows, the tokens of x ${showShape(x.shape)}`);
    checkDtype('rope', name, t, 'f32');
  }
  checkFloat('rope', 'x', x);
  checkSameDevice('rope', x, table.cos, table.sin);
  if (pairs !== 'half' && pairs !== 'adjacent') throw new ShapeError(`rope: pairs is ${String(pairs)}, expected half or adjacent`);

  const apply = (input: Tensor, entry: 'forward' | 'backward_x'): Tensor => {
    const { device } = input;
    const y = Tensor.empty(device, input.shape);
    if (input.size === 0) return y;
    const tensors = { cosines: table.cos, sines: table.sin, y };
    if (pairs === 'adjacent') {
      dispatch(device, adjacent, entry, { x2: input, ...tensors }, { pairs: input.size / 2, heads, tokens, half: headDim / 2 }, groupsFor(input.size / 2, WG), { constants: { WG } });
    } else {
      const loads = rowLoads(headDim / 2);
      dispatch(device, halves, entry, { x: input, ...tensors }, { rows: input.size / headDim, heads, tokens, head_dim: headDim },
        groupsFor(input.size / (2 * loads.width), WG), rowOptions(loads, WG));
    }
    return y;
  };
  return record(apply(x, 'forward'), [[x, dy => apply(dy, 'backward_x')]]);
}

/**
 * Frequencies theta^(−2i/Dh) for i < Dh/2, with Llama 3's scaling where given: wavelengths 2π/f above original/low are stretched by `factor`, those below
 * original/high are kept, and in between the two are blended linearly in original/wavelength (spec 3.4).
 * @param headDim even @param theta base @param scaling Llama 3 numbers @returns [Dh/2] radians per token, float64
 */
export function ropeFrequencies(headDim: number, theta: number, scaling?: RopeScaling): Float64Array {
  return Float64Array.from({ length: headDim / 2 }, (_, i) => {
    const f = theta ** ((-2 * i) / headDim);
    if (!scaling) return f;
    const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
    const turns = (originalMaxPositions * f) / (2 * Math.PI);
    if (turns > highFreqFactor) return f;
    if (turns < lowFreqFactor) return f / factor;
    const s = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
    return ((1 - s) * f) / factor + s * f;
  });
}

/** Uploads the table of `angle(token, element)`, rounded to f32 once. */
function tableOf(device: Device, tokens: number, headDim: number, angle: (t: number, e: number) => number): RopeTable {
  const cos = new Float32Array(tokens * headDim), sin = new Float32Array(tokens * headDim);
  for (let t = 0; t < tokens; t++) {
    for (let e = 0; e < headDim; e++) {
      const a = angle(t, e);
      cos[t * headDim + e] = Math.cos(a);
      sin[t * headDim + e] = Math.sin(a);
    }
  }
  return { cos: Tensor.from(device, cos, [tokens, headDim]), sin: Tensor.from(device, sin, [tokens, headDim]) };
}

function checkHeadDim(op: string, headDim: number): void {
  if (!Number.isInteger(headDim) || headDim < 2 || headDim % 2 !== 0) throw new ShapeError(`${op}: headDim is ${headDim}, expected an even number of at least 2`);
}

/**
 * Table for positions 0..tokens−1 and pairs 'half': elements i and i + Dh/2 share the angle t · f_i. Computed in float64.
 * @param device where @param options tokens, headDim (even), theta (10,000 and up), scaling of Llama 3 checkpoints @returns cos, sin [tokens, headDim]
 * @throws ShapeError when headDim is odd
 */
export function ropeTable1d(device: Device, { tokens, headDim, theta, scaling }: { tokens: number; headDim: number; theta: number; scaling?: RopeScaling }): RopeTable {
  checkHeadDim('ropeTable1d', headDim);
  const f = ropeFrequencies(headDim, theta, scaling);
  return tableOf(device, tokens, headDim, (t, e) => t * f[e % f.length]!);
}

/** Elements per axis of the 3-D table (spec 2.4). @param headDim elements per head @returns 2 ⌊⌊Dh/3⌋/2⌋ */
export const ropeAxisWidth = (headDim: number): number => 2 * Math.floor(Math.floor(headDim / 3) / 2);

/**
 * Table of V-JEPA 2 for a grid of time × rows × columns and pairs 'adjacent' (spec 2.4). The head's first three blocks of `ropeAxisWidth` elements turn with
 * time, row and column; the rest stays (cos 1, sin 0). Within a block of width w, element j turns by p · 10000^(−(j mod w/2)/(w/2)): the released weights
 * were trained with the frequencies tiled, not interleaved, so the two elements of a pair turn by different angles. Computed in float64.
 * @param device where @param options grid [time, rows, columns] in tokens, headDim (even) @returns cos, sin [time·rows·columns, headDim]
 * @throws ShapeError when headDim is odd
 */
export function ropeTable3d(device: Device, { grid, headDim }: { grid: readonly [number, number, number]; headDim: number }): RopeTable {
  checkHeadDim('ropeTable3d', headDim);
  const [times, rows, cols] = grid;
  const width = ropeAxisWidth(headDim);
  const omega = ropeFrequencies(width, 10_000);
  return tableOf(device, times * rows * cols, headDim, (t, e) => {
    const axis = Math.floor(e / width);
    if (width === 0 || axis > 2) return 0;
    const position = [Math.floor(t / (rows * cols)), Math.floor(t / cols) % rows, t % cols][axis]!;
    return position * omega[(e % width) % omega.length]!;
  });
}
