// Times of one row: the kernel by tinybench and its ceiling in turn, so that a busy machine slows both, then GPU timestamps.
import { Bench } from 'tinybench';
import { scope } from '../engine/memory.ts';
import type { Device } from '../engine/device.ts';
import { setDebug } from '../engine/profile.ts';
import type { Ceiling } from './ceilings.ts';

/** Samples shorter than this measure the wait for the GPU rather than the kernel, so it runs several times per submit. */
const SAMPLE_MS = 5;
const MOST_INNER = 64;
/** Turns of kernel and ceiling. */
const ROUNDS = 3;
/** Runs under timestamps. */
const STAMPED = 7;

export interface Timing {
  medianMs: number;
  p99Ms: number;
  samples: number;
  /** Runs of the kernel per sample. */
  inner: number;
  /** Time by GPU timestamps, the sum over the op's kernels. */
  gpuMs: number | undefined;
  /** Kernels that the op ran, most time first. */
  kernels: string[];
  /** Median rate of the ceiling between the samples, GFLOP/s or GB/s. */
  ceiling: number;
}

/** Value below which a share of the sorted numbers lies. @param sorted ascending @param share 0 to 1 @returns the number */
export const quantile = (sorted: readonly number[], share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
const sorted = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);

/** Time of several runs and the wait for them. @param device where @param run enqueues once @param inner how often @returns ms of all */
export async function elapsed(device: Device, run: () => void, inner: number): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < inner; i++) scope(run);
  await device.sync();
  return performance.now() - start;
}

/** Runs per submit that make a sample long enough. @param device where @param run enqueues once @returns a whole number */
export async function innerFor(device: Device, run: () => void): Promise<number> {
  await elapsed(device, run, 1);
  const once = Math.min(await elapsed(device, run, 1), await elapsed(device, run, 1));
  return Math.max(1, Math.min(MOST_INNER, Math.ceil(SAMPLE_MS / once)));
}

async function stamped(device: Device, run: () => void): Promise<{ gpuMs: number | undefined; kernels: string[] }> {
  setDebug(2);
  try {
    await device.kernelTimes();
    const sums: number[] = [];
    let names: string[] = [];
    for (let i = 0; i < STAMPED; i++) {
      scope(run);
      device.recorder.flush(); // device.flush would print a line per flush at this level
      const rows = await device.kernelTimes();
      sums.push(rows.reduce((ms, r) => ms + r.timeMs, 0));
      names = rows.map(r => r.name);
    }
    return { gpuMs: device.features.has('timestamp-query') ? quantile(sorted(sums), 0.5) : undefined, kernels: names };
  } finally {
    setDebug(0);
  }
}

/** Rate of a ceiling by several samples. @param device where @param ceiling what @returns median, GFLOP/s or GB/s */
export async function rateOf(device: Device, ceiling: Ceiling): Promise<number> {
  const inner = await innerFor(device, ceiling.run);
  const times: number[] = [];
  for (let i = 0; i < 9; i++) times.push(await elapsed(device, ceiling.run, inner));
  return (ceiling.amount * inner) / quantile(sorted(times), 0.5) / 1e6;
}

/**
 * Times a kernel and its ceiling in turn.
 * @param device where @param run enqueues the kernel once @param ceiling what it is compared with @param timeMs of measuring @returns times and rates
 */
export async function timing(device: Device, run: () => void, ceiling: Ceiling, timeMs: number): Promise<Timing> {
  const inner = await innerFor(device, run);
  const ceilingInner = await innerFor(device, ceiling.run);
  const samples: number[] = [];
  const ceilings: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = 0; i < 3; i++) ceilings.push(await elapsed(device, ceiling.run, ceilingInner));
    const bench = new Bench({ time: timeMs / ROUNDS, iterations: 3, warmup: false, retainSamples: true });
    bench.add('kernel', async () => {
      for (let i = 0; i < inner; i++) scope(run);
      await device.sync();
    });
    await bench.run();
    const { result } = bench.tasks[0]!;
    if (result.state === 'errored') throw result.error;
    if (result.state !== 'completed') throw new Error(`bench: the measurement is ${result.state}, expected it to be completed`);
    samples.push(...result.latency.samples!);
  }
  const times = sorted(samples);
  return {
    medianMs: quantile(times, 0.5) / inner, p99Ms: quantile(times, 0.99) / inner, samples: times.length, inner, ...await stamped(device, run),
    ceiling: (ceiling.amount * ceilingInner) / quantile(sorted(ceilings), 0.5) / 1e6,
  };
}
