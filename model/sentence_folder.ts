/** A sentence-transformers folder: which modules follow the text network (spec sections 4.2 and 4.4). */
import { openCheckpoint } from '../weights/safetensors.ts';
import type { FolderSource } from '../weights/folder.ts';
import { ConfigError, ConfigReader } from './config_reader.ts';
import { readJson } from './network_folder.ts';
import { loadParams } from './params.ts';
import type { LoadOptions, Params, TensorSpec } from './params.ts';
import type { Device } from '../engine/device.ts';

/** One linear layer after the mean, without activation. */
export interface DenseLayer {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly bias: boolean;
}

/** The modules after the network. */
export interface SentenceModules {
  readonly dense: readonly (DenseLayer & { readonly path: string })[];
  readonly normalize: boolean;
}

/** A folder without modules.json: mean over real tokens, unit length. */
export const PLAIN_SENTENCE: SentenceModules = Object.freeze({ dense: Object.freeze([]), normalize: true });

/**
 * Reads modules.json and the modules' config files. Type names differ between versions of the library, so the last part decides.
 *
 * @param folder the folder
 * @param hiddenSize width of the network's output
 * @returns the modules, or {@link PLAIN_SENTENCE} when there is no modules.json
 * @throws ConfigError for another pooling than the mean, an activation, or an unknown module
 */
export async function readSentenceModules(folder: FolderSource, hiddenSize: number): Promise<SentenceModules> {
  const list = await readJson(folder, 'modules.json');
  if (list === undefined) return PLAIN_SENTENCE;
  const where = `${folder.name}/modules.json`;
  if (!Array.isArray(list)) throw new ConfigError(`${where}: the content is no list, expected the list of modules`);
  const dense: (DenseLayer & { path: string })[] = [];
  let normalize = false;
  let pooled = false;
  let width = hiddenSize;
  for (const [index, entry] of list.entries()) {
    const module = new ConfigReader(entry, `${where}: module ${index}`);
    const path = module.text('path', 'a folder name');
    const kind = module.text('type', 'a class name').split('.').at(-1);
    if (normalize) module.fail('type', 'nothing after Normalize');
    if (kind === 'Transformer' && index === 0 && path === '') continue;
    if (kind === 'Pooling' && !pooled) {
      await checkMeanPooling(folder, path, width);
      pooled = true;
    } else if (kind === 'Dense' && pooled) {
      const layer = await readDense(folder, path, width);
      dense.push(layer);
      width = layer.outFeatures;
    } else if (kind === 'Normalize' && pooled) normalize = true;
    else module.fail('type', 'Transformer (path ""), Pooling, then Dense or Normalize', 'in this order');
  }
  if (!pooled) throw new ConfigError(`${where}: no module is a Pooling, expected one after the Transformer`);
  return Object.freeze({ dense: Object.freeze(dense), normalize });
}

/** What a folder says about its texts. */
export interface SentenceSettings {
  /** Prompts by name, in the folder's order. */
  readonly prompts: ReadonlyMap<string, string>;
  /** Name of the prompt that is used when none is asked for. */
  readonly defaultPrompt: string | undefined;
  /** Tokens of a text at most, its ends included; undefined where the folder sets no limit. */
  readonly maxTokens: number | undefined;
  /** How errors call the file of the prompts. */
  readonly where: string;
}

/** A `model_max_length` beyond this means that there is none. */
const NO_LIMIT = 1e6;

/**
 * Reads config_sentence_transformers.json (prompts) and the limit, where they are: max_seq_length of sentence_bert_config.json, or model_max_length of tokenizer_config.json, where
 * version 6 writes it.
 *
 * @param folder the folder
 * @returns prompts, default and limit; none of them for a plain folder
 * @throws ConfigError for a prompt that is no text, a default that is not among them, or texts that are to be put in lower case
 */
export async function readSentenceSettings(folder: FolderSource): Promise<SentenceSettings> {
  const where = `${folder.name}/config_sentence_transformers.json`;
  const [said, limits] = [await readJson(folder, 'config_sentence_transformers.json'), await readJson(folder, 'sentence_bert_config.json')];
  const listed = said === undefined ? undefined : new ConfigReader(said, where);
  const prompts = listed?.object('prompts');
  const byName = new Map(Object.keys(prompts?.json ?? {}).map((name) => [name, prompts!.text(name)]));
  const defaultPrompt = listed?.has('default_prompt_name') ? listed.text('default_prompt_name', 'the name of a prompt') : undefined;
  if (defaultPrompt !== undefined && !byName.has(defaultPrompt)) listed!.fail('default_prompt_name', `one of ${[...byName.keys()].join(', ') || 'no prompts'}`);
  const limit = limits === undefined ? undefined : new ConfigReader(limits, `${folder.name}/sentence_bert_config.json`);
  limit?.off('do_lower_case', 'texts are encoded as they are');
  const maxTokens = limit?.has('max_seq_length') ? limit.int('max_seq_length', { min: 2 }) : await tokenizerLimit(folder);
  return Object.freeze({ prompts: byName, defaultPrompt, maxTokens, where });
}

