// What every library has to compute, in float64: whole results where that takes seconds, else sampled rows.
import { geluGradRef, gelu } from '../../kernels/activation.ref.ts';
import { attentionGradRef, attentionRef } from '../../kernels/attention.ref.ts';
import { infoNCERef } from '../../kernels/info_nce.ref.ts';
import { layerNormGradRef, layerNormRef } from '../../kernels/layer_norm.ref.ts';
import type { Arrays } from './library.ts';
import { ADAM, EPS, LOG_SCALE, SGD_RATE, mlpWeights } from './works.ts';
import type { BlockSizes, Spec, Work } from './works.ts';

type F64 = Float64Array;
type Weights = Readonly<Record<string, F64>>;

/** What one result has to be. */
export interface Expected {
  readonly want: F64;
  /** Rows of the result that `want` holds, and their length; all of it when absent. */
  readonly rows?: { readonly at: readonly number[]; readonly cols: number };
  /** Compare the change from these values on: weights after a step hide a wrong gradient behind their size. */
  readonly from?: Float32Array;
  /** Largest NMSE that counts as right. */
  readonly limit: number;
}
export type Reference = Readonly<Record<string, Expected>>;

/** A library computed something else. */
export class WrongResult extends Error {
  override name = 'WrongResult';
  /** What is wrong, without who. */
  readonly what: string;

  constructor(who: string, what: string) {
    super(`bench peers: ${who} ${what}; no time is printed for a wrong result`);
    this.what = what;
  }
}

const LIMIT = 1e-9;
/** A change of a weight is a small difference of f32 numbers. */
const CHANGE_LIMIT = 1e-6;
/** Adam's first step is the gradient's sign: where the gradient is a rounding error, the sign is a coin. */
const SIGN_LIMIT = 1e-3;
const SAMPLED_ROWS = 12;

/** a b, a [m, k], b [k, n] */
function product(a: F64, b: F64, m: number, k: number, n: number): F64 {
  const y = new Float64Array(m * n);
  for (let i = 0; i < m; i++) for (let l = 0; l < k; l++) {
    const s = a[i * k + l]!;
    for (let j = 0, row = l * n, out = i * n; j < n; j++) y[out + j]! += s * b[row + j]!;
  }
  return y;
}

/** aᵀ b, a [m, k], b [m, n] */
function productOver(a: F64, b: F64, m: number, k: number, n: number): F64 {
  const y = new Float64Array(k * n);
  for (let i = 0; i < m; i++) for (let l = 0; l < k; l++) {
    const s = a[i * k + l]!;
    for (let j = 0, row = i * n, out = l * n; j < n; j++) y[out + j]! += s * b[row + j]!;
  }
  return y;
}

/** a bᵀ, a [m, n], b [k, n] */
function productBack(a: F64, b: F64, m: number, n: number, k: number): F64 {
  const y = new Float64Array(m * k);
  for (let i = 0; i < m; i++) for (let l = 0; l < k; l++) {
    let s = 0;
    for (let j = 0; j < n; j++) s += a[i * n + j]! * b[l * n + j]!;
    y[i * k + l] = s;
  }
  return y;
}

const wide = (x: Float32Array): F64 => Float64Array.from(x);
const plus = (a: F64, b: F64): F64 => a.map((v, i) => v + b[i]!);
const affine = (x: F64, w: F64, b: F64 | undefined, m: number, k: number, n: number): F64 => { const y = product(x, w, m, k, n); return b ? y.map((v, i) => v + b[i % n]!) : y; };
const columns = (x: F64, n: number): F64 => { const y = new Float64Array(n); x.forEach((v, i) => { y[i % n]! += v; }); return y; };

function sample(count: number): number[] {
  if (count <= SAMPLED_ROWS) return Array.from({ length: count }, (_, i) => i);
  return Array.from({ length: SAMPLED_ROWS }, (_, i) => Math.round(i * (count - 1) / (SAMPLED_ROWS - 1)));
}

function take(x: F64, rows: readonly number[], cols: number): F64 {
  const y = new Float64Array(rows.length * cols);
  rows.forEach((r, i) => y.set(x.subarray(r * cols, (r + 1) * cols), i * cols));
  return y;
}

const attentionCase = ({ batch, tokens, dim, heads }: BlockSizes, tq = tokens) => ({ batch, tq, tk: tokens, heads, kvHeads: heads, headDim: dim / heads });

