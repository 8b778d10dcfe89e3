/** Settings of the joint model: our own config.json around the three networks' configs (spec sections 1.3-1.5 and 1.15). */
import { predictorConfig, textConfig, visionConfig } from './config_networks.ts';
import type { PredictorConfig, TextConfig, VisionConfig } from './config_networks.ts';
import { ConfigReader } from './config_reader.ts';
import type { JsonObject } from './config_reader.ts';

/** The joint model. Numbers without a place in the paper have the defaults of spec section 1.15. */
export interface VLJEPAConfig {
  /** Width of the shared space; 1536 in the paper. */
  readonly embeddingDim: number;
  /** Which predictor positions are averaged: visual and real query positions, or query positions alone. */
  readonly pool: 'all' | 'query';
  /** First and one past the last Llama layer in use, indices as stored; [8, 16] in the paper. */
  readonly predictorLayers: readonly [number, number];
  readonly vision: VisionConfig;
  readonly predictor: PredictorConfig;
  readonly text: TextConfig;
  /** Inner width of EmbeddingGemma's pair of Dense layers before the head; 0 leaves them out (default). */
  readonly dense: number;
  /** Text put before every text that the text encoder reads, such as EmbeddingGemma's "title: none | text: "; '' by default (spec section 1.4). */
  readonly textPrompt: string;
  /** Text that stands in for a missing query; null means zero query tokens. */
  readonly defaultQuery: string | null;
  /** Pixel normalisation of [R, G, B] in 0..1. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** 'crop': resize the short edge to 256/224 of the side, cut the centre; 'stretch': resize to the square; 'content': trim the plain margin (data/trim.ts), then resize to the square. */
  readonly resize: 'crop' | 'stretch' | 'content';
  /** log of the inverse temperature at the start, and its upper bound. */
  readonly logitScaleInit: number;
  readonly logitScaleMax: number;
  readonly maxQueryTokens: number;
  readonly maxTextTokens: number;
  /** The object that was read, for saving. */
  readonly json: JsonObject;
}

/**
 * @param json parsed config.json with model_type vl_jepa
 * @param where how errors call the file
 * @throws ConfigError naming the field
 */
export function vlJepaConfig(json: unknown, where = 'config.json'): VLJEPAConfig {
  const c = new ConfigReader(json, where);
  c.word('model_type', ['vl_jepa'], { why: 'a joint checkpoint; single networks have their own model types' });
  const vision = visionConfig(c.json.vision_config, `${where}: vision_config`);
  const predictor = predictorConfig(c.json.predictor_config, `${where}: predictor_config`);
  const text = textConfig(c.json.text_config, `${where}: text_config`);
  const [first, end] = c.numbers('predictor_layers', 2, [0, predictor.layers]) as [number, number];
  if (!Number.isInteger(first) || !Number.isInteger(end) || first < 0 || end <= first || end > predictor.layers) {
    c.fail('predictor_layers', `[first, end] with 0 <= first < end <= ${predictor.layers}`, 'indices of stored layers');
  }
  const defaultQuery = c.has('default_query') ? c.text('default_query', 'a text or null') : null;
  const std = c.numbers('image_std', 3, [0.229, 0.224, 0.225]);
  if (std.some((value) => value <= 0)) c.fail('image_std', 'three numbers above 0');
  return Object.freeze({
    vision, predictor, text, defaultQuery, std,
    textPrompt: c.has('text_prompt') ? c.text('text_prompt') : '',
    embeddingDim: c.int('embedding_dim'),
    pool: c.word('pool', ['all', 'query'], { fallback: 'all' }),
    predictorLayers: Object.freeze([first, end] as const),
    dense: c.int('dense', { min: 0, fallback: 0 }),
    mean: c.numbers('image_mean', 3, [0.485, 0.456, 0.406]),
    resize: c.word('resize', ['crop', 'stretch', 'content'], { fallback: 'crop' }),
    logitScaleInit: c.number('logit_scale_init', { fallback: Math.log(1 / 0.07) }),
    logitScaleMax: c.number('logit_scale_max', { fallback: Math.log(100) }),
    maxQueryTokens: c.int('max_query_tokens', { fallback: 512 }),
    maxTextTokens: c.int('max_text_tokens', { fallback: 512 }),
    json: c.json,
  });
}
