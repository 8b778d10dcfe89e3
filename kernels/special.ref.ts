// Float64 formulas of kernels/special.wgsl, to about 1e-14 and fast enough for 2^32 inputs. Imported by tests and benchmarks only.
import { normalTail } from './activation.ref.ts';

const CELL = 1 / 64;
const CELLS = 14 / CELL;
const TERMS = 9;

// R(a) = Q(a) exp(a²/2) with Q the upper tail of the normal law: R' = a R - 1/√(2π), hence Taylor coefficients c_{n+1} = (a c_n + c_{n-1}) / (n + 1) about the middle of each cell.
let table: Float64Array | undefined;
function scaledTailTable(): Float64Array {
  if (table) return table;
  table = new Float64Array(CELLS * TERMS);
  for (let cell = 0; cell < CELLS; cell++) {
    const a = (cell + 0.5) * CELL;
    const c = table.subarray(cell * TERMS, (cell + 1) * TERMS);
    c[0] = normalTail(a) * Math.exp(0.5 * a * a);
    c[1] = a * c[0]! - 1 / Math.sqrt(2 * Math.PI);
    for (let n = 1; n + 1 < TERMS; n++) c[n + 1] = (a * c[n]! + c[n - 1]!) / (n + 1);
  }
  return table;
}

/** Upper tail of the normal law, 1 - Φ(a). @param a argument ≥ 0 @returns Q(a); 0 from 40 on, where float64 ends */
export function tail(a: number): number {
  if (!(a < CELLS * CELL)) return a < 40 ? normalTail(a) : a - a || 0;
  const cell = Math.floor(a / CELL);
  const h = a - (cell + 0.5) * CELL;
  const c = scaledTailTable();
  let sum = 0;
  for (let n = (cell + 1) * TERMS - 1; n >= cell * TERMS; n--) sum = sum * h + c[n]!;
  return sum * Math.exp(-0.5 * a * a);
}

/** The error function. @param x argument @returns erf(x) */
export function erf(x: number): number {
  if (Math.abs(x) >= 0.5) return Math.sign(x) * (1 - 2 * tail(Math.SQRT2 * Math.abs(x)));
  if (Math.abs(x) < 1e-4) return x * (1 - x * x / 3) * (2 / Math.sqrt(Math.PI));
  let sum = 1, term = 1;
  for (let n = 1; n < 14; n++) {
    term *= -x * x / n;
    sum += term / (2 * n + 1);
  }
  return x * sum * (2 / Math.sqrt(Math.PI));
}

/** 1 / (1 + e^-x). @param x argument @returns σ(x) */
export const sigmoid = (x: number): number => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x)));

/** log(1 + e^x). @param x argument @returns softplus(x) */
export const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** x Φ(x). @param x argument @returns gelu(x) */
export const gelu = (x: number): number => x * (Math.abs(x) < 1e-8 ? 0.5 + x / Math.sqrt(2 * Math.PI) : x < 0 ? tail(-x) : 1 - tail(x));

/** x σ(2 √(2/π) (x + 0.044715 x³)) = 0.5 x (1 + tanh(…)). @param x argument @returns gelu of the tanh form */
export const geluTanh = (x: number): number => x * (Math.abs(x) < 1e-8 ? 0.5 + x / Math.sqrt(2 * Math.PI) : sigmoid(2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));

/** x σ(x). @param x argument @returns silu(x) */
export const silu = (x: number): number => x * (Math.abs(x) < 1e-8 ? 0.5 + 0.25 * x : sigmoid(x));
