// `vl-jepa eval --manifest FILE`: a benchmark on the user's own data, the paper's figures of the same benchmark beside it.
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { openManifest } from '../data/manifest.ts';
import type { ManifestTask } from '../data/manifest.ts';
import { TextDecoder } from '../model/text_decoder.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';
import { runBenchmark } from '../tasks/benchmark.ts';
import type { BenchmarkResult } from '../tasks/benchmark.ts';
import { checkpointFolder } from './checkpoint_path.ts';
import { mediaLoader, openModel } from './media.ts';

export interface ManifestEvalOptions {
  model?: string | undefined;
  manifest: string;
  task?: ManifestTask | undefined;
  query?: string | undefined;
  batch?: number | undefined;
  json: boolean;
}

export interface ManifestEvalResult extends BenchmarkResult {
  manifest: string;
  adapter: string;
  /** Who captions, where the manifest brings none. */
  captions?: 'the text decoder' | 'the nearest reference of another sample';
}

const figure = (name: string, value: number): string => (name.includes('CIDEr') ? value.toFixed(3) : value.toFixed(1));

/** The result as lines for people. @param result of a benchmark @returns lines */
export function benchmarkLines({ task, name, n, skipped, faults, candidates, main, figures, interval, groups, paper }: BenchmarkResult): string[] {
  const lines = [`${name || task}: ${n} samples${candidates === undefined ? '' : `, ${candidates} candidates`}${skipped ? `, ${skipped} skipped` : ''}`];
  const width = Math.max(...[...Object.keys(figures), ...Object.keys(groups), ...(paper?.rows.map(([m]) => m) ?? [])].map(k => k.length), 0) + 2;
  for (const [key, value] of Object.entries(figures)) {
    lines.push(`  ${key.padEnd(width)}${figure(key, value).padStart(7)}${key === main && interval ? `   ${figure(key, interval[0])} to ${figure(key, interval[1])} (bootstrap over samples, 95 %)` : ''}`);
  }
  if (Object.keys(groups).length) lines.push('  by group', ...Object.entries(groups).map(([key, g]) => `  ${key.padEnd(width)}${g.accuracy.toFixed(1).padStart(7)}   (${g.n})`));
  if (paper) {
    lines.push(`  beside it, ${paper.table} of the paper, ${paper.benchmark}, ${paper.metric}; the whole benchmark and other training:`);
    lines.push(...paper.rows.map(([model, value]) => `  ${model.padEnd(width)}${value.toFixed(1).padStart(7)}`), `  ${'this model, here'.padEnd(width)}${figure(main, figures[main]!).padStart(7)}`);
  }
  if (faults.length) lines.push(`  skipped: ${faults[0]}${skipped > 1 ? `, and ${skipped - 1} more` : ''}`);
  return lines;
}

/** The text decoder of a checkpoint that has one. */
async function decoderOf(model: VLJEPA, folder: string): Promise<TextDecoder | undefined> {
  const has = await access(join(folder, 'decoder', 'config.json')).then(() => true, () => false);
  return has ? TextDecoder.fromPretrained(folder, { model }) : undefined;
}

/** Runs the manifest's benchmark. @param options checkpoint, manifest, task, query @returns the figures @throws DataError that names file and line */
export async function evaluateManifest(options: ManifestEvalOptions): Promise<ManifestEvalResult> {
  const { task, query, batch, json } = options;
  const manifest = await openManifest(options.manifest, task === undefined ? {} : { task }); // its faults are told before the model is loaded
  const { model } = await openModel(options.model, 'nano2');
  const captions = manifest.header.task === 'caption';
  const decoder = captions ? await decoderOf(model, await checkpointFolder(options.model, 'nano2')) : undefined;
  const live = !json && process.stderr.isTTY;
  const progress = (done: number, skipped: number): void => { if (live) process.stderr.write(`\r${done} embedded, ${skipped} skipped`); };
  const result = await runBenchmark(model, manifest, {
    load: mediaLoader(options.manifest, manifest.header.frames), ...(query !== undefined && { query }), ...(batch !== undefined && { batchSize: batch }), ...(decoder && { caption: vectors => decoder.decode(vectors) }), progress,
  });
  if (live) process.stderr.write('\r\x1b[K');
  decoder?.dispose();
  const teller: NonNullable<ManifestEvalResult['captions']> = decoder ? 'the text decoder' : 'the nearest reference of another sample';
  const own = captions && 'CIDEr-D of the nearest other reference' in result.figures; // captions that the manifest brings have no such line beside them
  if (!json) for (const line of [...benchmarkLines(result), ...(own ? [`  captions by ${teller}`] : [])]) console.log(line);
  return { ...result, manifest: options.manifest, adapter: model.device.adapter.notice, ...(own && { captions: teller }) };
}
