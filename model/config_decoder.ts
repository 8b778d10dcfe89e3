/** Settings of the Y-Decoder: our own config.json around a Llama config (spec section 1.9, option 1). */
import { ConfigReader } from './config_reader.ts';
import type { JsonObject } from './config_reader.ts';
import { predictorConfig } from './config_networks.ts';
import type { PredictorConfig } from './config_networks.ts';

/** Unit vector -> K soft prefix tokens -> causal Llama layers -> tokens through the tied table. */
export interface DecoderConfig {
  /** Width of the model's shared space. */
  readonly embeddingDim: number;
  /** K, positions that the vector becomes. */
  readonly prefixTokens: number;
  /** Tokens of a text at most, its end token included. */
  readonly maxTokens: number;
  /** Token that ends a text, and the one that fills rows up. */
  readonly eos: number;
  readonly pad: number;
  /** Whose tokens: those of the model's Y-Encoder or of its queries. */
  readonly tokenizer: 'text' | 'query';
  readonly llama: PredictorConfig;
  /** Texts whose vectors are stored beside the weights: the space that the decoder was made for. */
  readonly probes: readonly string[];
  /** The object that was read, for saving. */
  readonly json: JsonObject;
}

/** Texts that tell spaces apart, where a config names none. */
export const PROBES: readonly string[] = Object.freeze(['a red apple', 'a dog moving left', 'yes']);

/**
 * @param json parsed config.json with model_type vl_jepa_decoder
 * @param where how errors call the file
 * @throws ConfigError naming the field
 */
export function decoderConfig(json: unknown, where = 'decoder/config.json'): DecoderConfig {
  const c = new ConfigReader(json, where);
  c.word('model_type', ['vl_jepa_decoder'], { why: 'a Y-Decoder' });
  const llama = predictorConfig(c.json.decoder_config, `${where}: decoder_config`);
  if (!llama.tiedTable) c.fail('decoder_config', 'tie_word_embeddings true', 'the output matrix is the token table');
  const prefixTokens = c.int('prefix_tokens', { max: 1024 });
  const maxTokens = c.int('max_tokens');
  if (prefixTokens + maxTokens > llama.maxPositions) c.fail('max_tokens', `at most ${llama.maxPositions - prefixTokens}`, 'prefix and text have to fit into max_position_embeddings');
  const id = (key: string): number => c.int(key, { min: 0, max: llama.vocabSize - 1 });
  const probes = c.json.probes ?? PROBES;
  if (!Array.isArray(probes) || probes.length === 0 || probes.some((text) => typeof text !== 'string' || text === '')) c.fail('probes', 'a list of texts', 'their vectors name the space of the decoder');
  return Object.freeze({
    llama, prefixTokens, maxTokens,
    embeddingDim: c.int('embedding_dim'),
    eos: id('eos_token_id'), pad: id('pad_token_id'),
    tokenizer: c.word('tokenizer', ['text', 'query'], { fallback: 'text' }),
    probes: Object.freeze([...(probes as readonly string[])]),
    json: c.json,
  });
}
