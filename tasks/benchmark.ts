// A model on the rows of a manifest, for every shape of benchmark of the paper (spec 1.12, 1.14). Pictures are loaded, embedded and forgotten in batches; what cannot be decoded is
// skipped, counted and named.
import { DataError } from '../data/errors.ts';
import type { Manifest, ManifestItem, ManifestTask } from '../data/manifest.ts';
import { scope } from '../engine/memory.ts';
import { Tensor } from '../engine/tensor.ts';
import type { Clip, Picture, VLJEPA } from '../model/vl_jepa.ts';
import { checkQuestion } from './ask.ts';
import { ensembleBank, labelBank } from './classify.ts';
import { dotRows } from './mean_vector.ts';
import { bootstrap, classMeanRecall, ranks, recall, topKAccuracy } from './metrics.ts';
import { isRight, plainAnswer, popeAccuracy, tallyAccuracy, tripletAccuracy, vqaAccuracy } from './metrics_answers.ts';
import type { Answered } from './metrics_answers.ts';
import { cider, ciderD } from './metrics_caption.ts';
import { paperColumn } from './paper_tables.ts';
import type { PaperColumn } from './paper_tables.ts';

/** Loads one sample's picture or clip. A DataError means that it is damaged or missing: the sample is skipped. */
export type LoadMedia = (item: ManifestItem) => Promise<Picture | Clip>;

export interface BenchmarkOptions {
  readonly load: LoadMedia;
  /** Samples per batch; 32 where missing. */
  readonly batchSize?: number;
  /** Asked of every picture, in place of the manifest's own query. */
  readonly query?: string;
  /** Texts of predictions [N, dim]: a decoder. Without it captions are read out of the references of the other samples. */
  readonly caption?: (vectors: Tensor) => Promise<readonly string[]>;
  /** Told after every batch. */
  readonly progress?: (done: number, skipped: number) => void;
}

export interface BenchmarkResult {
  task: ManifestTask;
  name: string;
  /** Samples that count. */
  n: number;
  /** Samples whose files could not be decoded. */
  skipped: number;
  /** The first of them, with the reason. */
  faults: string[];
  /** Candidates that were chosen from, where there is one set for all. */
  candidates: number | undefined;
  /** The figure that papers print. */
  main: string;
  /** Per cent; CIDEr 0 to 10. */
  figures: Record<string, number>;
  /** Bootstrap interval of the main figure over samples, 95 per cent; none where it is no mean over samples. */
  interval: [number, number] | undefined;
  groups: Record<string, { n: number; accuracy: number }>;
  /** The paper's column of this benchmark. */
  paper: PaperColumn | undefined;
}

type Part = Pick<BenchmarkResult, 'main' | 'figures'> & Partial<Pick<BenchmarkResult, 'groups' | 'interval' | 'candidates'>>;

const FAULTS_TOLD = 20;
/** Rows of similarities on the host at a time. */
const ROWS = 512;

interface Embedded {
  items: ManifestItem[];
  /** [n, dim] */
  vectors: Float32Array;
  dim: number;
  skipped: number;
  faults: string[];
}

const isClip = (visual: Picture | Clip): visual is Clip => Array.isArray(visual);

/** Embeds every sample that can be loaded; batches hold clips of one length. */
async function embedItems(model: VLJEPA, { items, header, name }: Manifest, { load, batchSize = 32, query = header.query, progress }: BenchmarkOptions): Promise<Embedded> {
  const kept: ManifestItem[] = [];
  const rows: Float32Array[] = [];
  const faults: string[] = [];
  let [skipped, frames] = [0, 0];
  let batch: { item: ManifestItem; visual: Picture | Clip }[] = [];
  const flush = async (): Promise<void> => {
    if (batch.length === 0) return;
    const queries = batch.map(({ item }) => item.question || query);
    const prediction = model.predict(batch.map(b => b.visual), queries, { batchSize });
    rows.push(await prediction.read());
    prediction.dispose();
    kept.push(...batch.map(({ item }) => ({ ...item, media: [] })));
    batch = [];
    progress?.(kept.length, skipped);
  };
  for await (const item of items) {
    try {
      const visual = await load(item);
      if (item.question || query) checkQuestion(`${name}: ${item.where}`, model, [visual], item.question || query!);
      const length = isClip(visual) ? visual.length : 1;
      if (length !== frames || batch.length === batchSize) await flush();
      frames = length;
      batch.push({ item, visual });
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      skipped++;
      if (faults.length < FAULTS_TOLD) faults.push(`${item.where}: ${error.message}`);
    }
  }
  await flush();
  const dim = model.config.embeddingDim;
  const vectors = new Float32Array(kept.length * dim);
  let at = 0;
  for (const part of rows) {
    vectors.set(part, at);
    at += part.length;
  }
  return { items: kept, vectors, dim, skipped, faults };
}

