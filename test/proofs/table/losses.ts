// Losses, each against its formula with the whole matrix.
import { crossEntropyGradRef, crossEntropyRef } from '../../../kernels/cross_entropy.ref.ts';
import * as ops from '../../../kernels/index.ts';
import { infoNCERef } from '../../../kernels/info_nce.ref.ts';
import { proof } from '../proof.ts';
import type { Input, Proof } from '../proof.ts';
import { HALVES, float, half, ids, lastAxis, large } from './inputs.ts';

const crossEntropy = proof<{ readonly cols: number; readonly ignore: number }>({
  name: 'crossEntropy', ops: ['crossEntropy'],
  draw: r => {
    const [rows, cols] = [r.size(), large(r, 0.1) ? r.int(258, 1000) : Math.max(1, r.size(1, 129))];
    const ignore = r.pick([0xffffffff, 0xffffffff, 0, 100]);
    const share = r.pick([0, 0, 0.3, 1]); // of rows that do not count
    const targets: Input = { shape: [rows], kind: 'given', dtype: 'u32', data: Array.from({ length: rows }, () => (r.chance(share) ? ignore : r.int(0, cols - 1))) };
    return { inputs: [half([rows, cols], { most: 1e30, scale: r.pick([1, 5]) }), targets], options: { cols, ignore } };
  },
  run: ([x, t], { ignore }) => (ignore === 0xffffffff ? ops.crossEntropy(x!, t!) : ops.crossEntropy(x!, t!, { ignoreIndex: ignore })),
  reference: ([x, t], { options }) => crossEntropyRef(x!, t!, options.cols, options.ignore),
  backward: ([x, t], dy, { options }) => [crossEntropyGradRef(x!, t!, options.cols, options.ignore, dy[0]!), undefined],
  nonfinite: 'not finite',
  heavy: [{ name: '65,537 rows', gradients: true, fast: true, case: { inputs: [float([65_537, 5]), ids([65_537], 5)], options: { cols: 5, ignore: 0xffffffff } } }],
});

interface Contrast { readonly dim: number; readonly grouped: boolean; readonly maxLogScale?: number; readonly workspaceBytes?: number }

const infoNCE = proof<Contrast>({
  name: 'infoNCE', ops: ['infoNCE'],
  draw: r => {
    const n = large(r, 0.15) ? r.pick([127, 128, 129, 193, 260]) : Math.max(1, r.size(1, 129));
    const dim = Math.max(1, r.size(1, 65));
    const grouped = r.chance(0.4);
    const scale: Input = { shape: [1], kind: 'given', data: [r.pick(r.cap < 8 ? [0, 1, 2] : [0, 1, 2, Math.log(14), 4.5, 6])], grad: true };
    return {
      inputs: [{ shape: [n, dim], kind: 'unit', storage: HALVES }, { shape: [n, dim], kind: 'unit', storage: HALVES }, scale, ...(grouped ? [ids([n], r.pick([1, 3, n, 4 * n]))] : [])],
      options: { dim, grouped, ...(r.chance(0.3) && { maxLogScale: 1.5 }), ...(r.chance(0.6) && { workspaceBytes: 64 * 64 * 4 }) },
    };
  },
  run: ([p, y, s, groups], { maxLogScale, workspaceBytes }) => {
    const out = ops.infoNCE(p!, y!, s!, { ...(groups && { groups }), ...(maxLogScale !== undefined && { maxLogScale }), ...(workspaceBytes !== undefined && { workspaceBytes }) });
    return [out.loss, out.lossRows, out.lossCols, out.lseRows, out.lseCols];
  },
  reference: ([p, y, s, groups], { options: o }) => {
    const { loss, lseRows, lseCols } = infoNCERef(p!, y!, s![0]!, o.dim, { ...(groups && { groups }), ...(o.maxLogScale !== undefined && { maxLogScale: o.maxLogScale }) });
    return [...loss.map(v => Float64Array.of(v)), lseRows, lseCols];
  },
  backward: ([p, y, s, groups], dy, { options: o }) => {
    const { dp, dy: dtext, dLogScale } = infoNCERef(p!, y!, s![0]!, o.dim, { ...(groups && { groups }), ...(o.maxLogScale !== undefined && { maxLogScale: o.maxLogScale }) });
    const grads = [dp, dtext, Float64Array.of(dLogScale)].map(g => g.map(v => v * dy[0]!));
    return o.grouped ? [...grads, undefined] : grads;
  },
  // The gradient of the scale is a sum over all pairs of rows and texts: at a sharp scale each weight off the diagonal, and each of its products, may be flushed.
  flushed: 64,
  limit: 1e-11, nonfinite: { spreads: 'an infinite product of a row and a text may come out of the matrix product as NaN' },
});

/** Entries of this group. */
export const PROOFS: readonly Proof[] = [crossEntropy, infoNCE];
