// Debug levels (DEBUG= in Node, ?debug= in a page, setDebug in code), GPU timestamps per kernel, and the watch for NaN and Inf.
import { DeviceError } from './check.ts';
import { GPUBufferUsageBits } from './memory.ts';

let level = initial();
/** Set from outside (DEBUG=2, ?debug=2), the table of kernels is printed after every wait; set in code, `device.kernelTimes()` gives it. */
const PRINTS = level >= 2;

function initial(): number {
  const text = typeof process !== 'undefined' && process.env ? process.env.DEBUG : new URLSearchParams(globalThis.location?.search ?? '').get('debug');
  return /^[0-4]$/.test(text ?? '') ? Number(text) : 0;
}

/** The debug level. @returns 0 nothing; 1 adapter, memory and one line per flush; 2 time per kernel; 3 pipelines; 4 min, max, mean after each kernel, stops at NaN or Inf */
export const debugLevel = (): number => level;

/** Sets the debug level. @param value 0 to 4 @returns nothing */
export function setDebug(value: 0 | 1 | 2 | 3 | 4): void {
  level = value;
}

/** Label of a kernel: `rms_norm:forward`. @param file kernel file @param entry entry point @returns the label */
export const nameOf = (file: string, entry: string): string => `${file}:${entry}`;

/** Time of all runs of one kernel. */
export interface KernelTime {
  name: string;
  runs: number;
  timeMs: number;
  /** Bytes of the bound tensors over the time: traffic, if each was touched once. */
  gbs: number;
}

const QUERIES = 4096;

/** Pass timestamps of one device, when it has the feature, and the buffers that debug level 4 looks at. */
export class Timer {
  private readonly gpu: GPUDevice;
  private queries: GPUQuerySet | undefined;
  private used = 0;
  private labels: { name: string; bytes: number }[] = [];
  private waiting: { labels: { name: string; bytes: number }[]; resolved: GPUBuffer; buffer: GPUBuffer }[] = [];
  private readonly totals = new Map<string, { name: string; runs: number; timeMs: number; bytes: number }>();
  readonly watched: { label: string; buffer: GPUBuffer }[] = [];

  constructor(gpu: GPUDevice) {
    this.gpu = gpu;
  }

  /** Timestamp writes for one more pass, if there is room. */
  writes(name: string, bytes: number): { timestampWrites?: GPUComputePassTimestampWrites } {
    if (!this.gpu.features.has('timestamp-query') || this.used + 2 > QUERIES) return {};
    this.queries ??= this.gpu.createQuerySet({ type: 'timestamp', count: QUERIES });
    const begin = this.used;
    this.used += 2;
    this.labels.push({ name, bytes });
    return { timestampWrites: { querySet: this.queries, beginningOfPassWriteIndex: begin, endOfPassWriteIndex: begin + 1 } };
  }

  /** Puts the readout of this flush's timestamps at the end of its encoder. */
  resolve(encoder: GPUCommandEncoder): void {
    if (this.used === 0 || !this.queries) return;
    const bytes = this.used * 8;
    const resolved = this.gpu.createBuffer({ size: bytes, usage: GPUBufferUsageBits.QUERY_RESOLVE | GPUBufferUsageBits.COPY_SRC });
    const buffer = this.gpu.createBuffer({ size: bytes, usage: GPUBufferUsageBits.COPY_DST | GPUBufferUsageBits.MAP_READ });
    encoder.resolveQuerySet(this.queries, 0, this.used, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, buffer, 0, bytes);
    this.waiting.push({ labels: this.labels, resolved, buffer });
    this.labels = [];
    this.used = 0;
  }

  /** Waits for the timestamps gathered so far. Rows, most time first; empty without level 2 or the feature. */
  async report(): Promise<KernelTime[]> {
    for (const { labels, resolved, buffer } of this.waiting.splice(0)) {
      await buffer.mapAsync(1);
      const ticks = new BigUint64Array(buffer.getMappedRange());
      labels.forEach(({ name, bytes }, i) => {
        const row = this.totals.get(name) ?? { name, runs: 0, timeMs: 0, bytes: 0 };
        row.bytes += bytes;
        row.runs++;
        row.timeMs += Number(ticks[2 * i + 1]! - ticks[2 * i]!) / 1e6;
        this.totals.set(name, row);
      });
      resolved.destroy();
      buffer.destroy();
    }
    const rows = [...this.totals.values()].sort((a, b) => b.timeMs - a.timeMs);
    this.totals.clear();
    return rows.map(({ bytes, ...row }) => ({ ...row, gbs: row.timeMs > 0 ? bytes / row.timeMs / 1e6 : 0 }));
  }

  /** Level 2 from outside: prints the kernels since the last wait, most time first. */
  async print(): Promise<void> {
    if (!PRINTS || this.waiting.length === 0) return;
    const rows = await this.report();
    console.error(`${'kernel'.padEnd(40)}${'runs'.padStart(7)}${'ms'.padStart(11)}${'us/run'.padStart(11)}${'GB/s'.padStart(9)}`);
    for (const r of rows) console.error(`${r.name.padEnd(40)}${String(r.runs).padStart(7)}${r.timeMs.toFixed(3).padStart(11)}${((1000 * r.timeMs) / r.runs).toFixed(1).padStart(11)}${r.gbs.toFixed(2).padStart(9)}`);
  }

  /** Level 4: looks at every output since the last look. @throws DeviceError that names the first kernel that wrote a NaN or Inf */
  async inspect(): Promise<void> {
    let bad: string | undefined;
    for (const { label, buffer } of this.watched.splice(0)) {
      await buffer.mapAsync(1);
      const bytes = buffer.getMappedRange().slice(0);
      buffer.destroy();
      const values = new Float32Array(bytes);
      const broken = new Uint32Array(bytes).findIndex(u => (u & 0x7f800000) === 0x7f800000);
      let min = Infinity, max = -Infinity, sum = 0;
      for (const v of values) { min = Math.min(min, v); max = Math.max(max, v); sum += v; }
      console.error(`${label} min ${min} max ${max} mean ${sum / values.length} first ${[...values.subarray(0, 4)].map(v => v.toPrecision(5)).join(' ')}`);
      if (broken >= 0) bad ??= `${label}: element ${broken} is ${values[broken]}, the first NaN or Inf of the run`;
    }
    if (bad) throw new DeviceError(bad, 'validation');
  }
}
