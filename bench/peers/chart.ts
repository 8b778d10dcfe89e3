// The picture of the comparison, from the JSON files, and its figures as Markdown on stdout: node dist/bench/peers/chart.js [OUT.svg] [REPORT.json …].
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { writeFileAtomic } from '../../weights/writer.ts';
import type { PeersReport } from '../peers.ts';
import { OURS, PLANNED } from './ours.ts';
import type { Row } from './turns.ts';

/** What a bar of a panel shows: speed of each library, 1 is the best peer. */
export interface Bar { library: string; speed: number; low?: number; high?: number; gflops: number }
export interface Group { work: string; best: string; bars: Bar[] }
export interface Panel { title: string; groups: Group[] }

const PEERS = ['tfjs', 'onnxruntime-web', 'jax-js'] as const;
const CLASSES: Readonly<Record<string, string>> = { [OURS]: 'ours', tfjs: 'a', 'onnxruntime-web': 'b', 'jax-js': 'c' };
/** onnxruntime-web counts once: with the faster of its two ways to compute attention. */
const familyOf = (name: string): string => PEERS.find(p => name.startsWith(p)) ?? OURS;

function groupOf(row: Row): Group | undefined {
  const name = PLANNED in row.ratios ? PLANNED : OURS; // what is recorded once is how the model runs
  const ratio = row.ratios[name];
  if (!ratio) return undefined;
  const reference = row.times[ratio.best]!.medianMs;
  const bars: Bar[] = [{ library: OURS, speed: ratio.median, low: ratio.min, high: ratio.max, gflops: row.times[name]!.gflops }];
  for (const peer of PEERS) {
    const times = Object.entries(row.times).filter(([n]) => familyOf(n) === peer).map(([, t]) => t).sort((a, b) => a.medianMs - b.medianMs)[0];
    if (times) bars.push({ library: peer, speed: reference / times.medianMs, gflops: times.gflops });
  }
  return { work: row.work, best: familyOf(ratio.best), bars };
}

/** What the picture shows of a report. @param report of `vl-jepa bench peers` @returns a panel; works that no peer did are left out */
export function panelOf({ adapter, place, rows }: PeersReport): Panel {
  const name = adapter.profile === 'default' ? adapter.notice.split(':')[0]! : adapter.profile;
  return { title: `${name}, ${place}`, groups: rows.map(groupOf).filter(g => g !== undefined) };
}

const WIDTH = 760, LEFT = 276, RIGHT = 116, BAR = 9, GAP = 12, TOP = 66, HEAD = 34, HEADROOM = 1.15;
const STYLE = `
text { font: 12px system-ui, sans-serif; fill: #57606a }
.title { font-size: 14px; font-weight: 600; fill: #24292f }
.value { font-weight: 600; fill: #24292f }
.ours { fill: #1f6feb } .a { fill: #f0883e } .b { fill: #8c959f } .c { fill: #2da44e }
.line { stroke: #8c959f; stroke-dasharray: 3 3 } .whisker { stroke: #0a3069; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #9198a1 } .title, .value { fill: #e6edf3 } .ours { fill: #58a6ff } .whisker { stroke: #cae8ff }
}`;

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const fixed = (v: number): string => String(Number(v.toFixed(1)));
const digits = (v: number): string => (v < 10 ? v.toFixed(1) : v.toFixed(0));

function drawGroup({ work, best, bars }: Group, y: number, scale: (speed: number) => number): string {
  const middle = y + bars.length * BAR / 2 + 4;
  const lines = [`<text x="${LEFT - 10}" y="${fixed(middle)}" text-anchor="end">${escaped(work)}</text>`];
  bars.forEach(({ library, speed, low, high }, i) => {
    const at = y + i * BAR, width = scale(speed) - LEFT;
    lines.push(`<rect class="${CLASSES[library]}" x="${LEFT}" y="${fixed(at)}" width="${fixed(Math.max(1, width))}" height="${BAR - 1}"/>`);
    if (low !== undefined && high !== undefined) lines.push(`<path class="whisker" d="M${fixed(scale(low))} ${fixed(at + BAR / 2 - 0.5)}H${fixed(scale(high))}"/>`);
  });
  const [ours] = bars as [Bar, ...Bar[]];
  lines.push(`<text class="value" x="${fixed(scale(Math.max(ours.high ?? 0, ours.speed, 1)) + 6)}" y="${fixed(y + BAR)}">${digits(ours.speed)} × ${escaped(best.replace('onnxruntime-web', 'ort-web'))}</text>`);
  return lines.join('\n');
}

/**
 * Draws panels below each other; readable on light and on dark pages.
 * @param panels what to draw @returns the text of an SVG file
 */
export function drawChart(panels: readonly Panel[]): string {
  // Medians make the scale: one pair beside a busy moment would squeeze all bars.
  const highest = HEADROOM * Math.max(1, ...panels.flatMap(p => p.groups.flatMap(g => g.bars.map(b => b.speed))));
  const scale = (speed: number): number => LEFT + Math.min(speed, highest) / highest * (WIDTH - LEFT - RIGHT);
  const body: string[] = [];
  const legend = [OURS, ...PEERS].map((name, i) => `<rect class="${CLASSES[name]}" x="${LEFT + i * 128}" y="34" width="10" height="10"/><text x="${LEFT + 15 + i * 128}" y="43">${name}</text>`).join('\n');
  let y = TOP;
  for (const { title, groups } of panels) {
    const top = y;
    body.push(`<text class="title" x="8" y="${y}">${escaped(title)}</text>`);
    y += HEAD - 18;
    const drawn = groups.map(g => { const text = drawGroup(g, y, scale); y += g.bars.length * BAR + GAP; return text; });
    body.push(`<path class="line" d="M${fixed(scale(1))} ${top + 6}V${y - GAP / 2}"/>`, ...drawn);
    y += HEAD - 10;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}" role="img">
<title>Speed of vl-jepa beside other WebGPU libraries</title>
<style>${STYLE}
</style>
<text class="title" x="8" y="18">Speed beside the fastest other library (dashed); medians, least and most of all pairs</text>
${legend}
${body.join('\n')}
</svg>
`;
}

/**
 * The ratios as a table of a Markdown document.
 * @param panels one column each @returns lines: work, then per panel our speed, times the best peer, the least and the most of all pairs
 */
export function markdownTable(panels: readonly Panel[]): string {
  const works = [...new Set(panels.flatMap(p => p.groups.map(g => g.work)))];
  const cell = (group: Group | undefined): string => {
    if (!group) return '';
    const { speed, low, high, gflops } = group.bars[0]!;
    return `${digits(gflops)} GFLOP/s, **${digits(speed)}** × ${group.best} (${digits(low!)}-${digits(high!)})`;
  };
  const rows = works.map(work => [work, ...panels.map(p => cell(p.groups.find(g => g.work === work)))]);
  return [['work', ...panels.map(p => p.title)], ['---', ...panels.map(() => '---')], ...rows].map(cells => `| ${cells.join(' | ')} |`).join('\n');
}

async function main([out = 'docs/peers.svg', ...files]: readonly string[]): Promise<void> {
  const wanted = files.length ? files : ['lavapipe', 'swiftshader', 'chromium-swiftshader'].map(n => `bench/results/peers-${n}.json`).filter(existsSync);
  const reports = wanted.map(file => JSON.parse(readFileSync(file, 'utf8')) as PeersReport);
  const panels = reports.map(panelOf);
  await writeFileAtomic(out, drawChart(panels));
  console.log(markdownTable(panels));
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await main(process.argv.slice(2));
