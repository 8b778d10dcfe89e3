/** Config objects of known models. */

/** VL-JEPA of the paper: V-JEPA 2 ViT-L, layers 8..15 of Llama-3.2-1B, EmbeddingGemma-300M, 1536 dimensions (spec sections 1.1, 2.1, 3.1, 4.1). */
export const PAPER = {
  model_type: 'vl_jepa',
  embedding_dim: 1536,
  predictor_layers: [8, 16],
  vision_config: {
    model_type: 'vjepa2', hidden_size: 1024, num_hidden_layers: 24, num_attention_heads: 16, mlp_ratio: 4, patch_size: 16, crop_size: 256, tubelet_size: 2,
    frames_per_clip: 64, in_chans: 3, qkv_bias: true, layer_norm_eps: 1e-6, hidden_act: 'gelu',
  },
  predictor_config: {
    model_type: 'llama', vocab_size: 128256, hidden_size: 2048, intermediate_size: 8192, num_hidden_layers: 16, num_attention_heads: 32, num_key_value_heads: 8,
    head_dim: 64, rms_norm_eps: 1e-5, hidden_act: 'silu', attention_bias: false, mlp_bias: false, rope_theta: 500000,
    rope_scaling: { rope_type: 'llama3', factor: 32, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 },
    max_position_embeddings: 131072, tie_word_embeddings: true,
  },
  text_config: {
    model_type: 'gemma3_text', vocab_size: 262144, hidden_size: 768, intermediate_size: 1152, num_hidden_layers: 24, num_attention_heads: 3, num_key_value_heads: 1,
    head_dim: 256, query_pre_attn_scalar: 256, rms_norm_eps: 1e-6, hidden_activation: 'gelu_pytorch_tanh', sliding_window: 512, rope_theta: 1000000,
    rope_local_base_freq: 10000, use_bidirectional_attention: true, attention_bias: false, max_position_embeddings: 2048,
    layer_types: Array.from({ length: 24 }, (_, i) => ((i + 1) % 6 ? 'sliding_attention' : 'full_attention')),
  },
};
