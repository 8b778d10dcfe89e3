/** Reading a joint checkpoint: one file with every tensor, or the three networks in folders of their own with the heads beside them (see joint_parts.ts). */
import { onDevice } from '../engine/device.ts';
import type { Device } from '../engine/device.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { FolderInput, FolderSource } from '../weights/folder.ts';
import { openCheckpoint } from '../weights/safetensors.ts';
import type { Backbones } from './backbone_folders.ts';
import { vlJepaConfig } from './config.ts';
import type { VLJEPAConfig } from './config.ts';
import { isObject } from './config_reader.ts';
import { headTensors, jointTensors, orderedParams } from './joint_weights.ts';
import { dtypeByName } from './model_options.ts';
import type { LoadModelOptions, ModelOptions } from './model_options.ts';
import { reachFolder, readConfig, readJson } from './network_folder.ts';
import type { NetworkPart, ReachOptions } from './network_folder.ts';
import { loadParams } from './params.ts';
import type { Params } from './params.ts';
import { Predictor } from './predictor.ts';
import { TextEncoder } from './text_encoder.ts';
import { VisionEncoder } from './vision_encoder.ts';

/** What loading takes besides the folder. */
export type BackboneOptions = Pick<LoadModelOptions, 'dtype' | 'progress'> & ReachOptions;

/** A joint checkpoint on the device; who gets it owns the tensors. */
export interface LoadedJoint {
  readonly device: Device;
  readonly config: VLJEPAConfig;
  readonly params: Params;
  readonly tokenizers: Pick<ModelOptions, 'tokenizer' | 'queryTokenizer'>;
}

/**
 * Loads the three networks.
 *
 * @param device where the tensors go
 * @param folders V-JEPA 2, Llama, EmbeddingGemma
 * @param layers `A:B` of the predictor
 * @returns their tensors under `vision.`, `predictor.` and `text.`
 * @throws ConfigError, WeightError; nothing is left on the device then
 */
export async function loadNetworks(device: Device, folders: Backbones, layers: string, { dtype, progress, ...reach }: BackboneOptions): Promise<Map<string, Tensor>> {
  const map = new Map<string, Tensor>();
  const by = dtypeByName(dtype);
  const options = (part: NetworkPart) => ({ dtype: by(`${part}.`), progress, ...reach });
  try {
    const collect = (prefix: string, entries: [string, Tensor][]) => entries.forEach(([name, tensor]) => map.set(prefix + name, tensor));
    collect('vision.', (await VisionEncoder.load(device, folders.vision, options('vision'))).params.entries());
    collect('predictor.', (await Predictor.load(device, folders.predictor, { ...options('predictor'), layers })).params.entries());
    collect('text.', (await TextEncoder.load(device, folders.text, options('text'))).params.entries());
    return map;
  } catch (error) {
    for (const tensor of map.values()) tensor.dispose();
    throw error;
  }
}

/**
 * Loads a joint folder of either layout.
 *
 * @param input path, base URL, files or handle
 * @param options device (a new one by default), dtype, progress, cancel, how to reach the folder, tokenizers in place of its own
 * @throws ConfigError, WeightError, DeviceError; the signal's reason when cancelled; nothing is left on the device then
 */
export async function loadJoint(input: FolderInput, options: LoadModelOptions): Promise<LoadedJoint> {
  const { signal, progress, dtype } = options;
  const folder = reachFolder(input, options);
  const json = await readConfig(folder, 'a VL-JEPA folder');
  const parts = isObject(json) && json.parts === true;
  const config = vlJepaConfig(parts ? { ...json, ...(await partConfigs(folder)) } : json, `${folder.name}/config.json`);
  const tokenizers = {
    tokenizer: options.tokenizer ?? (await readJson(parts ? folder.sub('text') : folder, 'tokenizer.json')) as object | undefined,
    queryTokenizer: options.queryTokenizer ?? (await readJson(parts ? folder.sub('predictor') : folder, parts ? 'tokenizer.json' : 'query_tokenizer.json')) as object | undefined,
  };
  return onDevice(options.device, async (device) => {
    const checkpoint = await openCheckpoint(folder);
    try {
      const load = { where: folder.name, progress, signal };
      if (!parts) return { device, config, tokenizers, params: await loadParams(device, checkpoint, jointTensors(config), { ...load, dtype: dtypeByName(dtype) }) };
      const map = await loadNetworks(device, { vision: folder.sub('vision'), predictor: folder.sub('predictor'), text: folder.sub('text') }, config.predictorLayers.join(':'), options);
      try {
        for (const [name, tensor] of (await loadParams(device, checkpoint, headTensors(config), load)).entries()) map.set(name, tensor);
        return { device, config, tokenizers, params: orderedParams(config, map) };
      } catch (error) {
        for (const tensor of map.values()) tensor.dispose();
        throw error;
      }
    } finally {
      await checkpoint.close();
    }
  });
}

/** Each network's own config.json, which counts: another program may have trained the network further and written it. */
async function partConfigs(folder: FolderSource): Promise<Record<string, unknown>> {
  const expected = `the folder of a network (parts is true in ${folder.name}/config.json)`;
  const read = async (part: NetworkPart): Promise<[string, unknown]> => [`${part}_config`, await readConfig(folder.sub(part), expected)];
  return Object.fromEntries([await read('vision'), await read('predictor'), await read('text')]);
}
