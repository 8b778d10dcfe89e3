import { ShapeError, checkFloat, showShape } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { scope } from '../engine/memory.ts';
import { Tensor } from '../engine/tensor.ts';
import { column_sum } from './wgsl.gen.ts';

const CHUNK = 64;

/**
 * Column sums: y[c] = Σ_r x[r, c], the reduction behind the gradients of biases and norm weights. Runs in stages of 64 rows, in a fixed order.
 * Records no gradient: it is a part of backward passes.
 * NaN and infinities add up as in IEEE arithmetic.
 * @param x [rows, cols] float
 * @returns [cols], zeros when there are no rows
 * @throws ShapeError unless x is f32 of rank 2
 */
export function columnSum(x: Tensor): Tensor {
  checkFloat('columnSum', 'x', x);
  if (x.shape.length !== 2) throw new ShapeError(`columnSum: x has shape ${showShape(x.shape)}, expected [*, *]`);
  const { device } = x;
  const cols = x.shape[1]!;
  let rows = x.shape[0]!;
  if (rows === 0 || cols === 0) return Tensor.zeros(device, [cols]);
  return scope(() => {
    let from = x;
    do {
      const chunks = Math.ceil(rows / CHUNK);
      const y = Tensor.empty(device, chunks === 1 ? [cols] : [chunks, cols]);
      const params = { rows, cols, chunks };
      const options = { constants: { CHUNK } };
      if (cols % 4 === 0) dispatch(device, column_sum, 'forward', { x4: from, y4: y }, params, Math.ceil(chunks * cols / 256), options);
      else dispatch(device, column_sum, 'forward_ragged', { x1: from, y1: y }, params, Math.ceil(chunks * cols / 64), options);
      from = y;
      rows = chunks;
    } while (rows > 1);
    return from;
  });
}
