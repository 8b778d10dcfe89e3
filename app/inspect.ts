/** `vl-jepa inspect`: what a checkpoint holds, checked against its config, without reading a value (Node only). */
import { Tokenizer } from '../data/tokenizer.ts';
import { ConfigReader, isObject } from '../model/config_reader.ts';
import { DECODER_FOLDER } from '../model/decoder_folder.ts';
import { matchTensors } from '../model/match_tensors.ts';
import { readJson } from '../model/network_folder.ts';
import { vocabularySize } from '../model/token_batch.ts';
import { elementCount } from '../weights/dtype.ts';
import { reason, WeightError } from '../weights/error.ts';
import { folderSource } from '../weights/folder.ts';
import type { FolderSource } from '../weights/folder.ts';
import { openCheckpoint } from '../weights/safetensors.ts';
import type { Safetensors } from '../weights/safetensors.ts';
import { openFileOrIndex, openLooseFolder, placeOf } from './inspect_folder.ts';
import { denseProblems, expectation } from './inspect_networks.ts';
import type { Expectation } from './inspect_networks.ts';
import { LazyList } from './json_output.ts';

export { formatInspection } from './inspect_text.ts';

export interface InspectedTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
  readonly file: string;
}

export interface InspectReport {
  readonly path: string;
  /** What the config says it is; undefined where there is none. */
  readonly modelType: string | undefined;
  /** Sizes read from the config. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: LazyList<InspectedTensor>;
  readonly parameters: number;
  readonly bytes: number;
  /** Bytes per element type. */
  readonly dtypes: Readonly<Record<string, number>>;
  /** Tensors that the network uses, and parameters among them; undefined without a config. */
  readonly used: { readonly tensors: number; readonly parameters: number } | undefined;
  /** Stored beside the network and left out on purpose. */
  readonly skipped: readonly string[];
  /** One sentence each; empty when everything fits. */
  readonly problems: readonly string[];
  /** What the reader of the file noticed. */
  readonly warnings: readonly string[];
}

/**
 * @param path folder of a network or of safetensors files, a safetensors file, or an index
 * @returns the report; `problems` is empty when names and shapes fit the config
 * @throws ConfigError, WeightError when it cannot be read at all
 */
export async function inspectCheckpoint(path: string): Promise<InspectReport> {
  const { kind, names } = await placeOf(path);
  if (kind !== 'folder') return closing([await openFileOrIndex(path, kind)], (opened) => plainReport(path, opened, []));
  const folder = folderSource(path);
  const json = names.has('config.json') ? await readJson(folder, 'config.json') : undefined;
  if (json === undefined) {
    if (names.has('config.json')) throw new WeightError('source-missing', `${path}/config.json: the file is a link to nothing`);
    const problems = await tokenizerProblems(folder, names, {});
    return closing(await openLooseFolder(path, names), (opened) => plainReport(path, opened, problems));
  }
  const expected = await expectation(folder, json, `${path}/config.json`); // before the weights: a folder of another network says so first
  const own = await closing([await openCheckpoint(folder)], async ([checkpoint]) => {
    const { found, skipped, problems } = matchTensors(checkpoint!, expected.specs, { where: path, skip: expected.skip });
    const parameters = [...found.values()].reduce((sum, name) => sum + elementCount(checkpoint!.info(name).shape), 0);
    const more = [...(await denseProblems(folder, expected.dense)), ...(await tokenizerProblems(folder, names, expected.vocabulary))];
    return {
      ...describe(path, [checkpoint!]), skipped,
      modelType: isObject(json) && json.model_type !== undefined ? String(json.model_type) : undefined,
      config: Object.fromEntries(Object.entries(expected.config).filter(([key]) => key !== 'json')),
      used: { tensors: found.size, parameters },
      problems: [...problems.map(({ message }) => message), ...more],
    };
  });
  const joint = isObject(json) && json.model_type === 'vl_jepa';
  return withParts(own, [...expected.parts, ...(joint && names.has(DECODER_FOLDER) ? [DECODER_FOLDER] : [])]);
}

