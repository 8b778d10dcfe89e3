// Every op of the project, forward and backward, in the shapes that reach every kernel variant: vector and scalar loads, cut sums, tiles, forms and masks.
// The shader test compiles what these calls ask for; the engine tests repeat them with poisoned memory and count what they leave behind.
import type { Device } from '../engine/device.ts';
import { gradients } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import type { Shape } from '../engine/tensor.ts';
import { attentionRuns } from '../kernels/attention.ts';
import type { AttentionVariant } from '../kernels/attention.ts';
import { forceRowGroup } from '../kernels/row_loads.ts';
import * as ops from '../kernels/index.ts';
import { forceTile } from '../kernels/matmul.ts';
import { sumTo } from '../kernels/sum.ts';
import { random } from './harness.ts';

export interface OpCase {
  readonly name: string;
  /** Runs on a device inside the caller's scope. Returns results and gradients. */
  readonly run: (d: Device) => Tensor[];
}

type Op = (...t: Tensor[]) => Tensor;

/** Result and gradients of all inputs, for a random cotangent. */
function both(d: Device, op: Op, shapes: readonly Shape[], scale = 1): Tensor[] {
  const leaves = shapes.map((s, i) => Tensor.from(d, random(s, 31 + i, { scale }), s));
  for (const t of leaves) t.needsGrad = true;
  const y = op(...leaves);
  return [y, ...gradients(y, Tensor.from(d, random(y.shape, 77), y.shape), leaves) as Tensor[]];
}

const differentiable = (name: string, op: Op, ...variants: readonly Shape[][]): OpCase => ({ name, run: d => variants.flatMap(shapes => both(d, op, shapes)) });

const ids = (d: Device, count: number, below: number): Tensor => Tensor.from(d, Uint32Array.from({ length: count }, (_, i) => (i * 7) % below));

const unary: readonly OpCase[] = ([
  ['gelu', x => ops.gelu(x!)], ['gelu tanh', x => ops.gelu(x!, { approximate: 'tanh' })], ['silu', x => ops.silu(x!)],
  ['scale', x => ops.scale(x!, 3)], ['addScalar', x => ops.addScalar(x!, 3)], ['exp', x => ops.exp(x!)],
] as [string, Op][]).map(([name, op]) => differentiable(name, op, [[8, 5]], [[7]]));

const pairs: readonly OpCase[] = ([['add', ops.add], ['sub', ops.sub], ['mul', ops.mul], ['div', ops.div]] as [string, Op][])
  .map(([name, op]) => differentiable(name, op, [[4, 8], [4, 8]], [[4, 8], [8]], [[2, 1, 3], [5, 1]]));

const rows: readonly OpCase[] = [
  differentiable('layerNorm', (x, w, b) => ops.layerNorm(x!, w!, b!), [[5, 8], [8], [8]], [[5, 7], [7], [7]]),
  differentiable('rmsNorm', (x, w) => ops.rmsNorm(x!, w!, { unitOffset: 1 }), [[5, 8], [8]], [[5, 7], [7]]),
  differentiable('softmax', x => ops.softmax(x!), [[5, 8]], [[5, 7]]),
  differentiable('l2Normalize', x => ops.l2Normalize(x!), [[5, 8]], [[5, 7]]),
  differentiable('meanPool', x => ops.meanPool(x!), [[2, 3, 8]], [[2, 3, 7]]),
  differentiable('meanPool with a mask', x => ops.meanPool(x!, Tensor.from(x!.device, Uint32Array.of(1, 1, 0, 1, 0, 0), [2, 3])), [[2, 3, 8]], [[2, 3, 7]]),
  differentiable('crossEntropy', x => ops.crossEntropy(x!, ids(x!.device, 5, 7)), [[5, 7]]),
];

/** The form for GPUs, with a workgroup per row. */
const rowGroups: readonly OpCase[] = rows.slice(0, 4).map(({ name, run }) => ({
  name: `${name} with a workgroup per row`,
  run: d => {
    forceRowGroup(8);
    try {
      return run(d);
    } finally {
      forceRowGroup();
    }
  },
}));

const moves: readonly OpCase[] = [
  differentiable('reshape', x => ops.reshape(x!, [3, 2]), [[2, 3]]),
  differentiable('concat', (a, b) => ops.concat([a!, b!], 1), [[2, 4], [2, 8]], [[2, 3], [2, 2]]),
  differentiable('slice', x => ops.slice(x!, 1, 4, 8), [[2, 12]], [[2, 11]]),
  differentiable('transpose', x => ops.transpose(x!, 0, 1), [[3, 5, 4]], [[3, 5]]),
  differentiable('embedding', t => ops.embedding(t!, ids(t!.device, 6, 5)), [[5, 8]], [[5, 3]]),
];

