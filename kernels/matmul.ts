import { DeviceError, ShapeError, checkFloat, checkSameDevice, showShape } from '../engine/check.ts';
import type { Device } from '../engine/device.ts';
import { dispatch } from '../engine/dispatch.ts';
import { scope } from '../engine/memory.ts';
import { record } from '../engine/tape.ts';
import { Tensor, size } from '../engine/tensor.ts';
import { GPU_TILES, runs, shippedEntry, tunedChoice } from './matmul_table.ts';
import type { Sizes, Tile, TileName } from './matmul_table.ts';
import { matmul_lanes4, matmul_lanes8, matmul_single, matmul_subgroup, split_sum } from './wgsl.gen.ts';

/** What a product does after its sum, by the number that the kernels know it by. */
export const ACTIVATIONS = { none: 0, gelu: 1, gelu_tanh: 2, silu: 3 } as const;
export type Activation = keyof typeof ACTIVATIONS;

// Measured in GFLOP/s by processor time as on two free cores, the variants in turn, robustness on. On both software adapters a lane's load costs as much as
// eight to fifteen multiplications (bounds and mask are tested word by word), so tiles are shared: each lane loads its part, the rest comes by broadcast.
// lavapipe at 512³: 32 × 32 by 8 lanes, sums of 16, 20-39; one sum without runs 33-47, but its rounding shows in ten training steps; steps of eight k 22 (24 × 32:
// 34), for their code outgrows the processor's cache; 64 × 32 and 32 × 64 take twice as long to compile. A read at an address that all lanes share, with no
// broadcast, is not seen as one read inside a loop: 7. Real shapes: 256×1024×1024 40, dW 1024×4096×256 37, 256×1024×4096 34.
const LANES8: Tile = { kernel: matmul_lanes8, rows: 32, cols: 32, tileRows: 32 };
// SwiftShader at 256³, where 16 × 64 with vec4f sums of 16 gave 4.6: 32 × 32 by 4 lanes 7.8-8.3; 32 × 48 8.1, 32 × 64 8.9 and 64 × 32 8.1 in twice the time
// to compile; 16 × 32 7.3; steps of four k 5 % less; subgroupBroadcast for quadBroadcast 15 % less; fma or products added one by one 10 to 25 % less.
const LANES4: Tile = { kernel: matmul_lanes4, rows: 32, cols: 32, tileRows: 32 };
// 4 × 8 per invocation, neighbours side by side, no subgroups and no workgroup memory needed.
const SINGLE: Tile = { kernel: matmul_single, rows: 32, cols: 64, tileRows: 4 };

/** Sums longer than this are cut, so that rounding errors stay below NMSE 1e-11. */
const LONGEST_SUM = 4096;
/** A part of k shorter than this costs more to add than it gains. */
const SHORTEST_PART = 256;
/** Workgroups that keep all workers of a software adapter busy to the end; for GPUs matmul_table.ts says. */
const ENOUGH_GROUPS = 24;

/** What tests and benchmarks force: the tile of an adapter profile ('default': the table for GPUs), or a tile by name. */
export type Forced = 'lavapipe' | 'swiftshader' | 'default' | TileName;

let override: Forced | undefined;
let overrideSplits: number | undefined;

/**
 * Makes every product use one tile, for tests and benchmarks.
 * @param name profile or tile; undefined: the adapter's own choice @param splits parts of k, as far as k has so many fours; undefined: as the profile cuts
 * @returns nothing
 */
export function forceTile(name: Forced | undefined, splits?: number): void {
  override = name;
  overrideSplits = splits;
}

const TILES: Readonly<Record<TileName, Tile>> = { lanes8: LANES8, lanes4: LANES4, single: SINGLE, ...GPU_TILES };

/** What a workgroup owns of y. @param name tile @returns rows and columns */
export const tileSize = (name: TileName): { readonly rows: number; readonly cols: number } => TILES[name];

/** k per step of matmul_subgroup.wgsl, by the workgroup memory that there is. */
const unitsDepth = (device: Device): number => (device.limits.maxComputeWorkgroupStorageSize >= 24_576 ? 32 : 16);

/** Four subgroups on matrix units, see matmul_subgroup.wgsl. */
const UNITS = { kernel: undefined, rows: 128, cols: 128, tileRows: 128 } as const;

interface Plan { readonly tile: Tile | typeof UNITS; readonly groups: number; readonly splits?: number | undefined }

