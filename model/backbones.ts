/** A joint model from three pretrained networks; projections, heads and temperature start untrained (spec section 0.2). */
import type { FolderSource } from '../weights/folder.ts';
import type { Backbones, JointFields } from './backbone_folders.ts';
import { vlJepaConfig } from './config.ts';
import { isObject } from './config_reader.ts';
import { loadNetworks } from './joint_folder.ts';
import type { BackboneOptions } from './joint_folder.ts';
import { jointTensors } from './joint_weights.ts';
import { reachFolder, readConfig, readJson } from './network_folder.ts';
import { initParams } from './params.ts';
import { PAPER } from './presets.ts';
import { readSentenceModules } from './sentence_folder.ts';
import { VLJEPA } from './vl_jepa.ts';
import type { NewModelOptions } from './vl_jepa.ts';

/** What each folder should be. */
const NETWORK = 'the folder of a network';
/** Layers of the predictor that the paper uses, from the end. */
const PAPER_LAYERS = 8;

/**
 * @param folders V-JEPA 2, Llama, EmbeddingGemma
 * @param fields the joint settings
 * @param options device, seed of the new tensors, what learns (all by default), dtype of the networks' matrices; the tokenizers are those of the text and the predictor folder
 * @throws ConfigError, WeightError
 */
export async function fromBackbones(folders: Backbones, fields: JointFields, options: NewModelOptions & BackboneOptions): Promise<VLJEPA> {
  const { device } = options;
  const open = { vision: reachFolder(folders.vision, options), predictor: reachFolder(folders.predictor, options), text: reachFolder(folders.text, options) };
  const [vision, predictor, text] = [await readConfig(open.vision, NETWORK), await readConfig(open.predictor, NETWORK), await readConfig(open.text, NETWORK)];
  const layers = isObject(predictor) && Number.isInteger(predictor.num_hidden_layers) ? (predictor.num_hidden_layers as number) : PAPER_LAYERS;
  const config = vlJepaConfig({
    embedding_dim: PAPER.embedding_dim, predictor_layers: [Math.max(0, layers - PAPER_LAYERS), layers], dense: await densePairOf(open.text, text), ...fields,
    model_type: 'vl_jepa', vision_config: vision, predictor_config: predictor, text_config: text,
  }, 'joint config');
  const tokenizers = {
    tokenizer: options.tokenizer ?? (await readJson(open.text, 'tokenizer.json')) as object | undefined,
    queryTokenizer: options.queryTokenizer ?? (await readJson(open.predictor, 'tokenizer.json')) as object | undefined,
  };
  const map = await loadNetworks(device, open, config.predictorLayers.join(':'), options);
  const specs = jointTensors(config);
  const wanted = new Set(specs.map(({ name }) => name));
  for (const [name, tensor] of map) {
    if (wanted.has(name.replace(/#\d+$/, ''))) continue;
    tensor.dispose(); // Dense layers that the joint model leaves out
    map.delete(name);
  }
  const fresh = specs.filter(({ name }) => !map.has(name) && !map.has(`${name}#0`));
  const init = { ...options.init, log_scale: { value: config.logitScaleInit } };
  for (const [name, tensor] of initParams(device, fresh, options.seed ?? 0, init).entries()) map.set(name, tensor);
  return VLJEPA.fromTensors(config, map, { ...options, ...tokenizers });
}

/** Inner width of the text folder's two Dense layers; 0 where it has none, or others. */
async function densePairOf(folder: FolderSource, text: unknown): Promise<number> {
  const width = isObject(text) ? Number(text.hidden_size) : 0;
  const { dense: [up, down, ...more] } = await readSentenceModules(folder, width);
  const pair = up && down && more.length === 0 && !up.bias && !down.bias && down.outFeatures === width;
  return pair ? up.outFeatures : 0;
}
