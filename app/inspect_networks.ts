/** What `vl-jepa inspect` expects of a folder, by its config.json. */
import { predictorConfig, textConfig, visionConfig, vlJepaConfig } from '../model/config.ts';
import { decoderConfig } from '../model/config_decoder.ts';
import { ConfigError, ConfigReader, isObject } from '../model/config_reader.ts';
import { decoderTensors } from '../model/decoder_folder.ts';
import { headTensors, jointTensors } from '../model/joint_weights.ts';
import { matchTensors } from '../model/match_tensors.ts';
import { readJson } from '../model/network_folder.ts';
import type { TensorSpec } from '../model/params.ts';
import { predictorSkip, predictorTensors } from '../model/predictor.ts';
import { denseSpecs, readSentenceModules } from '../model/sentence_folder.ts';
import type { DenseLayer } from '../model/sentence_folder.ts';
import { TEXT_SKIP, textTensors } from '../model/text_encoder.ts';
import { VISION_SKIP, visionTensors } from '../model/vision_encoder.ts';
import { WeightError } from '../weights/error.ts';
import type { FolderSource } from '../weights/folder.ts';
import { openCheckpoint } from '../weights/safetensors.ts';

/** A network's table and what may lie beside it. */
export interface Expectation {
  readonly config: object;
  readonly specs: readonly TensorSpec[];
  readonly skip: readonly RegExp[];
  /** Rows of the token table that each tokenizer file must fit; undefined where nothing is known. */
  readonly vocabulary: Readonly<Record<string, number | undefined>>;
  /** Folders that belong to it and are looked at as well. */
  readonly parts: readonly string[];
  /** Layers with a folder of their own. */
  readonly dense: readonly (DenseLayer & { readonly path: string })[];
}

/**
 * @param folder where the config lies
 * @param json the config, parsed
 * @param where how errors call it
 * @returns the network's table
 * @throws ConfigError for a config of no network that is known, or a wrong one
 */
export async function expectation(folder: FolderSource, json: unknown, where: string): Promise<Expectation> {
  const none = { skip: [], vocabulary: {}, dense: [], parts: [] };
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
    return { ...none, config: { ...config, dense, normalize }, specs: textTensors(config), skip: TEXT_SKIP, dense, vocabulary: { 'tokenizer.json': config.vocabSize } };
  }
  if (modelType === 'vl_jepa') {
    if (reader.json.parts === true) return partsExpectation(folder, reader, where);
    const config = vlJepaConfig(json, where);
    return { ...none, config, specs: jointTensors(config), vocabulary: { 'tokenizer.json': config.text.vocabSize, 'query_tokenizer.json': config.predictor.vocabSize } };
  }
  if (modelType === 'vl_jepa_decoder') {
    const config = decoderConfig(json, where);
    return { ...none, config, specs: decoderTensors(config) };
  }
  if (modelType === undefined && reader.has('in_features')) return { ...none, ...denseModule(reader) };
  throw new ConfigError(`${where}: model_type is ${modelType === undefined ? 'missing' : (JSON.stringify(modelType) ?? '').slice(0, 100)}, expected "vjepa2", "llama", "gemma3_text" or "vl_jepa"`);
}

/** The folder of one Dense layer of a sentence-transformers model. */
function denseModule(c: ConfigReader): Pick<Expectation, 'config' | 'specs'> {
  const layer = { inFeatures: c.int('in_features'), outFeatures: c.int('out_features'), bias: c.flag('bias', true) };
  return { config: layer, specs: denseSpecs(layer) };
}

/** A joint model whose networks lie in folders of their own, the heads beside them (model/joint_folder.ts). */
async function partsExpectation(folder: FolderSource, reader: ConfigReader, where: string): Promise<Expectation> {
  const parts = ['vision', 'predictor', 'text'];
  const configs: Record<string, unknown> = {};
  for (const part of parts) {
    const json = await readJson(folder.sub(part), 'config.json');
    if (!isObject(json)) throw new WeightError('checkpoint-missing', `${folder.name}/${part}: config.json is missing, expected the folder of a network (parts is true in ${where})`);
    configs[`${part}_config`] = json;
  }
  const config = vlJepaConfig({ ...reader.json, ...configs }, where);
  return { config, specs: headTensors(config), skip: [], vocabulary: {}, dense: [], parts };
}

/**
 * @param folder of the network
 * @param dense its Dense layers
 * @returns what is wrong with their files
 * @throws WeightError when one cannot be read
 */
export async function denseProblems(folder: FolderSource, dense: Expectation['dense']): Promise<string[]> {
  const problems: string[] = [];
  for (const layer of dense) {
    const checkpoint = await openCheckpoint(folder.sub(layer.path));
    try {
      problems.push(...matchTensors(checkpoint, denseSpecs(layer), { where: `${folder.name}/${layer.path}` }).problems.map(({ message }) => message));
    } finally {
      await checkpoint.close();
    }
  }
  return problems;
}