const sums: readonly OpCase[] = [
  differentiable('sum', x => ops.sum(x!), [[3, 211]]),
  differentiable('mean', x => ops.mean(x!), [[3, 211]]),
  differentiable('sumAxis', x => ops.sumAxis(x!, 0), [[300, 5]]),
  { name: 'sumTo', run: d => [sumTo(Tensor.from(d, random([4, 3, 5], 1), [4, 3, 5]), [3, 1])] },
  { name: 'columnSum', run: d => [[130, 8], [130, 7]].map((s, i) => ops.columnSum(Tensor.from(d, random(s, i), s))) },
];

const PROFILES = ['lavapipe', 'swiftshader', 'default', 'single', 'tiled32', 'tiled64', 'tiled128', 'tiled128_k8'] as const;

/** All tiles where nothing is computed; elsewhere the adapter's own, since the tiles of others take minutes to compile or ask for subgroups of another size. */
const onEveryTile = (name: string, run: (d: Device) => Tensor[]): OpCase => ({
  name,
  run: d => (d.adapter.description === 'null-backend' ? PROFILES : [undefined]).flatMap(profile => {
    forceTile(profile);
    try {
      return run(d);
    } finally {
      forceTile(undefined);
    }
  }),
});

const products: readonly OpCase[] = [
  ...[false, true].flatMap(transposeA => [false, true].map(transposeB => onEveryTile(`matmul ${transposeA} ${transposeB}`, d =>
    [[8, 4, 12], [5, 3, 7]].flatMap(([m, k, n]) => both(d, (a, b) => ops.matmul(a!, b!, { transposeA, transposeB }), [transposeA ? [2, k!, m!] : [2, m!, k!], transposeB ? [n!, k!] : [k!, n!]]))))),
  ...(['none', 'gelu', 'gelu_tanh', 'silu'] as const).map(activation => onEveryTile(`linear ${activation}`, d => [
    ...[[8, 4, 12], [5, 3, 7], [4, 1100, 4]].flatMap(([m, k, n]) => [
      ...both(d, (x, w, b) => ops.linear(x!, w!, b, { activation }), [[m!, k!], [n!, k!], [n!]], 0.2),
      ...both(d, (x, w) => ops.linear(x!, w!, undefined, { activation }), [[m!, k!], [n!, k!]], 0.2),
      ops.linear(Tensor.from(d, random([m!, k!], 5), [m!, k!]), Tensor.from(d, random([n!, k!], 6), [n!, k!]), Tensor.from(d, random([n!], 7)), { activation }),
      ops.linear(Tensor.from(d, random([m!, k!], 5), [m!, k!]), Tensor.from(d, random([n!, k!], 6), [n!, k!]), undefined, { activation }),
      ...both(d, (x, w, b, residual) => ops.linear(x!, w!, b, { activation, residual }), [[m!, k!], [n!, k!], [n!], [m!, n!]], 0.2),
    ]),
  ])),
  ...(['silu', 'gelu_tanh'] as const).map(activation => onEveryTile(`gatedLinear ${activation}`, d =>
    [[8, 4, 12], [5, 3, 7], [4, 1100, 4]].flatMap(([m, k, n]) => [
      ...both(d, (x, gate, up) => ops.gatedLinear(x!, gate!, up!, { activation }), [[m!, k!], [n!, k!], [n!, k!]], 0.2),
      ops.gatedLinear(Tensor.from(d, random([m!, k!], 5), [m!, k!]), Tensor.from(d, random([n!, k!], 6), [n!, k!]), Tensor.from(d, random([n!, k!], 7), [n!, k!]), { activation }),
    ]))),
  {
    name: 'linear of bytes',
    run: d => (d.language.has('packed_4x8_integer_dot_product') ? (['none', 'gelu', 'gelu_tanh', 'silu'] as const).flatMap(activation => [undefined, ops.full(d, [7], 1)].map(bias =>
      ops.linear(Tensor.from(d, random([5, 32], 1), [5, 32]), ops.quantize(Tensor.from(d, random([7, 32], 2), [7, 32]), { block: 16 }), bias, { activation, int8: true }))) : []),
  },
  differentiable('patchEmbed', (x, w, b) => ops.patchEmbed(x!, w!, b, { tubelet: 2, patch: 4 }), [[1, 2, 3, 8, 8], [4, 3, 2, 4, 4], [4]]),
  differentiable('patchEmbed ragged', (x, w, b) => ops.patchEmbed(x!, w!, b, { tubelet: 1, patch: 3 }), [[1, 3, 3, 7, 6], [5, 3, 1, 3, 3], [5]]),
];

const masks = (d: Device): Tensor => Tensor.from(d, Uint32Array.of(1, 1, 1, 0, 1), [1, 5]);

