// An evaluation as text, as a section of a page, and as a page of its own.
import { curveChart } from './curve_chart.ts';
import type { Evaluation } from './evaluate_preset.ts';
import { evaluationTables, ratioSentence } from './evaluation_tables.ts';
import type { Table } from './evaluation_tables.ts';
import { bar, escape, page } from './html.ts';

/** A table as text. @param table any @returns lines, an empty one first */
export function tableLines({ title, note, head, rows }: Table): string[] {
  const first = Math.max(...rows.map(r => r.label.length));
  const widths = head.map((h, i) => Math.max(h.length, ...rows.map(r => r.cells[i]?.length ?? 0)));
  const line = (label: string, cells: readonly string[]): string => `  ${label.padEnd(first)}${cells.map((c, i) => `  ${c.padStart(widths[i]!)}`).join('')}`.trimEnd();
  return ['', title, `  ${note}`, line('', head), ...rows.map(r => line(r.label, r.cells))];
}

/** For people. @param evaluation figures @returns lines */
export function evaluationLines(evaluation: Evaluation): string[] {
  const { checkpoint, measured: { date, adapter, seconds }, joined } = evaluation;
  return [
    `${checkpoint}, measured ${date} on ${adapter}, ${seconds.toFixed(0)} s`,
    ...evaluationTables(evaluation).flatMap(tableLines),
    `  ${ratioSentence(joined)}`,
  ];
}

const tableHtml = ({ title, note, head, rows }: Table): string =>
  `<h3>${escape(title)}</h3><p class="soft">${escape(note)}</p><div class="scroll"><table class="figures"><thead><tr><th></th>${head.map(h => `<th class="num">${escape(h)}</th>`).join('')}</tr></thead><tbody>` +
  `${rows.map(r => `<tr class="${r.kind}"><th scope="row">${escape(r.label)}</th>${head.map((_, i) => `<td class="num">${escape(r.cells[i] ?? '')}</td>`).join('')}</tr>`).join('')}</tbody></table></div>`;

/** The one look: what was asked of the model, beside what has to be beaten or has to fail. */
function overview({ clips: { splits, controls, chance }, questions, captions }: Evaluation): string {
  const ways = Object.entries(captions['unseen artist'] ?? {});
  const best = Math.max(...ways.map(([, f]) => f.ciderD), 0.01);
  const never = splits['unseen artist, objects that never moved in training'];
  const cider = ways.map(([name, f]) => bar(name.replace(/ \(.*/, ''), (100 * f.ciderD) / best, name === 'greedy' || name === 'beam' || name === 'reranked', f.ciderD.toFixed(2))).join('');
  return `<div class="two"><div><h3>How does it move?</h3>${bar('unseen artist', questions.motion.percent, true)}${never ? bar('…and things that never moved', never.motion.percent, true) : ''}` +
    `${Object.entries(controls).filter(([name]) => !/chance \d+\)$/.test(name)).map(([name, s]) => bar(name.replace(', opposite motion expected', ' (opposite expected)'), s.percent, name.startsWith('backwards'))).join('')}${bar('chance', chance.motion)}</div>` +
    `<div><h3>Captions, CIDEr-D</h3>${cider}</div></div>`;
}

/** Style of the section. */
export const EVALUATION_STYLE = `
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); gap: 8px 40px; } .two .row { grid-template-columns: 190px 1fr 44px; }
.scroll { overflow-x: auto; } table.figures { width: 100%; margin: 6px 0 14px; background: var(--card); border: 1px solid var(--line); border-radius: 10px; border-spacing: 0; border-collapse: separate; overflow: hidden; }
table.figures th, table.figures td { padding: 4px 12px; border-bottom: 1px solid var(--line); white-space: nowrap; } table.figures tr:last-child th, table.figures tr:last-child td { border-bottom: 0; }
table.figures tbody th { font-weight: 400; white-space: normal; min-width: 210px; } table.figures tr.own th, table.figures tr.own td:nth-child(2) { font-weight: 600; } table.figures tr.baseline, table.figures tr.chance { color: var(--soft); }
table.figures tr.control th::before { content: "control: "; color: var(--near); } table.figures thead th { color: var(--soft); font-weight: 500; font-size: 13px; } svg { max-width: 100%; height: auto; } .said { columns: 2 320px; font-size: 14px; padding-left: 18px; }`;

/**
 * The figures as a section of a page.
 * @param evaluation figures @returns HTML; the page needs `EVALUATION_STYLE`
 */
export function evaluationSection(evaluation: Evaluation): string {
  const { checkpoint, artist, measured: { date, adapter, seconds, command }, joined, examples } = evaluation;
  const said = examples.length ? `<h3>What the decoder says</h3><ul class="said">${examples.map(e => `<li>${escape(e.decoded)}${e.decoded === e.truth ? ' <span class="good">✓</span>' : `<br><span class="soft">is: ${escape(e.truth)}</span>`}</li>`).join('')}</ul>` : '';
  return `<h2>All tasks: ${escape(checkpoint)}</h2><p class="soft">Measured ${escape(date)} on ${escape(adapter)} in ${(seconds / 60).toFixed(1)} minutes by <code>${escape(command)}</code>. Per cent where nothing else is said; the unseen artist is ${escape(artist)}.</p>` +
    `${overview(evaluation)}${evaluationTables(evaluation).map(tableHtml).join('')}` +
    `<p><b>${escape(ratioSentence(joined))}</b></p>${curveChart(joined.curve, 'Selective decoding on joined clips, all seeds')}${said}`;
}

/** A page of its own. @param evaluation figures @returns HTML document */
export const evaluationPage = (evaluation: Evaluation): string => page('VL-JEPA: all tasks of the small model', `<h1>VL-JEPA, small: every task</h1>${evaluationSection(evaluation)}`, { style: `h3 { font-size: 15px; margin: 18px 0 6px; }${EVALUATION_STYLE}` });