/** Adds the reports of folders that belong to a model: its networks where they have their own, and its decoder. */
async function withParts(own: InspectReport, parts: readonly string[]): Promise<InspectReport> {
  let all = own;
  for (const part of parts) {
    const report = await inspectCheckpoint(`${own.path}/${part}`);
    const before = all;
    const dtypes = { ...before.dtypes };
    for (const [dtype, bytes] of Object.entries(report.dtypes)) dtypes[dtype] = (dtypes[dtype] ?? 0) + bytes;
    all = {
      ...before, dtypes,
      tensors: new LazyList(before.tensors.length + report.tensors.length, function* both() {
        yield* before.tensors;
        for (const tensor of report.tensors) yield { ...tensor, name: `${part}.${tensor.name}` };
      }),
      parameters: before.parameters + report.parameters,
      bytes: before.bytes + report.bytes,
      used: { tensors: before.used!.tensors + (report.used?.tensors ?? 0), parameters: before.used!.parameters + (report.used?.parameters ?? 0) },
      skipped: [...before.skipped, ...report.skipped.map((name) => `${part}.${name}`)],
      problems: [...before.problems, ...report.problems],
      warnings: [...before.warnings, ...report.warnings],
    };
  }
  return all;
}

async function closing<T>(opened: readonly Safetensors[], work: (opened: readonly Safetensors[]) => T | Promise<T>): Promise<T> {
  try {
    return await work(opened);
  } finally {
    for (const checkpoint of opened) await checkpoint.close();
  }
}

function plainReport(path: string, opened: readonly Safetensors[], problems: readonly string[]): InspectReport {
  return { ...describe(path, opened), modelType: undefined, config: {}, used: undefined, skipped: [], problems };
}

/** Tokenizers are read and built as loading does, so a broken pattern or vocabulary is told here. */
async function tokenizerProblems(folder: FolderSource, names: ReadonlySet<string>, vocabulary: Expectation['vocabulary']): Promise<string[]> {
  const problems: string[] = [];
  for (const name of ['tokenizer.json', 'query_tokenizer.json']) {
    if (!names.has(name)) continue;
    const where = `${folder.name}/${name}`;
    try {
      const json = await readJson(folder, name);
      Tokenizer.fromJSON(new ConfigReader(json, where).json);
      const size = vocabularySize(json);
      const most = vocabulary[name];
      if (most !== undefined && size > most) problems.push(`${where}: the vocabulary has ${size} entries, expected at most ${most} (vocab_size of the config)`);
    } catch (error) {
      const message = reason(error);
      problems.push(message.startsWith(where) ? message : `${where}: ${message}`);
    }
  }
  return problems;
}

function describe(path: string, opened: readonly Safetensors[]) {
  const dtypes: Record<string, number> = {};
  let parameters = 0;
  let bytes = 0;
  let count = 0;
  for (const { tensors } of opened) {
    count += tensors.size;
    for (const { dtype, shape, begin, end } of tensors.values()) {
      dtypes[dtype] = (dtypes[dtype] ?? 0) + end - begin;
      parameters += elementCount(shape);
      bytes += end - begin;
    }
  }
  function* items(): Generator<InspectedTensor> {
    for (const { tensors } of opened) for (const [name, { dtype, shape, begin, end, file }] of tensors) yield { name, dtype, shape, bytes: end - begin, file };
  }
  return {
    path, dtypes, parameters, bytes,
    tensors: new LazyList(count, items),
    metadata: opened.length === 1 ? opened[0]!.metadata : new Map(opened.flatMap(({ metadata, files }) => [...metadata].map(([key, value]) => [`${files[0]}: ${key}`, value] as const))),
    warnings: opened.flatMap(({ warnings }) => warnings),
  };
}
