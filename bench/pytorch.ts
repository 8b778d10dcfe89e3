// The same networks in PyTorch on this machine's GPU, by a script of its own, where Python, torch and a GPU are there.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** Median milliseconds by the names of bench/model_cases.ts; or why there are none. */
export interface PytorchTimes {
  readonly ms: ReadonlyMap<string, number>;
  /** Versions and card. */
  readonly about?: string;
  readonly skipped?: string;
}

const SCRIPT = fileURLToPath(new URL('../../test/reference/model_times.py', import.meta.url));

/**
 * Runs the script.
 * @param presets networks @param tokens of the ViT-L @returns its times, or the reason why it cannot run
 */
export async function pytorchTimes(presets: readonly string[], tokens: number | undefined): Promise<PytorchTimes> {
  try {
    const { stdout } = await promisify(execFile)('python3', [SCRIPT, '--presets', presets.join(','), '--tokens', String(tokens ?? 0)], { timeout: 600_000 });
    const { about, skipped, ms } = JSON.parse(stdout) as { about?: string; skipped?: string; ms?: Record<string, number> };
    return { ms: new Map(Object.entries(ms ?? {})), ...(about ? { about } : {}), ...(skipped ? { skipped } : {}) };
  } catch (error) {
    return { ms: new Map(), skipped: `python3 ${SCRIPT} did not run (${(error as Error).message.trim().split('\n').at(-1)})` };
  }
}
