import { checkFloat, checkSameDevice, checkShape, ShapeError, showShape } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { scope } from '../engine/memory.ts';
import { noGrad } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { l2Loss } from './regression_loss.ts';
import { groupsFor } from './row_loads.ts';
import { spans, tileOf, tileSide, widened, WORKSPACE_BYTES } from './similarity_tiles.ts';
import { uniformity as kernel } from './wgsl.gen.ts';

const WG = 64;
const LANES = 32;
/** States that one invocation joins. */
const JOINED = 64;
const NO_PARAMS = { rows: 0, cols: 0, row0: 0, col0: 0, first: 0, count: 0, pairs: 0, t: 0 };

/**
 * Alignment of pairs: mean over rows of |x_i − y_i|², 0 where all agree, 2 for unrelated unit rows. A meter, differentiable all the same.
 * Source: Wang & Isola 2020 (arXiv 2005.10242), equation 3 with exponent 2; spec 1.5.
 * @param x [N, D] float predictions, unit rows
 * @param y [N, D] float texts, unit rows
 * @returns [1]
 * @throws ShapeError unless N ≥ 1, D ≥ 1 and the shapes agree
 */
export function alignment(x: Tensor, y: Tensor): Tensor {
  if (x.shape.length !== 2 || x.size < 1) throw new ShapeError(`alignment: x has shape ${showShape(x.shape)}, expected [N, D] with at least one element`);
  checkShape('alignment', 'y', y, x.shape, 'the shape of x');
  checkSameDevice('alignment', x, y);
  return l2Loss(x, y, { reduction: 'sum' });
}

/**
 * Uniformity of a set: log of the mean over pairs i < j of exp(−t |x_i − x_j|²); 0 where all rows are one point, near −2t for unit rows spread in many dimensions.
 * Holds one tile of the [N, N] matrix. A meter: it records no gradient. Source: Wang & Isola 2020 (arXiv 2005.10242), equation 4; spec 1.5.
 * @param x [N, D] float, unit rows
 * @param options t, default 2; workspaceBytes of the tile, default 16 MiB
 * @returns [1]
 * @throws ShapeError unless N ≥ 2, D ≥ 1 and t > 0
 */
export function uniformity(x: Tensor, { t = 2, workspaceBytes = WORKSPACE_BYTES }: { t?: number; workspaceBytes?: number } = {}): Tensor {
  const [n, dim] = x.shape;
  if (x.shape.length !== 2 || n! < 2 || dim! < 1) throw new ShapeError(`uniformity: x has shape ${showShape(x.shape)}, expected [N, D] with at least two rows (a pair) and one column`);
  if (!(t > 0) || !Number.isFinite(t)) throw new ShapeError(`uniformity: t is ${t}, expected a number > 0`);
  checkFloat('uniformity', 'x', x);
  return scope(() => noGrad(() => meanPotential(widened(x), n!, dim!, t, workspaceBytes)));
}

function meanPotential(x: Tensor, n: number, dim: number, t: number, workspaceBytes: number): Tensor {
  const { device } = x;
  const side = tileSide(n, workspaceBytes);
  const all = spans(n, side);
  const options = { constants: { WG, LANES } };
  const squares = Tensor.empty(device, [n]);
  dispatch(device, kernel, 'squared_lengths', { points: x, lengths: squares }, { ...NO_PARAMS, rows: n, cols: dim }, groupsFor(n, WG), { constants: { WG } });
  let parts = Tensor.empty(device, [side, LANES, 2]);
  for (const r of all) {
    for (const c of all) {
      if (c.start < r.start) continue; // below the diagonal
      scope(() => {
        const at = { ...NO_PARAMS, rows: r.length, cols: c.length, row0: r.start, col0: c.start, first: c.start ? 0 : 1, t };
        dispatch(device, kernel, 'reduce', { tile: tileOf(x, x, r, c), squares, parts }, at, groupsFor(r.length * LANES, WG), options);
      });
    }
    if (all.length > 1) device.flush(); // a display driver resets a submission that takes seconds
  }
  for (let count = side * LANES; count > 1; ) {
    const rows = Math.ceil(count / JOINED);
    const next = Tensor.empty(device, [rows, 2]);
    dispatch(device, kernel, 'merge', { parts_in: parts, parts: next }, { ...NO_PARAMS, rows, count }, groupsFor(rows, WG), { constants: { WG } });
    parts = next;
    count = rows;
  }
  const value = Tensor.empty(device, [1]);
  dispatch(device, kernel, 'finish', { parts_in: parts, value }, { ...NO_PARAMS, pairs: (n * (n - 1)) / 2 }, 1);
  return value;
}
