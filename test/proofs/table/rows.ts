// Ops along the last axis: norms, softmax, rotary embedding; and the mean over tokens.
import { Tensor } from '../../../engine/tensor.ts';
import * as ops from '../../../kernels/index.ts';
import { l2NormalizeGradRef, l2NormalizeRef } from '../../../kernels/l2_normalize.ref.ts';
import { layerNormGradRef, layerNormRef } from '../../../kernels/layer_norm.ref.ts';
import { meanPoolGradRef, meanPoolRef } from '../../../kernels/mean_pool.ref.ts';
import { rmsNormGradRef, rmsNormRef } from '../../../kernels/rms_norm.ref.ts';
import { ropeGradRef, ropeRef, ropeTable1dRef, ropeTable3dRef } from '../../../kernels/rope.ref.ts';
import { softmaxGradRef, softmaxRef } from '../../../kernels/softmax.ref.ts';
import { proof } from '../proof.ts';
import type { Case, Draw, Proof } from '../proof.ts';
import { float, half, lastAxis, mask, rowShape } from './inputs.ts';

/** Squares of larger numbers overflow inside a norm. */
const SQUARABLE = 1e15;

const firstAxis = (c: Case): ReturnType<NonNullable<Proof['rows']>> => (c.inputs[0]!.shape.length > 1 ? { inputs: c.inputs.map((_, i) => (i ? undefined : 0)), outputs: [0] } : undefined);

/** What norms add before the root; in the tiny cases of the twin's check not so little that central differences step over it. */
const epsilon = (r: Draw): number => r.pick(r.cap < 8 ? [1e-2, 1] : [1e-6, 1e-5, 1e-2, 1]);

const norms: readonly Proof[] = [
  proof<{ eps: number }>({
    name: 'layerNorm', ops: ['layerNorm'],
    draw: r => {
      const { lead, cols } = rowShape(r, 1100);
      return { inputs: [half([...lead, cols], { most: SQUARABLE, scale: r.pick([1, 30]) }), half([cols], { most: 1e3 }), half([cols], { most: 1e3 })], options: { eps: epsilon(r) } };
    },
    run: ([x, w, b], { eps }) => ops.layerNorm(x!, w!, b!, { eps }),
    reference: ([x, w, b], { options }, round) => layerNormRef(x!, w!, b!, Math.fround(options.eps), round),
    backward: ([x, w], dy, { options }, round) => layerNormGradRef(x!, w!, Math.fround(options.eps), dy, round),
    rows: firstAxis, nonfinite: 'not finite',
    heavy: [
      { name: '65,537 rows', gradients: true, fast: true, case: { inputs: [float([65_537, 4]), float([4]), float([4])], options: { eps: 1e-6 } } },
      { name: '2,100,000 rows', case: { inputs: [float([2_100_000, 3]), float([3]), float([3])], options: { eps: 1e-6 } } },
    ],
  }),
  proof<{ eps: number; unitOffset: number }>({
    name: 'rmsNorm', ops: ['rmsNorm'],
    draw: r => {
      const { lead, cols } = rowShape(r, 1100);
      return { inputs: [half([...lead, cols], { most: SQUARABLE, scale: r.pick([1, 30]) }), half([cols], { most: 1e3 })], options: { eps: epsilon(r), unitOffset: r.pick([0, 1, -0.5]) } };
    },
    run: ([x, w], options) => ops.rmsNorm(x!, w!, options),
    reference: ([x, w], { options }) => rmsNormRef(x!, w!, Math.fround(options.eps), options.unitOffset),
    backward: ([x, w], dy, { options }, round) => rmsNormGradRef(x!, w!, Math.fround(options.eps), options.unitOffset, dy, round),
    rows: firstAxis, nonfinite: 'propagates',
    heavy: [
      { name: '65,537 rows', gradients: true, fast: true, case: { inputs: [float([65_537, 4]), float([4])], options: { eps: 1e-6, unitOffset: 1 } } },
      { name: '2,100,000 rows', case: { inputs: [float([2_100_000, 3]), float([3])], options: { eps: 1e-6, unitOffset: 0 } } },
    ],
  }),
  proof<{ eps: number }>({
    name: 'l2Normalize', ops: ['l2Normalize'],
    draw: r => {
      const { lead, cols } = rowShape(r, 1100);
      return { inputs: [half([...lead, cols], { most: 1e36 })], options: { eps: r.pick([1e-12, 1e-6, 0.5, 8]) } };
    },
    run: ([x], { eps }) => ops.l2Normalize(x!, { eps }),
    reference: ([x], c) => l2NormalizeRef(x!, lastAxis(c.inputs[0]!), Math.fround(c.options.eps)),
    backward: ([x], dy, c) => [l2NormalizeGradRef(x!, lastAxis(c.inputs[0]!), Math.fround(c.options.eps), dy)],
    rows: firstAxis, nonfinite: 'propagates',
    heavy: [{ name: '65,537 rows', gradients: true, fast: true, case: { inputs: [float([65_537, 5])], options: { eps: 1e-12 } } }],
  }),
  proof<null>({
    name: 'softmax', ops: ['softmax'],
    draw: r => {
      const { lead, cols } = rowShape(r, 1100);
      return { inputs: [half([...lead, cols], { scale: r.pick([1, 4]) })], options: null };
    },
    run: ([x]) => ops.softmax(x!),
    reference: ([x], c) => softmaxRef(x!, lastAxis(c.inputs[0]!)),
    backward: ([x], dy, c, round) => [softmaxGradRef(x!, lastAxis(c.inputs[0]!), dy, round)],
    rows: firstAxis, nonfinite: 'propagates',
    heavy: [
      { name: '65,537 rows', gradients: true, fast: true, case: { inputs: [float([65_537, 4])], options: null } },
      { name: '2,100,000 rows', case: { inputs: [float([2_100_000, 3])], options: null } },
    ],
  }),
];

