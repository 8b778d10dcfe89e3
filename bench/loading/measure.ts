// Time and memory of loading, measured from outside the process (Linux: /proc/PID/status).
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { WeightDtype } from '../../model/weight_stream.ts';
import type { ChildLine } from './child.ts';

/** What is loaded. */
export interface LoadRequest {
  readonly network: 'vision' | 'predictor' | 'text';
  readonly folder: string;
  readonly dtype: WeightDtype;
  readonly limits?: 'adapter' | 'default';
}

/** What was seen. On a software adapter the GPU's buffers are memory of the process. */
export interface LoadRow {
  readonly network: string;
  readonly dtype: WeightDtype;
  readonly limits: string;
  readonly fileBytes: number;
  readonly gpuBytes: number;
  readonly seconds: number;
  readonly gbPerSecond: number;
  /** Resident before the load (Node, Dawn, the driver), at the peak, and afterwards, MiB. */
  readonly beforeMiB: number;
  readonly peakMiB: number;
  readonly afterMiB: number;
  /** Peak without the GPU's buffers: what the whole process takes; and that without what it took before. */
  readonly processMiB: number;
  readonly loadingMiB: number;
  readonly readMs: number;
  readonly convertMs: number;
  readonly uploadMs: number;
  /** CPU time of all threads during the load, in user mode and in the kernel: what busy neighbours do not change. */
  readonly userSeconds: number;
  readonly kernelSeconds: number;
}

const MIB = 2 ** 20;

/** A line of /proc/PID/status in MiB. */
function statusMiB(pid: number, key: 'VmRSS' | 'VmHWM'): number {
  const found = new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  if (!found) throw new Error(`loading: /proc/${pid}/status has no ${key}, expected one (Linux only)`);
  return Number(found[1]) / 1024;
}

/** CPU seconds of a process so far, user mode and kernel (clock ticks are hundredths on Linux). */
function cpuSeconds(pid: number): [number, number] {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' '); // the name in brackets may hold blanks
  return [Number(fields[11]) / 100, Number(fields[12]) / 100];
}

/**
 * Loads one network in a child process and reads its memory from outside.
 *
 * @param request what to load
 * @returns the row, and the adapter as the child sees it
 */
export async function measureLoad(request: LoadRequest): Promise<{ row: LoadRow; adapter: unknown }> {
  const { network, folder, dtype, limits = 'adapter' } = request;
  const child = spawn(process.execPath, [fileURLToPath(new URL('./child.js', import.meta.url)), network, folder, dtype, limits], { stdio: ['pipe', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text; });
  const pid = child.pid!;
  try {
    let before = 0, cpu: [number, number] = [0, 0];
    for await (const text of createInterface({ input: child.stdout })) {
      const line = JSON.parse(text) as ChildLine;
      if (line.stage === 'ready') {
        before = statusMiB(pid, 'VmRSS');
        cpu = cpuSeconds(pid);
        child.stdin.write('\n');
        continue;
      }
      const { fileBytes, gpuBytes, seconds, readMs, convertMs, uploadMs, adapter } = line;
      const [peak, after] = [statusMiB(pid, 'VmHWM'), statusMiB(pid, 'VmRSS')];
      const [user, kernel] = cpuSeconds(pid);
      const row: LoadRow = {
        network, dtype, limits, fileBytes, gpuBytes, seconds, gbPerSecond: fileBytes / seconds / 1e9, beforeMiB: before, peakMiB: peak, afterMiB: after,
        processMiB: peak - gpuBytes / MIB, loadingMiB: peak - before - gpuBytes / MIB, readMs, convertMs, uploadMs,
        userSeconds: user - cpu[0], kernelSeconds: kernel - cpu[1],
      };
      child.stdin.end();
      return { row, adapter };
    }
    throw new Error(`loading: the child ended before it had loaded ${folder}: ${stderr.trim().split('\n').at(-1)}`);
  } finally {
    child.stdin.end();
    if (child.exitCode === null) await new Promise(done => { child.once('close', done); });
  }
}
