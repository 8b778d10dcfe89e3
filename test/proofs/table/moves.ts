// Ops that only move elements: every bit arrives.
import { Tensor, size } from '../../../engine/tensor.ts';
import { concatGradRef, concatRows } from '../../../kernels/concat.ref.ts';
import { embedding as embeddingRef, embeddingGradRef } from '../../../kernels/embedding.ref.ts';
import { fullRef } from '../../../kernels/fill.ref.ts';
import * as ops from '../../../kernels/index.ts';
import { reshapeGradRef, reshapeRef } from '../../../kernels/reshape.ref.ts';
import { sliceGradRef, sliceRows } from '../../../kernels/slice.ref.ts';
import { transpose5, transposeGradRef } from '../../../kernels/transpose.ref.ts';
import { proof } from '../proof.ts';
import type { Draw, Input, Proof } from '../proof.ts';
import { float, half, ids, large, weight } from './inputs.ts';

/** Floats, or words that are no floats. */
const elements = (r: Draw, shape: readonly number[], words: boolean): Input => (words ? { shape, kind: 'ids', below: 2 ** 24 } : half(shape));

/** An axis as callers write it: from the front or from the end. */
const written = (r: Draw, axis: number, rank: number): number => (r.chance(0.3) ? axis - rank : axis);

interface Axis { readonly axis: number; readonly shape: readonly number[] }
const from = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
const outerOf = ({ axis, shape }: Axis): number => size(shape.slice(0, from(axis, shape.length)));
const innerOf = ({ axis, shape }: Axis): number => size(shape.slice(from(axis, shape.length) + 1));
const lengthOf = ({ axis, shape }: Axis): number => shape[from(axis, shape.length)]!;

const reshape = proof<{ shape: readonly number[] }>({
  name: 'reshape', ops: ['reshape'],
  draw: r => {
    const shape = r.shape(r.int(1, 4), 4096, 1);
    return { inputs: [elements(r, shape, r.chance(0.2))], options: { shape: r.pick([[size(shape)], [-1], [1, -1, shape.at(-1)!], [...shape, 1], [shape[0]!, -1]]) } };
  },
  run: ([x], { shape }) => ops.reshape(x!, shape),
  reference: ([x]) => reshapeRef(x!),
  backward: (_, dy) => [reshapeGradRef(dy)],
  exact: 'bits', nonfinite: 'propagates',
});

const concat = proof<Axis & { readonly lengths: readonly number[] }>({
  name: 'concat', ops: ['concat'],
  draw: r => {
    const rank = r.int(1, 4);
    const at = r.int(0, rank - 1);
    const shape = r.shape(rank, 1024);
    const words = r.chance(0.2);
    const lengths = Array.from({ length: r.int(1, 4) }, () => (r.chance(0.5) ? shape[at]! : r.size(0, 65)));
    return { inputs: lengths.map(n => ({ ...elements(r, shape.map((s, k) => (k === at ? n : s)), words), storage: [] })), options: { axis: written(r, at, rank), shape, lengths } };
  },
  run: (t, { axis }) => ops.concat(t, axis),
  reference: (x, { options: o }) => concatRows(x, outerOf(o), o.lengths.map(n => n * innerOf(o))),
  backward: (_, dy, { options: o }) => concatGradRef(dy, outerOf(o), o.lengths.map(n => n * innerOf(o))),
  rows: c => (from(c.options.axis, c.options.shape.length) === 0 ? undefined : { inputs: c.inputs.map(() => 0), outputs: [0] }),
  exact: 'bits', nonfinite: 'propagates',
  heavy: [{ name: 'more than 65,535 workgroups', case: { inputs: [float([2, 8_400_001]), float([2, 3])], options: { axis: 1, shape: [2, 8_400_001], lengths: [8_400_001, 3] } } }],
});

