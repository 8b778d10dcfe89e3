// Where the general entries look too seldom: every kernel file of attention by itself (drawn among the storage types and options of the general entry, each would get
// a handful of cases), element ops over several workgroups that are filled to the last invocation, halves at the edges of their range, gradients of zeros.
import type { AttentionVariant } from '../../../kernels/attention.ts';
import { cast } from '../../../kernels/cast.ts';
import { forceTile } from '../../../kernels/matmul.ts';
import { proof } from '../proof.ts';
import type { Case, Heavy, Proof } from '../proof.ts';
import { PROOFS as attentions } from './attention.ts';
import { PROOFS as elements } from './elementwise.ts';
import { float, ids } from './inputs.ts';
import { PROOFS as losses } from './losses.ts';
import { PROOFS as products } from './products.ts';
import { PROOFS as storages } from './storage.ts';
import { PROOFS as trainings } from './training.ts';

const general = attentions.find(p => p.name === 'attention')!;

interface Sizes { batch: number; tq: number; tk: number; heads: number; kvHeads: number; headDim: number }

/** Several workgroups in forward and backward of every file, rows that fill no tile, shared key heads. */
function several(variant: AttentionVariant, name: string, s: Sizes, more: Readonly<Record<string, unknown>> = {}): Heavy {
  const key = [s.batch, s.tk, s.kvHeads, s.headDim];
  const masks = more.masked ? [ids([s.batch, s.tk], 2)] : [];
  return {
    name, gradients: true, fast: true,
    case: { inputs: [float([s.batch, s.tq, s.heads, s.headDim], { scale: 0.5 }), float(key, { scale: 0.5 }), float(key), ...masks], options: { ...s, masked: false, way: 'streaming', variant, ...more } },
  };
}

const kernel = (variant: AttentionVariant): Proof => proof<unknown>({
  ...general, name: `attention ${variant}`,
  draw: r => {
    const { inputs, options } = general.draw(r);
    return { inputs: inputs.map(({ storage: _, ...input }) => input), options: { ...options as object, variant, way: 'streaming' } } satisfies Case;
  },
  heavy: [
    several(variant, 'several workgroups', { batch: 2, tq: 35, tk: 37, heads: 6, kvHeads: 3, headDim: 8 }),
    several(variant, 'several workgroups, masked', { batch: 3, tq: 21, tk: 50, heads: 4, kvHeads: 4, headDim: 12 }, { masked: true, window: 7 }),
    several(variant, 'several workgroups, causal', { batch: 1, tq: 66, tk: 41, heads: 4, kvHeads: 2, headDim: 4 }, { causal: true }),
  ],
});

/** The backward by products, on the tiles of other adapters too: no other op adds a product to what a matrix holds. */
const onTile = (tile: 'single' | 'swiftshader'): Proof => proof<unknown>({
  ...general, name: `attention by products on the tile ${tile}`, heavy: [],
  draw: r => {
    const { inputs, options } = general.draw(r);
    return { inputs: inputs.map(({ storage: _, ...input }) => input), options: { ...options as object, way: 'products', workspaceBytes: r.pick([4096, 32_768]) } } satisfies Case;
  },
  within: (_, fn) => { // the products run in the backward
    forceTile(tile);
    try {
      fn();
    } finally {
      forceTile(undefined);
    }
  },
});

/** Every tile of the products by itself, on shapes of several tiles each way, whole and cut, one matrix and a few. */
const tiled = (tile: 'lavapipe' | 'swiftshader' | 'single') => (product: Proof): Proof => proof<{ lead: readonly number[]; bias?: boolean }>({
  ...product as Proof<{ lead: readonly number[]; bias?: boolean }>, name: `${product.name} on the tile ${tile}`, heavy: [],
  draw: r => {
    if (r.cap < 257) return product.draw(r) as Case<{ lead: readonly number[] }>;
    const { inputs, options } = product.draw(r) as Case<{ lead: readonly number[]; bias?: boolean; transposeA?: boolean; transposeB?: boolean; shared?: boolean }>;
    const fours = r.chance(0.5) ? 4 : 1;
    const [m, n, k] = [r.int(1, 160 / fours) * fours, r.int(1, 200 / fours) * fours, r.int(1, 24 / fours) * fours];
    const alone = product.name !== 'matmul';
    const lead = alone ? [m] : r.pick([[], [2], [3]]);
    const a = options.transposeA ? [k, m] : [m, k], b = alone || options.transposeB ? [n, k] : [k, n];
    const shapes = alone ? [a, b, ...(options.bias ? [[n]] : []), [...lead, n]] : [[...lead, ...a], options.shared || !lead.length ? b : [...lead, ...b]];
    return {
      inputs: inputs.map(({ storage: _, ...input }, i) => ({ ...input, shape: shapes[i]! })),
      options: { ...options, m, n, k, lead, tile, ...(!alone && { batch: lead[0] ?? 1, shared: options.shared || !lead.length }) },
    };
  },
});