const attentions: readonly OpCase[] = [
  ...(['plain', 'lanes4', 'lanes8', 'scalar'] as const).map((variant: AttentionVariant): OpCase => ({
    name: `attention ${variant}`,
    run: d => [8, 7].filter(width => attentionRuns(d, variant, width)).flatMap(width => [{}, { causal: true, window: 3 }, { mask: masks(d) }].flatMap(options =>
      both(d, (q, k, v) => ops.attention(q!, k!, v!, { ...options, variant }), [[1, 6, 4, width], [1, 5, 2, width], [1, 5, 2, width]]))),
  })),
  ...(['tiled32', 'tiled64'] as const).map((variant): OpCase => ({
    name: `attention ${variant}`,
    run: d => [8, 68, 132].filter(width => attentionRuns(d, variant, width)).flatMap(width => [{ causal: true, window: 3 }, { mask: masks(d) }].flatMap(options =>
      both(d, (q, k, v) => ops.attention(q!, k!, v!, { ...options, variant }), [[1, 6, 4, width], [1, 5, 2, width], [1, 5, 2, width]]))),
  })),
  onEveryTile('attention backward by products', d => [8, 7].flatMap(width => [{}, { causal: true, window: 3, workspaceBytes: 8 * 4 * 5 * 4 }, { mask: masks(d) }].flatMap(options => [4, 5].flatMap(tk => (
    'mask' in options && tk === 4 ? [] : both(d, (q, k, v) => ops.attention(q!, k!, v!, { ...options, backward: 'products' }), [[1, 6, 4, width], [1, tk, 2, width], [1, tk, 2, width]])))))),
  {
    name: 'rope',
    run: d => (['half', 'adjacent'] as const).flatMap(pairs => [8, 6].flatMap(headDim =>
      both(d, x => ops.rope(x!, ops.ropeTable1d(d, { tokens: 4, headDim, theta: 10_000 }), { pairs }), [[1, 4, 2, headDim]]))),
  },
];

const bytes = (width: number, height: number): Uint8Array => Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37) % 256);

const losses: readonly OpCase[] = [
  ...[undefined, 64 * 64 * 4].flatMap(workspaceBytes => [false, true].map((grouped): OpCase => ({
    name: `infoNCE${workspaceBytes ? ' in tiles' : ''}${grouped ? ' with groups' : ''}`,
    run: d => {
      const groups = grouped ? ids(d, 70, 60) : undefined;
      const shapes = [[70, 8], [70, 8], [1]];
      return both(d, (p, y, s) => ops.infoNCE(ops.l2Normalize(p!), ops.l2Normalize(y!), s!, { ...(groups && { groups }), ...(workspaceBytes && { workspaceBytes }) }).loss, shapes);
    },
  }))),
  ...[undefined, 64 * 64 * 4].flatMap(workspaceBytes => [false, true].map((grouped): OpCase => ({
    name: `sigmoidLoss${workspaceBytes ? ' in tiles' : ''}${grouped ? ' with groups' : ''}`,
    run: d => {
      const groups = grouped ? ids(d, 70, 60) : undefined;
      return both(d, (p, y, t, b) => ops.sigmoidLoss(ops.l2Normalize(p!), ops.l2Normalize(y!), t!, b!, { ...(groups && { groups }), ...(workspaceBytes && { workspaceBytes }) }), [[70, 8], [70, 8], [1], [1]]);
    },
  }))),
  differentiable('cosineLoss', (p, y) => ops.cosineLoss(p!, y!), [[9, 8], [9, 8]], [[5, 7], [5, 7]]),
  differentiable('l1Loss', (a, b) => ops.l1Loss(a!, b!), [[9, 30], [9, 30]]),
  differentiable('l2Loss', (a, b) => ops.l2Loss(a!, b!, { normalize: true, reduction: 'sum' }), [[9, 30], [9, 30]]),
  differentiable('vicregLoss', (x, y) => ops.vicregLoss(x!, y!).loss, [[70, 8], [70, 8]], [[5, 7], [5, 7]]),
  differentiable('sigreg', x => ops.sigreg(x!, { projections: 6 }), [[70, 8]], [[5, 7]]),
  differentiable('alignment', (x, y) => ops.alignment(x!, y!), [[5, 7], [5, 7]]),
  ...[undefined, 64 * 64 * 4].map((workspaceBytes): OpCase => ({
    name: `uniformity${workspaceBytes ? ' in tiles' : ''}`,
    run: d => [ops.uniformity(Tensor.from(d, random([70, 8], 3, { scale: 0.3 }), [70, 8]), { ...(workspaceBytes && { workspaceBytes }) })],
  })),
  {
    name: 'gradNorm, clipFactor, adamwStep',
    run: d => {
      const flat = (seed: number, positive = false): Tensor => Tensor.from(d, random([64 * 256 * 3], seed).map(v => (positive ? v * v : v)));
      const [param, grad, m, v, rest] = [flat(1), flat(2), flat(3), flat(4, true), flat(5)];
      const clip = ops.clipFactor(ops.gradNorm(grad), 1);
      const buffers = { param, grad, m, v, rest, blockGroup: ids(d, param.size / 64, 2), groups: Tensor.from(d, [0.1, 0, 0.01, 0.1], [2, 2]), clip };
      ops.adamwStep(d, buffers, { beta1: 0.9, beta2: 0.95, eps: 1e-8, step: 3 });
      return [clip, param, m, v, rest];
    },
  },
  {
    name: 'preprocess',
    run: d => (['official', 'float', 'direct'] as const).map(mode => ops.preprocess(d, { width: 13, height: 9, data: bytes(13, 9) }, { crop: 8, mode })),
  },
  {
    name: 'full, lerpInPlace',
    run: d => {
      const x = ops.full(d, [70], 2);
      ops.lerpInPlace(x, ops.full(d, [70], 3), 0.25);
      return [x];
    },
  },
];

