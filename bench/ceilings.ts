// The adapter's ceilings, measured beside every kernel: arithmetic in registers, and a copy of as many bytes as the kernel has to move.
import { readFileSync } from 'node:fs';
import type { Device } from '../engine/device.ts';
import { dispatch } from '../engine/dispatch.ts';
import type { Kernel } from '../engine/dispatch.ts';
import { scope } from '../engine/memory.ts';
import { Tensor } from '../engine/tensor.ts';
import { matmul } from '../kernels/matmul.ts';

const kernel = {
  name: 'ceilings', code: readFileSync(new URL('../../bench/ceilings.wgsl', import.meta.url), 'utf8'),
  bindings: { x: { binding: 1, write: false }, y: { binding: 2, write: true } }, params: { count: { offset: 0, type: 'u32' } }, paramsBytes: 16, overrides: [],
  entries: { peak: { tensors: ['y'], params: true }, copy: { tensors: ['x', 'y'], params: true } },
} as const satisfies Kernel;

/** Eight fma of four lanes. */
const FLOP_PER_ROUND = 64;
/** Enough to fill the largest GPUs; a software adapter gets fewer. */
const PEAK_GROUPS = { gpu: 16_384, software: 256 } as const;
/** A copy larger than every cache, for the headline. */
const LARGE_BYTES = { gpu: 2 ** 30, software: 2 ** 26 } as const;

/** A ceiling that can be run again and again: `run` enqueues work of `amount` FLOP or bytes. */
export interface Ceiling {
  readonly unit: 'GFLOP/s' | 'GB/s';
  readonly amount: number;
  run(): void;
  dispose(): void;
}

/** Register-only fma. @param device where @param rounds of the loop @returns the ceiling of arithmetic */
export function peakCeiling(device: Device, rounds = 4096): Ceiling {
  const y = Tensor.empty(device, [4]);
  const groups = PEAK_GROUPS[device.adapter.class];
  return {
    unit: 'GFLOP/s', amount: groups * 64 * rounds * FLOP_PER_ROUND,
    run: () => dispatch(device, kernel, 'peak', { y }, { count: rounds }, groups), dispose: () => y.dispose(),
  };
}

/** A copy of half as many bytes as shall be moved. @param device where @param bytes read and written together @returns the ceiling of that traffic */
export function copyCeiling(device: Device, bytes: number = LARGE_BYTES[device.adapter.class]): Ceiling {
  const limit = Math.min(device.limits.maxStorageBufferBindingSize, device.limits.maxBufferSize);
  const vectors = Math.max(1, Math.floor(Math.min(bytes / 2, limit) / 16));
  const x = Tensor.zeros(device, [vectors * 4]);
  const y = Tensor.empty(device, [vectors * 4]);
  return {
    unit: 'GB/s', amount: vectors * 32,
    run: () => dispatch(device, kernel, 'copy', { x, y }, { count: vectors }, Math.ceil(vectors / 64)),
    dispose: () => { x.dispose(); y.dispose(); },
  };
}

/** The own product a bᵀ, for ops that are made of products. @param device where @param sizes m, n, k @returns the ceiling of the products */
export function productCeiling(device: Device, [m, n, k]: readonly [number, number, number]): Ceiling {
  const numbers = (count: number): Float32Array => Float32Array.from({ length: count }, (_, i) => ((i * 7919) % 1009) / 1009 - 0.5);
  const a = Tensor.from(device, numbers(m * k), [m, k]), b = Tensor.from(device, numbers(n * k), [n, k]);
  return { unit: 'GFLOP/s', amount: 2 * m * n * k, run: () => scope(() => { matmul(a, b, { transposeB: true }); }), dispose: () => { a.dispose(); b.dispose(); } };
}