/** The tile of a product and how far k is cut: what is forced, else what was measured here, else what the profile or the shipped table says. @throws DeviceError when a tile is forced that the adapter cannot run */
function planFor(device: Device, sizes: Sizes): Plan {
  if (override !== undefined && override in TILES) {
    const name = override as TileName;
    if (!runs(device, name)) throw new DeviceError(`matmul: tile ${name} was forced, expected one that ${device.adapter.description} can run`, 'validation');
    return { tile: TILES[name], groups: ENOUGH_GROUPS, splits: overrideSplits };
  }
  const tuned = override === undefined ? tunedChoice(device, sizes) : undefined;
  if (tuned) return { ...tuned, tile: TILES[tuned.tile] };
  const profile = override ?? device.adapter.profile;
  if (profile === 'default') {
    const { tile, groups } = shippedEntry(device.adapter, sizes);
    return { tile: TILES[runs(device, tile) ? tile : 'single'], groups };
  }
  const lanes = profile === 'lavapipe' && runs(device, 'lanes8') ? LANES8 : runs(device, 'lanes4') ? LANES4 : SINGLE;
  return { tile: lanes, groups: ENOUGH_GROUPS };
}

export interface Product {
  a: Tensor;
  b: Tensor;
  m: number;
  n: number;
  k: number;
  transposeA?: boolean;
  transposeB?: boolean;
  /** Matrices in the batch; default 1. */
  batch?: number;
  /** One a (or b) for the whole batch. */
  sharedA?: boolean;
  sharedB?: boolean;
  /** [n], added to every row. */
  bias?: Tensor | undefined;
  activation?: Activation;
  /** Also return what went into the activation. */
  keep?: boolean;
  /** [batch, m, n] f32, as y lies, added after the activation. */
  residual?: Tensor | undefined;
  /** Matrices that lie inside larger tensors; contiguous ones need none. */
  places?: Places;
  /** Written, or with `add` added to, instead of a new tensor. Long sums are not cut then. */
  into?: Tensor;
  add?: boolean;
}

/** Where matrix i of the batch begins: first + ⌊i / heads⌋ · stride + (i mod heads) · head, and how far its rows are apart, all in elements. */
export interface Place { row: number; stride: number; head?: number; first?: number }

/** b serves `group` heads of a each. */
export interface Places { a: Place; b: Place; y: Place; heads?: number; group?: number }

/** Parts of k: enough workgroups, and no sum longer than LONGEST_SUM. */
function splitsFor({ groups, splits: wanted }: Plan, tiles: number, k: number): { splits: number; chunk: number } {
  const forLength = Math.ceil(k / LONGEST_SUM);
  const forWork = wanted ?? Math.min(Math.ceil(groups / tiles), Math.floor(k / SHORTEST_PART));
  const chunk = Math.ceil(k / Math.max(1, forLength, forWork) / 4) * 4;
  return { splits: Math.ceil(k / chunk), chunk };
}

/**
 * The tile of a product, for kernels that put more than one into a dispatch.
 * @param device where @param a left operand @param b right operand @param sizes of the product
 * @returns name of its file, or undefined: the sums are cut into parts, or matrix units take the product
 */
export function uncutTile(device: Device, a: Tensor, b: Tensor, sizes: Sizes): string | undefined {
  if (device.matrixUnits && a.dtype === 'f16' && b.dtype === 'f16' && override === undefined) return undefined;
  const plan = planFor(device, sizes);
  const { kernel, rows, cols } = plan.tile;
  return splitsFor(plan, Math.ceil(sizes.m / rows) * Math.ceil(sizes.n / cols) * sizes.batch, sizes.k).splits === 1 ? kernel?.name : undefined;
}

/**
 * The product behind `matmul`, `linear` and their gradients: y = act(op(a) op(b) + bias) + residual. Checks nothing and records no gradient.
 * Long sums are cut into parts along k, written apart and added in a fixed order, so results are the same in every run.
 * @param device where @param product operands, sizes and what follows the sum @param shape of y, as many elements as batch · m · n
 * @returns y [shape] and, with `keep`, pre [shape], the input of the activation
 */