/** Every storage type through every width of load: one, two and four elements, floats and words, with a scale per quad and scales inside a quad. */
const storage: readonly OpCase[] = (['f16', 'bf16', 'i8', 'i4'] as const).map((dtype): OpCase => ({
  name: `stored as ${dtype}`,
  run: d => {
    const small = (shape: Shape, seed: number): Tensor => {
      const wide = Tensor.from(d, random(shape, seed), shape);
      return dtype === 'i8' || dtype === 'i4' ? ops.quantize(wide, { bits: dtype === 'i8' ? 8 : 4 }) : ops.cast(wide, dtype);
    };
    const quads = [[8, 4, 12], [5, 3, 7]].map(([m, k, n]) => ops.linear(small([m!, k!], 1), small([n!, k!], 2), small([n!], 3), { activation: 'silu' }));
    const rows = [8, 7].map(n => ops.layerNorm(small([4, n], 4), small([n], 5), small([n], 6)));
    const parts = [8, 7].map(n => ops.concat([small([2, n], 7), small([3, n], 8)], 0));
    return [...quads, ...rows, ...parts, ...[8, 7].map(n => ops.cast(small([4, n], 9), 'f32')), ops.add(small([4, 3], 9), small([4, 3], 10)),
      ops.rope(small([1, 4, 2, 6], 10), ops.ropeTable1d(d, { tokens: 4, headDim: 6, theta: 100 }), { pairs: 'adjacent' }),
      ops.cast(ops.full(d, [9], 0.1), 'f16'), ops.cast(small([3, 3], 11), 'f32'), ops.cast(ops.full(d, [8], 0.1), 'bf16'), ops.cast(ops.full(d, [7], 0.1), 'bf16'), ops.cast(ops.full(d, [8], 0.1), 'f16')];
  },
}));

const decoding: readonly OpCase[] = [
  {
    name: 'writeRows, readRows',
    run: d => [8, 7].flatMap(width => {
      const cache = Tensor.from(d, random([2, 5, width], 1), [2, 5, width]);
      ops.writeRows(cache, Tensor.from(d, random([2, 2, width], 2), [2, 2, width]), 3);
      return [cache, ops.readRows(cache, 1, 2)];
    }),
  },
  {
    name: 'beamStep, sampleToken',
    run: d => {
      const [logits, state] = [Tensor.from(d, random([6, 40], 3), [6, 40]), Tensor.zeros(d, [6, 3])];
      const beams = ops.beamStep(logits, state, { width: 3, eos: 1, pad: 0, step: 1, lengthPenalty: 0.5 });
      const draws = ops.sampleToken(logits, beams.state, { topK: 9, topP: 0.9, seed: 5, step: 2, eos: 1, pad: 0 });
      return [beams.tokens, beams.parents, beams.state, draws.tokens, draws.state];
    },
  },
];

/** One list per row, and lists of parts that are merged. */
const selection: readonly OpCase[] = [1, 3].map((parts): OpCase => ({
  name: `topKRows in ${parts} parts`,
  run: d => {
    const { values, indices } = ops.topKRows(Tensor.from(d, random([5, 40], 3), [5, 40]), 4, { parts });
    return [values, indices];
  },
}));

const gated: readonly OpCase[] = ([['swiglu', ops.swiglu], ['geglu', ops.geglu]] as [string, Op][]).map(([name, op]) => differentiable(name, op, [[8, 5], [8, 5]], [[7], [7]]));

/** All of them. */
export const OP_CASES: readonly OpCase[] = [...unary, ...pairs, ...gated, ...rows, ...rowGroups, ...moves, ...sums, ...products, ...attentions, ...losses, ...decoding, ...selection, ...storage];
