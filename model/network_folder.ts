/** Opening one network's folder: its config.json and its tensors, alone or as a part of a joint checkpoint. */
import { WeightError } from '../weights/error.ts';
import { folderSource } from '../weights/folder.ts';
import type { FolderInput, FolderSource } from '../weights/folder.ts';
import type { SourceOptions } from '../weights/source.ts';
import { openCheckpoint } from '../weights/safetensors.ts';
import type { Safetensors } from '../weights/safetensors.ts';
import { parseLarge, parseSettings } from '../weights/strict_json.ts';
import { vlJepaConfig } from './config.ts';
import type { VLJEPAConfig } from './config.ts';
import { ConfigError, isObject } from './config_reader.ts';
import type { LoadOptions } from './params.ts';

/** The three networks, by their prefix in a joint checkpoint. */
export type NetworkPart = 'vision' | 'predictor' | 'text';

/** How a folder behind a URL is reached; others ignore all but the signal. */
export interface ReachOptions {
  /** Where files of URLs are kept (`openUrlCache`): downloaded once, continued after an interruption, used without a network from then on. Without it they are read by ranges each time. */
  readonly cache?: SourceOptions['cache'] | undefined;
  /** Told about downloads into the cache. */
  readonly downloadProgress?: SourceOptions['progress'] | undefined;
  /** In place of the global `fetch`. */
  readonly fetch?: typeof fetch | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What callers may say about loading. */
export type NetworkOptions = Pick<LoadOptions, 'dtype' | 'progress' | 'signal'> & ReachOptions;

/**
 * The folder that an input means.
 *
 * @param input path, URL or files; a folder is returned as it is
 * @param options how to reach it
 * @throws WeightError `source-type`
 */
export function reachFolder(input: FolderInput, { cache, downloadProgress, fetch, signal }: ReachOptions): FolderSource {
  return folderSource(input, { ...(cache && { cache }), ...(downloadProgress && { progress: downloadProgress }), ...(fetch && { fetch }), ...(signal && { signal }) });
}

/** An open folder. Close `checkpoint` after use. */
export interface NetworkFolder {
  readonly folder: FolderSource;
  /** The network's own config object. */
  readonly json: unknown;
  /** How errors call that object. */
  readonly where: string;
  readonly checkpoint: Safetensors;
  readonly load: Pick<LoadOptions, 'prefix' | 'where'>;
  /** The joint model's settings, when the folder holds one. */
  readonly joint: VLJEPAConfig | undefined;
  /** The predictor layers that a joint model uses. */
  readonly layers: readonly [number, number] | undefined;
}

/**
 * Reads and parses one JSON file of a folder.
 *
 * @param folder where
 * @param name file name; a `tokenizer.json` may be large, any other is a file of settings
 * @returns the value, or undefined when there is no such file
 * @throws ConfigError when it is not JSON, has a field twice, or is larger than any real one
 */
export async function readJson(folder: FolderSource, name: string): Promise<unknown> {
  const text = await folder.readText(name);
  if (text === undefined) return undefined;
  const where = `${folder.name}/${name}`;
  try {
    return /tokenizer\.json$/.test(name) ? parseLarge(text, where) : parseSettings(text, where);
  } catch (error) {
    if (error instanceof WeightError && ['duplicate-field', 'json-depth', 'text-too-large'].includes(error.code)) throw new ConfigError(error.message); // JSON, but none that is used
    const why = error instanceof Error ? error.message.replace(`${where}: `, '') : String(error);
    throw new ConfigError(`${where}: the text is not JSON, expected an object (${why})`);
  }
}

/**
 * The settings of a network or a joint model.
 *
 * @param folder where
 * @param expected what the folder should be, for the message
 * @returns the value of config.json
 * @throws WeightError `checkpoint-missing` when there is no config.json, ConfigError as `readJson`
 */
export async function readConfig(folder: FolderSource, expected: string): Promise<unknown> {
  const json = await readJson(folder, 'config.json');
  if (json === undefined) throw new WeightError('checkpoint-missing', `${folder.name}: config.json is missing, expected ${expected}`);
  return json;
}

/**
 * Opens a folder that holds `part`, alone (its own model_type) or inside a joint checkpoint (model_type vl_jepa, tensors under `part.`).
 *
 * @param input path, URL or files
 * @param part which network
 * @throws WeightError when config.json or the tensors are missing, ConfigError when config.json is wrong
 */
export async function openNetwork(input: FolderInput, part: NetworkPart, options: NetworkOptions = {}): Promise<NetworkFolder> {
  const folder = reachFolder(input, options);
  const json = await readConfig(folder, 'the folder of a network (config.json and model.safetensors)');
  if (isObject(json) && json.model_type === 'vl_jepa' && json.parts === true) return openNetwork(folder.sub(part), part, options);
  const where = `${folder.name}/config.json`;
  const joint = isObject(json) && json.model_type === 'vl_jepa' ? vlJepaConfig(json, where) : undefined;
  const checkpoint = await openCheckpoint(folder);
  if (!joint) return { folder, json, where, checkpoint, load: { where: folder.name }, joint, layers: undefined };
  return {
    folder, checkpoint, joint,
    json: joint.json[`${part}_config`],
    where: `${where}: ${part}_config`,
    load: { where: folder.name, prefix: `${part}.` },
    layers: part === 'predictor' ? joint.predictorLayers : undefined,
  };
}
