// Losses beside InfoNCE and the meters of embeddings, each against its formula with whole matrices.
import * as ops from '../../../kernels/index.ts';
import { cosineLossGradRef, cosineLossRef, l1LossGradRef, l1LossRef, l2LossGradRef, l2LossRef } from '../../../kernels/regression_loss.ref.ts';
import type { RegressionRefOptions } from '../../../kernels/regression_loss.ref.ts';
import { sigmoidLossGradRef, sigmoidLossRef } from '../../../kernels/sigmoid_loss.ref.ts';
import { unitDirections } from '../../../kernels/sigreg.ts';
import { sigregGradRef, sigregRef } from '../../../kernels/sigreg.ref.ts';
import { alignmentGradRef, alignmentRef, uniformityRef } from '../../../kernels/uniformity.ref.ts';
import { vicregLossGradRef, vicregLossRef } from '../../../kernels/vicreg.ref.ts';
import { proof } from '../proof.ts';
import type { Draw, Input, Proof } from '../proof.ts';
import { float, ids, large, rowShape } from './inputs.ts';

const STORED = { storage: ['f16', 'bf16', 'i8', 'i4'] } as const;

/** Two tensors [..., D] with at least one row. */
function twoSets(r: Draw, most: number): { inputs: Input[]; dim: number } {
  const { lead, cols } = rowShape(r, 600);
  const shape = [...lead.map(n => Math.max(1, n)), cols];
  return { inputs: [float(shape, { most, ...STORED }), float(shape, { most, ...STORED })], dim: cols };
}

/** The sigmoid and the exponential of an infinite product are finite. */
const SATURATES = { spreads: 'an infinite product of two rows may come out of the matrix product as NaN' } as const;

const tall: readonly Input[] = [float([65_537, 3]), float([65_537, 3])];

const cosine = proof<{ readonly dim: number }>({
  name: 'cosineLoss', ops: ['cosineLoss'],
  draw: r => {
    const { inputs, dim } = twoSets(r, 1e36);
    return { inputs, options: { dim } };
  },
  run: ([p, y]) => ops.cosineLoss(p!, y!),
  reference: ([p, y], { options }) => cosineLossRef(p!, y!, options.dim),
  backward: ([p, y], dy, { options }) => cosineLossGradRef(p!, y!, options.dim, dy),
  relative: { floor: 1e-7 }, nonfinite: 'not finite',
  heavy: [{ name: '65,537 rows', gradients: true, fast: true, case: { inputs: tall, options: { dim: 3 } } }],
});

interface Regression { readonly dim: number; readonly how: RegressionRefOptions }

const regression = ([['l1Loss', ops.l1Loss, l1LossRef, l1LossGradRef, 1e30], ['l2Loss', ops.l2Loss, l2LossRef, l2LossGradRef, 1e12]] as const).map(([name, op, ref, gradRef, most]) => proof<Regression>({
  name, ops: [name],
  draw: r => {
    const normalize = r.chance(0.4);
    const { inputs, dim } = twoSets(r, normalize ? 1e36 : most);
    return { inputs, options: { dim, how: { ...(normalize && { normalize }), ...(r.chance(0.5) && { reduction: r.pick(['mean', 'sum'] as const) }) } } };
  },
  run: ([a, b], { how }) => op(a!, b!, how),
  reference: ([a, b], { options: { dim, how } }, round) => ref(a!, b!, dim, how, round),
  backward: ([a, b], dy, { options: { dim, how } }, round) => gradRef(a!, b!, dim, dy, how, round),
  nonfinite: 'not finite',
  heavy: [{ name: '65,537 rows', gradients: true, fast: true, case: { inputs: tall, options: { dim: 3, how: {} } } }],
}));

interface Pairs { readonly dim: number; readonly grouped: boolean; readonly maxLogScale?: number; readonly workspaceBytes?: number }

const sigmoid = proof<Pairs>({
  name: 'sigmoidLoss', ops: ['sigmoidLoss'],
  draw: r => {
    const n = large(r, 0.15) ? r.pick([127, 128, 129, 193, 260]) : Math.max(1, r.size(1, 129));
    const dim = Math.max(1, r.size(1, 65));
    const grouped = r.chance(0.4);
    const one = (list: readonly number[]): Input => ({ shape: [1], kind: 'given', data: [r.pick(list)], grad: true });
    return {
      inputs: [{ shape: [n, dim], kind: 'unit', ...STORED }, { shape: [n, dim], kind: 'unit', ...STORED }, one([0, 1, Math.log(10), 4.5, 6]), one([0, 1, -2, -10]), ...(grouped ? [ids([n], r.pick([1, 3, n, 4 * n]))] : [])],
      options: { dim, grouped, ...(r.chance(0.3) && { maxLogScale: 1.5 }), ...(r.chance(0.6) && { workspaceBytes: 64 * 64 * 4 }) },
    };
  },
  run: ([p, y, t, b, groups], { maxLogScale, workspaceBytes }) =>
    ops.sigmoidLoss(p!, y!, t!, b!, { ...(groups && { groups }), ...(maxLogScale !== undefined && { maxLogScale }), ...(workspaceBytes !== undefined && { workspaceBytes }) }),
  reference: ([p, y, t, b, groups], { options: o }) => sigmoidLossRef(p!, y!, t!, b!, o.dim, { ...(groups && { groups }), ...(o.maxLogScale !== undefined && { maxLogScale: o.maxLogScale }) }),
  backward: ([p, y, t, b, groups], dy, { options: o }, round) => [...sigmoidLossGradRef(p!, y!, t!, b!, o.dim, dy, { ...(groups && { groups }), ...(o.maxLogScale !== undefined && { maxLogScale: o.maxLogScale }) }, round), undefined],
  relative: { floor: 1e-34 }, // shares below e^-87.3 are 0
  nonfinite: SATURATES,
  heavy: [{ name: '2,100 rows: four tiles of the default size', gradients: true, case: {
    inputs: [{ shape: [2100, 3], kind: 'unit' }, { shape: [2100, 3], kind: 'unit' }, { shape: [1], kind: 'given', data: [2], grad: true }, { shape: [1], kind: 'given', data: [-3], grad: true }], options: { dim: 3, grouped: false },
  } }],
});

