import { ShapeError, checkDtype, checkSameDevice, checkShape } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { DTYPE_BITS, Tensor } from '../engine/tensor.ts';
import { groupsFor } from './row_loads.ts';
import { cache_rows } from './wgsl.gen.ts';
import { wordMoves } from './word_moves.ts';

const WG = 64;

/** A place among rows: a number, or in a plan a function that is asked before every run. */
export type Position = number | (() => number);

/** The position, checked again whenever it is asked for. */
function within(op: string, position: Position, tokens: number, length: number): () => number {
  return () => {
    const at = typeof position === 'function' ? position() : position;
    if (!Number.isInteger(at) || at < 0 || at + tokens > length) throw new ShapeError(`${op}: position is ${at}, expected 0 to ${length - tokens} (${tokens} of ${length} rows)`);
    return at;
  };
}

function paramsOf(op: string, position: Position, tokens: number, rows: Tensor, size: number): { params: { count: number; tokens: number; width: number; length: number; position: number | (() => number) }; options: { header: string } } {
  const [, length, cols] = rows.shape as readonly [number, number, number];
  if (DTYPE_BITS[rows.dtype] !== 32) throw new ShapeError(`${op}: the rows are ${rows.dtype}, expected f32, u32 or i32`);
  const at = within(op, position, tokens, length);
  const first = at();
  const { width, options } = wordMoves(rows.dtype, cols);
  return { params: { count: size / width, tokens, width: cols / width, length, position: typeof position === 'function' ? at : first }, options };
}

/**
 * Writes rows in place: cache[b, position + t] = x[b, t], the other rows stay. With a function as position a plan appends to a key-value cache, one place further at
 * every run (Pope et al. 2022, arXiv 2211.05102). Carries no gradient. NaN and infinities arrive bit for bit.
 * @param cache [B, L, W] of words, changed @param x [B, T, W] of the same dtype @param position first row that is written, 0 to L − T; in a plan a function, asked before every run
 * @returns nothing
 * @throws ShapeError when shapes or dtypes differ, or the position is out of range, also at a later run of a plan
 */
export function writeRows(cache: Tensor, x: Tensor, position: Position): void {
  checkShape('writeRows', 'cache', cache, [null, null, null], '[B, L, W]');
  const [batch, , cols] = cache.shape as readonly [number, number, number];
  checkShape('writeRows', 'x', x, [batch, null, cols], 'the batch and width of cache');
  checkDtype('writeRows', 'x', x, cache.dtype);
  checkSameDevice('writeRows', cache, x);
  if (x.size && x.storage === cache.storage) throw new ShapeError('writeRows: x lies in the storage of cache, expected rows of their own (WebGPU lets no kernel read and write one buffer)');
  const { params, options } = paramsOf('writeRows', position, x.shape[1]!, cache, x.size);
  if (x.size) dispatch(cache.device, cache_rows, 'write_rows', { x, cache }, params, groupsFor(params.count, WG), options);
}

/**
 * Copies rows out: y[b, t] = rows[b, position + t], for example the row of a RoPE table at the position of the newest token. Carries no gradient. NaN and infinities arrive bit for bit.
 * @param rows [B, L, W] of words @param position first row that is read, 0 to L − count; in a plan a function, asked before every run @param count T
 * @returns [B, T, W]
 * @throws ShapeError when the position is out of range, also at a later run of a plan
 */
export function readRows(rows: Tensor, position: Position, count: number): Tensor {
  checkShape('readRows', 'rows', rows, [null, null, null], '[B, L, W]');
  const [batch, , cols] = rows.shape as readonly [number, number, number];
  if (!Number.isInteger(count) || count < 0) throw new ShapeError(`readRows: count is ${count}, expected a whole number of at least 0`);
  const out = Tensor.empty(rows.device, [batch, count, cols], rows.dtype);
  const { params, options } = paramsOf('readRows', position, count, rows, out.size);
  if (out.size) dispatch(rows.device, cache_rows, 'read_rows', { rows, out }, params, groupsFor(params.count, WG), options);
  return out;
}
