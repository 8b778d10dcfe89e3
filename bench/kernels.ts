// `vl-jepa bench kernels`: every kernel is checked against its float64 formula first and only then timed, in turn with the ceiling that it is compared with.
import type { Device } from '../engine/device.ts';
import { openDevice } from '../engine/device.ts';
import type { Storage } from '../engine/memory.ts';
import { scope } from '../engine/memory.ts';
import { gradients, noGrad } from '../engine/tape.ts';
import { Tensor, size } from '../engine/tensor.ts';
import '../kernels/backward.ts';
import { writeFileAtomic } from '../weights/writer.ts';
import { tensorsOf, valuesOf, verify } from './case.ts';
import type { Case, Profile, Values } from './case.ts';
import { casesOf } from './cases.ts';
import { decoded } from './stored.ts';
import { copyCeiling, peakCeiling, productCeiling } from './ceilings.ts';
import type { Ceiling } from './ceilings.ts';
import { rateOf, timing } from './measure.ts';
import type { Timing } from './measure.ts';

/** One measured row. Rates count the work of the formula, not what the kernel does. */
export interface KernelRow extends Partial<Timing> {
  op: string;
  pass: string;
  use: string;
  shape: string;
  /** Why nothing was measured. */
  skipped?: string;
  /** Worst NMSE of a result against float64, elements compared, elements there are. */
  nmse?: number;
  checked?: number;
  of?: number;
  gflops?: number | undefined;
  gbs?: number | undefined;
  /** gflops or gbs over the ceiling of the same unit, measured in turn with the row; 1 is the ceiling. */
  share?: number | undefined;
  /** What the ceiling is. */
  against?: 'fma' | 'copy' | 'matmul';
  /** Largest sum of live buffers while the row ran, beyond its inputs (of a backward row also what the forward left) and its results. */
  extraBytes?: number;
}

/** What an option of the command line asks for. */
export interface BenchOptions {
  timeMs: number;
  profile: Profile;
  /** Rows whose op or use contains this text. */
  only?: string | undefined;
  output?: string | undefined;
  json: boolean;
}

/** A row ready to run: `run` enqueues it once, and returns what it wrote. */
interface Prepared {
  run(): readonly Tensor[];
  inputs: readonly Tensor[];
  y: readonly Tensor[];
  dy: Float32Array;
  release(): void;
}

/** Everything that a row allocates goes back to the pool at its end, also what the history of a gradient holds. */
function prepare(device: Device, c: Case, values: readonly Values[]): Prepared {
  const held = new Set<Storage>();
  const before = device.pool.onAcquire;
  device.pool.onAcquire = s => { held.add(s); before?.(s); };
  const release = (): void => { for (const s of held) while (s.refs > 0) device.pool.release(s); };
  try {
    const inputs = tensorsOf(device, c.inputs, values);
    const leaves = inputs.filter((_, i) => c.inputs[i]!.grad);
    if (c.pass !== 'forward') leaves.forEach(t => { t.needsGrad = true; });
    const results = (): readonly Tensor[] => { const out = c.run(inputs, device); return out instanceof Tensor ? [out] : out; };
    if (c.pass === 'forward') return { run: results, inputs, y: [], dy: new Float32Array(), release };
    const both = c.pass === 'both';
    const y = both ? noGrad(results) : results();
    const dy = valuesOf({ shape: y[0]!.shape }, 99) as Float32Array;
    const seed = Tensor.from(device, dy, y[0]!.shape);
    return { run: () => scope(() => gradients((both ? results() : y)[0]!, seed, leaves) as Tensor[]), inputs, y, dy, release };
  } catch (error) {
    release();
    throw error;
  } finally {
    device.pool.onAcquire = before;
  }
}

/** Results as numbers; small storage types are decoded here, not by a kernel. */
async function readAll(tensors: readonly Tensor[]): Promise<Float32Array[]> {
  const out: Float32Array[] = [];
  for (const t of tensors) out.push(await decoded(t));
  return out;
}

/** The values that a check has to start from: those that the tensors hold. */
async function asStored(c: Case, prepared: Prepared, values: readonly Values[]): Promise<Values[]> {
  const out: Values[] = [];
  for (const [i, v] of values.entries()) out.push(c.inputs[i]!.storage ? await decoded(prepared.inputs[i]!) : v);
  return out;
}

async function check(c: Case, prepared: Prepared, values: readonly Values[]): Promise<{ nmse: number; checked: number; of: number }> {
  const results = scope(() => prepared.run());
  const got = await readAll(results);
  const y = c.pass === 'forward' ? got : await readAll(prepared.y);
  results.forEach(t => t.dispose());
  const sizes = verify(c, await asStored(c, prepared, values), prepared.dy, y, got);
  if (!(sizes.nmse <= c.limit)) throw new Error(`bench: ${c.op} ${c.pass} ${c.shape} is wrong, NMSE ${sizes.nmse}, expected at most ${c.limit}; no time is printed for a wrong kernel`);
  return sizes;
}

