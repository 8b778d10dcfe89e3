// Attention on each kernel file that the adapter can run.
import * as ops from '../../../kernels/index.ts';
import { attentionGradRef, attentionRef } from '../../../kernels/attention.ref.ts';
import type { AttentionCase } from '../../../kernels/attention.ref.ts';
import { attentionRuns } from '../../../kernels/attention.ts';
import type { AttentionVariant } from '../../../kernels/attention.ts';
import { proof } from '../proof.ts';
import type { Case, Draw, Input, Proof } from '../proof.ts';
import { float, half, large, mask } from './inputs.ts';

interface Options extends Omit<AttentionCase, 'mask'> { readonly masked: boolean; readonly variant: AttentionVariant | undefined; readonly way?: 'products' | 'streaming'; readonly workspaceBytes?: number }

const withMask = (o: Options, m: Float64Array | undefined): AttentionCase => ({ ...o, ...(m && { mask: m }) });

/** Tokens around the rows of a tile (4, 8, 16), heads that share keys, widths for vector and scalar loads; short enough for the reference. */
function sizes(r: Draw): { batch: number; tq: number; tk: number; heads: number; kvHeads: number; headDim: number } {
  const kvHeads = r.int(1, 3);
  const heads = kvHeads * r.pick([1, 1, 2, 3]);
  const headDim = r.cap < 8 ? r.int(1, 4) : large(r, 0.03) ? r.pick([128, 256]) : r.pick([4, 8, 12, 16, 32, 64, r.size(1, 33)]);
  const most = Math.min(r.cap, 100);
  const tq = r.size(0, most);
  const tk = r.chance(0.6) ? tq : r.size(0, most);
  return { batch: r.pick([1, 1, 2, 3, r.size(0, 3)]), tq, tk, heads, kvHeads, headDim };
}

/** As in other libraries: weight 0 times NaN is NaN. */
const HIDDEN = { spreads: 'a hidden key has weight 0 in the block of keys that a row walks, and 0 times what is not finite is NaN' } as const;

/** One query on one key: its weight is 1 whatever the score, NaN included; q and k take no part. A named kernel computes the score all the same. */
const alone = (o: Options): boolean => o.tq === 1 && o.tk === 1 && o.heads === o.kvHeads && !o.masked && o.variant === undefined;

/** Operands and options, with queries and keys of a given spread. */
function drawn(r: Draw, qk: Omit<Input, 'shape' | 'kind'>): Case<Options> {
  const s = sizes(r);
  if (s.tq * s.tk * s.headDim * s.heads > 200_000) s.batch = Math.min(s.batch, 1);
  const masked = r.chance(0.4);
  const inputs: Input[] = [half([s.batch, s.tq, s.heads, s.headDim], qk), half([s.batch, s.tk, s.kvHeads, s.headDim], qk), half([s.batch, s.tk, s.kvHeads, s.headDim], { most: 1e30 })];
  if (masked) inputs.push(mask(r, [s.batch, s.tk]));
  return {
    inputs,
    options: {
      ...s, masked, variant: undefined, way: r.pick(['products', 'streaming'] as const), workspaceBytes: r.pick([4096, 32_768, 2 ** 24]),
      ...(r.chance(0.4) && { causal: true }), ...(r.chance(0.4) && { window: r.pick([1, 2, 3, 5, 16, 200]) }), ...(r.chance(0.3) && { scale: r.pick([1 / 16, 2, -1]) / s.headDim }),
    },
  };
}