interface Pool { readonly shape: readonly [number, number, number]; readonly masked: boolean }

const meanPool = proof<Pool>({
  name: 'meanPool', ops: ['meanPool'],
  draw: r => {
    const shape = r.shape(3, 8192) as [number, number, number];
    if (shape[2] === 0) shape[2] = 1;
    const masked = r.chance(0.6);
    return { inputs: [half(shape, { most: 1e36 }), ...(masked ? [mask(r, [shape[0], shape[1]])] : [])], options: { shape, masked } };
  },
  run: ([x, m]) => ops.meanPool(x!, m),
  reference: ([x, m], { options }) => meanPoolRef(x!, options.shape, m),
  backward: ([, m], dy, { options }) => [meanPoolGradRef(dy, options.shape, m)],
  rows: c => ({ inputs: c.inputs.map(() => 0), outputs: [0] }), nonfinite: 'propagates',
  heavy: [{ name: '65,537 tokens', gradients: true, fast: true, case: { inputs: [float([1, 65_537, 4])], options: { shape: [1, 65_537, 4], masked: false } } }],
});

interface Rope { readonly pairs: 'half' | 'adjacent'; readonly tokens: number; readonly heads: number; readonly headDim: number }

const rope = proof<Rope>({
  name: 'rope', ops: ['rope'],
  draw: r => {
    const headDim = 2 * Math.max(1, r.size(1, 65));
    const [batch, tokens, heads] = r.shape(3, Math.max(1, Math.floor(8192 / headDim))) as [number, number, number];
    const table = [tokens + r.pick([0, 0, 1, 5]), headDim];
    return {
      inputs: [half([batch, tokens, heads, headDim], { most: 1e37 }), float(table, { most: 1, grad: false }), float(table, { most: 1, grad: false })],
      options: { pairs: r.pick(['half', 'adjacent'] as const), tokens, heads, headDim },
    };
  },
  run: ([x, cos, sin], { pairs }) => ops.rope(x!, { cos: cos!, sin: sin! }, { pairs }),
  reference: ([x, cos, sin], { options }) => ropeRef(x!, cos!, sin!, options, options.pairs),
  backward: ([, cos, sin], dy, { options }) => [ropeGradRef(dy, cos!, sin!, options, options.pairs), undefined, undefined],
  exact: 'integers', rows: () => ({ inputs: [0, undefined, undefined], outputs: [0] }), nonfinite: 'propagates',
  heavy: [{ name: '65,537 tokens', case: { inputs: [float([1, 65_537, 2, 4]), float([65_537, 4], { grad: false }), float([65_537, 4], { grad: false })], options: { pairs: 'half', tokens: 65_537, heads: 2, headDim: 4 } } }],
});

interface Table1d { readonly tokens: number; readonly headDim: number; readonly theta: number; readonly scaling?: { factor: number; lowFreqFactor: number; highFreqFactor: number; originalMaxPositions: number } }
interface Table3d { readonly grid: readonly [number, number, number]; readonly headDim: number }

/** Tables are rounded to f32 once, so an entry is off by half a unit in the last place and by the error of the angle in float64. */
const ROUNDED = { element: 6.1e-8, relative: { floor: 1e-12 }, noGradient: 'a constant', nonfinite: 'propagates' } as const;
const both = ({ cos, sin }: ops.RopeTable): Tensor[] => [cos, sin];

const tables: readonly Proof[] = [
  proof<Table1d>({
    name: 'ropeTable1d', ops: ['ropeTable1d'], ...ROUNDED,
    draw: r => ({
      inputs: [],
      options: {
        tokens: r.size(0, 65), headDim: 2 * Math.max(1, r.size(1, 33)), theta: r.pick([10_000, 500_000]),
        ...(r.chance(0.5) && { scaling: { factor: r.pick([8, 32]), lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: r.pick([64, 8192]) } }),
      },
    }),
    run: (_, options, device) => both(ops.ropeTable1d(device, options)),
    reference: (_, { options: o }) => ropeTable1dRef(o.tokens, o.headDim, o.theta, o.scaling),
  }),
  proof<Table3d>({
    name: 'ropeTable3d', ops: ['ropeTable3d'], ...ROUNDED,
    draw: r => ({ inputs: [], options: { grid: [r.size(1, 5), r.size(1, 7), r.size(1, 9)], headDim: 2 * Math.max(1, r.size(1, 33)) } }),
    run: (_, options, device) => both(ops.ropeTable3d(device, options)),
    reference: (_, { options }) => ropeTable3dRef(options.grid, options.headDim),
  }),
];

/** Entries of this group. */
export const PROOFS: readonly Proof[] = [...norms, meanPool, rope, ...tables];
