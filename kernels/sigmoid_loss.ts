import { checkDtype, checkFloat, checkSameDevice, checkShape, ShapeError } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { scope } from '../engine/memory.ts';
import { noGrad, recordJoint } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { scale } from './elementwise.ts';
import { groupsFor } from './row_loads.ts';
import { lanesFor, onceUsed, pairGradients, spans, tileOf, tileSide, wantsGradient, widened, WORKSPACE_BYTES } from './similarity_tiles.ts';
import { sum } from './sum.ts';
import { sigmoid_loss } from './wgsl.gen.ts';

const WG = 64;
/** exp of more overflows f32 in the logits. */
const MAX_LOG_SCALE = 80;

/** Options of `sigmoidLoss`. */
export interface SigmoidLossOptions {
  /** Largest log-scale; the gradient of a larger one is zero. Default 80, where f32 ends: the paper does not clamp. */
  readonly maxLogScale?: number;
  /** [N] u32: rows with equal numbers hold the same text, and their pairs off the diagonal are left out. */
  readonly groups?: Tensor;
  /** Bytes of the similarity tile, the one buffer that is not O(N·D). Default 16 MiB (2048 × 2048). */
  readonly workspaceBytes?: number;
}

function check(p: Tensor, y: Tensor, logScale: Tensor, bias: Tensor, groups: Tensor | undefined): void {
  checkShape('sigmoidLoss', 'p', p, [null, null]);
  const [n, dim] = p.shape as [number, number];
  if (n < 1 || dim < 1) throw new ShapeError(`sigmoidLoss: p has shape [${n}, ${dim}], expected at least one row and one column`);
  checkShape('sigmoidLoss', 'y', y, [n, dim], 'the shape of p');
  checkShape('sigmoidLoss', 'logScale', logScale, [1]);
  checkShape('sigmoidLoss', 'bias', bias, [1]);
  for (const [name, t] of [['p', p], ['y', y]] as const) checkFloat('sigmoidLoss', name, t);
  for (const [name, t] of [['logScale', logScale], ['bias', bias]] as const) checkDtype('sigmoidLoss', name, t, 'f32');
  if (groups) {
    checkShape('sigmoidLoss', 'groups', groups, [n], 'one number per row of p');
    checkDtype('sigmoidLoss', 'groups', groups, 'u32');
  }
  checkSameDevice('sigmoidLoss', p, y, logScale, bias, groups);
}

/**
 * SigLIP's pairwise sigmoid loss: logits l = exp(min(logScale, maxLogScale)) · p yᵀ + bias, loss = −1/N Σ_ij log sigmoid(z_ij l_ij), z = 1 on the diagonal, −1 off it.
 * Forward and backward hold one tile of the [N, N] matrix and O(N) besides; a matrix of one tile is computed once for both. Every sum has a fixed order.
 * Source: Zhai et al. 2023 (arXiv 2303.15343), algorithm 1, which begins with logScale = ln 10 and bias = −10.
 * @param predictions [N, D] p, unit rows (`l2Normalize`); what is stored smaller than f32 is widened first
 * @param texts [N, D] y, unit rows
 * @param logScale [1] f32 logarithm of the scale
 * @param bias [1] f32 added to every logit
 * @param options maxLogScale, groups, workspaceBytes: see `SigmoidLossOptions`
 * @returns [1] the loss, differentiable in predictions, texts, logScale and bias
 * @throws ShapeError unless N ≥ 1, D ≥ 1 and the shapes agree
 */
export function sigmoidLoss(predictions: Tensor, texts: Tensor, logScale: Tensor, bias: Tensor, { maxLogScale = MAX_LOG_SCALE, groups, workspaceBytes = WORKSPACE_BYTES }: SigmoidLossOptions = {}): Tensor {
  check(predictions, texts, logScale, bias, groups);
  const [p, y] = [widened(predictions), widened(texts)];
  const { device } = p;
  const n = p.shape[0]!;
  const side = tileSide(n, workspaceBytes);
  const all = spans(n, side);
  const shared = { log_scale: logScale, bias, group_of: groups ?? Tensor.empty(device, [0], 'u32') };
  const lanes = lanesFor(device);
  const options = { constants: { WG, LANES: lanes, GROUPED: groups ? 1 : 0 } };
  const fixed = { total: n, max_log_scale: Math.min(maxLogScale, MAX_LOG_SCALE) };
  const quads = (rows: number): number => Math.ceil(rows / 4);
  const groupsOf = (rows: number): number => groupsFor(quads(rows) * lanes, WG);
  const sums = (): Tensor => Tensor.empty(device, [quads(side), lanes]);
  const keeps = all.length === 1 && wantsGradient(p, y, logScale, bias);

  const { loss, tile } = scope(() => noGrad(() => {
    const parts = sums();
    let left: Tensor | undefined;
    for (const r of all) {
      for (const c of all) {
        left = scope(() => {
          const tile = tileOf(p, y, r, c);
          const at = { rows: r.length, cols: c.length, row0: r.start, col0: c.start, first: r.start || c.start ? 0 : 1, ...fixed };
          dispatch(device, sigmoid_loss, 'forward', { tile, parts, ...shared }, at, groupsOf(r.length), options);
          return keeps ? tile : undefined;
        });
      }
      if (all.length > 1) device.flush(); // a display driver resets a submission that takes seconds
    }
    return { loss: scale(sum(parts), 1 / n), tile: left };
  }));
  const takeTile = onceUsed(tile);

  return recordJoint(loss, [p, y, logScale, bias], (dloss, needs) => {
    const [scaleParts, biasParts] = [sums(), sums()];
    const grads = pairGradients(p, y, side, needs, takeTile(), (gradient, r, c, first) => {
      const at = { rows: r.length, cols: c.length, row0: r.start, col0: c.start, first: first ? 1 : 0, ...fixed };
      dispatch(device, sigmoid_loss, 'backward', { gradient, dloss, scale_parts: scaleParts, bias_parts: biasParts, ...shared }, at, groupsOf(r.length), options);
    });
    return [...grads, needs[2] ? sum(scaleParts) : undefined, needs[3] ? sum(biasParts) : undefined];
  });
}
