/** Frozen settings of the three networks, read from the config.json that lies beside their weights. */
import { ConfigReader } from './config_reader.ts';

/** Rotary embedding of one kind of layer: base and, for Llama 3, the rescaling of slow frequencies (spec section 3.4). */
export interface RopeConfig {
  readonly theta: number;
  readonly scaling: Llama3Scaling | undefined;
}
export interface Llama3Scaling {
  readonly factor: number;
  readonly lowFreqFactor: number;
  readonly highFreqFactor: number;
  readonly originalMaxPositions: number;
}

/** V-JEPA 2 encoder (spec section 2.1). */
export interface VisionConfig {
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly headDim: number;
  readonly mlpSize: number;
  readonly patchSize: number;
  /** Side of the square input, pixels. */
  readonly cropSize: number;
  /** Frames that make one token. */
  readonly tubeletSize: number;
  readonly layerNormEps: number;
  /** Frames of a clip in pretraining; no effect on the forward pass. */
  readonly framesPerClip: number;
}

/** Llama (spec section 3.1). */
export interface PredictorConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly rmsNormEps: number;
  readonly rope: RopeConfig;
  readonly maxPositions: number;
  /** Whether the output matrix is the token table. */
  readonly tiedTable: boolean;
}

/** Gemma 3 text model (spec section 4.1). */
export interface TextConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly rmsNormEps: number;
  /** Attention scale is 1/sqrt of this. */
  readonly queryScalar: number;
  readonly layerTypes: readonly ('sliding_attention' | 'full_attention')[];
  /** Sliding layers: key k is seen by query q when |q - k| < window. */
  readonly window: number;
  readonly bidirectional: boolean;
  readonly ropeFull: RopeConfig;
  readonly ropeSliding: RopeConfig;
  readonly maxPositions: number;
}

/** No known network is half as deep; a table is made from this number before any tensor is looked at. */
const MOST_LAYERS = 1024;

const MOST_PIXELS = 16_384; // of a side

/** V-JEPA 2.1 adds switches that change the forward pass; every known name holds one of these words. */
const VJEPA21_SWITCH = /interpolat|interleav|modality|hierarch|distill|image_patch|img_|register|cls_token|has_cls|predict_all|return_all/i;

/**
 * @param json parsed config.json with model_type vjepa2
 * @param where how errors call the file
 * @throws ConfigError naming the field
 */
export function visionConfig(json: unknown, where = 'config.json'): VisionConfig {
  const c = new ConfigReader(json, where);
  c.word('model_type', ['vjepa2'], { why: 'the vision encoder is V-JEPA 2' });
  for (const key of Object.keys(c.json)) {
    if (VJEPA21_SWITCH.test(key)) c.off(key, 'a V-JEPA 2.1 switch; this encoder is V-JEPA 2 without it');
  }
  c.must('hidden_act', 'gelu', 'the exact erf form');
  c.must('qkv_bias', true, 'query, key and value have biases');
  c.must('in_chans', 3, 'RGB');
  c.must('use_SiLU', false, 'a plain MLP');
  const hiddenSize = c.int('hidden_size');
  const heads = c.int('num_attention_heads');
  const cropSize = c.int('crop_size', { max: MOST_PIXELS, ...(c.has('image_size') ? { fallback: c.int('image_size', { max: MOST_PIXELS }) } : {}) });
  const patchSize = c.int('patch_size', { max: MOST_PIXELS });
  if (hiddenSize % heads) c.fail('num_attention_heads', `a divisor of hidden_size ${hiddenSize}`);
  const mlpSize = Math.floor(hiddenSize * c.number('mlp_ratio', { min: 0, max: 1024 }));
  if (mlpSize < 1) c.fail('mlp_ratio', `at least 1 / ${hiddenSize}`, 'the MLP would have no width');
  if (cropSize % patchSize) c.fail('patch_size', `a divisor of crop_size ${cropSize}`);
  return Object.freeze({
    hiddenSize, heads, cropSize, patchSize, mlpSize,
    headDim: hiddenSize / heads,
    layers: c.int('num_hidden_layers', { max: MOST_LAYERS }),
    tubeletSize: c.int('tubelet_size', { max: 1024 }),
    layerNormEps: c.number('layer_norm_eps', { min: 0 }),
    framesPerClip: c.int('frames_per_clip', { fallback: 64 }),
  });
}

