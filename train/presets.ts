// The presets: the whole VL-JEPA, small. A small model is a small config; the networks are those of the full-size checkpoints.
import { TRAIN_ARTISTS } from '../data/e4.ts';
import { SPRITES } from '../data/sprites.ts';
import { TRAIN_ALL } from '../model/vl_jepa.ts';
import type { ClipRecipe } from './clips.ts';
import type { Recipe } from './recipe.ts';
import type { TeacherRecipe } from './teacher.ts';

const VISION = {
  model_type: 'vjepa2', hidden_size: 192, num_attention_heads: 6, num_hidden_layers: 3, patch_size: 24, crop_size: 24, image_size: 24, frames_per_clip: 2, tubelet_size: 2,
  mlp_ratio: 3, in_chans: 3, qkv_bias: true, layer_norm_eps: 1e-6, hidden_act: 'gelu', attention_probs_dropout_prob: 0, drop_path_rate: 0, initializer_range: 0.02,
};

const PREDICTOR = {
  model_type: 'llama', hidden_size: 192, intermediate_size: 384, num_hidden_layers: 1, num_attention_heads: 6, num_key_value_heads: 2, head_dim: 32, vocab_size: 2048,
  rms_norm_eps: 1e-5, hidden_act: 'silu', attention_bias: false, mlp_bias: false, max_position_embeddings: 512, tie_word_embeddings: true, rope_theta: 10000, rope_scaling: null,
};

const TEXT = {
  model_type: 'gemma3_text', hidden_size: 128, intermediate_size: 256, num_hidden_layers: 1, num_attention_heads: 4, num_key_value_heads: 1, head_dim: 32, vocab_size: 2048,
  rms_norm_eps: 1e-6, hidden_activation: 'gelu_pytorch_tanh', query_pre_attn_scalar: 32, sliding_window: 512, layer_types: ['full_attention'], max_position_embeddings: 512,
  attention_bias: false, attn_logit_softcapping: null, final_logit_softcapping: null, use_bidirectional_attention: true, rope_theta: 1e6, rope_local_base_freq: 10000,
  pad_token_id: 0, eos_token_id: 1, bos_token_id: 2,
};

/** Small enough to train on a CPU in hours, with the parts of the paper: V-JEPA 2 encoder, bidirectional Llama predictor, Gemma 3 text encoder, InfoNCE. */
export const NANO: Recipe = {
  name: 'nano',
  model: { model_type: 'vl_jepa', embedding_dim: 128, pool: 'all', resize: 'content', vision_config: VISION, predictor_config: PREDICTOR, text_config: TEXT },
  init: { linear: { fanIn: 1 }, patch: { fanIn: 1 }, embedding: { std: 0.09 } },
  artists: TRAIN_ARTISTS, seed: 1, steps: 8000, batch: 256, lr: 1.5e-3, floor: 0.02, warmup: 400, betas: [0.9, 0.98], weightDecay: 0.1, clipNorm: 1, textLr: 1, average: 0.999,
  augment: {
    shift: 0.05, scale: 0.1, aspect: 0.13, rotate: 6.5, hue: 25, saturation: 0.65, gamma: 0.45, grey: 0.08,
    mix: 0.5, mixShare: 0.7, erase: 0.3, eraseArea: 0.15, outline: 0.1, outlineStrength: 0.6,
  },
  templates: [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], // mostly the bare name, which is also what is searched with
  shuffleTexts: false,
};

/** Learns nothing worth having: a run of seconds, to try the machinery and to test it. Two artists, four visual tokens, width 24. */
export const TINY: Recipe = {
  ...NANO, name: 'tiny', artists: ['emojione-v1', 'emojione'],
  model: {
    model_type: 'vl_jepa', embedding_dim: 16, pool: 'all', resize: 'content',
    vision_config: { ...VISION, hidden_size: 24, num_attention_heads: 2, num_hidden_layers: 1, patch_size: 8, crop_size: 16, image_size: 16, mlp_ratio: 2 },
    predictor_config: { ...PREDICTOR, hidden_size: 16, intermediate_size: 24, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 8 },
    text_config: { ...TEXT, hidden_size: 16, intermediate_size: 24, num_attention_heads: 2, head_dim: 8, query_pre_attn_scalar: 8 },
  },
  steps: 40, batch: 8, warmup: 4, augment: {}, templates: [0],
};

const CLIPS: ClipRecipe = {
  start: '', clips: 48, asked: 24, sprites: SPRITES,
  augment: { ...NANO.augment, shift: 0.02, scale: 0.05, aspect: 0.08, rotate: 3 }, // the sprite moves by itself
  motionWeight: 0.5, wordings: [0, 0, 0, 1, 2, 3], captions: [0, 0, 0, 0, 1, 2, 3, 4], temporal: 32, visionLr: 1, predictorLr: 1, train: TRAIN_ALL,
};

/** Stage 2 of the small model, on its stage 1: clips, questions and replayed pictures. */
export const NANO_CLIPS: Recipe = { ...NANO, name: 'nano stage 2', steps: 900, batch: 160, lr: 8e-4, warmup: 30, weightDecay: 0.05, textLr: 0.3, average: 0.995, clips: CLIPS };

/** Stage 2 of the tiny model: to try the machinery. */
export const TINY_CLIPS: Recipe = { ...TINY, name: 'tiny stage 2', steps: 20, warmup: 2, average: 0.9, clips: { ...CLIPS, clips: 8, asked: 4, augment: {}, sprites: { ...SPRITES, frames: 4 } } };

const TEACHER: TeacherRecipe = {
  start: [], weight: 15, names: { weight: 3, temperature: 0.05 }, captions: { clips: 64, weight: 2, temperature: 0.025 }, clips: 128, views: { frames: 4, shift: 0.035, zoom: [0.93, 1.04], turn: 5, tint: 0 },
  augment: CLIPS.augment,
};

/** Stage 2 goes on with teachers: motion is known and the texts stay, so that there are fewer questions about motion and many clips without a name. */
export const NANO_TAUGHT: Recipe = { ...NANO_CLIPS, name: 'nano stage 2, taught', batch: 96, lr: 1e-3, freezeText: true, clips: { ...CLIPS, clips: 16, asked: 8, temporal: 0, teacher: TEACHER } };

/** The same of the tiny model: to try the machinery. */
export const TINY_TAUGHT: Recipe = { ...TINY_CLIPS, name: 'tiny stage 2, taught', freezeText: true, clips: { ...TINY_CLIPS.clips!, temporal: 0, teacher: { ...TEACHER, clips: 4, captions: { ...TEACHER.captions, clips: 2 } } } };

/** Recipes of stage 1 by name. */
export const PRESETS: Readonly<Record<string, Recipe>> = { nano: NANO, tiny: TINY };

/** Recipes of stage 2 by name. */
export const CLIP_PRESETS: Readonly<Record<string, Recipe>> = { nano: NANO_CLIPS, tiny: TINY_CLIPS };

/** Recipes of stage 2 with teachers by name. */
export const TAUGHT_PRESETS: Readonly<Record<string, Recipe>> = { nano: NANO_TAUGHT, tiny: TINY_TAUGHT };