/** Why the adapter cannot take a row, or undefined. */
function obstacle(device: Device, c: Case): string | undefined {
  const limit = Math.min(device.limits.maxStorageBufferBindingSize, device.limits.maxBufferSize);
  const largest = Math.max(0, ...c.inputs.map(i => 4 * size(i.shape)));
  return largest > limit ? `an input of ${(largest / 2 ** 20).toFixed(0)} MiB, and the adapter binds ${(limit / 2 ** 20).toFixed(0)} MiB at most` : undefined;
}

/** Live bytes at the peak of one run beyond those before it and the results. */
function extraOf(device: Device, run: () => readonly Tensor[]): number {
  device.resetPeak();
  const before = device.memory().liveBytes;
  return scope(() => {
    const results = new Set(run().map(t => t.storage));
    return device.memory().peakBytes - before - [...results].reduce((sum, s) => sum + s.bytes, 0);
  });
}

async function measure(device: Device, c: Case, peak: Ceiling, timeMs: number): Promise<KernelRow> {
  const row: KernelRow = { op: c.op, pass: c.pass, use: c.use, shape: c.shape };
  const skipped = obstacle(device, c);
  if (skipped) return { ...row, skipped };
  const values = c.inputs.map((input, i) => valuesOf(input, i + 1));
  const checked = prepare(device, c, values);
  const sizes = await check(c, checked, values);
  checked.release();
  const timed = prepare(device, c, values);
  const before = device.counters().dispatches;
  const extraBytes = extraOf(device, timed.run);
  if (device.counters().dispatches === before) {
    timed.release();
    return { ...row, ...sizes, skipped: 'no kernel runs, the gradient is dy itself' };
  }
  const against = c.product ? 'matmul' : c.flop ? 'fma' : 'copy';
  const ceiling = c.product ? productCeiling(device, c.product) : c.flop ? peak : copyCeiling(device, c.bytes);
  const times = await timing(device, () => { timed.run(); }, ceiling, timeMs);
  timed.release();
  if (ceiling !== peak) ceiling.dispose();
  device.trim();
  const gflops = c.flop && c.flop / times.medianMs / 1e6;
  const gbs = c.bytes && c.bytes / times.medianMs / 1e6;
  return { ...row, ...sizes, ...times, gflops, gbs, share: (gflops ?? gbs ?? 0) / times.ceiling, against, extraBytes };
}

const COLUMNS = [['kernel', 24], ['shape', 40], ['NMSE', -9], ['checked', -9], ['median ms', -11], ['p99 ms', -9], ['GPU ms', -9], ['GFLOP/s', -9], ['GB/s', -8], ['of ceiling', -16], ['extra MiB', -11]] as const;
const line = (cells: readonly string[]): string => COLUMNS.map(([, width], i) => (width > 0 ? (cells[i] ?? '').padEnd(width) : (cells[i] ?? '').padStart(-width))).join('');

function tableLine(r: KernelRow): string {
  const name = `${r.op} ${r.pass}`;
  if (r.skipped) return `${name.padEnd(24)}${r.shape.padEnd(40)}  skipped: ${r.skipped}`;
  const fixed = (v: number | undefined, digits: number): string => (v ? v.toFixed(digits) : '');
  const share = r.checked === r.of ? 'all' : String(r.checked);
  return line([name, r.shape, r.nmse!.toExponential(1), share, fixed(r.medianMs, 3), fixed(r.p99Ms, 3), fixed(r.gpuMs, 3), fixed(r.gflops, 2), fixed(r.gbs, 2), `${(100 * r.share!).toFixed(0)} % ${r.against}`, (r.extraBytes! / 2 ** 20).toFixed(2)]);
}

/**
 * Measures the kernels.
 * @param options time per kernel in ms, size profile, filter, JSON file to write, whether people read along @returns adapter, ceilings, date and rows @throws Error for a kernel that is wrong
 */
export async function benchKernels({ timeMs, profile, only, output, json }: BenchOptions): Promise<object> {
  const device = await openDevice();
  const say = (text: string): void => { if (!json) console.log(text); };
  const peak = peakCeiling(device);
  const copy = copyCeiling(device);
  const ceilings = { gflops: await rateOf(device, peak), gbs: await rateOf(device, copy) };
  copy.dispose();
  const cases = casesOf(profile, only);
  if (!cases.length) throw new Error(`bench: no kernel is called ${only} in profile ${profile}, expected a part of an op's name or of its use`);
  say(`adapter: ${device.adapter.notice}\nceilings: ${ceilings.gflops.toFixed(1)} GFLOP/s in registers, ${ceilings.gbs.toFixed(1)} GB/s of a copy (read and written); beside each kernel they are measured again, the copy at the kernel's own size`);
  say(line(COLUMNS.map(([name]) => name)));
  const rows: KernelRow[] = [];
  for (const c of cases) {
    const row = await measure(device, c, peak, timeMs);
    rows.push(row);
    say(tableLine(row));
  }
  const result = { adapter: device.adapter, date: new Date().toISOString(), command: `vl-jepa bench kernels --profile ${profile} --time-ms ${timeMs}${only ? ` --only ${only}` : ''}`, node: process.version, ceilings, rows };
  if (output) await writeFileAtomic(output, `${JSON.stringify(result, null, 1)}\n`);
  return result;
}