export function multiply(device: Device, product: Product, shape: readonly number[]): { y: Tensor; pre: Tensor | undefined } {
  const { a, b, m, n, k, transposeA = false, transposeB = false, batch = 1, bias, activation = 'none', keep = false, residual, into, add = false } = product;
  const places = product.places ?? {
    a: { row: transposeA ? m : k, stride: product.sharedA ? 0 : m * k }, b: { row: transposeB ? k : n, stride: product.sharedB ? 0 : k * n }, y: { row: n, stride: m * n },
  };
  return scope(() => {
    const y = into ?? Tensor.empty(device, shape);
    const pre = keep ? Tensor.empty(device, shape) : undefined;
    if (y.size === 0) return { y, pre };
    const beside = residual && residualBinding(residual, pre, [a, b, bias]);
    const aligned = k > 0 && k % 4 === 0 && n % 4 === 0 && (!transposeA || m % 4 === 0) && inFours(places.a) && inFours(places.b) && inFours(places.y);
    const units = device.matrixUnits && aligned && a.dtype === 'f16' && b.dtype === 'f16' && override === undefined;
    const plan = units ? { tile: UNITS, groups: shippedEntry(device.adapter, { m, n, k, batch }).groups } : planFor(device, { m, n, k, batch });
    const { kernel, rows, cols, tileRows } = plan.tile;
    const tiles_m = Math.ceil(m / rows);
    const tiles_n = Math.ceil(n / cols);
    const { splits, chunk } = k === 0 || into ? { splits: 1, chunk: Math.max(4, Math.ceil(k / 4) * 4) } : splitsFor(plan, tiles_m * tiles_n * batch, k);
    const whole = splits === 1; // else what follows the sum follows in the second stage
    const unread = Tensor.placeholder(device, 'read'); // not b: a quantised one brings a binding for its scales, which the layout lacks where no bias is read
    const kept = beside ?? pre ?? Tensor.placeholder(device, 'written');
    const constants = {
      TRANSPOSE_A: transposeA ? 1 : 0, TRANSPOSE_B: transposeB ? 1 : 0, ADD: add ? 1 : 0,
      HAS_BIAS: whole && bias ? 1 : 0, KEEP: whole && keep ? 1 : 0, RESIDUAL: whole && residual ? 1 : 0, ACTIVATION: whole ? ACTIVATIONS[activation] : 0,
    };
    const params = {
      m, n, k, a_row: places.a.row, b_row: places.b.row, y_row: places.y.row, a_stride: places.a.stride, b_stride: places.b.stride, y_stride: places.y.stride,
      a_head: places.a.head ?? 0, b_head: places.b.head ?? 0, y_head: places.y.head ?? 0, a_first: places.a.first ?? 0, b_first: places.b.first ?? 0, y_first: places.y.first ?? 0,
      heads: places.heads ?? 1, b_group: places.group ?? 1, batch, tiles_m, tiles_n, splits, chunk, tile_rows: tileRows,
    };
    const groups = tiles_m * tiles_n * splits * batch;
    const part = whole ? y : Tensor.empty(device, [splits, batch, m, n]);
    const addend = whole && bias ? bias : unread;
    const beyond = whole ? kept : Tensor.placeholder(device, 'written');
    if (!kernel) dispatch(device, matmul_subgroup, 'forward', { a4: a, b4: b, bias4: addend, y4: part, pre4: beyond }, params, groups, { constants: { ...constants, DEPTH: unitsDepth(device) } });
    else if (aligned) dispatch(device, kernel, 'forward', { a4: a, b4: b, bias4: addend, y4: part, pre4: beyond }, params, groups, { constants });
    else dispatch(device, kernel, 'forward_ragged', { a1: a, b1: b, bias1: addend, y1: part, pre1: beyond }, params, groups, { constants });
    if (!whole) {
      const count = batch * m * n;
      const after = { HAS_BIAS: bias ? 1 : 0, KEEP: keep ? 1 : 0, RESIDUAL: residual ? 1 : 0, ACTIVATION: ACTIVATIONS[activation] };
      dispatch(device, split_sum, 'forward', { part, bias: bias ?? unread, y, pre: kept }, { count, n, splits }, Math.ceil(count / 64), { constants: after });
    }
    return { y, pre };
  });
}

/** Whether a matrix and its rows begin at multiples of four elements. */
const inFours = ({ row, stride, head = 0, first = 0 }: Place): boolean => row % 4 === 0 && stride % 4 === 0 && head % 4 === 0 && first % 4 === 0;

/** What is bound in place of pre: the residual itself, or pre with the residual in it where pre is written, or a copy where its buffer is read besides. */
function residualBinding(residual: Tensor, pre: Tensor | undefined, read: readonly (Tensor | undefined)[]): Tensor {
  const { storage } = residual;
  if (!pre && !read.some(t => t?.storage === storage || t?.scales?.storage === storage)) return residual;
  const copy = pre ?? Tensor.empty(residual.device, residual.shape);
  residual.device.copy(residual, copy);
  return copy;
}