/** A block, and what its gradient needs. `rows`: only these queries (one batch row). */
function block(x: F64, w: Weights, s: BlockSizes, rows?: readonly number[]) {
  const { batch, tokens, dim: d, mlp } = s;
  const all = batch * tokens, m = rows?.length ?? all;
  const h1 = layerNormRef(x, w.norm1!, w.norm1b!, EPS);
  const hq = rows ? take(h1, rows, d) : h1;
  const q = affine(hq, w.wq!, w.bq, m, d, d), k = affine(h1, w.wk!, w.bk, all, d, d), v = affine(h1, w.wv!, w.bv, all, d, d);
  const mixed = attentionRef(attentionCase(s, m / batch), q, k, v);
  const x2 = plus(rows ? take(x, rows, d) : x, affine(mixed, w.wo!, w.bo, m, d, d));
  const h2 = layerNormRef(x2, w.norm2!, w.norm2b!, EPS);
  const pre = affine(h2, w.w1!, w.b1, m, d, mlp);
  const act = pre.map(gelu);
  return { x, h1, q, k, v, mixed, x2, h2, pre, act, y: plus(x2, affine(act, w.w2!, w.b2, m, mlp, d)) };
}

/** Gradients of a block's weights, and of its input. */
function blockGradient(f: ReturnType<typeof block>, w: Weights, s: BlockSizes, dy: F64): { dx: F64; grads: Record<string, F64> } {
  const { batch, tokens, dim: d, mlp } = s;
  const m = batch * tokens;
  const dact = productBack(dy, w.w2!, m, d, mlp);
  const dpre = geluGradRef(f.pre, dact);
  const [dx2n, norm2, norm2b] = layerNormGradRef(f.x2, w.norm2!, EPS, productBack(dpre, w.w1!, m, mlp, d));
  const dx2 = plus(dy, dx2n!);
  const dmixed = productBack(dx2, w.wo!, m, d, d);
  const [dq, dk, dv] = attentionGradRef(attentionCase(s), f.q, f.k, f.v, dmixed);
  const dh = [[dq, w.wq!], [dk, w.wk!], [dv, w.wv!]].map(([g, weight]) => productBack(g!, weight!, m, d, d)).reduce(plus);
  const [dx1, norm1, norm1b] = layerNormGradRef(f.x, w.norm1!, EPS, dh);
  const of = (x: F64, g: F64, k: number, n: number): F64 => productOver(x, g, m, k, n);
  return {
    dx: plus(dx2, dx1!),
    grads: {
      norm1: norm1!, norm1b: norm1b!, wq: of(f.h1, dq, d, d), bq: columns(dq, d), wk: of(f.h1, dk, d, d), bk: columns(dk, d), wv: of(f.h1, dv, d, d), bv: columns(dv, d),
      wo: of(f.mixed, dx2, d, d), bo: columns(dx2, d), norm2: norm2!, norm2b: norm2b!, w1: of(f.h2, dpre, d, mlp), b1: columns(dpre, mlp), w2: of(f.act, dy, mlp, d), b2: columns(dy, d),
    },
  };
}

const mse = (y: F64, target: F64): { loss: number; dy: F64 } => {
  const dy = y.map((v, i) => 2 * (v - target[i]!) / y.length);
  return { loss: y.reduce((s, v, i) => s + (v - target[i]!) ** 2 / y.length, 0), dy };
};

function mlpStep(spec: Extract<Spec, { kind: 'mlpStep' }>, values: Arrays, w: Weights): Reference {
  const { rows: m, input, hidden, output } = spec;
  const pre = affine(w.x!, w.w1!, w.b1, m, input, hidden);
  const act = pre.map(gelu);
  const { loss, dy } = mse(affine(act, w.w2!, w.b2, m, hidden, output), w.target!);
  const dpre = geluGradRef(pre, productBack(dy, w.w2!, m, output, hidden));
  const grads: Weights = { w1: productOver(w.x!, dpre, m, input, hidden), b1: columns(dpre, hidden), w2: productOver(act, dy, m, hidden, output), b2: columns(dy, output) };
  const out: Record<string, Expected> = { loss: { want: Float64Array.of(loss), limit: LIMIT } };
  for (const name of Object.keys(mlpWeights(spec))) out[name] = { want: grads[name]!.map(g => -SGD_RATE * g), from: values[name]!, limit: CHANGE_LIMIT };
  return out;
}

