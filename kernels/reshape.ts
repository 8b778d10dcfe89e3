import { ShapeError, showShape } from '../engine/check.ts';
import { record } from '../engine/tape.ts';
import { size } from '../engine/tensor.ts';
import type { Shape, Tensor } from '../engine/tensor.ts';

/**
 * The same elements under another shape. Shares x's storage: nothing is copied, forward or backward.
 * NaN and infinities stay where they are.
 * @param x [...] any dtype
 * @param shape sizes with the same element count; one may be -1, which takes what is left
 * @returns [shape]
 * @throws ShapeError when the element counts differ
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const known = size(shape.filter(n => n !== -1));
  const target = shape.map(n => (n === -1 ? x.size / known : n));
  if (shape.filter(n => n === -1).length > 1 || target.some(n => !Number.isInteger(n)) || size(target) !== x.size) {
    throw new ShapeError(`reshape: shape is ${showShape(shape)}, expected the ${x.size} elements of x ${showShape(x.shape)}`);
  }
  return record(x.view(target), [[x, dy => dy.view(x.shape)]]);
}
