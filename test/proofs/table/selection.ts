// Ops that choose among numbers: the best of each row.
import * as ops from '../../../kernels/index.ts';
import { topKRowsRef } from '../../../kernels/top_k.ref.ts';
import { proof } from '../proof.ts';
import type { Proof } from '../proof.ts';
import { float, large } from './inputs.ts';

interface Selection { readonly k: number; readonly parts?: number }

/** Columns of both chunks side by side. */
function joined(a: Float64Array, b: Float64Array, rows: number): Float64Array {
  const [p, q] = [a.length / rows, b.length / rows];
  return Float64Array.from({ length: a.length + b.length }, (_, i) => {
    const [row, c] = [Math.floor(i / (p + q)), i % (p + q)];
    return c < p ? a[row * p + c]! : b[row * q + c - p]!;
  });
}

/** Entries of this group. */
export const PROOFS: readonly Proof[] = [
  proof<Selection>({
    name: 'topKRows', ops: ['topKRows'],
    draw: r => {
      const cols = large(r, 0.2) ? r.int(258, 1500) : r.size(1);
      const rows = Math.max(1, Math.min(r.size(1, 70), Math.floor(8192 / cols)));
      return { inputs: [float([rows, cols])], options: { k: r.pick([1, 2, r.int(1, 12), r.size(1, 40)]), ...(r.chance(0.6) && { parts: r.pick([1, 2, r.int(1, 9)]) }) } };
    },
    run: ([scores], { k, parts }) => {
      const { values, indices } = ops.topKRows(scores!, k, parts === undefined ? {} : { parts });
      return [values, indices];
    },
    reference: ([x], c) => topKRowsRef(x!, c.inputs[0]!.shape[1]!, c.options.k),
    noGradient: 'chooses columns', exact: 'bits', nonfinite: 'propagates', rows: () => ({ inputs: [0], outputs: [0, 0] }),
    heavy: [{ name: '65,537 rows', fast: true, case: { inputs: [float([65_537, 3])], options: { k: 2, parts: 2 } } }, { name: '500,000 columns', case: { inputs: [float([3, 500_000])], options: { k: 10 } } }],
  }),
  proof<Selection>({
    name: 'topKRows in chunks', ops: ['topKRows'],
    draw: r => {
      const rows = r.size(1, 33);
      return { inputs: [float([rows, r.size(1, 129)]), float([rows, r.size(1, 129)])], options: { k: r.pick([1, r.int(1, 12), r.size(1, 40)]), ...(r.chance(0.6) && { parts: r.int(1, 5) }) } };
    },
    run: ([a, b], { k, parts }) => {
      const cut = parts === undefined ? {} : { parts };
      const { values, indices } = ops.topKRows(b!, k, { seen: ops.topKRows(a!, k, cut), base: a!.shape[1]!, ...cut });
      return [values, indices];
    },
    reference: ([a, b], c) => topKRowsRef(joined(a!, b!, c.inputs[0]!.shape[0]!), c.inputs[0]!.shape[1]! + c.inputs[1]!.shape[1]!, c.options.k),
    noGradient: 'chooses columns', exact: 'bits', nonfinite: 'propagates', rows: () => ({ inputs: [0, 0], outputs: [0, 0] }),
  }),
];