function transformerStep(spec: Extract<Spec, { kind: 'transformerStep' }>, values: Arrays, w: Weights): Reference {
  const layers = Array.from({ length: spec.layers }, (_, i) => Object.fromEntries(Object.entries(w).filter(([n]) => n.startsWith(`${i}.`)).map(([n, v]) => [n.slice(n.indexOf('.') + 1), v])));
  let x = w.x!;
  const forwards = layers.map(weights => { const f = block(x, weights, spec); x = f.y; return f; });
  let { loss, dy } = mse(x, w.target!);
  const out: Record<string, Expected> = { loss: { want: Float64Array.of(loss), limit: LIMIT } };
  for (let i = spec.layers - 1; i >= 0; i--) {
    const { dx, grads } = blockGradient(forwards[i]!, layers[i]!, spec, dy);
    dy = dx;
    for (const [n, g] of Object.entries(grads)) {
      if (n === 'bk') continue; // adding one vector to all keys changes no softmax: the gradient is zero, and what is computed is rounding
      out[`m.${i}.${n}`] = { want: g.map(v => (1 - ADAM.beta1) * v), limit: CHANGE_LIMIT };
      out[`${i}.${n}`] = { want: g.map(v => -ADAM.rate * v / (Math.abs(v) + ADAM.eps)), from: values[`${i}.${n}`]!, limit: SIGN_LIMIT };
    }
  }
  return out;
}

/**
 * The results of a work in float64.
 * @param work which @param values its inputs @returns what to compare with, by result
 */
export function referenceOf(work: Work, values: Arrays): Reference {
  const { spec } = work;
  const w: Weights = Object.fromEntries(Object.entries(values).map(([name, v]) => [name, wide(v)]));
  switch (spec.kind) {
    case 'matmul':
    case 'linear': {
      const { m, k, n } = spec;
      const at = sample(m);
      const [x, weight] = spec.kind === 'matmul' ? [w.a!, w.b!] : [w.x!, w.w!];
      return { y: { want: affine(take(x, at, k), weight, spec.kind === 'linear' ? w.b : undefined, at.length, k, n), rows: { at, cols: n }, limit: LIMIT } };
    }
    case 'attention': {
      const { tokens, heads, headDim } = spec;
      const at = sample(tokens), cols = heads * headDim;
      const sizes = attentionCase({ batch: 1, tokens, heads, dim: cols, mlp: 0 }, at.length);
      return { y: { want: attentionRef(sizes, take(w.q!, at, cols), w.k!, w.v!), rows: { at, cols }, limit: LIMIT } };
    }
    case 'layerNorm': return { y: { want: layerNormRef(w.x!, w.w!, w.b!, EPS), limit: LIMIT } };
    case 'block': {
      const at = sample(spec.tokens);
      return { y: { want: block(w.x!, w, spec, at).y, rows: { at, cols: spec.dim }, limit: LIMIT } };
    }
    case 'contrastive': {
      const { loss, dp, dy, dLogScale } = infoNCERef(w.p!, w.y!, Math.fround(LOG_SCALE), spec.dim);
      return { loss: { want: Float64Array.of(loss[0]), limit: LIMIT }, dp: { want: dp, limit: LIMIT }, dy: { want: dy, limit: LIMIT }, dLogScale: { want: Float64Array.of(dLogScale), limit: LIMIT } };
    }
    case 'mlpStep': return mlpStep(spec, values, w);
    case 'transformerStep': return transformerStep(spec, values, w);
  }
}

/**
 * Compares results with the reference.
 * @param who library and work, for the message @param reference what has to be @param got results by name
 * @returns worst NMSE, elements compared, elements there are @throws WrongResult for a missing, too short or wrong result
 */
export function compare(who: string, reference: Reference, got: Arrays): { nmse: number; checked: number; of: number } {
  const sum = { nmse: 0, checked: 0, of: 0 };
  for (const [name, { want, rows, from, limit }] of Object.entries(reference)) {
    const values = got[name];
    const length = rows ? Math.max(...rows.at) * rows.cols + rows.cols : want.length;
    if (!values || values.length < length) throw new WrongResult(who, `has ${values?.length ?? 'no'} values of ${name}, expected ${length}`);
    let error = 0, power = 0;
    want.forEach((v, i) => {
      const at = rows ? rows.at[Math.floor(i / rows.cols)]! * rows.cols + i % rows.cols : i;
      error += (values[at]! - (from?.[at] ?? 0) - v) ** 2;
      power += v * v;
    });
    const nmse = error / power;
    if (!(nmse <= limit)) throw new WrongResult(who, `is wrong, NMSE of ${name} is ${nmse.toExponential(1)}, expected at most ${limit}`);
    sum.nmse = Math.max(sum.nmse, from ? 0 : nmse);
    sum.checked += want.length;
    sum.of += values.length;
  }
  return sum;
}
