// What the Node runner and the page share: run test modules one after the other, count, and refuse files that ran nothing.
import './defer.ts';
import { exec } from 'uvu';
import { counts, device, fingerprints } from './harness.ts';

export interface Outcome {
  passed: number;
  failed: number;
  skipped: number;
  failures: string[];
  adapter: string;
  /** Kernel profile of the adapter. */
  profile: string;
  /** Bits of results by name, see `fingerprint` in harness.ts. */
  fingerprints: Record<string, string>;
}

/**
 * Runs test modules.
 * @param files name and loader of each @param say gets lines of text @returns counts; a module that registered no test is a failure
 */
export async function runFiles(files: readonly { name: string; load: () => Promise<unknown> }[], say: (line: string) => void): Promise<Outcome> {
  const { adapter } = await device();
  say(`adapter: ${adapter.notice}`);
  for (const { name, load } of files) {
    const before = counts.passed + counts.failed + counts.skipped;
    globalThis.UVU_QUEUE = [[name]];
    globalThis.UVU_INDEX = 0;
    const began = performance.now();
    try {
      await load();
      await exec();
    } catch (error) {
      counts.failed++;
      counts.failures.push(`${name}: ${(error as Error).stack}`);
    }
    if (counts.passed + counts.failed + counts.skipped === before) {
      counts.failed++;
      counts.failures.push(`${name}: ran no test`);
    }
    say(`  ${name} ${((performance.now() - began) / 1000).toFixed(1)} s`);
  }
  return { ...counts, adapter: adapter.notice, profile: adapter.profile, fingerprints };
}
