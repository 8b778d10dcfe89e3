import { l2NormalizeRef } from './l2_normalize.ref.ts';

/** Settings of the references: as `RegressionOptions`. */
export interface RegressionRefOptions {
  normalize?: boolean;
  reduction?: 'mean' | 'sum';
}

const EPS = 1e-12;

/** What f32 holds on the way, see `Round` in test/proofs/proof.ts. */
type Round = (v: Float64Array) => Float64Array;
const same: Round = v => v;

/** Gradient of x through x / max(|x|, eps), row by row. */
function throughUnitRows(x: Float64Array, du: Float64Array, dim: number): Float64Array {
  const dx = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += dim) {
    let squares = 0, along = 0;
    for (let c = start; c < start + dim; c++) squares += x[c]! ** 2;
    const length = Math.sqrt(squares);
    for (let c = start; c < start + dim; c++) along += (x[c]! / length) * du[c]!;
    for (let c = start; c < start + dim; c++) dx[c] = length > EPS ? (du[c]! - (x[c]! / length) * along) / length : du[c]! / EPS;
  }
  return dx;
}

function elementRef(a: Float64Array, b: Float64Array, dim: number, { normalize = false, reduction = 'mean' }: RegressionRefOptions, round: Round, term: (d: number) => number): Float64Array {
  const [u, v] = normalize ? [round(l2NormalizeRef(a, dim, EPS)), round(l2NormalizeRef(b, dim, EPS))] : [a, b];
  const sum = u.reduce((s, x, i) => s + term(x - v[i]!), 0);
  return Float64Array.of((sum / a.length) * (reduction === 'mean' ? 1 : dim));
}

function elementGradRef(a: Float64Array, b: Float64Array, dim: number, dloss: Float64Array, { normalize = false, reduction = 'mean' }: RegressionRefOptions, round: Round, slope: (d: number) => number): [Float64Array, Float64Array] {
  const [u, v] = normalize ? [round(l2NormalizeRef(a, dim, EPS)), round(l2NormalizeRef(b, dim, EPS))] : [a, b];
  const factor = (dloss[0]! / a.length) * (reduction === 'mean' ? 1 : dim);
  const du = u.map((x, i) => slope(x - v[i]!) * factor);
  const dv = du.map(g => -g);
  return normalize ? [throughUnitRows(a, du, dim), throughUnitRows(b, dv, dim)] : [du, dv];
}

const square = (d: number): number => d * d;
const twice = (d: number): number => 2 * d;

/** `l1Loss` in float64. @param a [..., D] @param b [..., D] @param dim D @param options normalize, reduction @param round what f32 holds on the way @returns [1] */
export const l1LossRef = (a: Float64Array, b: Float64Array, dim: number, options: RegressionRefOptions = {}, round = same): Float64Array => elementRef(a, b, dim, options, round, Math.abs);

/** `l2Loss` in float64. @param a [..., D] @param b [..., D] @param dim D @param options normalize, reduction @param round what f32 holds on the way @returns [1] */
export const l2LossRef = (a: Float64Array, b: Float64Array, dim: number, options: RegressionRefOptions = {}, round = same): Float64Array => elementRef(a, b, dim, options, round, square);

/** Gradients of `l1LossRef`. @param a [..., D] @param b [..., D] @param dim D @param dloss [1] @param options normalize, reduction @param round what f32 holds on the way @returns da, db */
export const l1LossGradRef = (a: Float64Array, b: Float64Array, dim: number, dloss: Float64Array, options: RegressionRefOptions = {}, round = same): [Float64Array, Float64Array] => elementGradRef(a, b, dim, dloss, options, round, Math.sign);

/** Gradients of `l2LossRef`. @param a [..., D] @param b [..., D] @param dim D @param dloss [1] @param options normalize, reduction @param round what f32 holds on the way @returns da, db */
export const l2LossGradRef = (a: Float64Array, b: Float64Array, dim: number, dloss: Float64Array, options: RegressionRefOptions = {}, round = same): [Float64Array, Float64Array] => elementGradRef(a, b, dim, dloss, options, round, twice);

/** `cosineLoss` in float64: mean of 1 − p·y over unit rows. @param p [..., D] @param y [..., D] @param dim D @returns [1] */
export function cosineLossRef(p: Float64Array, y: Float64Array, dim: number): Float64Array {
  const [u, v] = [l2NormalizeRef(p, dim, EPS), l2NormalizeRef(y, dim, EPS)];
  return Float64Array.of(1 - u.reduce((s, x, i) => s + x * v[i]!, 0) * (dim / p.length));
}

/** Gradients of `cosineLossRef`. @param p [..., D] @param y [..., D] @param dim D @param dloss [1] @returns dp, dy */
export function cosineLossGradRef(p: Float64Array, y: Float64Array, dim: number, dloss: Float64Array): [Float64Array, Float64Array] {
  const [u, v] = [l2NormalizeRef(p, dim, EPS), l2NormalizeRef(y, dim, EPS)];
  const factor = (-dloss[0]! * dim) / p.length;
  return [throughUnitRows(p, v.map(x => x * factor), dim), throughUnitRows(y, u.map(x => x * factor), dim)];
}
