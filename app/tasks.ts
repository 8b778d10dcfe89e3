// The tasks on the user's files: embed, index, classify, retrieve, ask.
import { access, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { Tensor } from '../engine/tensor.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';
import { answerBank, ask, checkQuestion } from '../tasks/ask.ts';
import { checkLabels, classify, labelBank } from '../tasks/classify.ts';
import { modelFingerprint } from '../tasks/model_fingerprint.ts';
import { openSearcher, USEARCH_FROM } from '../tasks/searcher.ts';
import type { SearchOptions } from '../tasks/searcher.ts';
import { indexEntries, readIndex } from '../tasks/vector_index.ts';
import type { VectorIndex } from '../tasks/vector_index.ts';
import { writeSafetensors } from '../weights/writer.ts';
import { loadVisuals, visualInput } from './clips.ts';
import { CliError } from './errors.ts';
import { embedFiles, openModel } from './media.ts';

interface Common {
  model?: string | undefined;
  files: readonly string[];
  /** Frames of a film or animation. */
  frames?: number | undefined;
  json: boolean;
}

function needFiles(command: string, files: readonly string[]): void {
  if (files.length === 0) throw new CliError(`${command}: there is no file, expected at least one picture or film`);
}

/**
 * Texts of an option: names with commas between them, or a file with one per line, where empty lines do not count.
 * @param command for the message @param option its name, in the plural @param value what was given @returns texts @throws CliError for none, or an empty one between commas
 */
export async function textsOf(command: string, option: string, value: string): Promise<string[]> {
  const fromFile = await readFile(value, 'utf8').catch(() => undefined);
  const all = (fromFile === undefined ? value.split(',') : fromFile.split(/\r?\n/)).map(l => l.trim());
  const texts = all.filter(Boolean);
  if (texts.length === 0) throw new CliError(`${command}: --${option} holds no ${option.slice(0, -1)}, expected names with commas between them, or a file with one per line`);
  if (fromFile === undefined && texts.length < all.length) throw new CliError(`${command}: ${option.slice(0, -1)} ${all.indexOf('') + 1} of ${all.length} in --${option} is empty, expected words`);
  return texts;
}

const rowsOf = (model: VLJEPA, vectors: Float32Array): Tensor => Tensor.from(model.device, vectors, [vectors.length / model.config.embeddingDim, model.config.embeddingDim]);

type Answers = { file: string; top: [string, number][] }[];

function told(files: readonly string[], lists: readonly { label: string; score: number }[][], json: boolean): Answers {
  const result = lists.map((list, i) => ({ file: files[i]!, top: list.map(({ label, score }): [string, number] => [label, score]) }));
  if (!json) for (const { file, top } of result) console.log(`${basename(file)}: ${top.map(([l, s]) => `${l} (${s.toFixed(3)})`).join(', ')}`);
  return result;
}

/** `vl-jepa classify`. @param options files, labels, question, how many to show @returns per file the best labels @throws CliError, DataError */
export async function classifyFiles(options: Common & { labels: string; query?: string | undefined; top: number }): Promise<Answers> {
  const labels = await textsOf('classify', 'labels', options.labels);
  needFiles('classify', options.files);
  const { model } = await openModel(options.model);
  const { vectors } = await embedFiles(model, options.files, options);
  return told(options.files, await classify(model, rowsOf(model, vectors), labelBank(model, labels), { k: options.top }), options.json);
}

/** `vl-jepa ask` with candidates. @param options files, question, answers, how many to show @returns per file the best answers @throws CliError, DataError, RangeError for a question that is too long */
export async function askFiles(options: Common & { question: string; answers: string; top: number }): Promise<Answers> {
  const answers = await textsOf('ask', 'answers', options.answers);
  needFiles('ask', options.files);
  const { model } = await openModel(options.model, 'nano2');
  const bank = answerBank(model, answers);
  const result: Answers = [];
  for await (const loaded of loadVisuals(options.files, options.frames === undefined ? {} : { frames: options.frames })) {
    const visual = visualInput(loaded);
    checkQuestion('ask', model, [visual], options.question);
    result.push(...told([options.files[result.length]!], await ask(model, [visual], options.question, bank, options.top), options.json));
  }
  return result;
}

/** `vl-jepa index`. @param options files or a file of texts, output @returns what is in it @throws CliError, DataError when nothing can be read */
export async function writeIndex(options: Common & { texts?: string | undefined; query?: string | undefined; output: string }): Promise<{ output: string; kind: string; count: number; skipped: string[]; model: string }> {
  const { files, texts, query, output } = options;
  if ((files.length > 0) === (texts !== undefined)) throw new CliError(`index: ${texts === undefined ? 'there is nothing to embed' : 'files and --texts were both given'}, expected files or --texts`);
  const names = texts === undefined ? undefined : await textsOf('index', 'texts', texts);
  if (names) checkLabels('index', names);
  const { model, name } = await openModel(options.model);
  const skipped: string[] = [];
  const made = names ? { files: names, vectors: await labelBank(model, names).vectors.read() } : await embedFiles(model, files, { ...options, skip: (_, error) => skipped.push(error.message) });
  if (made.files.length === 0) throw new CliError(`index: none of ${files.length} files could be read (the first: ${skipped[0]})`);
  const index: VectorIndex = { names: made.files, vectors: made.vectors, dim: model.config.embeddingDim, model: await modelFingerprint(model), modelName: name, kind: names ? 'texts' : 'pictures', query: query ?? '' };
  const { entries, metadata } = indexEntries(index);
  await writeSafetensors(output, entries, metadata);
  if (!options.json) {
    for (const fault of skipped) console.error(`skipped: ${fault}`);
    console.log(`${output}: ${made.files.length} ${index.kind} of ${index.dim} numbers${skipped.length ? `, ${skipped.length} skipped` : ''}`);
  }
  return { output, kind: index.kind, count: made.files.length, skipped, model: index.model };
}

async function searchOptions(path: string, index: VectorIndex, method: NonNullable<SearchOptions['method']>): Promise<SearchOptions> {
  if (method === 'exact' || index.names.length <= USEARCH_FROM && method === 'auto') return { method };
  const { vectors } = index;
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new Uint8Array(vectors.buffer as ArrayBuffer, vectors.byteOffset, vectors.byteLength)));
  const graph = `${path}.${Array.from(digest.subarray(0, 8), b => b.toString(16).padStart(2, '0')).join('')}.usearch`; // of these very vectors
  return { method, graph: { path: graph, exists: await access(graph).then(() => true, () => false) } };
}

