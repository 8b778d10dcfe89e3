import { checkDtype, checkFloat, checkSameDevice, checkShape, ShapeError } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { recordJoint } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { groupsFor } from './row_loads.ts';
import { embedding as kernel } from './wgsl.gen.ts';
import { wordMoves } from './word_moves.ts';

const WG = 64;

/** The parts of a table: one width and dtype, [V ≥ 1, D] in all. */
function checkTable(parts: readonly Tensor[]): { v: number; d: number } {
  const [head] = parts;
  if (!head) throw new ShapeError('embedding: table has no parts, expected at least one');
  checkShape('embedding', 'table', head, [null, null], 'one row per id');
  const d = head.shape[1]!;
  let v = 0;
  for (const part of parts) {
    checkFloat('embedding', 'table', part);
    checkShape('embedding', 'table', part, [null, d], 'rows as wide as those of the first part');
    if (part.dtype !== head.dtype) throw new ShapeError(`embedding: table has parts of ${head.dtype} and ${part.dtype}, expected one dtype`);
    v += part.shape[0]!;
  }
  if (v < 1) throw new ShapeError('embedding: table has no rows, expected at least one');
  checkSameDevice('embedding', ...parts);
  return { v, d };
}

/**
 * Rows of a table: y[...] = table[ids[...]]. The table's gradient sums the rows of equal ids in the order of their positions; it is dense [V, D].
 * An id ≥ V is an error where ids come from the host; ids in a tensor cannot be looked at without waiting, and there it takes the last row.
 * NaN and infinities of the table arrive bit for bit.
 * @param table [V, D] float, or parts [V₁, D], [V₂, D], … of one that no binding can hold, in order
 * @param ids [...] u32 tensor, or host array [N]
 * @returns [..., D]
 * @throws ShapeError when the table is not [V ≥ 1, D], its parts do not go together, ids are not u32, or a host id is out of range
 */
export function embedding(table: Tensor | readonly Tensor[], ids: Tensor | Uint32Array | readonly number[]): Tensor {
  const parts = table instanceof Tensor ? [table] : table;
  const { v, d } = checkTable(parts);
  const { device, dtype } = parts[0]!;
  if (!(ids instanceof Tensor)) {
    const bad = ids.findIndex((id: number) => !Number.isInteger(id) || id < 0 || id >= v);
    if (bad >= 0) throw new ShapeError(`embedding: ids[${bad}] is ${ids[bad]}, expected 0 to ${v - 1} (the table has ${v} rows)`);
    return embedding(parts, Tensor.from(device, ids, [ids.length], 'u32'));
  }
  checkDtype('embedding', 'ids', ids, 'u32');
  checkSameDevice('embedding', parts[0]!, ids);

  const n = ids.size;
  const { width, options } = wordMoves(dtype, d);
  const y = Tensor.empty(device, [...ids.shape, d]);
  const count = y.size / width;
  const firsts = parts.map((_, i) => parts.slice(0, i).reduce((rows, part) => rows + part.shape[0]!, 0));
  const common = { n, v, d: d / width };
  const own = (i: number) => ({ ...common, count, first: firsts[i]!, rows: parts[i]!.shape[0]! });
  if (count) parts.forEach((part, i) => { if (part.size) dispatch(device, kernel, 'forward', { ids, table: part, out: y }, own(i), groupsFor(count, WG), options); });
  return recordJoint(y, parts, (dy, needs) => {
    if (!count) return parts.map((part, i) => (needs[i] ? Tensor.zeros(device, part.shape) : undefined));
    const next = Tensor.empty(device, [n], 'u32');
    const linked = Tensor.zeros(device, [n], 'u32');
    dispatch(device, kernel, 'link', { ids, next, linked }, { ...common, count: n, first: 0, rows: v }, groupsFor(n, WG), options);
    const header = width === 4 ? 'alias Elem = vec4<f32>;' : 'alias Elem = f32;';
    return parts.map((part, i) => {
      if (!needs[i]) return undefined;
      const dtable = Tensor.zeros(device, part.shape);
      if (part.size) dispatch(device, kernel, 'backward_table', { ids, chain: next, follower: linked, dy, dtable }, own(i), groupsFor(count, WG), { header });
      return dtable;
    });
  });
}