/** Cosines of rows with a bank, some rows at a time. @returns per block: its first row and [rows, C] */
async function* scoreBlocks(model: VLJEPA, vectors: Float32Array, dim: number, columns: Tensor): AsyncGenerator<{ start: number; scores: Float32Array }, void, undefined> {
  for (let start = 0; start < vectors.length / dim; start += ROWS) {
    const some = vectors.subarray(start * dim, (start + ROWS) * dim);
    const block = scope(() => model.similarity(Tensor.from(model.device, some, [some.length / dim, dim]), columns));
    yield { start, scores: await block.read() };
    block.dispose();
  }
}

/** Rank of each row's true column. */
async function ranksOf(model: VLJEPA, vectors: Float32Array, dim: number, columns: Tensor, truth: readonly number[]): Promise<Uint32Array> {
  const all = new Uint32Array(truth.length);
  for await (const { start, scores } of scoreBlocks(model, vectors, dim, columns)) all.set(ranks(scores, columns.shape[0]!, truth.slice(start, start + ROWS)), start);
  return all;
}

const hits = (rank: Uint32Array, k: number): number[] => Array.from(rank, r => (r <= k ? 100 : 0));

async function runClass(model: VLJEPA, { name, header }: Manifest, { items, vectors, dim }: Embedded): Promise<Part> {
  const labels = header.classes ?? [...new Set(items.map(i => i.label))];
  const place = new Map(labels.map((l, i) => [l, i]));
  const truth = items.map(({ label, where }) => {
    const index = place.get(label);
    if (index === undefined) throw new DataError(name, `${where}: label is ${JSON.stringify(label)}, expected one of the ${labels.length} classes`);
    return index;
  });
  const bank = header.templates ? await ensembleBank(model, labels, header.templates) : labelBank(model, labels);
  const rank = await ranksOf(model, vectors, dim, bank.vectors, truth);
  bank.vectors.dispose();
  return { main: 'top-1', candidates: labels.length, interval: bootstrap(hits(rank, 1)), figures: { 'top-1': topKAccuracy(rank, 1), 'top-5': topKAccuracy(rank, 5), 'class-mean Recall@5': classMeanRecall(rank, truth, 5) } };
}

async function runRetrieval(model: VLJEPA, { items, vectors, dim }: Embedded): Promise<Part> {
  const bank = labelBank(model, items.map(i => i.text));
  const own = items.map((_, i) => i);
  const gallery = Tensor.from(model.device, vectors, [items.length, dim]);
  const [back, forth] = [await ranksOf(model, await bank.vectors.read(), dim, gallery, own), await ranksOf(model, vectors, dim, bank.vectors, own)];
  gallery.dispose();
  bank.vectors.dispose();
  const [t, v] = [recall(back), recall(forth)];
  return {
    main: 'R@1', candidates: items.length, interval: bootstrap(hits(back, 1)),
    figures: { 'R@1': t.r1, 'R@5': t.r5, 'R@10': t.r10, 'median rank': t.medianRank, 'R@1 to text': v.r1, 'R@5 to text': v.r5, 'R@10 to text': v.r10, 'median rank to text': v.medianRank },
  };
}

/**
 * The best candidate; of equally good ones a wrong one, since a tie counts against the model, as does a NaN.
 * @param scores cosines by place @param from places of the candidates, at least one @param labels by place @param truth accepted answers @returns its text
 */
export function chosen(scores: ArrayLike<number>, from: readonly number[], labels: readonly string[], truth: readonly string[]): string {
  const top = from.reduce((a, c) => Math.max(a, scores[c]!), -Infinity);
  const best = from.filter(c => !(scores[c]! < top)); // all of them where one is NaN
  return labels[best.find(c => !isRight({ answer: labels[c]!, truth })) ?? best[0]!]!;
}

