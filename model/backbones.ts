/** A joint model from three pretrained networks; projections, heads and temperature start untrained (spec section 0.2). */
import type { Device } from '../engine/device.ts';
import type { Tensor } from '../engine/tensor.ts';
import { WeightError } from '../weights/error.ts';
import { folderSource } from '../weights/folder.ts';
import type { FolderInput } from '../weights/folder.ts';
import { vlJepaConfig } from './config.ts';
import { jointTensors } from './joint_weights.ts';
import { readJson } from './network_folder.ts';
import type { NetworkOptions } from './network_folder.ts';
import { initParams } from './params.ts';
import { Predictor } from './predictor.ts';
import { TextEncoder } from './text_encoder.ts';
import { VisionEncoder } from './vision_encoder.ts';
import { VLJEPA } from './vl_jepa.ts';
import type { NewModelOptions } from './vl_jepa.ts';

/** The folders of the three networks, in the hub's layout. */
export interface Backbones {
  readonly vision: FolderInput;
  readonly predictor: FolderInput;
  readonly text: FolderInput;
}

/** Fields of our config.json beside the three networks' own, for example `{ embedding_dim: 1536, predictor_layers: [8, 16] }`. */
export type JointFields = Readonly<Record<string, unknown>>;

/**
 * @param folders V-JEPA 2, Llama, EmbeddingGemma
 * @param fields the joint settings; `dense` must fit the text folder when it is set
 * @param options device, seed of the new tensors, what learns (all by default)
 * @throws ConfigError, WeightError
 */
export async function fromBackbones(folders: Backbones, fields: JointFields, options: NewModelOptions & NetworkOptions): Promise<VLJEPA> {
  const { device } = options;
  const config = vlJepaConfig({
    ...fields, model_type: 'vl_jepa',
    vision_config: await configOf(folders.vision), predictor_config: await configOf(folders.predictor), text_config: await configOf(folders.text),
  }, 'joint config');
  const map = await loadAll(device, folders, config.predictorLayers.join(':'), options);
  const fresh = jointTensors(config).filter(({ name }) => !map.has(name) && !map.has(`${name}#0`));
  const init = { ...options.init, log_scale: { value: config.logitScaleInit } };
  for (const [name, tensor] of initParams(device, fresh, options.seed ?? 0, init).entries()) map.set(name, tensor);
  return VLJEPA.fromTensors(config, map, options);
}

async function configOf(input: FolderInput): Promise<unknown> {
  const folder = folderSource(input);
  const json = await readJson(folder, 'config.json');
  if (json === undefined) throw new WeightError('checkpoint-missing', `${folder.name}: config.json is missing, expected the folder of a network`);
  return json;
}

async function loadAll(device: Device, folders: Backbones, layers: string, options: NetworkOptions): Promise<Map<string, Tensor>> {
  const map = new Map<string, Tensor>();
  try {
    const collect = (prefix: string, entries: [string, Tensor][]) => entries.forEach(([name, tensor]) => map.set(prefix + name, tensor));
    collect('vision.', (await VisionEncoder.load(device, folders.vision, options)).params.entries());
    collect('predictor.', (await Predictor.load(device, folders.predictor, { ...options, layers })).params.entries());
    collect('text.', (await TextEncoder.load(device, folders.text, options)).params.entries());
    return map;
  } catch (error) {
    for (const tensor of map.values()) tensor.dispose();
    throw error;
  }
}
