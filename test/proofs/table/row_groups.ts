// Norms and softmax with a workgroup per row, the form for GPUs: what the general entries draw, on whatever adapter runs.
import { forceRowGroup } from '../../../kernels/row_loads.ts';
import { proof } from '../proof.ts';
import type { Proof } from '../proof.ts';
import { float } from './inputs.ts';
import { PROOFS as rows } from './rows.ts';

interface Grouped { readonly group: number }

/** Loads per lane of the longest heavy row: more than one block of 64. */
const LONG = 8 * 4 * 64 * 2 + 12;

const grouped = (op: Proof): Proof => proof<Grouped>({
  ...op as Proof<never>, name: `${op.name} with a workgroup per row`,
  draw: r => {
    const { inputs, options } = op.draw(r);
    return { inputs: inputs.map(({ storage: _, ...input }) => input), options: { ...options as object, group: r.pick([8, 8, 64, 256]) } };
  },
  within: ({ group }, fn) => {
    forceRowGroup(group);
    try {
      fn();
    } finally {
      forceRowGroup();
    }
  },
  heavy: [{
    name: `rows of ${LONG}`, gradients: true, fast: true,
    case: { inputs: op.heavy![0]!.case.inputs.map((_, i) => float(i ? [LONG] : [3, LONG])), options: { ...op.heavy![0]!.case.options as object, group: 8 } },
  }, {
    name: '65,537 rows', case: { inputs: op.heavy![0]!.case.inputs, options: { ...op.heavy![0]!.case.options as object, group: 8 } },
  }],
});

/** Entries of this group. */
export const PROOFS: readonly Proof[] = rows.filter(p => ['layerNorm', 'rmsNorm', 'l2Normalize', 'softmax'].includes(p.name)).map(grouped);
