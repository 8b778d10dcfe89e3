import { checkDtype, checkSameDevice, checkShape } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import type { Tensor } from '../engine/tensor.ts';
import { lerp } from './wgsl.gen.ts';

/**
 * Moves x towards y in place: x ← x + t (y − x). Averages weights over training (Polyak and Juditsky 1992); carries no gradient.
 * NaN and infinities as in IEEE arithmetic.
 * @param x [n...] f32, changed @param y [n...] f32 of the same shape @param t weight of y, 0 to 1; in a plan a function, asked before every run @returns nothing
 * @throws ShapeError when shapes or dtypes differ
 */
export function lerpInPlace(x: Tensor, y: Tensor, t: number | (() => number)): void {
  checkShape('lerpInPlace', 'y', y, x.shape, 'the shape of x');
  checkDtype('lerpInPlace', 'x', x, 'f32');
  checkDtype('lerpInPlace', 'y', y, 'f32');
  checkSameDevice('lerpInPlace', x, y);
  if (x.size === 0) return;
  dispatch(x.device, lerp, 'forward', { x, y }, { count: x.size, t }, Math.ceil(x.size / (64 * 64)));
}