/**
 * @param json parsed config.json with model_type llama, RoPE written the old way (rope_theta, rope_scaling) or the new (rope_parameters)
 * @param where how errors call the file
 * @throws ConfigError naming the field
 */
export function predictorConfig(json: unknown, where = 'config.json'): PredictorConfig {
  const c = new ConfigReader(json, where);
  c.word('model_type', ['llama'], { why: 'the predictor is made of Llama layers' });
  c.must('hidden_act', 'silu', 'SwiGLU');
  c.must('attention_bias', false, 'projections without biases');
  c.must('mlp_bias', false, 'projections without biases');
  c.must('pretraining_tp', 1, 'one shard');
  const parameters = c.object('rope_parameters');
  const rope = parameters ? ropeConfig(parameters, parameters.number('rope_theta', { min: 1 }), parameters)
    : ropeConfig(c, c.number('rope_theta', { min: 1, fallback: 10000 }), c.object('rope_scaling'));
  return Object.freeze({
    ...decoderSizes(c),
    rope,
    maxPositions: c.int('max_position_embeddings', { fallback: 2048 }),
    tiedTable: c.flag('tie_word_embeddings', false),
  });
}

/** Sizes that Llama and Gemma 3 share; head_dim may differ from hidden_size / num_attention_heads. */
function decoderSizes(c: ConfigReader) {
  const hiddenSize = c.int('hidden_size');
  const heads = c.int('num_attention_heads');
  const kvHeads = c.int('num_key_value_heads', { fallback: heads });
  if (heads % kvHeads) c.fail('num_key_value_heads', `a divisor of num_attention_heads ${heads}`);
  if (!c.has('head_dim') && hiddenSize % heads) c.fail('num_attention_heads', `a divisor of hidden_size ${hiddenSize}`, 'head_dim is not given');
  const headDim = c.int('head_dim', { fallback: hiddenSize / heads });
  if (headDim % 2) c.fail('head_dim', 'an even number', 'RoPE turns pairs');
  return {
    hiddenSize, heads, kvHeads, headDim,
    vocabSize: c.int('vocab_size'),
    intermediateSize: c.int('intermediate_size'),
    layers: c.int('num_hidden_layers', { max: MOST_LAYERS }),
    rmsNormEps: c.number('rms_norm_eps', { min: 0, fallback: 1e-6 }),
  };
}

/** The base and, when the kind says llama3, its four numbers; other kinds are refused by name. */
function ropeConfig(c: ConfigReader, theta: number, scaling: ConfigReader | undefined): RopeConfig {
  if (!scaling) return Object.freeze({ theta, scaling: undefined });
  const key = scaling.has('rope_type') ? 'rope_type' : 'type'; // older files say "type"
  const kind = scaling.word(key, ['default', 'llama3'], { ...(scaling === c ? { fallback: 'default' as const } : {}), why: 'the two kinds that exist here' });
  if (kind === 'default') return Object.freeze({ theta, scaling: undefined });
  const low = scaling.number('low_freq_factor', { min: 0 });
  const high = scaling.number('high_freq_factor', { min: 0 });
  if (high <= low) scaling.fail('high_freq_factor', `more than low_freq_factor ${low}`);
  return Object.freeze({
    theta,
    scaling: Object.freeze({
      factor: scaling.number('factor', { min: 1 }),
      lowFreqFactor: low,
      highFreqFactor: high,
      originalMaxPositions: scaling.int('original_max_position_embeddings'),
    }),
  });
}

/**
 * @param json parsed config.json with model_type gemma3_text, RoPE written the old way (rope_theta, rope_local_base_freq) or the new
 * @param where how errors call the file
 * @param options.window what an odd sliding_window of a bidirectional model means: 'whole', or 'halved' by a writer before transformers PR 47940
 * @throws ConfigError naming the field
 */
