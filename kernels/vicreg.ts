import { checkFloat, checkSameDevice, checkShape, ShapeError, showShape } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { scope } from '../engine/memory.ts';
import { noGrad, record } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { columnSum } from './column_sum.ts';
import { add, scale } from './elementwise.ts';
import { matmul } from './matmul.ts';
import { l2Loss } from './regression_loss.ts';
import { groupsFor } from './row_loads.ts';
import { widened } from './similarity_tiles.ts';
import { sum } from './sum.ts';
import { vicreg } from './wgsl.gen.ts';

const WG = 64;

/** Weights of `vicregLoss`; the defaults are the paper's. */
export interface VicregOptions {
  /** Weight of the mean squared distance. Default 25. */
  readonly invariance?: number;
  /** Weight of the hinge on the standard deviations. Default 25. */
  readonly variance?: number;
  /** Weight of the squared covariances. Default 1. */
  readonly covariance?: number;
  /** Standard deviation below which the hinge opens. Default 1. */
  readonly gamma?: number;
  /** Added to a variance before its root. Default 1e-4. */
  readonly eps?: number;
}

/** What `vicregLoss` returns. Only `loss` carries a gradient; the parts are unweighted. */
export interface Vicreg {
  /** [1] the weighted sum. */
  readonly loss: Tensor;
  /** [1] mean (x − y)². */
  readonly invariance: Tensor;
  /** [1] hinges of x plus those of y. */
  readonly variance: Tensor;
  /** [1] covariance term of x plus that of y. */
  readonly covariance: Tensor;
}

type Settings = Required<VicregOptions>;

/** Columns minus their means, in two rounds: the second takes away what rounding left of a mean far from zero. @param x [N, D] @returns [N, D] */
export function centerColumns(x: Tensor): Tensor {
  const [rows, dims] = x.shape as [number, number];
  return scope(() => noGrad(() => {
    let now = widened(x);
    for (let round = 0; round < 2; round++) {
      const centred = Tensor.empty(x.device, x.shape);
      const params = { count: x.size, dims, rows, gamma: 0, eps: 0, variance: 0, covariance: 0 };
      dispatch(x.device, vicreg, 'center', { x: now, column_sums: columnSum(now), centred }, params, groupsFor(x.size, WG), { constants: { WG } });
      now = centred;
    }
    return now;
  }));
}

/** What the backward pass keeps of x or y: centred columns [N, D] and their products [D, D]. */
interface Branch {
  readonly centred: Tensor;
  readonly products: Tensor;
}

function branch(x: Tensor, settings: Settings): Branch & { hinges: Tensor; squares: Tensor } {
  const [rows, dims] = x.shape as [number, number];
  const centred = centerColumns(x);
  const products = matmul(centred, centred, { transposeA: true });
  const [hinges, squares] = [Tensor.empty(x.device, [dims]), Tensor.empty(x.device, [dims])];
  dispatch(x.device, vicreg, 'terms', { products, hinges, squares }, { count: dims, rows, dims, ...settings }, groupsFor(dims, WG), { constants: { WG } });
  return { centred, products, hinges, squares };
}

/** Through centring to x: G is symmetric and the columns of xc sum to zero, so the columns of xc G do too, and centring changes nothing. */
function branchGradient({ centred, products }: Branch, dloss: Tensor, settings: Settings): Tensor {
  const [rows, dims] = centred.shape as [number, number];
  const gradient = Tensor.empty(centred.device, [dims, dims]);
  dispatch(centred.device, vicreg, 'backward', { products, dloss, gradient }, { count: dims * dims, rows, dims, ...settings }, groupsFor(dims * dims, WG), { constants: { WG } });
  return matmul(centred, gradient);
}

/**
 * VICReg: invariance · mean (x − y)² + variance · Σ_branches mean_j max(0, gamma − √(var_j + eps)) + covariance · Σ_branches 1/D Σ_{i≠j} C_ij², with var and C over the
 * batch divided by N − 1. Needs no negatives: variance keeps both branches from collapsing to a point, covariance from collapsing to few dimensions.
 * Source: Bardes, Ponce, LeCun 2022 (arXiv 2105.04906), algorithm 1, which takes the mean of the squares over N and D (the authors' program also halves the variance term).
 * @param x [N, D] float embeddings, not normalised
 * @param y [N, D] float embeddings of the same samples
 * @param options weights, gamma and eps: see `VicregOptions`
 * @returns loss [1] (differentiable in x and y) and its unweighted parts, each [1]
 * @throws ShapeError unless N ≥ 2, D ≥ 1, the shapes agree and eps > 0
 */
export function vicregLoss(x: Tensor, y: Tensor, { invariance = 25, variance = 25, covariance = 1, gamma = 1, eps = 1e-4 }: VicregOptions = {}): Vicreg {
  const [n, dim] = x.shape;
  if (x.shape.length !== 2 || n! < 2 || dim! < 1) throw new ShapeError(`vicregLoss: x has shape ${showShape(x.shape)}, expected [N, D] with at least two rows and one column (a variance needs two)`);
  checkShape('vicregLoss', 'y', y, x.shape, 'the shape of x');
  checkFloat('vicregLoss', 'x', x);
  checkFloat('vicregLoss', 'y', y);
  checkSameDevice('vicregLoss', x, y);
  if (!(eps > 0)) throw new ShapeError(`vicregLoss: eps is ${eps}, expected a number > 0 (the root of a variance of 0 has no slope)`);
  const settings: Settings = { invariance, variance, covariance, gamma, eps };

  const { variances, covariances, spread, branches } = scope(() => noGrad(() => {
    const branches = [branch(x, settings), branch(y, settings)] as const;
    const both = (key: 'hinges' | 'squares'): Tensor => scale(add(sum(branches[0][key]), sum(branches[1][key])), 1 / dim!);
    const [variances, covariances] = [both('hinges'), both('squares')];
    const spread = add(scale(variances, variance), scale(covariances, covariance));
    return { variances, covariances, spread, branches: branches.map(({ centred, products }) => ({ centred, products })) };
  }));
  record(spread, [x, y].map((t, i) => [t, (dloss: Tensor) => branchGradient(branches[i]!, dloss, settings)] as const));
  const distance = l2Loss(x, y);
  return { loss: add(scale(distance, invariance), spread), invariance: distance.view([1]), variance: variances, covariance: covariances };
}
