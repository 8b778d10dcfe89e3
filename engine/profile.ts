// Debug levels (DEBUG= in Node, ?debug= in a page, setDebug in code), GPU timestamps per kernel, and the watch for NaN and Inf.
import { DeviceError } from './check.ts';
import { GPUBufferUsageBits } from './memory.ts';

let level = initial();

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
}

const QUERIES = 4096;

/** Pass timestamps of one device, when it has the feature, and the buffers that debug level 4 looks at. */
export class Timer {
  private readonly gpu: GPUDevice;
  private queries: GPUQuerySet | undefined;
  private used = 0;
  private labels: string[] = [];
  private waiting: { labels: string[]; resolved: GPUBuffer; buffer: GPUBuffer }[] = [];
  private readonly totals = new Map<string, KernelTime>();
  readonly watched: { label: string; buffer: GPUBuffer }[] = [];

  constructor(gpu: GPUDevice) {
    this.gpu = gpu;
  }

  /** Timestamp writes for one more pass, if there is room. */
  writes(label: string): { timestampWrites?: GPUComputePassTimestampWrites } {
    if (!this.gpu.features.has('timestamp-query') || this.used + 2 > QUERIES) return {};
    this.queries ??= this.gpu.createQuerySet({ type: 'timestamp', count: QUERIES });
    const begin = this.used;
    this.used += 2;
    this.labels.push(label);
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
      labels.forEach((name, i) => {
        const row = this.totals.get(name) ?? { name, runs: 0, timeMs: 0 };
        row.runs++;
        row.timeMs += Number(ticks[2 * i + 1]! - ticks[2 * i]!) / 1e6;
        this.totals.set(name, row);
      });
      resolved.destroy();
      buffer.destroy();
    }
    const rows = [...this.totals.values()].sort((a, b) => b.timeMs - a.timeMs);
    this.totals.clear();
    return rows;
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
