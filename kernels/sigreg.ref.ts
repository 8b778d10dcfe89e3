/** Integral of the reference: all points of [−range, range] and plain trapezoids, where the op uses the symmetry. */
export interface SigregRefOptions {
  knots?: number;
  range?: number;
}

/** What f32 holds on the way, see `Round` in test/proofs/proof.ts. */
type Round = (v: Float64Array) => Float64Array;
const same: Round = v => v;

/** Points, trapezoid weights times window, target characteristic function. */
function points(knots: number, range: number): [number, number, number][] {
  const step = (2 * range) / (knots - 1);
  return Array.from({ length: knots }, (_, k) => {
    const t = -range + k * step;
    return [t, (k === 0 || k === knots - 1 ? 0.5 : 1) * step * Math.exp(-0.5 * t * t), Math.exp(-0.5 * t * t)];
  });
}

/** Projections [N, M]. */
function project(x: Float64Array, directions: Float64Array, dim: number): Float64Array {
  const n = x.length / dim, many = directions.length / dim;
  return Float64Array.from({ length: n * many }, (_, at) => {
    let z = 0;
    for (let d = 0; d < dim; d++) z += x[Math.floor(at / many) * dim + d]! * directions[(at % many) * dim + d]!;
    return z;
  });
}

/** Differences of the characteristic functions of one projection at t. */
function differenceAt(z: Float64Array, many: number, m: number, t: number, target: number): [number, number] {
  let re = 0, im = 0;
  const n = z.length / many;
  for (let i = m; i < z.length; i += many) {
    re += Math.cos(t * z[i]!) / n;
    im += Math.sin(t * z[i]!) / n;
  }
  return [re - target, im];
}

/**
 * The formula of `sigreg` in float64.
 * @param x [N, D] @param directions [M, D] unit rows @param dim D @param options knots, range @returns [1] mean statistic
 */
export function sigregRef(x: Float64Array, directions: Float64Array, dim: number, { knots = 17, range = 5 }: SigregRefOptions = {}): Float64Array {
  const z = project(x, directions, dim);
  const n = x.length / dim, many = directions.length / dim;
  let total = 0;
  for (let m = 0; m < many; m++) {
    for (const [t, weight, target] of points(knots, range)) {
      const [re, im] = differenceAt(z, many, m, t, target);
      total += n * weight * (re * re + im * im);
    }
  }
  return Float64Array.of(total / many);
}

/**
 * Gradient of `sigregRef` with respect to x.
 * @param x [N, D] @param directions [M, D] unit rows @param dim D @param dloss [1] @param options knots, range @param round what f32 holds on the way: for few rows the differences cancel against each row's own share @returns dx [N, D]
 */
export function sigregGradRef(x: Float64Array, directions: Float64Array, dim: number, dloss: Float64Array, { knots = 17, range = 5 }: SigregRefOptions = {}, round = same): Float64Array {
  const z = project(x, directions, dim);
  const n = x.length / dim, many = directions.length / dim;
  const dx = new Float64Array(x.length);
  for (let m = 0; m < many; m++) {
    const dz = new Float64Array(n);
    for (const [t, weight, target] of points(knots, range)) {
      const [re, im] = round(Float64Array.from(differenceAt(z, many, m, t, target))) as unknown as [number, number];
      const [cos, sin] = [Math.cos, Math.sin].map(f => round(dz.map((_, i) => f(t * z[i * many + m]!))));
      for (let i = 0; i < n; i++) dz[i]! += ((2 * dloss[0]! * weight * t) / many) * (im * cos![i]! - re * sin![i]!);
    }
    for (let i = 0; i < n; i++) for (let d = 0; d < dim; d++) dx[i * dim + d]! += dz[i]! * directions[m * dim + d]!;
  }
  return dx;
}