async function runVqa(model: VLJEPA, { name, header }: Manifest, { items, vectors, dim }: Embedded): Promise<Part> {
  const shared = header.classes ?? (items.every(i => i.candidates.length === 0) ? [...new Set(items.flatMap(i => i.answers))] : undefined);
  const candidatesOf = (item: ManifestItem): readonly string[] => {
    const list = item.candidates.length ? item.candidates : shared;
    if (!list) throw new DataError(name, `${item.where}: candidates is missing, expected them in every row, in the first line as classes, or in none`);
    if (!item.answers.some(a => list.some(c => plainAnswer(c) === plainAnswer(a)))) throw new DataError(name, `${item.where}: answer is ${JSON.stringify(item.answers[0])}, expected one of its ${list.length} candidates`);
    return list;
  };
  const lists = items.map(candidatesOf);
  const bank = labelBank(model, [...new Set(lists.flat())]);
  const place = new Map(bank.labels.map((l, i) => [l, i]));
  const answered: Answered[] = [];
  for await (const { start, scores } of scoreBlocks(model, vectors, dim, bank.vectors)) {
    const width = bank.labels.length;
    for (let r = 0; r < scores.length / width; r++) {
      const item = items[start + r]!;
      const from = lists[start + r]!.map(c => place.get(c)!);
      answered.push({ answer: chosen(scores.subarray(r * width, (r + 1) * width), from, bank.labels, item.answers), truth: item.answers, ...(item.group !== undefined && { group: item.group }) });
    }
  }
  bank.vectors.dispose();
  return vqaFigures(answered, header.metric, shared?.length);
}

function vqaFigures(answered: readonly Answered[], metric: Manifest['header']['metric'] = 'accuracy', candidates: number | undefined): Part {
  const { accuracy, groups } = vqaAccuracy(answered);
  const shared = { groups, candidates };
  if (metric === 'tally') {
    const { weighted, mean, simple, complex } = tallyAccuracy(answered);
    return { ...shared, main: 'weighted accuracy', figures: { 'weighted accuracy': weighted, 'mean of simple and complex': mean, simple: simple.accuracy, complex: complex.accuracy } };
  }
  if (metric === 'pope') {
    const { random, popular, adversarial, accuracy: mean, f1 } = popeAccuracy(answered);
    const each = Object.entries({ random, popular, adversarial }).flatMap(([k, v]) => (['accuracy', 'precision', 'recall', 'f1', 'yesRatio'] as const).map((m): [string, number] => [`${k} ${m === 'yesRatio' ? 'yes ratio' : m}`, v[m]]));
    return { ...shared, main: 'accuracy', figures: { accuracy: mean, f1, ...Object.fromEntries(each) } };
  }
  return { ...shared, main: 'accuracy', figures: { accuracy }, interval: bootstrap(answered.map(a => (isRight(a) ? 100 : 0))) };
}

/** The first reference of another sample that is nearest to each sample's prediction. */
async function readOut(model: VLJEPA, { items, vectors, dim }: Embedded): Promise<string[]> {
  const bank = labelBank(model, items.map(i => i.references[0]!));
  const said: string[] = [];
  for await (const { start, scores } of scoreBlocks(model, vectors, dim, bank.vectors)) {
    for (let r = 0; r < scores.length / items.length; r++) {
      let best = -1;
      for (let c = 0; c < items.length; c++) if (c !== start + r && (best < 0 || scores[r * items.length + c]! > scores[r * items.length + best]!)) best = c;
      said.push(best < 0 ? '' : bank.labels[best]!);
    }
  }
  bank.vectors.dispose();
  return said;
}

async function captionsOf(model: VLJEPA, embedded: Embedded, caption: NonNullable<BenchmarkOptions['caption']>): Promise<string[]> {
  const { items, vectors, dim } = embedded;
  const said: string[] = [];
  for (let at = 0; at < items.length; at += ROWS) {
    const some = vectors.subarray(at * dim, (at + ROWS) * dim);
    const rows = Tensor.from(model.device, some, [some.length / dim, dim]);
    said.push(...(await caption(rows)));
    rows.dispose();
  }
  return said;
}

