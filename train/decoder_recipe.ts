// Recipes of the Y-Decoder: everything that decides its weights, as data.

/** A recipe of the decoder's training. */
export interface DecoderRecipe {
  /** Name of the preset. */
  name: string;
  /** config.json of the decoder (model_type vl_jepa_decoder) without `embedding_dim`, which is the model's. */
  decoder: Record<string, unknown>;
  /** Standard deviations of the initial weights by kind of tensor, see model/params.ts. */
  init?: Record<string, unknown>;
  seed: number;
  steps: number;
  batch: number;
  /** Peak learning rate, its floor as a share, warm-up in steps. */
  lr: number;
  floor: number;
  warmup: number;
  betas: readonly [number, number];
  weightDecay: number;
  clipNorm: number;
  /** Decay of the averaged weights per step; 0 = the last weights count. */
  average: number;
  /** Longest Gaussian noise that is added to a vector of length 1; each sample draws its own length between 0 and this. */
  noise: number;
  /** The same for predictions, which are as far from their texts as they are. */
  predictedNoise: number;
  /** Share of the samples that are predictions of pictures and clips; the others are vectors of texts. */
  predictions: number;
  /** Batches of 96 pictures and 96 clips whose predictions are made once, before the first step. */
  predicted: number;
}

const LLAMA = {
  model_type: 'llama', hidden_size: 192, intermediate_size: 384, num_hidden_layers: 2, num_attention_heads: 6, num_key_value_heads: 2, head_dim: 32, vocab_size: 2048,
  rms_norm_eps: 1e-5, hidden_act: 'silu', attention_bias: false, mlp_bias: false, max_position_embeddings: 64, tie_word_embeddings: true, rope_theta: 10000, rope_scaling: null,
};

/** About a million parameters; minutes on a processor. */
export const DECODER_NANO: DecoderRecipe = {
  name: 'nano',
  decoder: { model_type: 'vl_jepa_decoder', prefix_tokens: 4, max_tokens: 32, eos_token_id: 1, pad_token_id: 0, tokenizer: 'text', decoder_config: LLAMA },
  init: { linear: { fanIn: 1 }, embedding: { std: 0.09 } },
  seed: 1, steps: 4000, batch: 128, lr: 3e-3, floor: 0.02, warmup: 50, betas: [0.9, 0.98], weightDecay: 0.05, clipNorm: 1, average: 0.98, noise: 0.8, predictedNoise: 0.8, predictions: 0.65, predicted: 100,
};

/** Learns nothing worth having: seconds, to try the machinery and to test it. */
export const DECODER_TINY: DecoderRecipe = {
  ...DECODER_NANO, name: 'tiny', steps: 30, batch: 8, warmup: 3, predicted: 2,
  decoder: { ...DECODER_NANO.decoder, prefix_tokens: 2, decoder_config: { ...LLAMA, hidden_size: 16, intermediate_size: 24, num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 8 } },
};

/** Recipes by name. */
export const DECODER_PRESETS: Readonly<Record<string, DecoderRecipe>> = { nano: DECODER_NANO, tiny: DECODER_TINY };

/**
 * Names what is wrong with a recipe.
 * @param recipe settings @returns nothing @throws RangeError that names the field, what was expected and what came
 */
export function checkDecoderRecipe(recipe: DecoderRecipe): void {
  for (const [field, least] of [['steps', 1], ['batch', 1], ['seed', 0], ['warmup', 0], ['predicted', 1]] as const) {
    if (!Number.isInteger(recipe[field]) || recipe[field] < least) throw new RangeError(`train decoder: ${field} is ${recipe[field]}, expected a whole number ≥ ${least}`);
  }
  for (const field of ['lr', 'clipNorm'] as const) if (!(recipe[field] > 0)) throw new RangeError(`train decoder: ${field} is ${recipe[field]}, expected a number > 0`);
  for (const field of ['floor', 'weightDecay', 'average', 'noise', 'predictedNoise'] as const) if (!(recipe[field] >= 0)) throw new RangeError(`train decoder: ${field} is ${recipe[field]}, expected a number ≥ 0`);
  if (!(recipe.predictions >= 0 && recipe.predictions < 1)) throw new RangeError(`train decoder: predictions is ${recipe.predictions}, expected a share from 0 to 1`);
}
