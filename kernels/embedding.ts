import { checkDtype, checkFloat, checkSameDevice, checkShape, ShapeError } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { record } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { groupsFor } from './row_loads.ts';
import { embedding as kernel } from './wgsl.gen.ts';
import { wordMoves } from './word_moves.ts';

const WG = 64;

/**
 * Rows of a table: y[...] = table[ids[...]]. The table's gradient sums the rows of equal ids in the order of their positions; it is dense [V, D].
 * An id ≥ V is an error where ids come from the host; ids in a tensor cannot be looked at without waiting, and there it takes the last row.
 * NaN and infinities of the table arrive bit for bit.
 * @param table [V, D] float
 * @param ids [...] u32 tensor, or host array [N]
 * @returns [..., D]
 * @throws ShapeError when the table is not [V ≥ 1, D], ids are not u32, or a host id is out of range
 */
export function embedding(table: Tensor, ids: Tensor | Uint32Array | readonly number[]): Tensor {
  const { device } = table;
  checkShape('embedding', 'table', table, [null, null], 'one row per id');
  checkFloat('embedding', 'table', table);
  const [v, d] = table.shape as [number, number];
  if (v < 1) throw new ShapeError('embedding: table has no rows, expected at least one');
  if (!(ids instanceof Tensor)) {
    const bad = ids.findIndex((id: number) => !Number.isInteger(id) || id < 0 || id >= v);
    if (bad >= 0) throw new ShapeError(`embedding: ids[${bad}] is ${ids[bad]}, expected 0 to ${v - 1} (the table has ${v} rows)`);
    return embedding(table, Tensor.from(device, ids, [ids.length], 'u32'));
  }
  checkDtype('embedding', 'ids', ids, 'u32');
  checkSameDevice('embedding', table, ids);

  const n = ids.size;
  const { width, options } = wordMoves(table.dtype, d);
  const y = Tensor.empty(device, [...ids.shape, d]);
  const count = y.size / width;
  if (count) dispatch(device, kernel, 'forward', { ids, table, out: y }, { count, n, v, d: d / width }, groupsFor(count, WG), options);
  return record(y, [[table, dy => {
    const dtable = Tensor.zeros(device, table.shape);
    if (!count) return dtable;
    const next = Tensor.empty(device, [n], 'u32');
    const linked = Tensor.zeros(device, [n], 'u32');
    dispatch(device, kernel, 'link', { ids, next, linked }, { count: n, n, v, d: d / width }, groupsFor(n, WG), options);
    const header = width === 4 ? 'alias Elem = vec4<f32>;' : 'alias Elem = f32;';
    dispatch(device, kernel, 'backward_table', { ids, chain: next, follower: linked, dy, dtable }, { count, n, v, d: d / width }, groupsFor(count, WG), { header });
    return dtable;
  }]]);
}