async function tokenizerLimit(folder: FolderSource): Promise<number | undefined> {
  const json = await readJson(folder, 'tokenizer_config.json');
  if (json === undefined) return undefined;
  const c = new ConfigReader(json, `${folder.name}/tokenizer_config.json`);
  return Number(c.json.model_max_length ?? NO_LIMIT) >= NO_LIMIT ? undefined : c.int('model_max_length', { min: 2 });
}

async function moduleConfig(folder: FolderSource, path: string): Promise<ConfigReader> {
  const name = `${path}/config.json`;
  const json = await readJson(folder, name);
  if (json === undefined) throw new ConfigError(`${folder.name}/${name}: the file is missing, expected the settings of the module`);
  return new ConfigReader(json, `${folder.name}/${name}`);
}

async function checkMeanPooling(folder: FolderSource, path: string, width: number): Promise<void> {
  const c = await moduleConfig(folder, path);
  c.must('word_embedding_dimension', width, 'the width of the network'); // as older versions write it
  c.must('embedding_dimension', width, 'the width of the network');
  c.must('include_prompt', true, 'prompt tokens are part of the mean');
  const mode = c.json.pooling_mode;
  if (c.has('pooling_mode') && mode !== 'mean' && !(Array.isArray(mode) && mode.length === 1 && mode[0] === 'mean')) c.fail('pooling_mode', '"mean"', 'mean over real tokens');
  if (c.has('pooling_mode')) return; // and the flags of older versions count no more
  c.must('pooling_mode_mean_tokens', true, 'mean over real tokens');
  const flags = Object.keys(c.json).filter((key) => key.startsWith('pooling_mode_'));
  for (const key of flags) if (key !== 'pooling_mode_mean_tokens') c.off(key, 'mean over real tokens alone');
}

async function readDense(folder: FolderSource, path: string, width: number): Promise<DenseLayer & { path: string }> {
  const c = await moduleConfig(folder, path);
  const activation = c.json.activation_function;
  // An absent name means tanh in the library, so it is refused like any other.
  if (typeof activation !== 'string' || activation.split('.').at(-1) !== 'Identity') c.fail('activation_function', 'Identity');
  const inFeatures = c.int('in_features');
  if (inFeatures !== width) c.fail('in_features', `${width}`, 'the width before it');
  c.off('use_residual', 'a plain linear layer');
  for (const key of ['module_input_name', 'module_output_name']) c.must(key, 'sentence_embedding', 'it works on the sentence vector');
  return { path, inFeatures, outFeatures: c.int('out_features'), bias: c.flag('bias', true) };
}

/**
 * The tensors of the Dense layers under the names `dense.i.weight` and `dense.i.bias`.
 *
 * @param dense the layers
 */
export function denseTensors(dense: readonly DenseLayer[]): TensorSpec[] {
  return dense.flatMap(({ inFeatures, outFeatures, bias }, i): TensorSpec[] => [
    { name: `dense.${i}.weight`, shape: [outFeatures, inFeatures], kind: 'linear' },
    ...(bias ? [{ name: `dense.${i}.bias`, shape: [outFeatures], kind: 'bias' } as const] : []),
  ]);
}

/**
 * The tensors of one Dense layer in its own folder.
 *
 * @param layer its sizes
 */
export function denseSpecs({ inFeatures, outFeatures, bias }: DenseLayer): TensorSpec[] {
  return [{ name: 'linear.weight', shape: [outFeatures, inFeatures], kind: 'linear' }, ...(bias ? [{ name: 'linear.bias', shape: [outFeatures], kind: 'bias' } as const] : [])];
}

/**
 * Reads each Dense layer's own checkpoint.
 *
 * @returns the layers' tensors, named as in {@link denseTensors}
 * @throws WeightError
 */
export async function loadDense(device: Device, folder: FolderSource, modules: SentenceModules, options: LoadOptions): Promise<Params[]> {
  const loaded: Params[] = [];
  try {
    for (const layer of modules.dense) {
      const own = folder.sub(layer.path);
      const checkpoint = await openCheckpoint(own);
      try {
        loaded.push(await loadParams(device, checkpoint, denseSpecs(layer), { ...options, where: own.name }));
      } finally {
        await checkpoint.close();
      }
    }
  } catch (error) {
    for (const params of loaded) for (const [, tensor] of params.entries()) tensor.dispose();
    throw error;
  }
  return loaded;
}