const slice = proof<Axis & { readonly start: number; readonly end?: number }>({
  name: 'slice', ops: ['slice'],
  draw: r => {
    const rank = r.int(1, 4);
    const at = r.int(0, rank - 1);
    const shape = r.shape(rank);
    const [p, q] = [r.int(0, shape[at]!), r.int(0, shape[at]!)];
    const quads = r.chance(0.3) ? 4 : 1; // ranges that vector loads can take
    const [start, end] = [Math.floor(Math.min(p, q) / quads) * quads, Math.max(p, q)];
    return { inputs: [elements(r, shape, r.chance(0.2))], options: { axis: written(r, at, rank), shape, start, ...(r.chance(0.8) && { end: start + Math.floor((end - start) / quads) * quads }) } };
  },
  run: ([x], { axis, start, end }) => ops.slice(x!, axis, start, end),
  reference: ([x], { options: o }) => sliceRows(x!, outerOf(o), lengthOf(o) * innerOf(o), o.start * innerOf(o), ((o.end ?? lengthOf(o)) - o.start) * innerOf(o)),
  backward: (_, dy, { options: o }) => [sliceGradRef(dy, outerOf(o), lengthOf(o) * innerOf(o), o.start * innerOf(o), ((o.end ?? lengthOf(o)) - o.start) * innerOf(o))],
  rows: c => (from(c.options.axis, c.options.shape.length) === 0 ? undefined : { inputs: [0], outputs: [0] }),
  exact: 'bits', nonfinite: 'propagates',
  heavy: [{ name: 'more than 65,535 workgroups', gradients: true, case: { inputs: [float([2, 8_400_003])], options: { axis: 1, shape: [2, 8_400_003], start: 1 } } }],
});

interface Swap { readonly axes: readonly [number, number]; readonly shape: readonly number[] }

/** [A, N, B, M, C] around the two axes; one axis twice moves nothing. */
function fiveOf({ axes, shape }: Swap): readonly [number, number, number, number, number] {
  const [p, q] = axes.map(a => from(a, shape.length)).sort((a, b) => a - b) as [number, number];
  return p === q ? [1, 1, 1, 1, size(shape)] : [size(shape.slice(0, p)), shape[p]!, size(shape.slice(p + 1, q)), shape[q]!, size(shape.slice(q + 1))];
}

const transpose = proof<Swap>({
  name: 'transpose', ops: ['transpose'],
  draw: r => {
    const rank = r.int(1, 5);
    const shape = r.shape(rank);
    return { inputs: [elements(r, shape, r.chance(0.2))], options: { axes: [written(r, r.int(0, rank - 1), rank), written(r, r.int(0, rank - 1), rank)], shape } };
  },
  run: ([x], { axes }) => ops.transpose(x!, ...axes),
  reference: ([x], { options }) => transpose5(x!, fiveOf(options)),
  backward: (_, dy, { options }) => [transposeGradRef(dy, fiveOf(options))],
  exact: 'bits', nonfinite: 'propagates',
  heavy: [{ name: 'more than 65,535 workgroups', gradients: true, case: { inputs: [float([3, 5_600_001])], options: { axes: [0, 1], shape: [3, 5_600_001] } } }],
});

interface Lookup { readonly rows: number; readonly width: number; readonly host?: readonly number[] }

