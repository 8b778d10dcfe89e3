// Losses at the batches of the shipped and the full-size model. Up to 1,024 pairs everything is compared; above, sampled rows.
import { infoNCE } from '../kernels/info_nce.ts';
import { infoNCERef } from '../kernels/info_nce.ref.ts';
import { cosineLoss, l1Loss, l2Loss } from '../kernels/regression_loss.ts';
import { cosineLossGradRef, cosineLossRef, l1LossGradRef, l1LossRef, l2LossGradRef, l2LossRef } from '../kernels/regression_loss.ref.ts';
import { sigmoidLoss } from '../kernels/sigmoid_loss.ts';
import { sigmoidLossGradRef, sigmoidLossRef } from '../kernels/sigmoid_loss.ref.ts';
import { tileSide, WORKSPACE_BYTES } from '../kernels/similarity_tiles.ts';
import { sigreg } from '../kernels/sigreg.ts';
import { sigregGradRef, sigregRef } from '../kernels/sigreg.ref.ts';
import { alignment, uniformity } from '../kernels/uniformity.ts';
import { alignmentGradRef, alignmentRef, uniformityRef } from '../kernels/uniformity.ref.ts';
import { vicregLoss } from '../kernels/vicreg.ts';
import { vicregLossGradRef, vicregLossRef } from '../kernels/vicreg.ref.ts';
import { bytesOf, pair, whole } from './case.ts';
import type { Case, Check, Input, Profile, Values } from './case.ts';
import { FULL_SIZE, SHIPPED } from './sizes.ts';

/** Log of 1 / temperature 0.07, where CLIP begins (what inputs of kind `scale` hold); the gradient of the scale itself is part of the small batches. */
const LOG_SCALE = Math.fround(Math.log(1 / 0.07));
const WHOLE = 1024;
const SAMPLED_ROWS = 4;

/** Logits of row i of a against all rows of b. */
function logits(a: Values, b: Values, i: number, n: number, dim: number, scale: number): Float64Array {
  const out = new Float64Array(n);
  for (let j = 0; j < n; j++) {
    let s = 0;
    for (let d = 0; d < dim; d++) s += a[i * dim + d]! * b[j * dim + d]!;
    out[j] = scale * s;
  }
  return out;
}

function logSumExp(row: Float64Array): number {
  const most = row.reduce((m, v) => Math.max(m, v), -Infinity);
  return most + Math.log(row.reduce((s, v) => s + Math.exp(v - most), 0));
}

/** Sampled log-sum-exps; the loss from those that were computed, of which the samples are right. */
function sampledForward(n: number, dim: number): Check {
  const scale = Math.exp(LOG_SCALE);
  return ({ x: [p, y], got: [, rows, cols], expect, pick }) => {
    for (const i of pick(n, SAMPLED_ROWS)) {
      expect(1, i, [logSumExp(logits(p!, y!, i, n, dim, scale))]);
      expect(2, i, [logSumExp(logits(y!, p!, i, n, dim, scale))]);
    }
    let loss = 0;
    for (let i = 0; i < n; i++) {
      let s = 0;
      for (let d = 0; d < dim; d++) s += p![i * dim + d]! * y![i * dim + d]!;
      loss += (rows![i]! + cols![i]!) / 2 - scale * s;
    }
    expect(0, 0, [loss / n]);
  };
}

/** Sampled rows of both gradients, from the log-sum-exps of the forward, which its own row compared. */
function sampledBackward(n: number, dim: number): Check {
  const scale = Math.exp(LOG_SCALE);
  return ({ x: [p, y], dy, y: [, rows, cols], expect, pick }) => {
    for (const i of pick(n, SAMPLED_ROWS)) {
      for (const [o, own, other, lseOwn, lseOther] of [[0, p!, y!, rows!, cols!], [1, y!, p!, cols!, rows!]] as const) {
        const row = logits(own, other, i, n, dim, scale);
        const gradient = new Float64Array(dim);
        for (let j = 0; j < n; j++) {
          const g = (dy[0]! * scale * (Math.exp(row[j]! - lseOwn[i]!) + Math.exp(row[j]! - lseOther[j]!) - (i === j ? 2 : 0))) / (2 * n);
          for (let d = 0; d < dim; d++) gradient[d]! += g * other[j * dim + d]!;
        }
        expect(o, i * dim, gradient);
      }
    }
  };
}

function contrast(use: string, profile: Profile, n: number, dim: number): Case[] {
  const sampled = n > WHOLE;
  const flop = 2 * n * n * dim;
  const inputs = [{ shape: [n, dim], kind: 'unit', grad: true }, { shape: [n, dim], kind: 'unit', grad: true }, { shape: [1], kind: 'scale', grad: !sampled }] as const;
  const rows = pair({
    op: 'infoNCE', use, profile, shape: `N ${n}, D ${dim}`, limit: 1e-11, inputs, flop: [flop, 3 * flop],
    run: ([p, y, s]) => { const { loss, lseRows, lseCols } = infoNCE(p!, y!, s!); return [loss, lseRows, lseCols]; },
    forward: sampled ? sampledForward(n, dim) : whole(([p, y, s]) => { const r = infoNCERef(p!, y!, s![0]!, dim); return [r.loss.slice(0, 1), r.lseRows, r.lseCols]; }),
    backward: sampled ? sampledBackward(n, dim) : whole(([p, y, s], dy) => {
      const r = infoNCERef(p!, y!, s![0]!, dim);
      return [r.dp.map(v => v * dy[0]!), r.dy.map(v => v * dy[0]!), [r.dLogScale * dy[0]!]];
    }),
  });
  // The backward row asks again and again for gradients of one loss, so it computes the logits every time; here the gradients find those of the loss, where N² fits the workspace.
  const side = tileSide(n, WORKSPACE_BYTES);
  return [...rows, { ...rows[1]!, pass: 'both', flop: 4 * flop, product: [side, side, dim] }];
}