const attention = proof<Options>({
  name: 'attention', ops: ['attention'],
  draw: r => drawn(r, { scale: 0.3, most: 3 }), // an error in a logit is one in every weight: large logits are an entry of their own
  run: ([q, k, v, m], { causal, window, scale, variant, headDim, way, workspaceBytes }, device) => ops.attention(q!, k!, v!, {
    ...(way && { backward: way }), ...(workspaceBytes && { workspaceBytes }),
    ...(m && { mask: m }), ...(causal && { causal }), ...(window && { window }), ...(scale !== undefined && { scale }),
    ...(variant && { variant: attentionRuns(device, variant, headDim) ? variant : 'scalar' }),
  }),
  reference: ([q, k, v, m], { options }) => (alone(options) ? v!.slice() : attentionRef(withMask(options, m), q!, k!, v!)),
  backward: ([q, k, v, m], dy, { options }, round) => {
    const grads = attentionGradRef(withMask(options, m), q!, k!, v!, dy, round);
    return options.masked ? [...grads, undefined] : grads;
  },
  limit: 1e-11, integers: 2, nonfinite: HIDDEN,
  rows: (c: Case<Options>) => ({ inputs: c.inputs.map(() => 0), outputs: [0] }),
  heavy: [
    { name: '1,030 tokens', gradients: true, case: { inputs: [float([1, 1030, 2, 8]), float([1, 1030, 1, 8]), float([1, 1030, 1, 8])], options: { batch: 1, tq: 1030, tk: 1030, heads: 2, kvHeads: 1, headDim: 8, masked: false, variant: undefined } } },
    { name: '65,537 heads', case: { inputs: [float([1, 2, 65_537, 4]), float([1, 2, 65_537, 4]), float([1, 2, 65_537, 4])], options: { batch: 1, tq: 2, tk: 2, heads: 65_537, kvHeads: 65_537, headDim: 4, masked: false, variant: undefined } } },
    { name: '4,100 keys for 3 queries', gradients: true, case: { inputs: [float([1, 3, 1, 16]), float([1, 4100, 1, 16]), float([1, 4100, 1, 16])], options: { batch: 1, tq: 3, tk: 4100, heads: 1, kvHeads: 1, headDim: 16, masked: false, variant: undefined } } },
  ],
});

/** Logits of hundreds, where a weight is the exponential of a difference of large numbers: the maximum and the sum of a row are kept apart for it. */
const peaked: Proof<Options> = {
  ...attention, name: 'attention of large logits', heavy: [],
  draw: r => {
    const { inputs, options } = drawn(r, { scale: r.pick([3, 10, 20]), most: 20 });
    return { inputs, options: { ...options!, scale: 1 / Math.sqrt(options!.headDim) } };
  },
};

/** The kernels for GPUs on whatever adapter has the workgroup memory. */
const tiled: Proof<Options> = {
  ...attention, name: 'attention tiled', heavy: [],
  draw: r => {
    const { inputs: [q, k, v, ...rest], options } = drawn(r, { scale: 0.3, most: 3 });
    const headDim = 4 * Math.ceil(options!.headDim / 4);
    const wide = ({ shape }: Input): Input => float([...shape.slice(0, 3), headDim] as const, { scale: 0.3, most: 3 });
    return { inputs: [wide(q!), wide(k!), { ...wide(v!), most: 1e30 }, ...rest], options: { ...options!, headDim, way: 'products', variant: r.pick(['tiled32', 'tiled64'] as const) } };
  },
};

/** Keys that are one-hot and far apart: the softmax picks one key, and the result is that key's v to the bit. */
const picked = proof<Options>({
  name: 'attention that picks', ops: ['attention'],
  draw: r => {
    const [tq, tk] = [r.size(1, 33), r.size(1, 33)];
    const [heads, headDim] = [r.int(1, 3), 4 * Math.ceil(tk / 4)];
    const choice = Array.from({ length: tq * heads }, () => r.int(0, tk - 1));
    const q = choice.flatMap(j => Array.from({ length: headDim }, (_, d) => (d === j ? 1 : 0)));
    const k = Array.from({ length: tk }, (_, j) => Array.from({ length: headDim }, (__, d) => (d === j ? 1 : 0))).flat();
    return {
      inputs: [{ shape: [1, tq, heads, headDim], kind: 'given', data: q, grad: false }, { shape: [1, tk, 1, headDim], kind: 'given', data: k, grad: false }, half([1, tk, 1, headDim], { most: 1e30 })],
      options: { batch: 1, tq, tk, heads, kvHeads: 1, headDim, masked: false, scale: 1000, variant: r.pick([undefined, 'plain', 'scalar', 'lanes4', 'lanes8'] as const) },
    };
  },
  run: attention.run as Proof<Options>['run'],
  reference: ([q, k, v], { options }) => attentionRef(options, q!, k!, v!),
  backward: ([q, k, v], dy, { options }) => [undefined, undefined, attentionGradRef(options, q!, k!, v!, dy)[2]],
  exact: 'integers', nonfinite: HIDDEN,
});

/** Entries of this group. */
export const PROOFS: readonly Proof[] = [attention, picked, peaked, tiled];
