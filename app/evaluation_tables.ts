// The figures of an evaluation as tables, once for text and page.
import { FIGURE_NAMES, objectiveMeans } from './comparison.ts';
import type { ObjectiveRuns } from './comparison.ts';
import type { BoundedRecall } from './evaluate_clips.ts';
import type { CaptionFigure } from './evaluate_captions.ts';
import type { JoinedFigures, Placed, Spread } from './evaluate_joined.ts';
import type { Evaluation } from './evaluate_preset.ts';
import type { NameFigures, Share } from './figures.ts';

/** What a row is: this model, something without learning or with less of it, a control that has to fail, or what guessing gives. */
export type RowKind = 'own' | 'baseline' | 'control' | 'chance';

export interface Row { readonly label: string; readonly kind: RowKind; readonly cells: readonly string[] }

export interface Table {
  readonly title: string;
  /** Sentences under the title. */
  readonly note: string;
  readonly head: readonly string[];
  readonly rows: readonly Row[];
}

const one = (v: number): string => v.toFixed(1);
const range = ([low, high]: readonly [number, number], digits = 1): string => `${low.toFixed(digits)} to ${high.toFixed(digits)}`;
/** Of nothing there is no share. */
const share = ({ percent, interval, n }: Share): string[] => (n ? [one(percent), range(interval)] : ['–', '']);
const row = (kind: RowKind, label: string, ...cells: string[]): Row => ({ label, kind, cells });
const recallRow = (kind: RowKind, label: string, r: { r1: number; r5: number; r10: number; interval?: [number, number] }): Row => row(kind, label, one(r.r1), r.interval ? range(r.interval) : '', one(r.r5), one(r.r10));
/** What guessing gives is often far below one per cent. */
const guess = (v: number): string => (v < 1 ? v.toFixed(2) : one(v));
const chanceRow = (label: string, percent: number): Row => row('chance', label, guess(percent), '', guess(5 * percent), guess(10 * percent));
const RECALL = ['R@1', '95 %', 'R@5', 'R@10'];

function pictureTable({ pictures: { n, pictureToText, textToPicture, classification }, training: { baselines = {} } }: Evaluation): Table {
  return {
    title: 'Retrieval, still pictures', head: RECALL, note: `${n} pictures by an artist who was never seen; picture → name over all names, name → picture over all pictures. Baselines compare picture with picture and come from the checkpoint's metrics.json.`,
    rows: [
      recallRow('own', 'picture → name', pictureToText), recallRow('own', 'name → picture', textToPicture),
      ...Object.entries(baselines).filter(([name]) => name !== 'chance').map(([name, b]) => recallRow(/texts, \d+ steps/.test(name) ? 'control' : 'baseline', name, b)),
      chanceRow('chance', 100 / classification.candidates.names),
    ],
  };
}

const NEIGHBOURS = 'The nearest clip is looked up among clips of training artists, every thing with every motion once.';

function retrievalTable({ clips: { splits, chance } , neighbours }: Evaluation): Table {
  const { captionOfVideo, videoOfCaption, object } = splits['unseen artist'] as { captionOfVideo: BoundedRecall; videoOfCaption: BoundedRecall; object: BoundedRecall };
  return {
    title: 'Retrieval, clips', head: RECALL, note: `${captionOfVideo.n} clips of the unseen artist with seeds that training never had. A caption names thing and motion; all captions of these clips are candidates. ${NEIGHBOURS}`,
    rows: [
      recallRow('own', 'text → clip', videoOfCaption), recallRow('own', 'clip → text', captionOfVideo), recallRow('own', '"What is in the video?" → name', object),
      ...Object.entries(neighbours).map(([name, { object: o }]) => recallRow('baseline', `name of the nearest clip, ${name}`, o)),
      chanceRow('chance, names', chance.object),
    ],
  };
}

function classTable({ pictures, clips }: Evaluation): Table {
  const { candidates: { names, objects, subgroups } } = pictures.classification;
  const rows = (what: string, f: NameFigures): Row[] => [
    row('own', `${what}, ${names.toLocaleString('en')} names`, ...share(f.names), String(f.names.n)), row('own', `${what}, ${objects} objects (groups 3 to 7)`, ...share(f.objects), String(f.objects.n)),
    row('own', `${what}, ${subgroups} subgroups by their own names`, ...share(f.subgroups), String(f.subgroups.n)), row('own', `${what}, subgroup of the nearest name`, ...share(f.subgroupOfNearest), String(f.subgroupOfNearest.n)),
  ];
  return {
    title: 'Classification', head: ['top-1', '95 %', 'n'], note: 'The nearest candidate name; a tie is wrong. Names of subgroups, such as "food fruit", were never trained on.',
    rows: [...rows('pictures', pictures.classification), ...rows('clips', clips.classification), row('chance', 'chance', `${(100 / names).toFixed(2)} / ${(100 / objects).toFixed(2)} / ${one(100 / subgroups)}`)],
  };
}