/** Directions of SIGReg. */
const PROJECTIONS = 256;

/** The losses that are no contrast between all pairs, and those of the second stage's studies, on one batch. */
function others(use: string, profile: Profile, n: number, dim: number): Case[] {
  const shape = [n, dim];
  const free: Input = { shape, grad: true };
  const unit: Input = { shape, kind: 'unit', grad: true };
  const base = { use, profile, shape: `N ${n}, D ${dim}`, limit: 1e-11 };
  const both = { ...base, inputs: [free, free], bytes: [bytesOf(shape, shape), 2 * bytesOf(shape, shape)] as const };
  const square = 2 * n * n * dim;
  return [
    ...pair({ ...both, op: 'cosineLoss', run: ([p, y]) => cosineLoss(p!, y!), forward: whole(([p, y]) => cosineLossRef(p!, y!, dim)), backward: whole(([p, y], dy) => cosineLossGradRef(p!, y!, dim, dy)) }),
    ...pair({ ...both, op: 'l1Loss', run: ([p, y]) => l1Loss(p!, y!), forward: whole(([p, y]) => l1LossRef(p!, y!, dim)), backward: whole(([p, y], dy) => l1LossGradRef(p!, y!, dim, dy)) }),
    ...pair({ ...both, op: 'l2Loss', run: ([p, y]) => l2Loss(p!, y!), forward: whole(([p, y]) => l2LossRef(p!, y!, dim)), backward: whole(([p, y], dy) => l2LossGradRef(p!, y!, dim, dy)) }),
    ...pair({ ...both, op: 'alignment', inputs: [unit, unit], run: ([p, y]) => alignment(p!, y!), forward: whole(([p, y]) => alignmentRef(p!, y!, dim)), backward: whole(([p, y], dy) => alignmentGradRef(p!, y!, dim, dy)) }),
    ...pair({ ...base, op: 'uniformity', inputs: [{ shape, kind: 'unit' }], flop: [square, 0], run: ([p]) => uniformity(p!), forward: whole(([p]) => uniformityRef(p!, dim)) }),
    ...pair({
      ...base, op: 'sigmoidLoss', inputs: [unit, unit, { shape: [1], kind: 'scale', grad: true }, { shape: [1], grad: true }], flop: [square, 3 * square],
      run: ([p, y, s, b]) => sigmoidLoss(p!, y!, s!, b!), forward: whole(([p, y, s, b]) => sigmoidLossRef(p!, y!, s!, b!, dim)), backward: whole(([p, y, s, b], dy) => sigmoidLossGradRef(p!, y!, s!, b!, dim, dy)),
    }),
    ...pair({
      ...base, op: 'vicregLoss', inputs: [free, free], flop: [4 * n * dim * dim, 8 * n * dim * dim],
      run: ([x, y]) => vicregLoss(x!, y!).loss, forward: whole(([x, y]) => vicregLossRef(x!, y!, dim).slice(0, 1)), backward: whole(([x, y], dy) => vicregLossGradRef(x!, y!, dim, dy)),
    }),
    ...pair({
      ...base, op: 'sigreg', shape: `N ${n}, D ${dim}, ${PROJECTIONS} directions`, inputs: [free, { shape: [PROJECTIONS, dim], kind: 'unit' }], flop: [2 * n * dim * PROJECTIONS, 4 * n * dim * PROJECTIONS],
      run: ([x, directions]) => sigreg(x!, { directions: directions! }), forward: whole(([x, d]) => sigregRef(x!, d!, dim)), backward: whole(([x, d], dy) => sigregGradRef(x!, d!, dim, dy)),
    }),
  ];
}

/** Losses of the model. */
export const LOSSES: readonly Case[] = [
  ...contrast('shipped batch', 'quick', SHIPPED.batch, SHIPPED.dim),
  ...others('shipped batch', 'quick', SHIPPED.batch, SHIPPED.dim),
  ...contrast('the batch that is compared with other libraries', 'model', 512, 256),
  ...contrast('full-size batch of 512', 'model', 512, FULL_SIZE.dim),
  ...others('full-size batch of 512', 'model', 512, FULL_SIZE.dim),
  ...contrast('largest batch of one tile', 'full', 2048, 256),
  ...contrast('four tiles', 'full', 4096, 256),
  ...contrast('full-size batch of 4,096', 'full', 4096, FULL_SIZE.dim),
  ...contrast('the paper\'s batch', 'full', 24_576, FULL_SIZE.dim),
];
