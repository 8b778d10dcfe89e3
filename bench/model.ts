// `vl-jepa bench model`: whole networks as recorded plans. Each is compared with the same work op by op first, to the bit, and only then timed beside the adapter's ceiling.
import type { Device } from '../engine/device.ts';
import { openDevice } from '../engine/device.ts';
import { scope } from '../engine/memory.ts';
import { plan } from '../engine/plan.ts';
import type { Plan, PlanReport } from '../engine/plan.ts';
import { setDebug } from '../engine/profile.ts';
import type { KernelTime } from '../engine/profile.ts';
import { noGrad } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { writeFileAtomic } from '../weights/writer.ts';
import { peakCeiling } from './ceilings.ts';
import type { Ceiling } from './ceilings.ts';
import { quantile } from './measure.ts';
import { modelCases } from './model_cases.ts';
import type { ModelCase } from './model_cases.ts';
import { stepCase } from './model_step.ts';
import { measureOverhead } from './overhead.ts';
import { pytorchTimes } from './pytorch.ts';

/** One network on one adapter. */
export interface ModelRow {
  preset: string;
  name: string;
  gflop: number;
  weights: number;
  /** Values of the result that were compared with the eager run, all equal to the bit and finite. */
  compared: number;
  /** Recording, compiling and laying out; not part of the times. */
  recordMs: number;
  /** Wall time of a run until the GPU is done. */
  medianMs: number;
  /** Processor time of the process per run: what a busy machine disturbs least, on software adapters. */
  cpuMs: number;
  rounds: number;
  gflops: number;
  /** Rate over that of the adapter's register-only fma, measured in turn: by wall time on a GPU, by processor time on a software adapter, whose cores others use too. */
  share: number;
  /** Per run. */
  submits: number;
  created: number;
  report: PlanReport;
  /** Microseconds that encoding and submitting take of the calling thread, per dispatch. */
  hostUs?: number;
  /** Time by kernel, most first, of one run under timestamps. */
  kernels: readonly KernelTime[];
  pytorchMs?: number;
}

/** What an option of the command line asks for. */
export interface ModelBenchOptions {
  /** Names of cases, 'all', or undefined for what the adapter can do in a minute or two. */
  preset?: string | undefined;
  /** Of the ViT-L alone. */
  tokens?: number | undefined;
  rounds: number;
  pytorch: boolean;
  output?: string | undefined;
  json: boolean;
}

/** What can run again and again: a plan, or a training step around one. */
export interface Runner {
  /** Compares with the eager run. @throws Error when a bit differs or a number is not finite */
  compare(): Promise<number>;
  /** One run until the GPU is done; returns microseconds of the calling thread where they can be told apart. */
  run(): Promise<number | undefined>;
  readonly report: PlanReport;
  readonly recordMs: number;
  dispose(): void;
}

export const PRESETS_OF_BENCH = ['nano', 'step', 'block', 'vit-l', 'predictor', 'text', 'embedding'] as const;
const DEFAULTS = { software: ['nano', 'step', 'block', 'vit-l'], gpu: PRESETS_OF_BENCH } as const;
/** A row gets fewer rounds rather than more time, but three at least. */
const ROW_MS = 40_000;

/** Where the first difference is, or undefined. @param a values @param b values of the same count @returns a sentence */
export function difference(a: Float32Array, b: Float32Array): string | undefined {
  const [x, y] = [a, b].map(v => new Uint32Array(v.buffer, v.byteOffset, v.length)) as [Uint32Array, Uint32Array];
  const at = a.findIndex((v, i) => !Number.isFinite(v) || x[i] !== y[i]);
  return at < 0 ? undefined : `value ${at} is ${a[at]} and ${b[at]} op by op`;
}