/** CIDEr of given captions, or of the decoder's, with the retrieved and the most frequent reference beside them. */
async function runCaption(model: VLJEPA, embedded: Embedded, given: readonly ManifestItem[], { caption }: BenchmarkOptions): Promise<Part> {
  const items = given.length ? given : embedded.items;
  const retrieved = given.length ? undefined : await readOut(model, embedded);
  const said = given.length ? given.map(i => i.prediction!) : caption ? await captionsOf(model, embedded, caption) : retrieved!;
  const counts = new Map<string, number>();
  for (const i of items) for (const r of i.references) counts.set(r, (counts.get(r) ?? 0) + 1);
  const frequent = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a))[0];
  const scored = (texts: readonly string[]): ReturnType<typeof ciderD> => ciderD(items.map(({ references }, i) => ({ caption: texts[i]!, references })));
  const own = scored(said);
  return {
    main: 'CIDEr-D', interval: bootstrap(own.perItem),
    figures: {
      'CIDEr-D': own.mean, CIDEr: cider(items.map(({ references }, i) => ({ caption: said[i]!, references }))).mean,
      ...(retrieved && { 'CIDEr-D of the nearest other reference': scored(retrieved).mean }), 'CIDEr-D of the most frequent reference': scored(items.map(() => frequent)).mean,
    },
  };
}

async function runPairs(model: VLJEPA, items: readonly ManifestItem[]): Promise<Part> {
  const texts = [...new Set(items.flatMap(i => [i.p1, i.p2, i.negative]))];
  const bank = labelBank(model, texts);
  const rows = await bank.vectors.read();
  bank.vectors.dispose();
  const dim = rows.length / texts.length;
  const place = new Map(texts.map((t, i) => [t, i]));
  const cosine = (a: string, b: string): number => dotRows(rows, place.get(a)!, rows, place.get(b)!, dim);
  const triplets = items.map(({ p1, p2, negative, group }) => ({ p1p2: cosine(p1, p2), p1n: cosine(p1, negative), p2n: cosine(p2, negative), ...(group !== undefined && { group }) }));
  const { accuracy, groups } = tripletAccuracy(triplets);
  return { main: 'triplet accuracy', figures: { 'triplet accuracy': accuracy }, groups, interval: bootstrap(triplets.map(t => tripletAccuracy([t]).accuracy)) };
}

/**
 * Runs the benchmark that a manifest describes.
 * @param model with a tokenizer @param manifest of `openManifest` @param options how pictures are loaded, and what is asked
 * @returns figures with intervals, skipped samples, and the paper's column of the same benchmark
 * @throws DataError with the line for a label or answer that is no candidate, or when no sample can be used
 */
export async function runBenchmark(model: VLJEPA, manifest: Manifest, options: BenchmarkOptions): Promise<BenchmarkResult> {
  const { header: { task, name = '' } } = manifest;
  const given: ManifestItem[] = [];
  let embedded: Embedded = { items: [], vectors: new Float32Array(0), dim: model.config.embeddingDim, skipped: 0, faults: [] };
  const noMedia = task === 'pairs';
  if (noMedia) for await (const item of manifest.items) given.push(item);
  else if (task === 'caption') {
    embedded = await embedItems(model, { ...manifest, items: withoutPrediction(manifest, given) }, options);
  } else embedded = await embedItems(model, manifest, options);
  const n = given.length || embedded.items.length;
  if (n === 0) throw new DataError(manifest.name, `no sample can be used, ${embedded.skipped} were skipped (the first: ${embedded.faults[0] ?? 'none'})`);
  const part = task === 'class' ? await runClass(model, manifest, embedded) : task === 'retrieval' ? await runRetrieval(model, embedded)
    : task === 'vqa' ? await runVqa(model, manifest, embedded) : task === 'caption' ? await runCaption(model, embedded, given, options) : await runPairs(model, given);
  return { task, name, n, skipped: embedded.skipped, faults: embedded.faults, candidates: undefined, interval: undefined, groups: {}, ...part, paper: name ? paperColumn(name) : undefined };
}

/** Rows that are to be captioned; those that come with a caption go to `given`. */
async function* withoutPrediction({ items, name }: Manifest, given: ManifestItem[]): AsyncGenerator<ManifestItem, void, undefined> {
  let shown = false;
  for await (const item of items) {
    if (item.prediction === undefined) yield item;
    else given.push(item);
    shown ||= item.prediction === undefined;
    if (shown && given.length) throw new DataError(name, `${item.where}: prediction is ${item.prediction === undefined ? 'missing' : 'there'}, expected it in every row or in none`);
  }
}
