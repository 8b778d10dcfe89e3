/** `vl-jepa inspect`: what a checkpoint holds, checked against its config, without reading a value (Node only). */
import { Tokenizer } from '../data/tokenizer.ts';
import { predictorConfig, textConfig, visionConfig, vlJepaConfig } from '../model/config.ts';
import { ConfigError, ConfigReader, isObject } from '../model/config_reader.ts';
import { jointTensors } from '../model/joint_weights.ts';
import { matchTensors } from '../model/match_tensors.ts';
import { readJson } from '../model/network_folder.ts';
import type { TensorSpec } from '../model/params.ts';
import { predictorSkip, predictorTensors } from '../model/predictor.ts';
import { readSentenceModules } from '../model/sentence_folder.ts';
import type { DenseLayer } from '../model/sentence_folder.ts';
import { TEXT_SKIP, textTensors } from '../model/text_encoder.ts';
import { vocabularySize } from '../model/token_batch.ts';
import { VISION_SKIP, visionTensors } from '../model/vision_encoder.ts';
import { elementCount } from '../weights/dtype.ts';
import { reason, WeightError } from '../weights/error.ts';
import { folderSource } from '../weights/folder.ts';
import type { FolderSource } from '../weights/folder.ts';
import { openCheckpoint } from '../weights/safetensors.ts';
import type { Safetensors } from '../weights/safetensors.ts';
import { openFileOrIndex, openFolder, openLooseFolder, placeOf, sizeWarnings } from './inspect_folder.ts';
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

/** A network's table and what may lie beside it. */
interface Expectation {
  readonly config: object;
  readonly specs: readonly TensorSpec[];
  readonly skip: readonly RegExp[];
  /** Rows of the token table that each tokenizer file must fit; undefined where nothing is known. */
  readonly vocabulary: Readonly<Record<string, number | undefined>>;
  /** Layers with a folder of their own. */
  readonly dense: readonly (DenseLayer & { readonly path: string })[];
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
  return closing([await openFolder(path, names)], async ([checkpoint]) => {
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

async function expectation(folder: FolderSource, json: unknown, where: string): Promise<Expectation> {
  const none = { skip: [], vocabulary: {}, dense: [] };
  const reader = new ConfigReader(json, where);
  const modelType = reader.json.model_type;
  if (modelType === 'vjepa2') {
    const config = visionConfig(json, where);
    return { ...none, config, specs: visionTensors(config), skip: VISION_SKIP };
  }
  if (modelType === 'llama') {
    const config = predictorConfig(json, where);
    return { ...none, config, specs: predictorTensors(config), skip: predictorSkip(config, [0, config.layers], true), vocabulary: { 'tokenizer.json': config.vocabSize } };
  }
  if (modelType === 'gemma3_text') {
    const config = textConfig(json, where);
    const { dense, normalize } = await readSentenceModules(folder, config.hiddenSize);
    return { config: { ...config, dense, normalize }, specs: textTensors(config), skip: TEXT_SKIP, dense, vocabulary: { 'tokenizer.json': config.vocabSize } };
  }
  if (modelType === 'vl_jepa') {
    const config = vlJepaConfig(json, where);
    return { ...none, config, specs: jointTensors(config), vocabulary: { 'tokenizer.json': config.text.vocabSize, 'query_tokenizer.json': config.predictor.vocabSize } };
  }
  if (modelType === undefined && reader.has('in_features')) return { ...none, ...denseModule(reader) };
  throw new ConfigError(`${where}: model_type is ${modelType === undefined ? 'missing' : (JSON.stringify(modelType) ?? '').slice(0, 100)}, expected "vjepa2", "llama", "gemma3_text" or "vl_jepa"`);
}

/** The folder of one Dense layer of a sentence-transformers model. */
function denseModule(c: ConfigReader): Pick<Expectation, 'config' | 'specs'> {
  const layer = { inFeatures: c.int('in_features'), outFeatures: c.int('out_features'), bias: c.flag('bias', true) };
  return { config: layer, specs: denseSpecs(layer) };
}

function denseSpecs({ inFeatures, outFeatures, bias }: DenseLayer): TensorSpec[] {
  return [{ name: 'linear.weight', shape: [outFeatures, inFeatures], kind: 'linear' }, ...(bias ? [{ name: 'linear.bias', shape: [outFeatures], kind: 'bias' } as const] : [])];
}

async function denseProblems(folder: FolderSource, dense: Expectation['dense']): Promise<string[]> {
  const problems: string[] = [];
  for (const layer of dense) {
    const checkpoint = await openCheckpoint(folder.sub(layer.path));
    await closing([checkpoint], () => { problems.push(...matchTensors(checkpoint, denseSpecs(layer), { where: `${folder.name}/${layer.path}` }).problems.map(({ message }) => message)); });
  }
  return problems;
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
    warnings: opened.flatMap((checkpoint) => [...checkpoint.warnings, ...sizeWarnings(checkpoint)]),
  };
}
