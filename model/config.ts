/** Frozen settings, read from config.json with every field checked; one reader per network and one for the joint model. */
export { predictorConfig, textConfig, visionConfig } from './config_networks.ts';
export type { Llama3Scaling, PredictorConfig, RopeConfig, TextConfig, VisionConfig } from './config_networks.ts';
export { ConfigError } from './config_reader.ts';
export type { JsonObject } from './config_reader.ts';
export { vlJepaConfig } from './config_vl_jepa.ts';
export type { VLJEPAConfig } from './config_vl_jepa.ts';