/** Three and five whole workgroups of 256 invocations and four floats, one float less, and a few more than a whole one. */
const SPANS = [3072, 5120, 3071, 1025] as const;

/** An element op on one long axis. */
const spanned = (general: Proof): Proof => proof<unknown>({
  ...general, name: `${general.name} over several workgroups`, heavy: [],
  draw: r => {
    const c = general.draw(r);
    const n = r.pick(SPANS);
    if (r.cap < 257) return c;
    const sides = typeof c.options === 'object' && c.options !== null && 'a' in c.options;
    const shapes = sides ? r.pick([[[n], [n]], [[n], []], [[n / 4, 4], [4]], [[n / 4, 1, 4], [1, 1]]].filter(s => s.flat().every(Number.isInteger))) : c.inputs.map(() => [n]);
    return { inputs: c.inputs.map(({ storage: _, ...input }, i) => ({ ...input, shape: shapes[i]! })), options: sides ? { ...c.options as object, a: shapes[0], b: shapes[1] } : c.options } satisfies Case;
  },
});

/** Places where rounding to a half changes its ways: largest number, first infinity, smallest normal, subnormals, half of the smallest, ties, and NaN with little payload. */
const EDGES: readonly number[] = [
  65_504, 65_519.99609375, 65_520, 65_536, 2 ** -14, 2 ** -14 - 2 ** -25, 2 ** -15, 2 ** -24, 1.5 * 2 ** -24, 2.5 * 2 ** -24, 2 ** -25, 2 ** -25 * (1 + 2 ** -23), 2 ** -26, 1.5 * 2 ** -26,
  1 + 2 ** -11, 1 + 3 * 2 ** -11, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -23, 3.4e38, 3.3961775292304601e38, 2 ** -126, 2 ** -133, 2 ** -149, 0, Infinity, NaN,
];

/** A conversion of such places and of numbers between them, whose result is the half itself, with its guards; some counts are odd. */
const edges = (general: Proof): Proof => proof<{ dtype: 'f16' | 'bf16' }>({
  ...general as Proof<{ dtype: 'f16' | 'bf16' }>, name: `${general.name} at the edges of the halves`, heavy: [], rows: () => undefined,
  run: ([x], { dtype }) => cast(x!, dtype),
  draw: r => {
    const options = { dtype: r.pick(['f16', 'bf16'] as const) };
    const n = Math.min(r.cap, r.pick([64, 128, 260, 129, 33, 131]));
    const data = Array.from({ length: n }, () => (r.chance(0.2) ? -1 : 1) * (r.chance(0.7) ? r.pick(EDGES) : 2 ** r.int(-27, 17) * (1 + r.int(0, 2 ** 12) * 2 ** -12)));
    return { inputs: [{ shape: [n], kind: 'given', data, dtype: 'f32', grad: false }], options };
  },
});

/** Gradients that are zero in part or throughout: nothing may be divided by the largest of them. */
const zeros = (general: Proof): Proof => proof<unknown>({
  ...general, name: `${general.name} of zeros`, heavy: [],
  draw: r => {
    const { options, inputs } = general.draw(r);
    const n = 4 * r.int(1, 200), from = r.chance(0.5) ? 0 : r.int(0, n - 1);
    return { inputs: [{ ...inputs[0]!, shape: [n], kind: 'given', dtype: 'f32', data: Array.from({ length: n }, (_, i) => (i < from ? r.int(-3, 3) : 0)), grad: false }, ...inputs.slice(1)], options } satisfies Case;
  },
});

/** No negatives: the loss of a single pair is 0, unless a NaN comes in. */
const alone = (general: Proof): Proof => proof<unknown>({
  ...general, name: `${general.name} of one pair`, heavy: [],
  draw: r => {
    const dim = r.int(1, 20);
    const pair = { shape: [1, dim], kind: 'unit' } as const;
    return { inputs: [pair, pair, { shape: [1], kind: 'given', data: [r.pick([0, 1, 2])], grad: true }], options: { dim, grouped: false } } satisfies Case;
  },
});

const named = (list: readonly Proof[], name: string): Proof => list.find(p => p.name === name)!;

/** Entries of this group. */
export const PROOFS: readonly Proof[] = [...(['plain', 'scalar', 'lanes4', 'lanes8'] as const).map(kernel), ...(['single', 'swiftshader'] as const).map(onTile),
  ...(['lavapipe', 'swiftshader', 'single'] as const).flatMap(tile => ['matmul', 'linear', 'linear with an activation'].map(name => tiled(tile)(named(products, name)))),
  ...elements.map(spanned), edges(named(storages, 'cast')), alone(named(losses, 'infoNCE')), zeros(named(trainings, 'gradNorm'))];