async function forwardRunner(device: Device, c: ModelCase): Promise<Runner> {
  const { run, dispose } = c.build(device);
  await device.sync();
  const eager = scope(() => noGrad(run));
  const expected = await eager.read();
  eager.dispose();
  device.trim();
  const began = performance.now();
  const recorded: Plan<Tensor> = await plan(device, () => noGrad(run));
  const recordMs = performance.now() - began;
  return {
    recordMs, report: recorded.report,
    async compare() {
      const wrong = difference(await recorded.run().read(), expected);
      if (wrong) throw new Error(`bench model: ${c.name} is wrong when it is replayed, ${wrong}; no time is printed for a wrong network`);
      return expected.length;
    },
    async run() {
      const start = performance.now();
      recorded.run();
      const host = performance.now() - start;
      await device.sync();
      return host * 1000;
    },
    dispose() {
      recorded.dispose();
      dispose();
      device.trim();
    },
  };
}

async function timeByKernel(device: Device, runner: Runner): Promise<KernelTime[]> {
  if (!device.features.has('timestamp-query')) return [];
  const { error } = console;
  console.error = () => {}; // a line per flush at this level
  setDebug(2);
  try {
    await device.kernelTimes();
    await runner.run();
    return await device.kernelTimes();
  } finally {
    setDebug(0);
    console.error = error;
  }
}

/** Wall and processor time of a piece of work. */
async function timed<T>(work: () => Promise<T>): Promise<{ result: T; ms: number; cpuMs: number }> {
  const start = performance.now(), before = process.cpuUsage();
  const result = await work();
  const ms = performance.now() - start;
  const { user, system } = process.cpuUsage(before);
  return { result, ms, cpuMs: (user + system) / 1000 };
}

const median = (values: readonly number[]): number => quantile([...values].sort((a, b) => a - b), 0.5);

async function measure(device: Device, c: Pick<ModelCase, 'preset' | 'name' | 'flop' | 'weights'>, runner: Runner, peak: Ceiling, asked: number): Promise<ModelRow> {
  const compared = await runner.compare();
  const times: number[] = [], cpu: number[] = [], host: number[] = [], ceilings: number[] = [];
  await runner.run();
  let submits = 0, created = 0, rounds = asked;
  for (let round = 0; round < rounds; round++) {
    const before = device.counters();
    const { result, ms, cpuMs } = await timed(() => runner.run());
    const after = device.counters();
    submits += after.submits - before.submits;
    created += (['buffers', 'bindGroups', 'pipelines'] as const).reduce((n, key) => n + after[key] - before[key], 0);
    if (round === 0) rounds = Math.max(Math.min(3, asked), Math.min(asked, Math.floor(ROW_MS / ms)));
    times.push(ms);
    cpu.push(cpuMs);
    if (result !== undefined) host.push(result);
    const ceiling = await timed(async () => {
      scope(() => { peak.run(); });
      await device.sync();
    });
    ceilings.push(device.adapter.class === 'software' ? ceiling.cpuMs : ceiling.ms);
  }
  const [medianMs, cpuMs] = [median(times), median(cpu)];
  const share = (c.flop / (device.adapter.class === 'software' ? cpuMs : medianMs)) / (peak.amount / median(ceilings));
  return {
    preset: c.preset, name: c.name, gflop: c.flop / 1e9, weights: c.weights, compared, recordMs: runner.recordMs, medianMs, cpuMs, rounds, gflops: c.flop / medianMs / 1e6, share,
    submits: submits / rounds, created: created / rounds, report: runner.report, ...(host.length ? { hostUs: Math.min(...host) / runner.report.dispatches } : {}), kernels: await timeByKernel(device, runner),
  };
}

const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(bytes < 2 ** 24 ? 2 : 0);

