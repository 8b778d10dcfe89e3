/** RoPE tables, made once per device and length class. A table of a longer sequence starts with that of a shorter one, so lengths are rounded up. */
import type { Device } from '../engine/device.ts';
import { keep } from '../engine/memory.ts';
import { ropeTable1d, ropeTable3d } from '../kernels/rope.ts';
import type { RopeTable } from '../kernels/rope.ts';
import type { RopeConfig } from './config.ts';

const CACHE = new WeakMap<Device, Map<string, RopeTable>>();

/**
 * Table for positions 0..tokens-1 (Llama, Gemma).
 *
 * @param tokens sequence length
 * @param headDim width of a head
 * @param rope base and scaling
 * @returns cos, sin [at least tokens, headDim]
 */
export function sequenceRope(device: Device, tokens: number, headDim: number, rope: RopeConfig): RopeTable {
  const rows = roundUp(tokens, 64);
  const key = JSON.stringify([rows, headDim, rope.theta, rope.scaling]);
  const make = () => ropeTable1d(device, { tokens: rows, headDim, theta: rope.theta, ...(rope.scaling ? { scaling: rope.scaling } : {}) });
  return cached(device, key, make);
}

/**
 * Table for a grid of video tokens, time outermost (V-JEPA 2; spec section 2.4).
 *
 * @param grid [time, rows, columns]
 * @param headDim width of a head
 * @returns cos, sin [at least time*rows*columns, headDim]
 */
export function videoRope(device: Device, grid: readonly [number, number, number], headDim: number): RopeTable {
  const [time, rows, columns] = grid;
  const steps = roundUp(time, 1);
  const key = JSON.stringify(['video', steps, rows, columns, headDim]);
  return cached(device, key, () => ropeTable3d(device, { grid: [steps, rows, columns], headDim }));
}

/** The next power of two that is at least `value` and `least`: few tables, at most twice the size. */
function roundUp(value: number, least: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(value, least)));
}

function cached(device: Device, key: string, make: () => RopeTable): RopeTable {
  const tables = CACHE.get(device) ?? new Map<string, RopeTable>();
  CACHE.set(device, tables);
  let table = tables.get(key);
  if (!table) {
    table = make();
    keep(table.cos);
    keep(table.sin);
    tables.set(key, table);
  }
  return table;
}
