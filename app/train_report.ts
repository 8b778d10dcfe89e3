// report.html of a training run: curves of the log with uPlot inlined, settings, and the same figures as a table.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Recipe } from '../train/recipe.ts';
import { writeFileAtomic } from '../weights/writer.ts';
import { escape, page } from './html.ts';
import { readRunLog } from './run_log.ts';

const CURVES = [
  { key: 'loss', title: 'Loss' },
  { key: 'r1', title: 'R@1 on the left-out artist, per cent' },
  { key: 'temperature', title: 'Temperature' },
  { key: 'gradNorm', title: 'Gradient norm before clipping' },
  { key: 'lr', title: 'Learning rate' },
  { key: 'samplesPerSecond', title: 'Samples per second' },
] as const;

const POINTS = 1500;

/** At most 1,500 steps of the log, evenly spaced, the last one included. */
function thin<T>(rows: readonly T[]): T[] {
  const stride = Math.max(1, Math.ceil(rows.length / POINTS));
  return rows.filter((_, i) => i % stride === 0 || i === rows.length - 1);
}

/**
 * Writes report.html into the folder of a run. Node only.
 * @param folder of the run @param recipe settings @param adapter what it ran on @returns path of the report
 */
export async function writeTrainReport(folder: string, recipe: Recipe, adapter: string): Promise<string> {
  const rows = await readRunLog(folder);
  const shown = thin(rows);
  const curves = CURVES.filter(c => rows.some(r => c.key in r));
  const uplot = dirname(createRequire(import.meta.url).resolve('uplot'));
  const [library, style] = await Promise.all(['uPlot.iife.min.js', 'uPlot.min.css'].map(f => readFile(join(uplot, f), 'utf8')));
  const data = curves.map(({ key, title }) => ({ title, x: shown.map(r => r.step), y: shown.map(r => r[key] ?? null) }));
  const draw = `const ink = getComputedStyle(document.body).color; for (const [i, { title, x, y }] of ${JSON.stringify(data)}.entries()) { const box = document.getElementById('c' + i);
const axis = { stroke: ink, grid: { stroke: 'rgba(128,128,128,.2)' } };
new uPlot({ width: box.clientWidth, height: 220, series: [{ label: 'step' }, { label: title, stroke: '#3b6fd4', width: 1.5, spanGaps: true }], axes: [axis, { ...axis, size: 64 }], scales: { x: { time: false } } }, [x, y], box); }`;
  const last = rows[rows.length - 1];
  const table = curves.map(({ key, title }) => `<tr><td>${title}</td><td class="num">${format(rows.find(r => key in r)?.[key])}</td><td class="num">${format(last?.[key])}</td></tr>`).join('');
  const body = `<h1>Training run: ${escape(recipe.name)}</h1><p class="soft">${escape(adapter)} · ${rows.length} steps of ${recipe.batch} pictures · seed ${recipe.seed}</p>` +
    `<h2>First and last step</h2><table><tr><th></th><th class="num">first</th><th class="num">last</th></tr>${table}</table>` +
    curves.map((c, i) => `<h2>${c.title}</h2><div id="c${i}"></div>`).join('') + `<h2>Settings</h2><pre style="overflow:auto">${escape(JSON.stringify(recipe, null, 1))}</pre>`;
  const path = join(folder, 'report.html');
  await writeFileAtomic(path, page(`Training run: ${recipe.name}`, body, { style, script: `${library}\n${draw}` }));
  return path;
}

const format = (v: number | undefined): string => (v === undefined ? '-' : Math.abs(v) >= 100 ? v.toFixed(0) : v.toPrecision(4));