function lines(row: ModelRow): string {
  const { report } = row;
  const timed = row.kernels.reduce((ms, k) => ms + k.timeMs, 0);
  const by = row.kernels.slice(0, 6).map(k => `${k.name} ${((100 * k.timeMs) / timed).toFixed(0)} % (${k.runs})`).join(', ');
  return `${row.name}: ${row.medianMs.toFixed(2)} ms (median of ${row.rounds}; ${row.cpuMs.toFixed(1)} ms of processor time), ${row.gflop.toFixed(2)} GFLOP, ${row.gflops.toFixed(1)} GFLOP/s, ${(100 * row.share).toFixed(0)} % of register-only fma
  right: ${row.compared} values equal to the bit with the run op by op, all finite; recorded in ${row.recordMs.toFixed(0)} ms
  per run: ${report.dispatches} dispatches in ${report.passes} passes, ${report.pipelines} pipelines, ${row.submits} submits, ${row.created} objects created${row.hostUs === undefined ? '' : `, ${row.hostUs.toFixed(2)} us of the calling thread per dispatch`}
  memory: ${(row.weights / 1e6).toFixed(1)} million weights; intermediate tensors ${mib(report.arenaBytes)} MiB, at least ${mib(report.boundBytes)} MiB live at once: ${(report.arenaBytes / report.boundBytes).toFixed(3)} x the bound${
  row.pytorchMs === undefined ? '' : `\n  PyTorch on this machine's GPU: ${row.pytorchMs.toFixed(2)} ms, ${(row.medianMs / row.pytorchMs).toFixed(2)} x its time`}
  by kernel: ${by || 'the adapter has no timestamps'}`;
}

/** Presets that are asked for. @throws Error for a name that does not exist */
function wanted(device: Device, preset: string | undefined): readonly string[] {
  if (preset === undefined) return DEFAULTS[device.adapter.class];
  if (preset === 'all') return PRESETS_OF_BENCH;
  const names = preset.split(',');
  const unknown = names.find(n => !(PRESETS_OF_BENCH as readonly string[]).includes(n));
  if (unknown !== undefined) throw new Error(`bench model: --preset is ${unknown}, expected ${PRESETS_OF_BENCH.join(', ')} or all`);
  return names;
}

/**
 * Measures networks and the training step.
 * @param options which, how often, JSON file to write, whether people read along @returns adapter, ceiling, host overhead, date and rows
 * @throws Error for a preset that does not exist, and for a network whose replay differs from its ops
 */
export async function benchModel({ preset, tokens, rounds, pytorch, output, json }: ModelBenchOptions): Promise<object> {
  const say = (text: string): void => { if (!json) console.log(text); };
  const device = await openDevice();
  const names = wanted(device, preset);
  const overhead = await measureOverhead();
  const peak = peakCeiling(device);
  say(`adapter: ${device.adapter.notice}`);
  say(`host: ${overhead.replay.toFixed(2)} us per dispatch replayed, ${overhead.dispatch.toFixed(2)} dispatched one by one, ${overhead.ops.toFixed(2)} with the ops around them, ${overhead.floor.toFixed(2)} for WebGPU's calls alone (null backend, ${overhead.dispatches} dispatches, processor time, best of 15)`);
  const times = pytorch ? await pytorchTimes(names, tokens) : undefined;
  if (times?.skipped) say(`PyTorch: skipped, ${times.skipped}`);
  const rows: ModelRow[] = [];
  const cases = modelCases(tokens ? [tokens] : device.adapter.class === 'gpu' ? [256, 2048] : [256]);
  for (const name of names) {
    for (const c of name === 'step' ? [stepCase(device)] : cases.filter(k => k.preset === name)) {
      const runner = 'runner' in c ? await c.runner() : await forwardRunner(device, c);
      const pytorchMs = times?.ms.get(c.name);
      rows.push({ ...await measure(device, c, runner, peak, rounds), ...(pytorchMs === undefined ? {} : { pytorchMs }) });
      runner.dispose();
      say(lines(rows.at(-1)!));
    }
  }
  const result = { adapter: device.adapter, date: new Date().toISOString(), node: process.version, overhead, ...(times ? { pytorch: times.skipped ?? times.about } : {}), rows };
  if (output) await writeFileAtomic(output, `${JSON.stringify(result, null, 1)}\n`);
  return result;
}