export function textConfig(json: unknown, where = 'config.json', options: { window?: 'whole' | 'halved' } = {}): TextConfig {
  const c = new ConfigReader(json, where);
  c.word('model_type', ['gemma3_text'], { why: 'the text encoder is a Gemma 3 text model' });
  c.must('hidden_activation', 'gelu_pytorch_tanh', 'GEGLU with the tanh form');
  c.must('attention_bias', false, 'projections without biases');
  c.off('attn_logit_softcapping', 'attention logits are not capped');
  const sizes = decoderSizes(c);
  const bidirectional = c.flag('use_bidirectional_attention', false);
  const layerTypes = layerKinds(c, sizes.layers);
  return Object.freeze({
    ...sizes, bidirectional, layerTypes,
    queryScalar: c.number('query_pre_attn_scalar', { min: 1e-9, fallback: 256 }),
    window: layerTypes.includes('sliding_attention') ? slidingWindow(c, bidirectional, options.window) : 1,
    ...gemmaRopes(c),
    maxPositions: c.int('max_position_embeddings', { fallback: 131072 }),
  });
}

/** layer_types as listed, or every `sliding_window_pattern`-th layer full. */
function layerKinds(c: ConfigReader, layers: number): TextConfig['layerTypes'] {
  const key = c.has('sliding_window_pattern') ? 'sliding_window_pattern' : '_sliding_window_pattern'; // transformers writes the second
  if (!c.has('layer_types')) {
    const pattern = c.int(key, { fallback: 6 });
    return Object.freeze(Array.from({ length: layers }, (_, i) => ((i + 1) % pattern ? 'sliding_attention' : 'full_attention')));
  }
  const list = c.json.layer_types;
  if (!Array.isArray(list) || list.length !== layers || list.some((kind) => kind !== 'sliding_attention' && kind !== 'full_attention')) {
    c.fail('layer_types', `a list of ${layers} times "sliding_attention" or "full_attention", one per layer`);
  }
  return Object.freeze([...list]) as TextConfig['layerTypes'];
}

/**
 * The exclusive bound on |q - k| (spec section 4.3 step 5). Bidirectional models put half of sliding_window on each side: floor(w/2) + 1. Before
 * transformers PR 47940 saving wrote that bound back as sliding_window, so 257 may mean 257 or 512: such a value is not guessed.
 */
function slidingWindow(c: ConfigReader, bidirectional: boolean, meaning: 'whole' | 'halved' | undefined): number {
  const written = c.int('sliding_window');
  if (!bidirectional) return written;
  if (meaning === 'halved') return written;
  const half = written - 1;
  const suspicious = half >= 16 && (half & (half - 1)) === 0; // 2^k + 1: what halving makes of the usual sizes
  if (suspicious && meaning === undefined) {
    c.fail('sliding_window', `an even width such as ${2 * half}`, `it looks halved by an older writer; say window: 'halved' or 'whole'`);
  }
  return Math.floor(written / 2) + 1;
}

function gemmaRopes(c: ConfigReader): Pick<TextConfig, 'ropeFull' | 'ropeSliding'> {
  const parameters = c.object('rope_parameters');
  const full = parameters?.object('full_attention');
  const sliding = parameters?.object('sliding_attention');
  if (parameters && !full && !sliding) parameters.fail('full_attention', 'an object', 'one set of RoPE numbers per kind of layer');
  const theta = c.number('rope_theta', { min: 1, fallback: 1e6 });
  const local = c.number('rope_local_base_freq', { min: 1, fallback: 1e4 });
  return {
    ropeFull: full ? ropeConfig(full, full.number('rope_theta', { min: 1, fallback: theta }), full) : ropeConfig(c, theta, c.object('rope_scaling')),
    ropeSliding: sliding ? ropeConfig(sliding, sliding.number('rope_theta', { min: 1, fallback: local }), sliding) : ropeConfig(c, local, undefined),
  };
}
