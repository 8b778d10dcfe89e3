// `vl-jepa bench kernels`: every kernel is checked against its float64 formula first and only then timed (tinybench; GPU timestamps where the adapter has them).
import { Bench } from 'tinybench';
import type { Device } from '../engine/device.ts';
import { openDevice } from '../engine/device.ts';
import { scope } from '../engine/memory.ts';
import { Tensor } from '../engine/tensor.ts';
import { CASES, normalValues } from './cases.ts';
import type { Case } from './cases.ts';
import { writeFileAtomic } from '../weights/writer.ts';

export interface KernelRow {
  name: string;
  shape: string;
  /** Error against float64. */
  nmse: number;
  medianMs: number;
  p99Ms: number;
  runs: number;
  /** Arithmetic rate, where the case counts operations. */
  gflops: number | undefined;
  /** Traffic rate, where the case counts bytes. */
  gbs: number | undefined;
}

/** Runs per submit: one readback per sample, so that the wait is a small part of it. */
const INNER = 4;

async function check(device: Device, c: Case, inputs: readonly Float32Array[]): Promise<number> {
  const tensors = inputs.map((v, i) => Tensor.from(device, v, c.inputs[i]!));
  const out = scope(() => c.run(tensors));
  const got = await out.read();
  [...tensors, out].forEach(t => t.dispose());
  const want = c.reference(inputs.map(v => Float64Array.from(v)));
  let error = 0, power = 0;
  want.forEach((w, i) => { error += (got[i]! - w) ** 2; power += w * w; });
  const nmse = power ? error / power : error;
  if (!(nmse <= c.limit) || got.length !== want.length) throw new Error(`bench: ${c.name} is wrong, NMSE ${nmse}, expected at most ${c.limit}; no time is printed for a wrong kernel`);
  return nmse;
}

async function time(device: Device, c: Case, inputs: readonly Float32Array[], timeMs: number): Promise<{ medianMs: number; p99Ms: number; runs: number }> {
  const tensors = inputs.map((v, i) => Tensor.from(device, v, c.inputs[i]!));
  const bench = new Bench({ time: timeMs, warmupTime: timeMs / 4, iterations: 5, warmupIterations: 2 });
  bench.add(c.name, async () => {
    for (let i = 0; i < INNER; i++) scope(() => { c.run(tensors); });
    await device.sync();
  });
  await bench.run();
  tensors.forEach(t => t.dispose());
  const result = bench.tasks[0]!.result as unknown as { latency: { p50: number; p99: number; samples?: number[]; samplesCount?: number }; error?: Error };
  if (result.error) throw result.error;
  return { medianMs: result.latency.p50 / INNER, p99Ms: result.latency.p99 / INNER, runs: (result.latency.samplesCount ?? result.latency.samples?.length ?? 0) * INNER };
}

/**
 * Measures the kernels.
 * @param options time per kernel in ms, JSON file to write, whether people read along @returns adapter, date and rows @throws Error for a kernel that is wrong
 */
export async function benchKernels(options: { timeMs: number; output?: string | undefined; json: boolean }): Promise<object> {
  const device = await openDevice();
  const say = (text: string): void => { if (!options.json) console.log(text); };
  say(`adapter: ${device.adapter.notice}\n${'kernel'.padEnd(26)}${'shape'.padEnd(34)}${'NMSE'.padStart(9)}${'median ms'.padStart(11)}${'p99 ms'.padStart(9)}${'GFLOP/s'.padStart(9)}${'GB/s'.padStart(8)}`);
  const rows: KernelRow[] = [];
  for (const c of CASES) {
    const inputs = c.inputs.map((shape, i) => normalValues(shape, i + 1));
    const nmse = await check(device, c, inputs);
    const { medianMs, p99Ms, runs } = await time(device, c, inputs, options.timeMs);
    const row: KernelRow = { name: c.name, shape: c.shape, nmse, medianMs, p99Ms, runs, gflops: c.flop && c.flop / medianMs / 1e6, gbs: c.bytes && c.bytes / medianMs / 1e6 };
    rows.push(row);
    say(`${c.name.padEnd(26)}${c.shape.padEnd(34)}${nmse.toExponential(1).padStart(9)}${medianMs.toFixed(3).padStart(11)}${p99Ms.toFixed(3).padStart(9)}${(row.gflops?.toFixed(2) ?? '').padStart(9)}${(row.gbs?.toFixed(2) ?? '').padStart(8)}`);
  }
  const result = { adapter: device.adapter, date: new Date().toISOString(), command: 'vl-jepa bench kernels', node: process.version, rows };
  if (options.output) await writeFileAtomic(options.output, `${JSON.stringify(result, null, 1)}\n`);
  return result;
}
