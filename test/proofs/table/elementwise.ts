// Ops that treat each element alone: activations, arithmetic with broadcasting, gates.
import type { Tensor } from '../../../engine/tensor.ts';
import * as activation from '../../../kernels/activation.ref.ts';
import * as arithmetic from '../../../kernels/elementwise.ref.ts';
import * as gates from '../../../kernels/gated.ref.ts';
import * as ops from '../../../kernels/index.ts';
import { proof } from '../proof.ts';
import type { Case, Draw, Proof } from '../proof.ts';
import { HALVES, float, half } from './inputs.ts';

const FIRST_AXIS = (c: Case): ReturnType<NonNullable<Proof['rows']>> => (c.inputs[0]!.shape.length ? { inputs: c.inputs.map(() => 0), outputs: [0] } : undefined);
/** Results below the smallest normal number may be flushed to zero. */
const FLUSHED = { floor: 1.2e-38 };

const one = (r: Draw): number[] => r.shape(r.int(1, 3));

/** y = f(x) with nothing to choose. */
function unary(name: string, op: (x: Tensor) => Tensor, formula: (x: number) => number, grad: (x: Float64Array, dy: Float64Array) => Float64Array, of: string): Proof {
  return proof<null>({
    name, ops: [of],
    draw: r => ({ inputs: [half(one(r), { scale: r.pick([0.5, 2, 6]) })], options: null }),
    run: ([x]) => op(x!),
    reference: ([x]) => x!.map(formula),
    backward: ([x], dy) => [grad(x!, dy)],
    element: 4e-6, relative: { floor: 2e-7 }, rows: FIRST_AXIS, nonfinite: 'not finite',
    heavy: [{ name: 'more than 65,535 workgroups', case: { inputs: [float([3, 5_600_001])], options: null } }],
  });
}

interface Sides { readonly a: readonly number[]; readonly b: readonly number[] }

/** Two shapes that broadcast: equal, a row against a matrix (four elements at once and not), or any mixture of missing and single axes. */
function sides(r: Draw): Sides {
  const form = r.pick(['equal', 'row', 'mixed', 'mixed', 'scalar'] as const);
  if (form === 'equal') return ((s: number[]) => ({ a: s, b: s }))(r.shape(r.int(0, 3)));
  if (form === 'scalar') return ((s: number[]) => ({ a: s, b: r.pick([[], [1], [1, 1]]) }))(r.shape(r.int(1, 3)));
  if (form === 'row') {
    const [rows, cols] = r.shape(2) as [number, number];
    const [long, short] = [r.pick([[rows, cols], [2, rows, cols]]), r.pick([[cols], [1, cols]])];
    return r.chance(0.5) ? { a: long, b: short } : { a: short, b: long };
  }
  const shape = r.shape(r.int(2, 5), 2048);
  const side = (): number[] => shape.map(n => (r.chance(0.4) ? 1 : n)).slice(r.int(0, 2) === 0 ? r.int(0, shape.length) : 0);
  return { a: side(), b: side() };
}

const OPERATIONS = {
  add: (a: number, b: number): number => a + b,
  sub: (a: number, b: number): number => a - b,
  mul: (a: number, b: number): number => a * b,
  div: (a: number, b: number): number => a / b,
};

function pair(name: keyof typeof OPERATIONS, grad: typeof arithmetic.addGradRef, most: number): Proof {
  const divides = name === 'div';
  return proof<Sides>({
    name, ops: [name],
    draw: r => {
      const options = sides(r);
      return { inputs: [half(options.a, { most }), divides ? { shape: options.b, kind: 'positive', most, storage: HALVES } : half(options.b, { most })], options };
    },
    run: ([a, b]) => ops[name](a!, b!),
    reference: ([a, b], { options }) => arithmetic.broadcast(OPERATIONS[name], a!, options.a, b!, options.b),
    backward: ([a, b], dy, { options }) => grad(a!, options.a, b!, options.b, dy),
    element: divides ? 4e-7 : 1.2e-7, relative: FLUSHED, ...(divides ? {} : { exact: 'integers' as const }),
    rows: c => (c.options.a.length && c.options.a.length === c.options.b.length && c.options.a[0] === c.options.b[0] ? { inputs: [0, 0], outputs: [0] } : undefined),
    nonfinite: 'propagates',
    heavy: [
      { name: 'more than 65,535 workgroups, four at once', case: { inputs: [float([16_777_220]), divides ? { shape: [16_777_220], kind: 'positive' } : float([16_777_220])], options: { a: [16_777_220], b: [16_777_220] } } },
      { name: '65,537 rows', gradients: true, fast: true, case: { inputs: [float([65_537, 3]), divides ? { shape: [3], kind: 'positive' } : float([3])], options: { a: [65_537, 3], b: [3] } } },
    ],
  });
}

