// The user's own data for every shape of benchmark of the paper (spec 1.12, 1.14): one row per sample, as JSONL, CSV or a WebDataset tar. Rows are checked with their line; pictures
// are decoded by the reader of the rows, so a large set passes through little memory.
import { DataError } from './errors.ts';
import { parseCsv } from './manifest_csv.ts';
import { IS_NODE } from './platform.ts';

/** Shapes of benchmarks: labels, texts that belong to pictures, questions, captions, and triplets of texts. */
export const TASKS = ['class', 'retrieval', 'vqa', 'caption', 'pairs'] as const;
export type ManifestTask = (typeof TASKS)[number];

/** How answers to questions are counted: over all; TallyQA's weights; POPE's three settings. */
export const VQA_METRICS = ['accuracy', 'tally', 'pope'] as const;

/** What a manifest says of itself: the first line of JSONL that has "task", or dataset.json in a tar. */
export interface ManifestHeader {
  readonly task?: ManifestTask;
  /** Name of the benchmark; known ones are shown beside the paper's tables. */
  readonly name?: string;
  /** Candidate labels (class), or answers (vqa); those of the rows where missing. */
  readonly classes?: readonly string[];
  /** Asked of every picture. */
  readonly query?: string;
  /** Sentences with {name} that a label is put into. */
  readonly templates?: readonly string[];
  readonly metric?: (typeof VQA_METRICS)[number];
  /** Frames taken from films and animations; 16 where missing. */
  readonly frames?: number;
}

/** Where a sample's picture or clip is: files beside the manifest, or bytes out of a tar. Several are the frames of a clip. */
export type MediaRef = readonly (string | { readonly name: string; readonly bytes: Uint8Array })[];

/** One checked row. */
export interface ManifestItem {
  /** "line 7", or the key of a sample, for messages. */
  readonly where: string;
  /** Empty for 'pairs'. */
  readonly media: MediaRef;
  readonly group: string | undefined;
  readonly label: string;
  readonly text: string;
  readonly question: string;
  /** Answers that count as right. */
  readonly answers: readonly string[];
  /** Candidate answers; empty: those of the header, or of all rows. */
  readonly candidates: readonly string[];
  readonly references: readonly string[];
  /** A caption that was made elsewhere and is only scored. */
  readonly prediction: string | undefined;
  readonly p1: string;
  readonly p2: string;
  readonly negative: string;
}

export interface Manifest {
  readonly name: string;
  readonly header: ManifestHeader & { readonly task: ManifestTask };
  /** Rows in order; one pass. */
  readonly items: AsyncIterable<ManifestItem>;
}

type Fields = Readonly<Record<string, unknown>>;

/** Other names of fields, as known data sets have them. */
const ALIASES: Readonly<Record<string, readonly string[]>> = {
  media: ['image', 'video', 'picture', 'clip', 'file', 'path', 'frames'], group: ['group', 'category', 'setting', 'type'], label: ['label', 'class'], text: ['text', 'caption', 'query'],
  question: ['question'], answer: ['answer', 'answers'], candidates: ['candidates', 'choices', 'options'], references: ['references', 'captions', 'caption'], prediction: ['prediction'],
  p1: ['p1', 'caption1', 'caption'], p2: ['p2', 'caption2'], negative: ['negative', 'negative_caption', 'n'],
};

const find = (fields: Fields, key: string): { name: string; value: unknown } | undefined => {
  const name = (ALIASES[key] ?? [key]).find(n => fields[n] !== undefined && fields[n] !== null && fields[n] !== '');
  return name === undefined ? undefined : { name, value: fields[name] };
};

/** Which fields a task asks for. */
const NEEDS: Readonly<Record<ManifestTask, readonly string[]>> = {
  class: ['media', 'label'], retrieval: ['media', 'text'], vqa: ['media', 'question', 'answer'], caption: ['references'], pairs: ['p1', 'p2', 'negative'],
};

/** The task that a row's fields speak of. */
function guessTask(fields: Fields): ManifestTask | undefined {
  const has = (key: string): boolean => find(fields, key) !== undefined;
  if (has('question')) return 'vqa';
  if (has('negative')) return 'pairs';
  if (has('label')) return 'class';
  if (fields.references !== undefined || fields.captions !== undefined) return 'caption';
  return has('text') ? 'retrieval' : undefined;
}

class RowReader {
  private readonly name: string;
  private readonly task: ManifestTask;
  constructor(name: string, task: ManifestTask) {
    this.name = name;
    this.task = task;
  }

