// Which tile a product runs on, as data: the shipped table by vendor and architecture, and over it what `vl-jepa bench tune` measured on the adapter at hand.
// No entry of the shipped table was measured on a GPU yet: they are what the published sizes of such machines suggest, and `measured` says so.
import type { Device } from '../engine/device.ts';
import type { TuningTable } from '../engine/tuning.ts';
import { matmul_lanes4, matmul_lanes8, matmul_single, matmul_tiled128, matmul_tiled128_k8, matmul_tiled32, matmul_tiled64, split_sum } from './wgsl.gen.ts';

export interface Tile {
  readonly kernel: typeof matmul_lanes8 | typeof matmul_lanes4 | typeof matmul_single | typeof matmul_tiled128 | typeof matmul_tiled128_k8 | typeof matmul_tiled64 | typeof matmul_tiled32;
  /** Rows and columns of y per workgroup. */
  readonly rows: number;
  readonly cols: number;
  /** Rows per invocation, or per subgroup where one shares a tile. */
  readonly tileRows: number;
}

/** Register tiles over workgroup memory, for GPUs; gen_matmul_tiled.mjs has their geometry. Proven on software adapters, not run on a GPU. */
export const GPU_TILES = {
  tiled128: { kernel: matmul_tiled128, rows: 128, cols: 128, tileRows: 8 },
  tiled128_k8: { kernel: matmul_tiled128_k8, rows: 128, cols: 128, tileRows: 8 },
  tiled64: { kernel: matmul_tiled64, rows: 64, cols: 64, tileRows: 8 },
  tiled32: { kernel: matmul_tiled32, rows: 32, cols: 64, tileRows: 4 },
} as const satisfies Readonly<Record<string, Tile>>;

/** Tiles by name: those of GPU_TILES, and those that need no workgroup memory. */
export type TileName = keyof typeof GPU_TILES | 'single' | 'lanes4' | 'lanes8';
export const TILE_NAMES: readonly TileName[] = ['lanes8', 'lanes4', 'single', 'tiled32', 'tiled64', 'tiled128', 'tiled128_k8'];

/** Of one product: y [batch, m, n], sums of k. */
export interface Sizes { readonly m: number; readonly n: number; readonly k: number; readonly batch: number }

/** thin: one side of y is at most 32; else by how many workgroups of 128 × 128 there are: small below 32, medium below 192, large. */
export type ShapeClass = 'thin' | 'small' | 'medium' | 'large';
const CLASSES: readonly ShapeClass[] = ['thin', 'small', 'medium', 'large'];

/** Shape class of a product. @param sizes of y and the sums @returns its name */
export function shapeClass({ m, n, batch }: Sizes): ShapeClass {
  if (Math.min(m, n) <= 32) return 'thin';
  const tiles = Math.ceil(m / 128) * Math.ceil(n / 128) * batch;
  return tiles < 32 ? 'small' : tiles < 192 ? 'medium' : 'large';
}

export interface Entry {
  readonly tile: TileName;
  /** k is cut until there are so many workgroups, as far as its parts stay long enough. */
  readonly groups: number;
  /** Where and when it was measured, or false: a guess from published sizes. */
  readonly measured: string | false;
}

type Row = Readonly<Record<ShapeClass, Entry>>;

/** All four classes, none measured. @param tiles by class @param groups that fill the machine about twice */
const guess = (tiles: readonly [TileName, TileName, TileName, TileName], groups: number): Row =>
  Object.fromEntries(CLASSES.map((c, i) => [c, { tile: tiles[i]!, groups, measured: false }])) as unknown as Row;

/** Discrete: many cores, large register files. Small products take small tiles before they cut k. */
const WIDE = ['tiled32', 'tiled64', 'tiled64', 'tiled128'] as const;
/** Integrated: few cores. */
const NARROW = ['tiled32', 'tiled64', 'tiled64', 'tiled64'] as const;

/** By `vendor/architecture`, `vendor/*`, `default`, as GPUAdapterInfo names them. */
export const TABLE: Readonly<Record<string, Row>> = {
  'nvidia/hopper': guess(WIDE, 264), // 132 multiprocessors
  'nvidia/*': guess(WIDE, 160),
  'amd/*': guess(WIDE, 128),
  'apple/*': guess(['tiled32', 'tiled64', 'tiled128', 'tiled128'], 64),
  'intel/*': guess(NARROW, 48),
  'qualcomm/*': guess(NARROW, 24),
  'arm/*': guess(NARROW, 24),
  default: guess(NARROW, 48),
};

/** The shipped entry of a product. @param adapter vendor and architecture @param sizes of the product @returns the entry of the architecture, else of the vendor, else the default */
export function shippedEntry({ vendor, architecture }: { readonly vendor: string; readonly architecture: string }, sizes: Sizes): Entry {
  const row = TABLE[`${vendor}/${architecture}`] ?? TABLE[`${vendor}/*`] ?? TABLE.default!;
  return row[shapeClass(sizes)];
}

let hash: string | undefined;

/** Hash (FNV-1a, 32 bits) of the texts of all product kernels: what was measured with other texts is stale. @returns eight hexadecimal digits */
export function kernelVersion(): string {
  if (hash !== undefined) return hash;
  let h = 0x811c9dc5;
  for (const { code } of [matmul_lanes8, matmul_lanes4, matmul_single, split_sum, ...Object.values(GPU_TILES).map(t => t.kernel)]) {
    for (let i = 0; i < code.length; i++) h = Math.imul(h ^ code.charCodeAt(i), 0x01000193);
  }
  return (hash = (h >>> 0).toString(16).padStart(8, '0'));
}

/** Name of an exact shape in a tuning table. @param sizes of the product @returns `m x n x k`, and the batch where there is one */
export const shapeKey = ({ m, n, k, batch }: Sizes): string => `${m}x${n}x${k}${batch === 1 ? '' : `x${batch}`}`;

/** Whether the adapter can run a tile: lanes of one tile have to lie in one subgroup, whose size hangs on the processor (lavapipe has 4 lanes without AVX). @param device where @param name tile @returns yes or no */
export function runs(device: Device, name: TileName): boolean {
  if (name === 'lanes8' || name === 'lanes4') return device.subgroupSize >= (name === 'lanes8' ? 8 : 4);
  return name === 'single' || (device.limits.maxComputeWorkgroupStorageSize >= 16_384 && device.limits.maxComputeInvocationsPerWorkgroup >= 256);
}

export interface Choice { readonly tile: TileName; readonly groups: number; /** Exactly so many parts of k. */ readonly splits?: number | undefined }

/**
 * What was measured for a product on this adapter: its own shape, else its class.
 * @param device with the table it was opened with @param sizes of the product @returns the choice, or undefined: no table, another version of the kernels, nothing that fits
 */
export function tunedChoice(device: Device, sizes: Sizes): Choice | undefined {
  const table: TuningTable | undefined = device.tuning;
  if (!table || table.kernels !== kernelVersion()) return undefined;
  const exact = table.shapes[shapeKey(sizes)];
  const found = exact ?? table.classes[shapeClass(sizes)];
  if (!found) return undefined;
  const tile = TILE_NAMES.find(t => t === found.tile);
  if (!tile || !runs(device, tile)) return undefined;
  return { tile, groups: 'groups' in found ? found.groups : 1, splits: exact?.splits };
}
