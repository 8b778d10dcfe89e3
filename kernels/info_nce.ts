import { checkDtype, checkFloat, checkSameDevice, checkShape, ShapeError } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import type { Device } from '../engine/device.ts';
import { scope } from '../engine/memory.ts';
import { recordJoint } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { groupsFor } from './row_loads.ts';
import { lanesFor, onceUsed, pairGradients, spans, tileOf, tileSide, wantsGradient, widened, WORKSPACE_BYTES } from './similarity_tiles.ts';
import { info_nce } from './wgsl.gen.ts';

const WG = 64;
const SEGMENT = 64;
/** Invocations of the first stage of a sum. */
const SUM_LANES = 256;

/** What `infoNCE` returns. Only `loss` carries a gradient. */
export interface InfoNCE {
  /** [1] mean of both directions. */
  readonly loss: Tensor;
  /** [1] mean over rows: each prediction picks its text. */
  readonly lossRows: Tensor;
  /** [1] mean over columns: each text picks its prediction. */
  readonly lossCols: Tensor;
  /** [N] log-sum-exp of each row of the logits. */
  readonly lseRows: Tensor;
  /** [N] log-sum-exp of each column. */
  readonly lseCols: Tensor;
}

/** Options of `infoNCE`. */
export interface InfoNCEOptions {
  /** Largest log-scale; the gradient of a larger one is zero. Default ln 100, as CLIP. */
  readonly maxLogScale?: number;
  /** [N] u32: rows with equal numbers hold the same text, and their pairs off the diagonal are no negatives. */
  readonly groups?: Tensor;
  /** Bytes of the similarity tile, the one buffer that is not O(N·D). Default 16 MiB (2048 × 2048). */
  readonly workspaceBytes?: number;
}

/** One call: sizes, inputs and how the [N, N] matrix is cut into square tiles. */
interface Job {
  readonly device: Device;
  readonly p: Tensor;
  readonly y: Tensor;
  readonly logScale: Tensor;
  readonly groups: Tensor;
  readonly n: number;
  readonly side: number;
  /** Invocations per four rows. */
  readonly lanes: number;
  readonly grouped: boolean;
  readonly maxLogScale: number;
  /** Whether the forward pass leaves its only tile for the gradient. */
  readonly keeps: boolean;
}

const NO_PARAMS = { rows: 0, cols: 0, row0: 0, col0: 0, segments: 0, count: 0, total: 0, first: 0 };

/** Launches an entry point of the file with the job's constants; `invocations` is rounded up to whole workgroups. */
function launcher({ device, grouped, maxLogScale, lanes }: Job) {
  return <E extends keyof typeof info_nce.entries>(entry: E, tensors: Parameters<typeof dispatch<typeof info_nce, E>>[3], params: Partial<typeof NO_PARAMS>, invocations: number): void => {
    const constants = { WG, LANES: lanes, SEGMENT, ...('group_of' in tensors && { GROUPED: grouped ? 1 : 0 }) };
    dispatch(device, info_nce, entry, tensors, { ...NO_PARAMS, max_log_scale: maxLogScale, ...params }, groupsFor(invocations, WG), { constants });
  };
}

/** Invocations that walk the rows of a tile. */
const rowInvocations = (rows: number, { lanes }: Job): number => Math.ceil(rows / 4) * lanes;

/** What the forward pass leaves: both softmaxes, and the tile where it is the only one and a gradient may follow. */
interface Reduced {
  /** [2, N, 4] rows, then columns; see `softened` in info_nce.wgsl. */
  readonly softened: Tensor;
  readonly lseRows: Tensor;
  readonly lseCols: Tensor;
  /** [2, N] losses of rows and columns. */
  readonly terms: Tensor;
  readonly tile: Tensor | undefined;
}

/** Walks the tiles: maximum and sum of exponentials of the negatives per row and per column, tile by tile, and the losses where they are complete. */
function reduceTiles(job: Job): Reduced {
  const { device, n, logScale, groups } = job;
  const launch = launcher(job);
  const empty = (...shape: number[]): Tensor => Tensor.empty(device, shape);
  const [running, positive] = [empty(2, n, 2), empty(n)];
  const out = { softened: empty(2, n, 4), lseRows: empty(n), lseCols: empty(n), terms: empty(2, n) };
  const all = spans(n, job.side);
  let left: Tensor | undefined;
  for (const r of all) {
    for (const c of all) {
      left = scope(() => {
        const tile = tileOf(job.p, job.y, r, c);
        const segments = Math.ceil(r.length / SEGMENT);
        const partials = empty(r.length * job.lanes + segments * c.length, 2);
        const at = { rows: r.length, cols: c.length, row0: r.start, col0: c.start, segments, total: n };
        launch('reduce', { tile, log_scale: logScale, group_of: groups, partials, positives: positive }, at, rowInvocations(r.length, job) + segments * Math.ceil(c.length / 4));
        launch('merge', { partials_in: partials, log_scale: logScale, positive, running, softened: out.softened, lse_rows: out.lseRows, lse_cols: out.lseCols, terms: out.terms }, at, r.length + c.length);
        return job.keeps ? tile : undefined;
      });
    }
    // A display driver resets a submission that takes seconds.
    if (all.length > 1) device.flush();
  }
  return { ...out, tile: left };
}

