// `node dist/bench/loading.js [--output FILE]`: full-size networks from the page cache into GPU buffers: GB/s, and memory seen from outside (Linux).
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { writeFileAtomic } from '../weights/writer.ts';
import type { WeightDtype } from '../model/weight_stream.ts';
import { makeFolder } from './loading/folder.ts';
import { measureLoad } from './loading/measure.ts';
import type { LoadRow } from './loading/measure.ts';

/** Network, storage of the file, ways to hold it, changed config. */
const CASES: readonly (readonly ['vision' | 'predictor' | 'text', 'F32' | 'BF16' | 'F16', readonly WeightDtype[], Record<string, unknown>?])[] = [
  ['vision', 'F32', ['f32', 'bf16', 'f16', 'int8']],
  ['vision', 'BF16', ['stored', 'f32']],
  ['text', 'F32', ['f32']],
  ['predictor', 'BF16', ['stored'], { num_hidden_layers: 8 }],
];

const { values } = parseArgs({ options: { output: { type: 'string' }, rounds: { type: 'string', default: '3' }, only: { type: 'string' } } });
const rows: (LoadRow & { stored: string })[] = [];
let adapter: unknown;
for (const [network, stored, dtypes, changes] of CASES) {
  if (values.only && !`${network} ${stored}`.includes(values.only)) continue;
  const folder = mkdtempSync(`${tmpdir()}/vl-jepa-loading-`);
  try {
    await makeFolder(folder, network, stored, changes);
    for (const dtype of dtypes) {
      let best: LoadRow | undefined;
      for (let round = 0; round < Number(values.rounds); round++) {
        const measured = await measureLoad({ network, folder, dtype });
        adapter = measured.adapter;
        if (!best || measured.row.seconds < best.seconds) best = { ...measured.row, processMiB: Math.max(measured.row.processMiB, best?.processMiB ?? 0), loadingMiB: Math.max(measured.row.loadingMiB, best?.loadingMiB ?? 0) };
      }
      rows.push({ stored, ...best! });
      const { fileBytes, gbPerSecond, processMiB, loadingMiB, readMs, convertMs, uploadMs, seconds, userSeconds, kernelSeconds } = best!;
      console.log(`${network} ${stored} as ${dtype}: ${(fileBytes / 1e9).toFixed(2)} GB in ${seconds.toFixed(2)} s, ${gbPerSecond.toFixed(2)} GB/s (read ${readMs.toFixed(0)}, convert ${convertMs.toFixed(0)}, upload ${uploadMs.toFixed(0)} ms; CPU ${userSeconds.toFixed(2)} + ${kernelSeconds.toFixed(2)} s); process ${processMiB.toFixed(0)} MiB beyond its buffers, ${loadingMiB.toFixed(0)} of them by loading`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}
const report = { adapter, date: new Date().toISOString(), command: `node dist/bench/loading.js --rounds ${values.rounds}${values.only ? ` --only "${values.only}"` : ''}`, node: process.version, cores: cpus().length, loadAverage: loadavg()[0], about: 'best time and worst memory of the rounds; files in the page cache; where the load average is above the cores, other programs had their share and only CPU seconds say what a load costs', rows };
if (values.output) await writeFileAtomic(values.output, `${JSON.stringify(report, null, 1)}\n`);