function checkOperands(a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): { lead: number[]; m: number; n: number; k: number; shared: boolean } {
  checkFloat('matmul', 'a', a);
  checkFloat('matmul', 'b', b);
  checkSameDevice('matmul', a, b);
  if (a.shape.length < 2 || b.shape.length < 2) {
    throw new ShapeError(`matmul: a has shape ${showShape(a.shape)} and b ${showShape(b.shape)}, expected at least two axes each`);
  }
  const lead = a.shape.slice(0, -2);
  const [a0, a1] = a.shape.slice(-2) as [number, number];
  const [b0, b1] = b.shape.slice(-2) as [number, number];
  const [m, k] = transposeA ? [a1, a0] : [a0, a1];
  const [kb, n] = transposeB ? [b1, b0] : [b0, b1];
  const shared = b.shape.length === 2;
  const sameLead = shared || (b.shape.length === a.shape.length && lead.every((s, i) => s === b.shape[i]));
  if (kb !== k || !sameLead) {
    const want = transposeB ? [n, k] : [k, n];
    throw new ShapeError(`matmul: b has shape ${showShape(b.shape)}, expected ${showShape(shared ? want : [...lead, ...want])}, to go with a ${showShape(a.shape)}${transposeA ? ' transposed' : ''}`);
  }
  return { lead, m, n, k, shared };
}

/**
 * Matrix product y[..., m, n] = Σ_k op(a)[..., m, k] op(b)[..., k, n], where op transposes the last two axes if asked. All four forms run natively.
 * NaN or Inf in a row or column makes its products not finite (an infinity may become NaN).
 * @param a [..., M, K], with `transposeA` [..., K, M], float
 * @param b [..., K, N] with the leading axes of a, or [K, N] for all of them; with `transposeB` [..., N, K] or [N, K], float
 * @param options transposeA, transposeB
 * @returns [..., M, N]
 * @throws ShapeError when ranks, leading axes or the inner sizes do not go together
 */
export function matmul(a: Tensor, b: Tensor, { transposeA = false, transposeB = false }: { transposeA?: boolean; transposeB?: boolean } = {}): Tensor {
  const { lead, m, n, k, shared } = checkOperands(a, b, transposeA, transposeB);
  const { device } = a;
  const batch = size(lead);
  // One b for all: the batch is more rows, unless a is transposed.
  const rows = shared && !transposeA ? { m: m * batch, batch: 1 } : { m, batch };
  const { y } = multiply(device, { a, b, ...rows, n, k, transposeA, transposeB, sharedB: shared }, [...lead, m, n]);
  const da = (dy: Tensor): Tensor => (transposeA
    ? multiply(device, { a: b, b: dy, m: k, n: m, k: n, transposeA: transposeB, transposeB: true, batch, sharedA: shared }, a.shape).y
    : multiply(device, { a: dy, b, ...rows, n: k, k: n, transposeB: !transposeB, sharedB: shared }, a.shape).y);
  const db = (dy: Tensor): Tensor => {
    if (shared && batch !== 1) return sharedGradient(a, dy, { batch, m, n, k, transposeA, transposeB }, b.shape);
    return transposeB
      ? multiply(device, { a: dy, b: a, m: n, n: k, k: m, transposeA: true, transposeB: transposeA, batch }, b.shape).y
      : multiply(device, { a, b: dy, m: k, n, k: m, transposeA: !transposeA, batch }, b.shape).y;
  };
  return record(y, [[a, da], [b, db]]);
}

interface SharedSizes { batch: number; m: number; n: number; k: number; transposeA: boolean; transposeB: boolean }

/** Gradient of one b that served a whole batch. Rows of a and dy follow each other through the batch unless a is transposed; then one product per matrix is added in order. */
function sharedGradient(a: Tensor, dy: Tensor, { batch, m, n, k, transposeA, transposeB }: SharedSizes, shape: readonly number[]): Tensor {
  const { device } = a;
  if (!transposeA) {
    const long = batch * m;
    return transposeB
      ? multiply(device, { a: dy, b: a, m: n, n: k, k: long, transposeA: true }, shape).y
      : multiply(device, { a, b: dy, m: k, n, k: long, transposeA: true }, shape).y;
  }
  return scope(() => {
    const each = transposeB
      ? multiply(device, { a: dy, b: a, m: n, n: k, k: m, transposeA: true, transposeB: true, batch }, [batch, ...shape]).y
      : multiply(device, { a, b: dy, m: k, n, k: m, batch }, [batch, ...shape]).y;
    return addParts(each, shape);
  });
}

function addParts(parts: Tensor, shape: readonly number[]): Tensor {
  const y = Tensor.empty(parts.device, shape);
  const splits = parts.shape[0]!;
  if (y.size === 0) return y;
  if (splits === 0) return Tensor.zeros(parts.device, shape);
  const constants = { HAS_BIAS: 0, KEEP: 0, RESIDUAL: 0, ACTIVATION: 0 };
  dispatch(parts.device, split_sum, 'forward', { part: parts, bias: parts, y, pre: Tensor.placeholder(parts.device, 'written') }, { count: y.size, n: 1, splits }, Math.ceil(y.size / 64), { constants });
  return y;
}
