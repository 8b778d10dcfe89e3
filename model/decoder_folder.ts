/** What a decoder's folder holds: its tensors by name, and whose tokens they are. */
import { Tokenizer } from '../data/tokenizer.ts';
import { WeightError } from '../weights/error.ts';
import type { FolderSource } from '../weights/folder.ts';
import { ConfigError } from './config.ts';
import type { DecoderConfig } from './config_decoder.ts';
import { readJson } from './network_folder.ts';
import type { TensorSpec } from './params.ts';
import { predictorTensors } from './predictor.ts';
import type { VLJEPA } from './vl_jepa.ts';

/** Where a model's folder has its decoder. */
export const DECODER_FOLDER = 'decoder';
/** Vectors of the config's probes: they name the space that the decoder was trained for. */
export const PROBE_VECTORS = 'probe_vectors';

/**
 * The decoder's tensors: Llama's own names, the prefix map, and the vectors of the probes.
 *
 * @param config sizes
 */
export function decoderTensors(config: DecoderConfig): TensorSpec[] {
  const { llama, prefixTokens, embeddingDim, probes } = config;
  return [
    { name: 'prefix.weight', shape: [prefixTokens * llama.hiddenSize, embeddingDim], kind: 'linear' },
    { name: 'prefix.bias', shape: [prefixTokens * llama.hiddenSize], kind: 'bias' },
    ...predictorTensors(llama),
    { name: PROBE_VECTORS, shape: [probes.length, embeddingDim], kind: 'bias' },
  ];
}

/**
 * @param config of a decoder
 * @param model that it shall speak for
 * @throws ConfigError when their spaces have different widths
 */
export function checkWidth({ embeddingDim }: DecoderConfig, model: VLJEPA): void {
  if (embeddingDim !== model.config.embeddingDim) throw new ConfigError(`TextDecoder: embedding_dim is ${embeddingDim}, expected ${model.config.embeddingDim}, that of the model (a decoder of another model)`);
}

/**
 * The model's tokenizer, or that of its folder.
 *
 * @param config of a decoder
 * @param folder of the model
 * @param model if it is loaded
 * @throws WeightError when there is none
 */
export async function tokenizerOf(config: DecoderConfig, folder: FolderSource, model: VLJEPA | undefined): Promise<Tokenizer> {
  const given = config.tokenizer === 'query' ? model?.queryTokenizer : model?.tokenizer;
  if (given) return given;
  const json = (config.tokenizer === 'query' ? await readJson(folder, 'query_tokenizer.json') : undefined) ?? (await readJson(folder, 'tokenizer.json'));
  if (json === undefined) throw new WeightError('checkpoint-missing', `${folder.name}: tokenizer.json is missing, expected it beside the decoder (its tokens are texts only by it)`);
  return Tokenizer.fromJSON(json as object);
}