interface Affine { readonly value: number }

const affine: readonly Proof[] = [
  proof<Affine>({
    name: 'scale', ops: ['scale'],
    draw: r => ({ inputs: [half(one(r), { most: 1e37 })], options: { value: r.pick([3, -0.37, 0, 1, 1e-3]) } }),
    run: ([x], { value }) => ops.scale(x!, value),
    reference: ([x], { options }) => arithmetic.affineRef(x!, options.value, 0),
    backward: (_, dy, { options }) => [arithmetic.affineGradRef(dy, options.value)],
    element: 1.2e-7, relative: FLUSHED, rows: FIRST_AXIS, nonfinite: 'propagates',
  }),
  proof<Affine>({
    name: 'addScalar', ops: ['addScalar'],
    draw: r => ({ inputs: [half(one(r))], options: { value: r.pick([3, -0.37, 0, -1000, 1e-3]) } }),
    run: ([x], { value }) => ops.addScalar(x!, value),
    reference: ([x], { options }) => arithmetic.affineRef(x!, 1, options.value),
    backward: (_, dy) => [arithmetic.affineGradRef(dy, 1)],
    element: 1.2e-7, relative: FLUSHED, rows: FIRST_AXIS, nonfinite: 'propagates',
  }),
  proof<null>({
    name: 'exp', ops: ['exp'],
    // Where the result is near the largest f32, its gradient dy e^x has no number.
    draw: r => { const beyond = r.chance(0.3); return { inputs: [half(one(r), { scale: 0.4, most: beyond ? 1e38 : 80, grad: !beyond })], options: null }; },
    run: ([x]) => ops.exp(x!),
    reference: ([x]) => arithmetic.expRef(x!),
    backward: ([x], dy) => [arithmetic.expGradRef(x!, dy)],
    element: 5e-7, relative: FLUSHED, rows: FIRST_AXIS, nonfinite: 'not finite',
  }),
];

function gate(name: 'swiglu' | 'geglu', formula: typeof gates.swiglu, grad: typeof gates.swigluGradRef): Proof {
  return proof<null>({
    name, ops: [name],
    draw: r => { const shape = one(r); return { inputs: [half(shape, { scale: r.pick([1, 4]), most: 1e18 }), half(shape, { most: 1e18 })], options: null }; },
    run: ([g, up]) => ops[name](g!, up!),
    reference: ([g, up]) => formula(g!, up!),
    backward: ([g, up], dy) => grad(g!, up!, dy),
    element: 4e-6, relative: { floor: 4e-7 }, rows: FIRST_AXIS, nonfinite: 'not finite',
    heavy: [{ name: '257 × 65,537', case: { inputs: [float([257, 65_537]), float([257, 65_537])], options: null } }],
  });
}

/** Entries of this group. */
export const PROOFS: readonly Proof[] = [
  unary('gelu', x => ops.gelu(x), activation.gelu, activation.geluGradRef, 'gelu'),
  unary('gelu tanh', x => ops.gelu(x, { approximate: 'tanh' }), activation.geluTanh, activation.geluTanhGradRef, 'gelu'),
  unary('silu', x => ops.silu(x), activation.silu, activation.siluGradRef, 'silu'),
  pair('add', arithmetic.addGradRef, 1e37), pair('sub', arithmetic.subGradRef, 1e37), pair('mul', arithmetic.mulGradRef, 1e18), pair('div', arithmetic.divGradRef, 1e12),
  ...affine,
  gate('swiglu', gates.swiglu, gates.swigluGradRef), gate('geglu', gates.geglu, gates.gegluGradRef),
];
