/** Writing a joint model as three folders in the hub's layout, which the official libraries load, with the heads and the joint settings beside them (Node only). */
import type { Tensor } from '../engine/tensor.ts';
import { writeFileAtomic, writeSafetensors } from '../weights/writer.ts';
import type { VLJEPAConfig } from './config.ts';
import type { JsonObject } from './config_reader.ts';
import { storedEntries } from './joint_weights.ts';
import type { CheckpointFiles, StoredDtype } from './joint_weights.ts';

const TORCH_NAMES = { F32: 'float32', BF16: 'bfloat16', F16: 'float16' } as const;

/** What one folder holds. */
interface Part {
  readonly config: JsonObject;
  readonly tensors: Map<string, Tensor>;
  readonly tokenizer: object | undefined;
}

/** The tensors under a prefix, without it. */
function under(tensors: ReadonlyMap<string, Tensor>, prefix: string): [string, Tensor][] {
  return [...tensors].filter(([name]) => name.startsWith(prefix)).map(([name, tensor]) => [name.slice(prefix.length), tensor]);
}

const JSON_OF = (config: VLJEPAConfig, part: string): JsonObject => config.json[`${part}_config`] as JsonObject;

/** The layers in use, numbered from 0: a Llama of that many layers. The table is its output matrix where it was; else the network is stored as one without. */
function predictorPart(config: VLJEPAConfig, tensors: ReadonlyMap<string, Tensor>): Omit<Part, 'tokenizer'> {
  const [first, end] = config.predictorLayers;
  const renumber = (name: string): string => name.replace(/^model\.layers\.(\d+)\./, (_, i: string) => `model.layers.${Number(i) - first}.`);
  return {
    config: { ...JSON_OF(config, 'predictor'), architectures: [config.predictor.tiedTable ? 'LlamaForCausalLM' : 'LlamaModel'], num_hidden_layers: end - first },
    tensors: new Map(under(tensors, 'predictor.').map(([name, tensor]) => [renumber(name), tensor])),
  };
}

/** modules.json and the settings of each module, as sentence-transformers writes them: mean, the Dense pair, unit length. */
function sentenceFiles(config: VLJEPAConfig): [string, unknown][] {
  const { text: { hiddenSize }, dense } = config;
  const kinds = ['Transformer', 'Pooling', ...(dense ? ['Dense', 'Dense'] : []), 'Normalize'];
  const path = (i: number): string => (i === 0 ? '' : `${i}_${kinds[i]}`);
  const layer = (from: number, to: number): object => ({ in_features: from, out_features: to, bias: false, activation_function: 'torch.nn.modules.linear.Identity' });
  return [
    ['modules.json', kinds.map((kind, i) => ({ idx: i, name: `${i}`, path: path(i), type: `sentence_transformers.models.${kind}` }))],
    ['1_Pooling/config.json', {
      word_embedding_dimension: hiddenSize, pooling_mode_cls_token: false, pooling_mode_mean_tokens: true, pooling_mode_max_tokens: false,
      pooling_mode_mean_sqrt_len_tokens: false, pooling_mode_weightedmean_tokens: false, pooling_mode_lasttoken: false, include_prompt: true,
    }],
    ...(dense ? [['2_Dense/config.json', layer(hiddenSize, dense)], ['3_Dense/config.json', layer(dense, hiddenSize)]] as [string, unknown][] : []),
    ['sentence_bert_config.json', { max_seq_length: config.maxTextTokens, do_lower_case: false }],
  ];
}

/**
 * Writes `vision/`, `predictor/` and `text/` (config.json, model.safetensors with the official names, tokenizer.json), and at the root config.json and model.safetensors with the heads
 * and the temperature. The predictor keeps its layers alone, renumbered; the V-JEPA predictor, which this model does not have, is not written.
 *
 * @param folder made when it is missing
 * @param tensors all of the joint model by full name
 * @param config of the model
 * @param files tokenizers
 * @param dtype how values are stored; BF16 and F16 round
 * @throws WeightError
 */
export async function writeParts(folder: string, tensors: ReadonlyMap<string, Tensor>, config: VLJEPAConfig, files: Omit<CheckpointFiles, 'config'>, dtype: StoredDtype = 'F32'): Promise<void> {
  const { mkdir } = await import('node:fs/promises');
  const text = under(tensors, 'text.');
  const parts: Record<'vision' | 'predictor' | 'text', Part> = {
    vision: { config: { ...JSON_OF(config, 'vision'), architectures: ['VJEPA2Model'] }, tensors: new Map(under(tensors, 'vision.')), tokenizer: undefined },
    predictor: { ...predictorPart(config, tensors), tokenizer: files.queryTokenizer },
    text: { config: { ...JSON_OF(config, 'text'), architectures: ['Gemma3TextModel'] }, tensors: new Map(text.filter(([name]) => !name.startsWith('dense.'))), tokenizer: files.tokenizer },
  };
  const writeJson = (path: string, value: unknown, indent = 2): Promise<unknown> => writeFileAtomic(`${folder}/${path}`, `${JSON.stringify(value, null, indent)}\n`);
  const writeTensors = (path: string, named: ReadonlyMap<string, Tensor>): Promise<unknown> => writeSafetensors(`${folder}/${path}`, storedEntries(named, dtype), { format: 'pt' });
  for (const [name, part] of Object.entries(parts)) {
    await mkdir(`${folder}/${name}`, { recursive: true });
    await writeTensors(`${name}/model.safetensors`, part.tensors);
    await writeJson(`${name}/config.json`, { ...part.config, torch_dtype: TORCH_NAMES[dtype] });
    if (part.tokenizer) await writeJson(`${name}/tokenizer.json`, part.tokenizer, 0);
  }
  for (const [path, value] of sentenceFiles(config)) {
    await mkdir(`${folder}/text/${path.slice(0, Math.max(0, path.indexOf('/')))}`, { recursive: true });
    await writeJson(`text/${path}`, value);
  }
  for (const [i, place] of ['2_Dense', '3_Dense'].entries()) {
    const layer = under(new Map(text), `dense.${i}.`);
    if (layer.length) await writeTensors(`text/${place}/model.safetensors`, new Map(layer.map(([name, tensor]) => [`linear.${name}`, tensor])));
  }
  await writeTensors('model.safetensors', new Map([...tensors].filter(([name]) => !/^(vision|predictor|text)\./.test(name))));
  const { predictorLayers: [first, end] } = config;
  await writeJson('config.json', { // last: a folder without it is no model
    ...config.json, parts: true, predictor_layers: [0, end - first],
    vision_config: parts.vision.config, predictor_config: parts.predictor.config, text_config: parts.text.config,
  });
}
