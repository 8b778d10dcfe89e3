// Sums over everything, an axis, broadcast axes or rows.
import { size } from '../../../engine/tensor.ts';
import { columnSumRef } from '../../../kernels/column_sum.ref.ts';
import * as ops from '../../../kernels/index.ts';
import { sumTo } from '../../../kernels/sum.ts';
import { sumGradRef, sumMiddle, sumMiddleGradRef, sumRef, sumToRef } from '../../../kernels/sum.ref.ts';
import { proof } from '../proof.ts';
import type { Draw, Proof } from '../proof.ts';
import { float, half, large } from './inputs.ts';

/** A length that takes one, two or three rounds of partial sums. */
const long = (r: Draw): number => (large(r, 0.04) ? r.int(32_769, 70_000) : large(r, 0.3) ? r.pick([256, 257, 258, 1023, 4097]) : r.size());

const sum = proof<null>({
  name: 'sum', ops: ['sum'],
  draw: r => ({ inputs: [half(r.chance(0.5) ? [long(r)] : r.shape(r.int(0, 4)), { most: 1e30 })], options: null }),
  run: ([x]) => ops.sum(x!),
  reference: ([x]) => sumRef(x!),
  backward: ([x], dy) => [sumGradRef(dy, x!.length)],
  exact: 'integers', nonfinite: 'propagates',
  heavy: [{ name: '5,000,011 terms', gradients: true, case: { inputs: [float([5_000_011])], options: null } }],
});

const mean = proof<null>({
  name: 'mean', ops: ['mean'],
  draw: r => ({ inputs: [half(r.chance(0.5) ? [Math.max(1, long(r))] : r.shape(r.int(0, 4), 4096, 1), { most: 1e30 })], options: null }),
  run: ([x]) => ops.mean(x!),
  reference: ([x]) => sumRef(x!, 1 / x!.length),
  backward: ([x], dy) => [sumGradRef(dy, x!.length, 1 / x!.length)],
  nonfinite: 'propagates',
});

interface Over { readonly axis: number; readonly shape: readonly number[] }
const threeOf = ({ axis, shape }: Over): readonly [number, number, number] => {
  const at = axis < 0 ? axis + shape.length : axis;
  return [size(shape.slice(0, at)), shape[at]!, size(shape.slice(at + 1))];
};

const sumAxis = proof<Over>({
  name: 'sumAxis', ops: ['sumAxis'],
  draw: r => {
    const shape = r.chance(0.4) ? [r.size(1, 4), long(r), r.pick([1, 2, 3])] : r.shape(r.int(1, 4));
    return { inputs: [half(shape, { most: 1e30 })], options: { axis: r.int(-shape.length, shape.length - 1), shape } };
  },
  run: ([x], { axis }) => ops.sumAxis(x!, axis),
  reference: ([x], { options }) => sumMiddle(x!, ...threeOf(options)),
  backward: (_, dy, { options }) => [sumMiddleGradRef(dy, ...threeOf(options))],
  rows: c => (threeOf(c.options)[0] > 1 || (c.options.axis !== 0 && c.options.axis !== -c.options.shape.length) ? { inputs: [0], outputs: [0] } : undefined),
  exact: 'integers', nonfinite: 'propagates',
  heavy: [
    { name: '65,537 rows', gradients: true, fast: true, case: { inputs: [float([65_537, 3])], options: { axis: 1, shape: [65_537, 3] } } },
    { name: '4,200,000 outputs', case: { inputs: [float([4_200_000, 2])], options: { axis: 1, shape: [4_200_000, 2] } } },
  ],
});

interface To { readonly shape: readonly number[]; readonly to: readonly number[] }

const sumToProof = proof<To>({
  name: 'sumTo', ops: ['add'],
  draw: r => {
    const shape = r.shape(r.int(1, 5), 4096);
    const lead = r.int(0, shape.length);
    return { inputs: [half(shape, { most: 1e30 })], options: { shape, to: shape.slice(lead).map(n => (r.chance(0.5) ? 1 : n)) } };
  },
  run: ([x], { to }) => sumTo(x!, to),
  reference: ([x], { options }) => sumToRef(x!, options.shape, options.to),
  noGradient: 'the gradient of broadcasting, itself a part of backward passes', exact: 'integers', nonfinite: 'propagates',
});

const columnSum = proof<{ cols: number }>({
  name: 'columnSum', ops: ['columnSum'],
  draw: r => {
    const cols = r.size(0, 65);
    return { inputs: [half([large(r, 0.05) ? r.pick([4095, 4096, 4097, 5000]) : r.size(), cols], { most: 1e30 })], options: { cols } };
  },
  run: ([x]) => ops.columnSum(x!),
  reference: ([x], { options }) => columnSumRef(x!, options.cols),
  noGradient: 'a part of backward passes', exact: 'integers', nonfinite: 'propagates',
  heavy: [{ name: '300,000 rows', fast: true, case: { inputs: [float([300_000, 5])], options: { cols: 5 } } }],
});

/** Entries of this group. */
export const PROOFS: readonly Proof[] = [sum, mean, sumAxis, sumToProof, columnSum];
