import { checkFloat, checkSameDevice, checkShape, ShapeError, showShape } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { scope } from '../engine/memory.ts';
import { noGrad, record } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { columnSum } from './column_sum.ts';
import { matmul } from './matmul.ts';
import { groupsFor } from './row_loads.ts';
import { mean } from './sum.ts';
import { sigreg as kernel } from './wgsl.gen.ts';

const WG = 64;
/** Rows that one invocation adds: short enough for rounding. */
const CHUNK = 32;

/** Options of `sigreg`. */
export interface SigregOptions {
  /** Random directions M. Default 256, as the paper's listing. */
  readonly projections?: number;
  /** Seed of the directions: a new one every step makes all directions count in time. Default 0. */
  readonly seed?: number;
  /** [M, D] f32 unit rows to use instead of random ones. */
  readonly directions?: Tensor;
  /** Points of the integral over t, odd. Default 17. */
  readonly knots?: number;
  /** The integral runs from −range to range. Default 5. */
  readonly range?: number;
}

/**
 * Seeded directions, uniform on the sphere: normal coordinates by length, in float64 on the CPU, so that every adapter gets the same bits.
 * @param count M @param dim D @param seed whole number @returns [M, D] unit rows
 */
export function unitDirections(count: number, dim: number, seed: number): Float32Array {
  let state = (Math.imul(seed | 0, 0x9e3779b1) ^ 0x85ebca6b) >>> 0;
  const uniform = (): number => { // one step of a Weyl sequence and the finaliser of MurmurHash3
    state = (state + 0x9e3779b9) >>> 0;
    let h = state;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    return (((h ^ (h >>> 16)) >>> 0) + 0.5) / 2 ** 32;
  };
  const out = new Float32Array(count * dim);
  const row = new Float64Array(dim);
  for (let m = 0; m < count; m++) {
    let squares = 0;
    for (let d = 0; d < dim; d++) {
      row[d] = Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
      squares += row[d]! ** 2;
    }
    for (let d = 0; d < dim; d++) out[m * dim + d] = row[d]! / Math.sqrt(squares);
  }
  return out;
}

/**
 * Points t ≥ 0, weights and targets of the integral: the integrand is even, so the points above 0 count twice; at t = 0 it is always 0.
 * @param knots points on [−range, range], odd @param range end of the interval @returns rows of t, trapezoid weight times window exp(−t²/2), exp(−t²/2)
 */
export function sigregKnots(knots: number, range: number): [number, number, number][] {
  const half = (knots - 1) / 2;
  const step = range / half;
  return Array.from({ length: half }, (_, i) => {
    const t = step * (i + 1);
    const target = Math.exp(-0.5 * t * t);
    return [t, (i === half - 1 ? 1 : 2) * step * target, target];
  });
}

function knotTable(knots: number, range: number): Float32Array {
  return Float32Array.from(sigregKnots(knots, range).flatMap(([t, w, target]) => [t, w, Math.fround(target), target - Math.fround(target)]));
}

function check(x: Tensor, { knots, range, projections, directions }: { knots: number; range: number; projections: number; directions: Tensor | undefined }): void {
  const [n, dim] = x.shape;
  if (x.shape.length !== 2 || n! < 1 || dim! < 1) throw new ShapeError(`sigreg: x has shape ${showShape(x.shape)}, expected [N, D] with at least one row and one column`);
  checkFloat('sigreg', 'x', x);
  if (!Number.isInteger(knots) || knots < 3 || knots % 2 === 0) throw new ShapeError(`sigreg: knots is ${knots}, expected an odd whole number ≥ 3 (the points are symmetric around 0)`);
  if (!(range > 0) || !Number.isFinite(range)) throw new ShapeError(`sigreg: range is ${range}, expected a number > 0`);
  if (!Number.isInteger(projections) || projections < 1) throw new ShapeError(`sigreg: projections is ${projections}, expected a whole number ≥ 1`);
  if (!directions) return;
  checkShape('sigreg', 'directions', directions, [null, dim!], 'one unit row per projection');
  if (directions.shape[0]! < 1) throw new ShapeError('sigreg: directions has no row, expected at least one');
  checkFloat('sigreg', 'directions', directions);
  checkSameDevice('sigreg', x, directions);
}

/**
 * SIGReg: how far embeddings are from an isotropic Gaussian. x is projected on M random unit directions; each projection is held against N(0, 1) by the Epps-Pulley
 * statistic T = N ∫ |φ_z(t) − e^{−t²/2}|² e^{−t²/2} dt, integrated by trapezoids; the result is the mean over directions. It keeps embeddings from collapsing
 * without negatives, in time and memory linear in N. Source: Balestriero, LeCun 2025 (arXiv 2511.08544), section 4; Epps, Pulley 1983 (Biometrika 70).
 * @param x [N, D] float embeddings, not normalised; accurate while |t · projection| < 8192
 * @param options projections, seed, directions, knots, range: see `SigregOptions`
 * @returns [1] the statistic, differentiable in x (not in directions)
 * @throws ShapeError unless N ≥ 1, D ≥ 1, knots is odd and the directions fit
 */
export function sigreg(x: Tensor, { projections = 256, seed = 0, directions, knots = 17, range = 5 }: SigregOptions = {}): Tensor {
  check(x, { knots, range, projections, directions });
  const { device } = x;
  const [rows, dim] = x.shape as [number, number];
  const a = directions ?? Tensor.from(device, unitDirections(projections, dim, seed), [projections, dim]);
  const many = a.shape[0]!;
  const half = (knots - 1) / 2;
  const table = Tensor.from(device, knotTable(knots, range), [half, 4]);
  const chunks = Math.ceil(rows / CHUNK);
  const params = { rows, projections: many, knots: half, chunks };
  const options = { constants: { WG } };
  const { z, sums, loss } = scope(() => noGrad(() => {
    const z = matmul(x, a, { transposeB: true }); // [N, M]
    const parts = Tensor.empty(device, [chunks, half * many * 2]);
    dispatch(device, kernel, 'characteristic', { z, knots: table, parts }, params, groupsFor(chunks * half * many, WG), options);
    const sums = columnSum(parts);
    const statistics = Tensor.empty(device, [many]);
    dispatch(device, kernel, 'statistic', { sums, knots: table, statistics }, params, groupsFor(many, WG), options);
    return { z, sums, loss: mean(statistics) };
  }));
  return record(loss, [[x, dloss => {
    const dz = Tensor.empty(device, z.shape);
    dispatch(device, kernel, 'backward', { z, sums, knots: table, dloss, dz }, params, groupsFor(z.size, WG), options);
    return matmul(dz, a);
  }]]);
}
