// Inputs that many entries share, and the sizes that a plain draw reaches too seldom.
import { size } from '../../../engine/tensor.ts';
import type { Shape } from '../../../engine/tensor.ts';
import type { Draw, Input } from '../proof.ts';

/** How activations may be stored. */
export const HALVES = ['f16', 'bf16'] as const;
/** How weights may be stored. */
const WEIGHTS = ['f16', 'bf16', 'i8', 'i4'] as const;

/** Values of any sign, stored as f32 or one of the halves. @param shape sizes @param more what else the input says @returns the input */
export const half = (shape: Shape, more: Omit<Input, 'shape' | 'kind'> = {}): Input => ({ shape, kind: 'float', storage: HALVES, ...more });

/** Values of any sign, stored in any way that weights are; without elements there are no scales. @param shape sizes @param more what else the input says @returns the input */
export const weight = (shape: Shape, more: Omit<Input, 'shape' | 'kind'> = {}): Input => ({ shape, kind: 'float', storage: size(shape) === 0 ? HALVES : WEIGHTS, ...more });

/** Values of any sign. @param shape sizes @param more what else the input says @returns the input */
export const float = (shape: Shape, more: Omit<Input, 'shape' | 'kind'> = {}): Input => ({ shape, kind: 'float', ...more });

/** Numbers below a bound. @param shape sizes @param below exclusive @returns the input */
export const ids = (shape: Shape, below: number): Input => ({ shape, kind: 'ids', below });

/** 0 or 1; now and then all of one row or of everything is 0. @param r source @param shape [B, T] @returns the input */
export function mask(r: Draw, shape: readonly [number, number]): Input {
  const [batch, tokens] = shape;
  const none = r.chance(0.1), empty = r.int(0, 2 * batch);
  return { shape, kind: 'given', dtype: 'u32', data: Array.from({ length: batch * tokens }, (_, i) => (none || Math.floor(i / tokens) === empty || r.chance(0.35) ? 0 : 1)) };
}

/** Elements of an input. @param input any @returns how many */
export const count = ({ shape }: Input): number => size(shape);

/** True with probability p, but never while a failing case is being shrunk. @param r source @param p probability @returns whether the case may be large */
export const large = (r: Draw, p: number): boolean => r.cap >= 257 && r.chance(p);

/** Leading axes [..., rows] of a row-wise op and the length of a row. @param r source @param most elements of a row @returns leading axes, columns ≥ 1 */
export function rowShape(r: Draw, most = 600): { lead: number[]; cols: number } {
  const cols = large(r, 0.1) ? r.int(258, most) : Math.max(1, r.size(1));
  const lead = r.shape(r.int(0, 3), Math.max(1, Math.floor(8192 / cols)));
  return { lead, cols };
}

/** Size of an input's axis that all rows share. @param input any @returns the last axis */
export const lastAxis = (input: Input): number => input.shape.at(-1) ?? 1;
