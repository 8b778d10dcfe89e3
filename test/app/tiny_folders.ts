// Real-shaped networks of a few kilobytes as files: configs, tensors of zeros, shards, a sentence-transformers folder, a tokenizer.
import { predictorConfig, textConfig, visionConfig, vlJepaConfig } from '../../model/config.ts';
import { jointTensors } from '../../model/joint_weights.ts';
import { predictorTensors } from '../../model/predictor.ts';
import { textTensors } from '../../model/text_encoder.ts';
import { visionTensors } from '../../model/vision_encoder.ts';
import { safetensorsBytes } from '../../weights/encode.ts';

/** A file's content, a link, or a folder. */
export type Item = Uint8Array | string | { readonly link: string } | { readonly folder: true };
/** Files by path below the case's folder. */
export type Files = Readonly<Record<string, Item>>;

/** A parsed object. */
export type Json = Record<string, unknown>;
/** A tensor to be stored. */
export interface Spec { readonly name: string; readonly shape: readonly number[] }

export const VISION: Json = { model_type: 'vjepa2', hidden_size: 12, num_attention_heads: 2, num_hidden_layers: 2, mlp_ratio: 2, patch_size: 4, crop_size: 8, tubelet_size: 2, layer_norm_eps: 1e-6, qkv_bias: true, hidden_act: 'gelu', in_chans: 3 };
export const LLAMA: Json = { model_type: 'llama', hidden_size: 8, intermediate_size: 12, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 4, vocab_size: 20, rms_norm_eps: 1e-5, rope_theta: 10000, hidden_act: 'silu', tie_word_embeddings: true };
export const GEMMA: Json = { model_type: 'gemma3_text', hidden_size: 8, intermediate_size: 12, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 4, vocab_size: 20, rms_norm_eps: 1e-6, sliding_window: 8, use_bidirectional_attention: true, hidden_activation: 'gelu_pytorch_tanh', query_pre_attn_scalar: 4, rope_theta: 1e6, rope_local_base_freq: 1e4 };
export const JOINT: Json = { model_type: 'vl_jepa', embedding_dim: 6, vision_config: VISION, predictor_config: LLAMA, text_config: GEMMA };
/** Each network: name, config, tensors. */
export const TABLES: readonly (readonly [string, Json, readonly Spec[]])[] = [
  ['vision', VISION, visionTensors(visionConfig(VISION))], ['llama', LLAMA, predictorTensors(predictorConfig(LLAMA))], ['gemma', GEMMA, textTensors(textConfig(GEMMA))], ['joint', JOINT, jointTensors(vlJepaConfig(JOINT))],
];
/** The tensors of a network. */
export const specsOf = (network: string): readonly Spec[] => TABLES.find(([name]) => name === network)![2];

const made = new Map<readonly Spec[], Uint8Array>();

/** A safetensors file of zeros. */
export function zeros(specs: readonly Spec[], dtype: 'F32' | 'BF16' | 'F16' = 'F32'): Uint8Array {
  if (dtype === 'F32') {
    const before = made.get(specs) ?? fresh(specs, dtype);
    made.set(specs, before);
    return before;
  }
  return fresh(specs, dtype);
}

function fresh(specs: readonly Spec[], dtype: 'F32' | 'BF16' | 'F16'): Uint8Array {
  const width = dtype === 'F32' ? 4 : 2;
  return safetensorsBytes(specs.map(({ name, shape }) => ({ name, dtype, shape, bytes: new Uint8Array(width * shape.reduce((a, b) => a * b, 1)) })), { format: 'pt' });
}

/** A file of settings. */
export const json = (value: unknown): string => JSON.stringify(value, null, 2);
/** A folder with one file of tensors. */
export const single = (config: Json, specs: readonly Spec[]): Files => ({ 'config.json': json(config), 'model.safetensors': zeros(specs) });
/** The index of shards. */
export const INDEX = 'model.safetensors.index.json';
/** Shard i of n. */
export const shardName = (i: number, n: number): string => `model-${String(i).padStart(5, '0')}-of-${String(n).padStart(5, '0')}.safetensors`;

/** The same tensors in `n` shards behind an index. */
export function sharded(config: Json, specs: readonly Spec[], n = 3): Record<string, Item> {
  const files: Record<string, Item> = { 'config.json': json(config) };
  const map: Record<string, string> = {};
  for (let i = 0; i < n; i++) {
    const part = specs.filter((_, k) => k % n === i);
    for (const { name } of part) map[name] = shardName(i + 1, n);
    files[shardName(i + 1, n)] = zeros(part);
  }
  const total = specs.reduce((sum, { shape }) => sum + 4 * shape.reduce((a, b) => a * b, 1), 0);
  files[INDEX] = json({ metadata: { total_size: total }, weight_map: map });
  return files;
}

/** modules.json. */
export const MODULES = ['Transformer', 'Pooling', 'Dense', 'Dense', 'Normalize'].map((kind, idx) => ({ idx, name: String(idx), path: idx === 0 ? '' : `${idx}_${kind}`, type: `sentence_transformers.models.${kind}` }));
/** Settings of a Dense layer. */
export const dense = (from: number, to: number): Json => ({ in_features: from, out_features: to, bias: false, activation_function: 'torch.nn.modules.linear.Identity' });
/** A Gemma folder of sentence-transformers. */
export const SENTENCE: Files = {
  ...single(GEMMA, specsOf('gemma')), 'modules.json': json(MODULES), '1_Pooling/config.json': json({ word_embedding_dimension: 8, pooling_mode_mean_tokens: true, include_prompt: true }),
  '2_Dense/config.json': json(dense(8, 16)), '2_Dense/model.safetensors': zeros([{ name: 'linear.weight', shape: [16, 8] }]),
  '3_Dense/config.json': json(dense(16, 8)), '3_Dense/model.safetensors': zeros([{ name: 'linear.weight', shape: [8, 16] }]), '4_Normalize': { folder: true },
  'config_sentence_transformers.json': json({ prompts: { query: 'q: ' } }), 'sentence_bert_config.json': json({ max_seq_length: 2048 }),
};

const ALPHABET = ['<pad>', '<eos>', '<bos>', '<unk>', 'a', 'b', 'ab', 'c', 'abc'];
/** A small tokenizer that is accepted. */
export const TOKENIZER: Json = {
  version: '1.0', added_tokens: ALPHABET.slice(0, 4).map((content, id) => ({ id, content, special: true, single_word: false, lstrip: false, rstrip: false, normalized: false })),
  normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null,
  model: { type: 'BPE', dropout: null, unk_token: '<unk>', continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: true, byte_fallback: false, vocab: Object.fromEntries(ALPHABET.map((t, i) => [t, i])), merges: [['a', 'b'], ['ab', 'c']] },
};