  private fail(where: string, what: string): never {
    throw new DataError(this.name, `${where}: ${what}`);
  }

  private list(where: string, fields: Fields, key: string, csv: boolean): string[] {
    const found = find(fields, key);
    if (!found) return [];
    const { name, value } = found;
    const many = Array.isArray(value) ? value : csv && typeof value === 'string' ? value.split('|') : [value];
    return many.map((v, i) => {
      const text = typeof v === 'number' || typeof v === 'boolean' ? String(v) : v;
      if (typeof text !== 'string' || text.trim() === '') this.fail(where, `${name}${many.length > 1 ? `[${i}]` : ''} is ${JSON.stringify(v)}, expected a text`);
      return (text as string).trim();
    });
  }

  private one(where: string, fields: Fields, key: string): string {
    const list = this.list(where, fields, key, false);
    if (list.length > 1) this.fail(where, `${find(fields, key)!.name} is a list of ${list.length}, expected one text`);
    return list[0] ?? '';
  }

  item(where: string, fields: Fields, csv: boolean, bytes: MediaRef = []): ManifestItem {
    const media = bytes.length ? bytes : this.list(where, fields, 'media', csv);
    for (const key of NEEDS[this.task]) {
      if (key === 'media' ? media.length === 0 : !find(fields, key)) this.fail(where, `${ALIASES[key]![0]} is missing, expected ${NEEDS[this.task].map(k => ALIASES[k]![0]).join(', ')} for the task ${this.task}`);
    }
    const own = (key: string, task: ManifestTask): string => (this.task === task ? this.one(where, fields, key) : '');
    const prediction = this.task === 'caption' && fields.prediction !== undefined ? String(fields.prediction) : undefined;
    if (this.task === 'caption' && media.length === 0 && prediction === undefined) this.fail(where, 'image is missing, expected image or prediction beside references');
    return {
      where, media, group: this.one(where, fields, 'group') || undefined, label: own('label', 'class'), text: own('text', 'retrieval'), question: own('question', 'vqa'),
      answers: this.task === 'vqa' ? this.list(where, fields, 'answer', csv) : [], candidates: this.task === 'vqa' ? this.list(where, fields, 'candidates', csv) : [],
      references: this.task === 'caption' ? this.list(where, fields, 'references', csv) : [], prediction, p1: own('p1', 'pairs'), p2: own('p2', 'pairs'), negative: own('negative', 'pairs'),
    };
  }
}

/** Checks a header. */
function headerOf(name: string, where: string, fields: Fields): ManifestHeader {
  const fail = (what: string): never => { throw new DataError(name, `${where}: ${what}`); };
  const { task, metric, frames } = fields as ManifestHeader;
  if (task !== undefined && !TASKS.includes(task)) fail(`task is ${JSON.stringify(task)}, expected one of ${TASKS.join(', ')}`);
  if (metric !== undefined && !VQA_METRICS.includes(metric)) fail(`metric is ${JSON.stringify(metric)}, expected one of ${VQA_METRICS.join(', ')}`);
  for (const key of ['classes', 'templates'] as const) {
    const list = fields[key];
    if (list !== undefined && !(Array.isArray(list) && list.length > 0 && list.every(v => typeof v === 'string' && v.trim() !== ''))) fail(`${key} is ${JSON.stringify(list)?.slice(0, 60)}, expected a list of texts`);
  }
  const { classes = [] } = fields as ManifestHeader;
  const twice = classes.find((c, i) => classes.indexOf(c) !== i);
  if (twice !== undefined) fail(`classes has ${JSON.stringify(twice)} twice, expected different texts (equal ones cannot be told apart)`);
  for (const key of ['name', 'query'] as const) if (fields[key] !== undefined && typeof fields[key] !== 'string') fail(`${key} is ${JSON.stringify(fields[key])}, expected a text`);
  if (frames !== undefined && !(Number.isInteger(frames) && frames >= 1)) fail(`frames is ${JSON.stringify(frames)}, expected a whole number of at least 1`);
  return fields as ManifestHeader;
}

interface Row { readonly where: string; readonly fields: Fields; readonly media?: MediaRef }

