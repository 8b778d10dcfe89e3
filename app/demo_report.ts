// out/report.html of the main job: pictures, answers, scores and charts in one file.
import { TEST_ARTIST } from '../data/e4.ts';
import type { Picture } from '../model/pictures.ts';
import type { Recall } from '../tasks/metrics.ts';
import type { Answer, DemoResult, Found } from './demo.ts';
import type { Evaluation } from './evaluate_preset.ts';
import { EVALUATION_STYLE, evaluationSection } from './evaluation_report.ts';
import { bar, escape, page } from './html.ts';

/** PNG of a picture as a data URL. @param picture RGB @returns data URL */
async function dataUrl({ width, height, data }: Picture): Promise<string> {
  const { default: sharp } = await import('sharp');
  const png = await sharp(data, { raw: { width, height, channels: 3 } }).resize(144, 144, { fit: 'inside', withoutEnlargement: true }).png().toBuffer();
  return `data:image/png;base64,${png.toString('base64')}`;
}

function card({ file, truth, top5 }: Answer, url: string): string {
  const [label, score] = top5[0]!;
  const [kind, verdict] = truth === null ? ['', ''] : label === truth ? ['good', 'right'] : top5.some(([l]) => l === truth) ? ['near', 'right name is among the five'] : ['bad', 'wrong'];
  const rest = top5.map(([l, s]) => `<li${l === truth ? ' class="true"' : ''}>${escape(l)} ${s.toFixed(2)}</li>`).join('');
  return `<div class="card"><img src="${url}" alt="${escape(truth ?? file)}"><div><div class="name ${kind}" title="${verdict}">${escape(label)} <span class="soft">${score.toFixed(2)}</span></div>` +
    `<div class="soft">${truth === null ? escape(file) : label === truth ? 'right' : `is: ${escape(truth)}`}</div><ol>${rest}</ol></div></div>`;
}

function chart({ r1, r5, r10, baselines, textToPicture }: NonNullable<DemoResult['retrieval']>): string {
  const rows = (pick: (r: Recall) => number, own: number): string =>
    bar('this model', own, true) + Object.entries(baselines).map(([name, b]) => bar(name, pick(b as Recall))).join('');
  return `<h3>R@1: the right name is the first</h3>${rows(r => r.r1, r1)}<h3>R@5</h3>${rows(r => r.r5, r5)}<h3>R@10</h3>${rows(r => r.r10, r10)}` +
    `<p class="soft">The other way round, name → picture over all pictures of the artist: R@1 ${textToPicture.r1.toFixed(1)}, R@5 ${textToPicture.r5.toFixed(1)}, R@10 ${textToPicture.r10.toFixed(1)}. A tie counts as wrong.</p>`;
}

/**
 * The report of the main job.
 * @param result what --json prints @param pictures of `classify`, in order @param found retrieval with its pictures @param candidates names that an answer is one of @param evaluation figures of all tasks, measured before @returns a self-contained HTML document
 */
export async function demoReport(result: DemoResult, pictures: readonly Picture[], found: readonly { found: Found; pictures: readonly Picture[] }[], candidates: number, evaluation?: Evaluation): Promise<string> {
  const cards = await Promise.all(result.classify.map(async (answer, i) => card(answer, await dataUrl(pictures[i]!))));
  const rows = await Promise.all(found.map(async ({ found: { query, hits }, pictures: list }) => {
    const figures = await Promise.all(hits.map(async (h, i) => `<figure><img src="${await dataUrl(list[i]!)}" alt="${escape(h.name)}"><figcaption>${escape(h.name)} ${h.score.toFixed(2)}</figcaption></figure>`));
    return `<h3>“${escape(query)}”</h3><div class="hits">${figures.join('')}</div>`;
  }));
  const { retrieval } = result;
  const known = result.classify.some(a => a.truth !== null);
  const right = result.classify.filter(a => a.truth !== null && a.top5[0]![0] === a.truth).length;
  const body = `<h1>VL-JEPA, small</h1><p class="soft">${escape(result.checkpoint)} on ${escape(result.adapter)} · ${result.seconds.toFixed(1)} s</p>` +
    `<p>The model predicts the embedding of a picture's name. The answer is the nearest of ${candidates.toLocaleString('en')} names.${known ? ` These are drawings by <b>${TEST_ARTIST}</b>, an artist it never saw; ${retrieval ? 'every 66th picture of the set' : 'those that the package holds'}, ${right} of ${result.classify.length} right.` : ''}</p>` +
    `<h2>Pictures → names</h2><div class="grid">${cards.join('')}</div>` +
    (retrieval ? `<h2>Texts → pictures</h2>${rows.join('')}<h2>All pictures of ${escape(retrieval.artist)}, per cent</h2>${chart(retrieval)}` : `<p>Texts → pictures and the figures of all pictures need the artist's drawings, npm package <code>@iconify-json/${TEST_ARTIST}</code>, which was not installed.</p>`) +
    `<p class="soft">Drawings: Fluent UI Emoji by Microsoft (MIT). Baselines compare picture with picture in a gallery of three training artists. These are drawings and short names: the figures say that the objective works and carries over to a new artist, not how the paper's model does on photographs.</p>` +
    (evaluation ? evaluationSection(evaluation) : '<h2>All tasks</h2><p>The figures of all tasks (questions, clips, captions, selective decoding) were not measured for the weights that lie here; <code>vl-jepa eval --preset nano</code> measures them.</p>');
  return page('VL-JEPA: pictures and names', body, { style: `h3 { font-size: 15px; margin: 16px 0 6px; }${EVALUATION_STYLE}` });
}