const embedding = proof<Lookup>({
  name: 'embedding', ops: ['embedding'],
  draw: r => {
    const [rows, width] = [Math.max(1, r.pick([r.int(1, 3), r.size(1)])), r.size(0, 65)];
    const n = large(r, 0.2) ? r.int(100, 300) : r.size(0, 40); // chains of one id longer than a block of 32
    const table = weight([rows, width]);
    if (r.chance(0.25)) return { inputs: [table], options: { rows, width, host: Array.from({ length: n }, () => r.int(0, rows - 1)) } };
    const shape = r.pick([[n], [1, n], [n, 2]]);
    return { inputs: [table, ids(shape, rows + r.pick([0, 0, 2]))], options: { rows, width } }; // ids beyond the table take its last row
  },
  run: ([table, t], { host }) => ops.embedding(table!, host ?? t!),
  reference: ([table, t], { options }) => embeddingRef(table!, options.width, Array.from(options.host ?? t!, id => Math.min(id, options.rows - 1))),
  backward: ([, t], dy, { options }) => [embeddingGradRef(options.rows, options.width, options.host ?? t!, dy), undefined],
  exact: 'bits', nonfinite: 'propagates',
  heavy: [
    { name: '65,537 rows', gradients: true, case: { inputs: [float([65_537, 4]), ids([3000], 65_537)], options: { rows: 65_537, width: 4 } } },
    { name: '65,537 positions, more than 65,535 workgroups', case: { inputs: [float([5, 257]), ids([65_537], 5)], options: { rows: 5, width: 257 } } },
  ],
});

interface Parts { readonly rows: readonly number[]; readonly width: number }
const joined = (parts: readonly Float64Array[]): Float64Array => Float64Array.from(parts.flatMap(p => [...p]));
const total = (rows: readonly number[]): number => rows.reduce((a, b) => a + b, 0);

const embeddingParts = proof<Parts>({
  name: 'embedding of a table in parts', ops: ['embedding'],
  draw: r => {
    const rows = Array.from({ length: r.int(2, 4) }, (_, i) => (i === 0 ? r.int(1, 9) : r.pick([0, 1, r.int(2, 40)])));
    const [width, n] = [r.size(1, 65), r.size(1, 60)];
    return { inputs: [...rows.map(v => float([v, width])), ids([n], total(rows) + r.pick([0, 0, 2]))], options: { rows, width } };
  },
  run: t => ops.embedding(t.slice(0, -1), t.at(-1)!),
  reference: (x, { options: { rows, width } }) => embeddingRef(joined(x.slice(0, -1)), width, Array.from(x.at(-1)!, id => Math.min(id, total(rows) - 1))),
  backward: (x, dy, { options: { rows, width } }) => {
    const whole = embeddingGradRef(total(rows), width, Array.from(x.at(-1)!, id => Math.min(id, total(rows) - 1)), dy);
    return [...rows.map((v, i) => whole.slice(total(rows.slice(0, i)) * width, (total(rows.slice(0, i)) + v) * width)), undefined];
  },
  exact: 'bits', nonfinite: 'propagates',
});

const full = proof<{ shape: readonly number[]; value: number }>({
  name: 'full', ops: ['full'],
  draw: r => ({ inputs: [], options: { shape: r.shape(r.int(0, 3)), value: r.pick([0, 1, -2.5, 1e-40, 3e38, 1 / 3, NaN, Infinity, -Infinity]) } }),
  run: (_, { shape, value }, device) => ops.full(device, shape, value),
  reference: (_, { options }) => fullRef(size(options.shape), options.value),
  noGradient: 'a constant', exact: 'bits', nonfinite: 'propagates',
});

const backward = proof<null>({
  name: 'backward', ops: ['backward'],
  draw: r => ({ inputs: [float(r.shape(r.int(1, 2), 512, 1), { most: 1e18 })], options: null }),
  /** The gradient of Σ x², left at the leaf twice over and added up there. */
  run: ([x], _, device) => {
    const leaf = Tensor.from(device, new Float32Array(x!.size), x!.shape);
    ops.lerpInPlace(leaf, x!, 1);
    leaf.needsGrad = true;
    for (let k = 0; k < 2; k++) ops.backward(ops.sum(ops.mul(leaf, leaf)));
    return leaf.grad!;
  },
  reference: ([x]) => x!.map(v => 4 * v),
  noGradient: 'is the backward pass', exact: 'integers', nonfinite: { open: 'weighs the NaN with 0 on its way into the leaf' },
});

/** Entries of this group. */
export const PROOFS: readonly Proof[] = [reshape, concat, slice, transpose, embedding, embeddingParts, full, backward];