function parseJsonl(text: string, name: string): { header: ManifestHeader; rows: Row[] } {
  const rows: Row[] = [];
  let header: ManifestHeader = {};
  text.replace(/^\uFEFF/, '').split('\n').forEach((line, i) => {
    if (line.trim() === '') return;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw new DataError(name, `line ${i + 1}: expected one JSON object per line, got a text that does not parse (${(cause as Error).message})`, cause);
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new DataError(name, `line ${i + 1}: expected a JSON object, got ${Array.isArray(value) ? 'a list' : JSON.stringify(value)}`);
    const first = rows.length === 0 && Object.keys(header).length === 0;
    if (first && 'task' in value) header = headerOf(name, `line ${i + 1}`, value as Fields);
    else rows.push({ where: `line ${i + 1}`, fields: value as Fields });
  });
  return { header, rows };
}

/** A manifest of rows whose first one is already known. */
function assemble(name: string, header: ManifestHeader, first: Row | undefined, rows: AsyncIterable<Row> | Iterable<Row>, csv: boolean, wanted: ManifestTask | undefined): Manifest {
  if (!first) throw new DataError(name, 'has no row, expected at least one sample');
  const task = wanted ?? header.task ?? guessTask(first.fields);
  if (!task) throw new DataError(name, `${first.where}: the fields ${Object.keys(first.fields).join(', ') || 'are none and'} name no task, expected "task" in a first line, or label, text, question, references or negative`);
  const reader = new RowReader(name, task);
  return {
    name, header: { ...header, task },
    items: { async *[Symbol.asyncIterator]() { for await (const { where, fields, media } of rows) yield reader.item(where, fields, csv, media); } },
  };
}

/**
 * Opens a manifest: .jsonl, .csv, or a WebDataset .tar, .tar.gz or .tgz. All rows of a text file are checked before the first is given.
 * @param source path (Node) or `File` @param options task, where the file does not say it
 * @returns name, header, and the rows in order
 * @throws DataError that names file and line: a line that does not parse, a missing field, another type, an unknown ending
 */
export async function openManifest(source: string | File, { task }: { task?: ManifestTask } = {}): Promise<Manifest> {
  const name = typeof source === 'string' ? source : source.name;
  if (/\.(tar|tar\.gz|tgz)$/i.test(name)) {
    const { tarSamples } = await import('./manifest_tar.ts');
    const samples = tarSamples(await streamOf(source, name), name);
    const first = await samples.next();
    let header: ManifestHeader = {};
    let row = first.done ? undefined : first.value;
    if (row && row.header) {
      header = headerOf(name, row.where, row.fields);
      const second = await samples.next();
      row = second.done ? undefined : second.value;
    }
    return assemble(name, header, row, { async *[Symbol.asyncIterator]() { if (row) yield row; yield* samples; } }, false, task);
  }
  const kind = /\.(jsonl|ndjson|csv)$/i.exec(name)?.[1]?.toLowerCase();
  if (!kind) throw new DataError(name, 'is no manifest by its name, expected .jsonl, .csv, .tar, .tar.gz or .tgz');
  const text = await textOf(source, name);
  const csv = kind === 'csv';
  const { header, rows } = csv ? { header: {}, rows: parseCsv(text, name).map(({ line, cells }): Row => ({ where: `line ${line}`, fields: cells })) } : parseJsonl(text, name);
  const manifest = assemble(name, header, rows[0], rows, csv, task);
  for await (const _ of manifest.items); // every line is checked before anything slow begins
  return manifest;
}

async function textOf(source: string | File, name: string): Promise<string> {
  if (typeof source !== 'string') return source.text();
  if (!IS_NODE) throw new DataError(name, 'is a path, expected a File (a page cannot read paths)');
  const { readFile } = await import('node:fs/promises');
  return readFile(source, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new DataError('manifest', cause.code === 'ENOENT' ? `there is no file ${name}` : `${name} cannot be read (${cause.message})`, cause);
  });
}

async function streamOf(source: string | File, name: string): Promise<ReadableStream<Uint8Array>> {
  let bytes: ReadableStream<Uint8Array>;
  if (typeof source === 'string') {
    if (!IS_NODE) throw new DataError(name, 'is a path, expected a File (a page cannot read paths)');
    const [{ createReadStream }, { stat }, { Readable }] = await Promise.all([import('node:fs'), import('node:fs/promises'), import('node:stream')]);
    if (!(await stat(source).catch(() => undefined))?.isFile()) throw new DataError('manifest', `there is no file ${name}`);
    bytes = Readable.toWeb(createReadStream(source)) as ReadableStream<Uint8Array>;
  } else bytes = source.stream();
  return /gz$/i.test(name) ? bytes.pipeThrough(new DecompressionStream('gzip') as unknown as ReadableWritablePair<Uint8Array, Uint8Array>) : bytes;
}