function forward(job: Job): { results: InfoNCE; softened: Tensor; tile: Tensor | undefined } {
  const { device, n } = job;
  const launch = launcher(job);
  const { softened, lseRows, lseCols, terms, tile } = reduceTiles(job);
  const count = Math.min(SUM_LANES, n);
  const sums = Tensor.empty(device, [count, 2]);
  launch('sum_terms', { terms_in: terms, sums }, { total: n, count }, count);
  const [loss, lossRows, lossCols] = [Tensor.empty(device, [1]), Tensor.empty(device, [1]), Tensor.empty(device, [1])];
  launch('mean_terms', { sums_in: sums, loss, loss_rows: lossRows, loss_cols: lossCols }, { total: n, count }, 1);
  return { results: { loss, lossRows, lossCols, lseRows, lseCols }, softened, tile };
}

/** Turns each tile in place into the gradient of the cosines, and sums the temperature's gradient on the way. */
function backward(job: Job, softened: Tensor, takeTile: () => Tensor | undefined, dloss: Tensor, needs: readonly boolean[]): (Tensor | undefined)[] {
  const { device, p, y, logScale, groups, n, side } = job;
  const launch = launcher(job);
  const scaleParts = Tensor.empty(device, [Math.ceil(Math.min(side, n) / 4), job.lanes]);
  const grads = pairGradients(p, y, side, needs, takeTile(), (gradient, r, c, first) => {
    const at = { rows: r.length, cols: c.length, row0: r.start, col0: c.start, total: n, first: first ? 1 : 0 };
    launch('backward_tile', { gradient, softened_in: softened, group_of: groups, log_scale: logScale, dloss, scale_parts: scaleParts }, at, rowInvocations(r.length, job));
  });
  return [...grads, needs[2] ? sumScale(job, scaleParts, dloss) : undefined];
}

function sumScale(job: Job, parts: Tensor, dloss: Tensor): Tensor {
  const { device, logScale, n } = job;
  const launch = launcher(job);
  const lanes = Math.min(SUM_LANES, parts.size);
  const sums = Tensor.empty(device, [lanes]);
  launch('sum_scale', { scale_parts_in: parts, scale_sums: sums }, { count: parts.size, total: lanes }, lanes);
  const dLogScale = Tensor.empty(device, [1]);
  launch('backward_scale', { scale_sums_in: sums, dloss, log_scale: logScale, dlog_scale: dLogScale }, { count: lanes, total: n }, 1);
  return dLogScale;
}

/**
 * Bidirectional InfoNCE over a batch: logits = exp(min(logScale, maxLogScale)) · p yᵀ, loss = (rows + columns) / 2, each the mean cross entropy with the
 * diagonal as target. Forward and backward hold one tile of the [N, N] matrix and O(N) besides; every sum has a fixed order. A matrix of one tile is
 * computed once for both: 6 N² D operations where 8 N² D are counted.
 * Source: spec 1.5; van den Oord et al. 2018 (arXiv 1807.03748), Radford et al. 2021 (temperature), Inf-CL (arXiv 2410.17243) for the tiling.
 * NaN or Inf in p, y or logScale makes the loss and what depends on it NaN or infinite.
 * @param p [N, D] predictions, unit rows (`l2Normalize`); what is stored smaller than f32 is widened first
 * @param y [N, D] texts, unit rows
 * @param logScale [1] f32 logarithm of 1 / temperature
 * @param options maxLogScale, groups, workspaceBytes: see `InfoNCEOptions`
 * @returns loss [1] (differentiable in p, y and logScale), lossRows [1], lossCols [1], lseRows [N], lseCols [N]
 * @throws ShapeError unless N ≥ 1, D ≥ 1 and the shapes agree
 */
export function infoNCE(p: Tensor, y: Tensor, logScale: Tensor, { maxLogScale = Math.log(100), groups, workspaceBytes = WORKSPACE_BYTES }: InfoNCEOptions = {}): InfoNCE {
  checkShape('infoNCE', 'p', p, [null, null]);
  const [n, dim] = p.shape as [number, number];
  if (n < 1 || dim < 1) throw new ShapeError(`infoNCE: p has shape [${n}, ${dim}], expected at least one row and one column`);
  checkShape('infoNCE', 'y', y, [n, dim], 'the shape of p');
  checkShape('infoNCE', 'logScale', logScale, [1]);
  for (const [name, t] of [['p', p], ['y', y]] as const) checkFloat('infoNCE', name, t);
  checkDtype('infoNCE', 'logScale', logScale, 'f32');
  if (groups) {
    checkShape('infoNCE', 'groups', groups, [n], 'one number per row of p');
    checkDtype('infoNCE', 'groups', groups, 'u32');
  }
  checkSameDevice('infoNCE', p, y, logScale, groups);

  if (p.dtype !== 'f32' || y.dtype !== 'f32') return infoNCE(widened(p), widened(y), logScale, { maxLogScale, workspaceBytes, ...(groups && { groups }) }); // tiles start at rows, where small elements cannot be bound
  const { device } = p;
  const side = tileSide(n, workspaceBytes);
  const job: Job = {
    device, p, y, logScale, n, maxLogScale, side, lanes: lanesFor(device), keeps: side === n && wantsGradient(p, y, logScale),
    groups: groups ?? Tensor.empty(device, [0], 'u32'), grouped: groups !== undefined,
  };
  const { results, softened, tile } = scope(() => forward(job));
  const takeTile = onceUsed(tile);
  recordJoint(results.loss, [p, y, logScale], (dloss, needs) => backward(job, softened, takeTile, dloss, needs));
  return results;
}