function questionTable({ questions, clips: { splits, controls, wordings, chance }, neighbours }: Evaluation): Table {
  const others = Object.entries(splits).filter(([name]) => name !== 'unseen artist');
  return {
    title: 'Questions about clips', head: ['accuracy', '95 %', 'n'], note: 'The nearest candidate answer. Controls take from the motion question what it needs: a single frame says nothing about motion, nor do frames in another order.',
    rows: [
      ...Object.values(questions).map(q => row('own', `"${q.question}" of ${q.candidates.toLocaleString('en')}`, ...share(q), String(q.n))),
      ...others.flatMap(([name, { object, motion }]) => [row('own', `motion; ${name}`, ...share(motion), String(motion.n)), row('own', `object; ${name}`, ...share({ percent: object.r1, interval: object.interval, n: object.n }), String(object.n))]),
      ...Object.entries(wordings).map(([question, s]) => row('own', `"${question}"`, ...share(s), String(s.n))),
      ...Object.entries(neighbours).map(([name, { motion }]) => row('baseline', `motion of the nearest clip, ${name}`, ...share(motion), String(motion.n))),
      ...Object.entries(controls).map(([name, s]) => row(name.startsWith('backwards') ? 'own' : 'control', `motion, ${name}`, ...share(s), String(s.n))),
      row('chance', 'chance, motion', one(chance.motion)),
    ],
  };
}

function captionTables({ captions }: Evaluation): Table[] {
  return Object.entries(captions).map(([split, ways]) => ({
    title: `Captions, ${split}`, head: ['CIDEr-D', '95 %', 'word for word, %'],
    note: 'Five references per clip; 0 to 10; papers print it times 100. The decoder speaks freely; the text bank chooses among all captions of the set and is what a decoder can be measured by. ' + NEIGHBOURS,
    rows: Object.entries(ways).map(([way, { ciderD, interval, exact }]: [string, CaptionFigure]) => row(way in NAMES || way.startsWith('text bank') ? 'own' : 'baseline', NAMES[way] ?? way, ciderD.toFixed(2), range(interval, 2), one(exact.percent))),
  }));
}

const NAMES: Readonly<Record<string, string>> = { greedy: 'decoder, greedy', beam: 'decoder, beam of 4', reranked: 'decoder, best of 4 beams by probability and text encoder' };

/** The headline of selective decoding. @param joined figures @returns a sentence, and one on annotations anywhere in their scenes where they were measured */
export const ratioSentence = ({ ratio, seeds, anywhere }: JoinedFigures): string => (ratio === undefined ? 'The adaptive curve reaches no score of the uniform one: there is no ratio.'
  : `At the uniform rate nearest to 1 Hz adaptive decoding needs ${ratio.median.toFixed(2)} times fewer decodes for equal CIDEr-D (median of ${ratio.seeds === undefined || ratio.seeds === seeds ? seeds : `${ratio.seeds} of ${seeds}`} seeds, ${ratio.low.toFixed(2)} to ${ratio.high.toFixed(2)}; the paper has 2.85 on other data).`) + PLACES.map(([match, words]) => (anywhere?.[match] ? ` With annotations anywhere in their scenes, ${words}, ${placed(anywhere[match])}.` : '')).join('');

const PLACES = [['segment', 'matched to the segment that they lie in'], ['point', 'matched to the decode nearest in time']] as const;

/** Ratio, and where adaptive decoding loses, if it does. */
function placed({ ratio, gain }: Placed): string {
  const lost = gain.filter(g => g.gain.median < 0).map(g => `${g.rateHz} Hz`);
  return `${ratio === undefined ? 'there is no ratio' : `it is ${ratio.median.toFixed(2)} times (${ratio.low.toFixed(2)} to ${ratio.high.toFixed(2)})`}, and in the median of seeds adaptive decoding lies ${lost.length ? `below uniform at ${lost.join(', ')}` : 'nowhere below uniform'}`;
}

const spread = ({ median, low, high }: Spread, digits = 2): string[] => [median.toFixed(digits), `${low.toFixed(digits)} to ${high.toFixed(digits)}`];

/** Selective decoding by rate. @param joined figures @returns table */
export function joinedTable({ gain, ratios, seeds, streams, clips, annotations, seconds, boundaries, text }: JoinedFigures): Table {
  const worst = gain.filter(g => g.gain.median < 0).map(g => `${g.rateHz} Hz`);
  return {
    title: 'Selective decoding on joined clips', head: ['adaptive', 'uniform', 'gain, median of seeds', 'range', 'ratio at equal CIDEr-D', 'range'],
    note: `${seeds} seeds of ${streams} streams, ${clips} scenes each (${(seconds / 60).toFixed(0)} minutes, ${annotations} annotations, each at the middle of its scene and matched to the decode nearest in time). Text: ${text}. ` +
      `CIDEr-D with averages over segments. ${worst.length ? `In the median of seeds adaptive decoding lies below uniform at ${worst.join(', ')}.` : 'In the median of seeds adaptive decoding lies nowhere below uniform.'} ` +
      boundaries.map(b => `Joins found within ${b.toleranceS} s, F1: ${one(b.adaptive)} (uniform ${one(b.uniform)}).`).join(' '),
    rows: gain.map(({ rateHz, adaptive, uniform, gain: g }) => {
      const r = ratios.find(x => x.uniformHz === rateHz);
      return row('own', `${rateHz} Hz`, adaptive.toFixed(2), uniform.toFixed(2), ...spread(g), ...(r ? [`${spread(r.ratio)[0]} ×`, `${spread(r.ratio)[1]} (${r.seeds} of ${seeds} seeds)`] : ['', 'not reached']));
    }),
  };
}