/** `vl-jepa retrieve`: among files, or in an index. @param options files or index, query text or picture, how many to show @returns names, best first @throws CliError, WeightError for an index of another model */
export async function retrieveFiles(options: Common & { query?: string | undefined; picture?: string | undefined; index?: string | undefined; search: NonNullable<SearchOptions['method']>; top: number }): Promise<{ file: string; score: number }[]> {
  const { files, query, picture, index: path } = options;
  if ((query === undefined) === (picture === undefined)) throw new CliError(`retrieve: ${query === undefined ? 'there is nothing to look for' : '--query and --picture were both given'}, expected --query or --picture`);
  if (query !== undefined && query.trim() === '') throw new CliError('retrieve: --query is empty, expected words');
  if (path !== undefined && files.length) throw new CliError('retrieve: files and --index were both given, expected one of them');
  if (path === undefined) needFiles('retrieve', files);
  if (path === undefined && options.search === 'usearch') throw new CliError('retrieve: --search usearch was given without --index, expected both (among files the search is exact)');
  const { model, name } = await openModel(options.model);
  const index = path === undefined ? undefined : await readIndex(path, { fingerprint: await modelFingerprint(model), name });
  const gallery = index ? { names: index.names, vectors: index.vectors } : await embedFiles(model, files, { frames: options.frames }).then(({ files: names, vectors }) => ({ names, vectors })); // `query` is what is looked for here
  const wanted = query === undefined ? rowsOf(model, (await embedFiles(model, [picture!], { frames: options.frames, query: index?.query || undefined })).vectors) : model.encodeText([query]);
  const searcher = await openSearcher(model.device, { vectors: gallery.vectors, dim: model.config.embeddingDim }, index ? await searchOptions(path!, index, options.search) : { method: 'exact' });
  if (searcher.method === 'usearch' && options.search === 'auto') console.error('searched with usearch, which misses a neighbour now and then; --search exact finds all');
  const [hits] = await searcher.search(wanted, options.top);
  searcher.dispose();
  const result = hits!.map(({ index: row, score }) => ({ file: gallery.names[row]!, score }));
  if (!options.json) for (const { file, score } of result) console.log(`${score.toFixed(3)}  ${file}`);
  return result;
}

/** `vl-jepa embed`. @param options files, a text, question, output file @returns unit vectors by name @throws CliError, DataError */
export async function embed(options: Common & { text?: string | undefined; query?: string | undefined; output?: string | undefined }): Promise<Record<string, number[]>> {
  if (options.files.length === 0 && !options.text) throw new CliError('embed: there is nothing to embed, expected files or --text');
  const { model } = await openModel(options.model);
  const out: Record<string, number[]> = {};
  const { files, vectors } = await embedFiles(model, options.files, options);
  const dim = model.config.embeddingDim;
  files.forEach((file, i) => { out[file] = [...vectors.subarray(i * dim, (i + 1) * dim)]; });
  if (options.text) out[`text: ${options.text}`] = [...(await model.encodeText([options.text]).read())];
  if (options.output) {
    await writeSafetensors(options.output, Object.entries(out).map(([name, v]) => ({ name, dtype: 'F32' as const, shape: [v.length], bytes: new Uint8Array(Float32Array.from(v).buffer) })));
  }
  if (!options.json) for (const [name, v] of Object.entries(out)) console.log(`${name}  [${v.slice(0, 4).map(x => x.toFixed(4)).join(', ')}, … ${v.length} values]`);
  return out;
}