interface Weights { readonly dim: number; readonly how: { invariance?: number; variance?: number; covariance?: number; gamma?: number; eps?: number } }

const vicreg = proof<Weights>({
  name: 'vicregLoss', ops: ['vicregLoss'],
  draw: r => {
    const [n, dim] = [Math.max(2, r.size(2, 129)), Math.max(1, r.size(1, 65))];
    const scale = r.pick([0.3, 1, 3]);
    const how = { ...(r.chance(0.3) && { invariance: r.pick([0, 2]) }), ...(r.chance(0.3) && { variance: r.pick([0, 2]) }), ...(r.chance(0.3) && { covariance: r.pick([0, 3]) }), ...(r.chance(0.3) && { gamma: 2.5, eps: 0.01 }) };
    return { inputs: [0, 1].map(() => float([n, dim], { scale, most: 1e3, ...STORED })), options: { dim, how } };
  },
  run: ([x, y], { how }) => {
    const out = ops.vicregLoss(x!, y!, how);
    return [out.loss, out.invariance, out.variance, out.covariance];
  },
  reference: ([x, y], { options: { dim, how } }) => vicregLossRef(x!, y!, dim, how).map(v => Float64Array.of(v)),
  backward: ([x, y], dy, { options: { dim, how } }) => vicregLossGradRef(x!, y!, dim, dy, how),
  nonfinite: 'not finite',
});

interface Projections { readonly dim: number; readonly given: boolean; readonly projections: number; readonly seed: number; readonly how: { knots?: number; range?: number } }

const sigreg = proof<Projections>({
  name: 'sigreg', ops: ['sigreg'],
  draw: r => {
    const [n, dim] = [large(r, 0.1) ? r.pick([97, 129, 200]) : Math.max(1, r.size(1, 65)), Math.max(1, r.size(1, 33))];
    const projections = r.cap < 8 ? 3 : r.pick([1, 2, 7]);
    const given = r.chance(0.3);
    return {
      inputs: [float([n, dim], { scale: r.pick([0.3, 1, 3]), most: 30, ...STORED }), ...(given ? [{ shape: [projections, dim], kind: 'unit', grad: false } as const] : [])],
      options: { dim, given, projections, seed: r.int(0, 1e6), how: { ...(r.chance(0.3) && { knots: r.pick([3, 5, 33]) }), ...(r.chance(0.3) && { range: r.pick([2, 3.7]) }) } },
    };
  },
  run: ([x, directions], { projections, seed, how }) => ops.sigreg(x!, { ...(directions ? { directions } : { projections, seed }), ...how }),
  reference: ([x, given], { options: o }) => sigregRef(x!, given ?? Float64Array.from(unitDirections(o.projections, o.dim, o.seed)), o.dim, o.how),
  backward: ([x, given], dy, { options: o }, round) => [sigregGradRef(x!, given ?? Float64Array.from(unitDirections(o.projections, o.dim, o.seed)), o.dim, dy, o.how, round), undefined],
  nonfinite: 'propagates',
});

const alignment = proof<{ readonly dim: number }>({
  name: 'alignment', ops: ['alignment'],
  draw: r => {
    const [n, dim] = [Math.max(1, r.size(1)), Math.max(1, r.size(1))];
    return { inputs: [0, 1].map((): Input => ({ shape: [n, dim], kind: r.pick(['unit', 'float'] as const), most: 1e12, ...STORED })), options: { dim } };
  },
  run: ([x, y]) => ops.alignment(x!, y!),
  reference: ([x, y], { options }) => alignmentRef(x!, y!, options.dim),
  backward: ([x, y], dy, { options }) => alignmentGradRef(x!, y!, options.dim, dy),
  nonfinite: 'propagates',
});

interface Spread { readonly dim: number; readonly t?: number; readonly workspaceBytes?: number }

const uniformity = proof<Spread>({
  name: 'uniformity', ops: ['uniformity'],
  draw: r => {
    const [n, dim] = [Math.max(2, large(r, 0.15) ? r.pick([127, 128, 129, 193]) : r.size(2, 129)), Math.max(1, r.size(1, 65))];
    return { inputs: [{ shape: [n, dim], kind: 'unit', ...STORED }], options: { dim, ...(r.chance(0.4) && { t: r.pick([0.5, 1, 3]) }), ...(r.chance(0.6) && { workspaceBytes: 64 * 64 * 4 }) } };
  },
  run: ([x], { t, workspaceBytes }) => ops.uniformity(x!, { ...(t !== undefined && { t }), ...(workspaceBytes !== undefined && { workspaceBytes }) }),
  reference: ([x], { options: { dim, t } }) => uniformityRef(x!, dim, t),
  noGradient: 'a meter, it records none',
  relative: { floor: 4e-6 }, // |x|² + |y|² - 2 x·y of equal rows is a few units in the last place of 2, times t
  nonfinite: SATURATES,
});

/** Entries of this group. */
export const PROOFS: readonly Proof[] = [cosine, ...regression, sigmoid, vicreg, sigreg, alignment, uniformity];