/** Numbers of an object by their path. */
function leaves(value: unknown, path = ''): [string, number][] {
  if (typeof value === 'number') return [[path, value]];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, v]) => leaves(v, path ? `${path}, ${key}` : key));
}

/** What says how well something went. */
const telling = ([path]: [string, number]): boolean => /(percent|r1|R@1|motion|object)$/.test(path) && !/(^|, )(interval|steps|seed|baselines)(,|$)/.test(path);

const OBJECTIVE_NAMES = { embeddings: 'embeddings predicted (VL-JEPA)', tokens: 'tokens generated (causal, cross-entropy)', shuffled: 'embeddings of shuffled texts' } as const;
const OBJECTIVE_KINDS = { embeddings: 'own', tokens: 'baseline', shuffled: 'control' } as const;
const SHOWN = ['motion', 'object', 'top1', 'top5', 'ciderD'] as const;

/** Embeddings against tokens: the end of every run, mean over seeds with the lowest and the highest. */
function objectivesTable({ clips, candidates, runs, adapter, date, command, note }: ObjectiveRuns & { note?: string }): Table {
  const steps = Math.max(...runs.map(r => r.steps));
  const sizes = Object.keys(OBJECTIVE_NAMES).flatMap(o => { const r = runs.find(x => x.objective === o); return r ? [`${o} ${r.parameters.toLocaleString('en')}`] : []; });
  const rows = objectiveMeans({ runs }).filter(m => m.step === steps).map(({ objective, seeds, figures }) => row(OBJECTIVE_KINDS[objective], `${OBJECTIVE_NAMES[objective]}, ${seeds} seeds`, ...SHOWN.map(key => {
    const f = figures[key]!, digits = key === 'ciderD' ? 2 : 1;
    return `${f.mean.toFixed(digits)} (${range([f.low, f.high], digits)})`;
  })));
  return {
    title: `Embeddings or tokens: ${steps} steps, same encoder and data`, head: SHOWN.map(key => FIGURE_NAMES[key]),
    note: `The paper's controlled comparison, small: the trained vision encoder of stage 1, everything behind it new, the same batches of stage 2. Numbers that learn: ${sizes.join(', ')}. ${clips} clips of the unseen artist; ${candidates} candidates. ` +
      `Embeddings answer by the nearest text, tokens word for word, or by the likeliest of the candidates. Mean over seeds, lowest and highest in brackets; chance for motion 12.5. ${note ? `${note}. ` : ''}${command}, ${adapter}, ${date}.`,
    rows,
  };
}

function trainingTable({ training: { trainingControls, seeds } }: Evaluation): Table {
  const lists = Array.isArray(seeds) ? seeds.map(s => new Map(leaves(s).filter(telling))) : [];
  const rows: Row[] = [...(lists[0]?.keys() ?? [])].filter(key => lists.every(l => l.has(key))).map(key => {
    const values = lists.map(l => l.get(key)!);
    return row('own', key, one(values.reduce((a, b) => a + b, 0) / values.length), range([Math.min(...values), Math.max(...values)]), String(values.length));
  });
  const shuffled = leaves(trainingControls).filter(telling).map(([key, v]) => row('control', key, one(v), '', key.startsWith('chance') ? '' : '1'));
  return {
    title: 'Training: seeds and the shuffled-text control', head: ['mean', 'range', 'runs'],
    note: `From the checkpoint's metrics.json${typeof trainingControls?.note === 'string' ? `. Controls: ${trainingControls.note}` : ''}.`,
    rows: [...(rows.length ? rows : [row('own', 'three seeds of the weights that ship', 'not run')]), ...(shuffled.length ? shuffled : [row('control', 'stage 2 with shuffled texts', 'not run')])],
  };
}

/** All tables. @param evaluation figures @returns tables in the order of a report */
export const evaluationTables = (evaluation: Evaluation): Table[] => [
  pictureTable(evaluation), retrievalTable(evaluation), classTable(evaluation), questionTable(evaluation), ...captionTables(evaluation), joinedTable(evaluation.joined), ...(evaluation.training.objectives ? [objectivesTable(evaluation.training.objectives)] : []), trainingTable(evaluation),
];
