// Sizes of the networks whose shapes are measured: the shipped model and the paper's.
import { NANO } from '../train/presets.ts';
import { PAPER } from '../model/presets.ts';
import { predictorConfig, textConfig, visionConfig } from '../model/config_networks.ts';

const read = (model: { vision_config: unknown; predictor_config: unknown; text_config: unknown }) => ({
  vision: visionConfig(model.vision_config), predictor: predictorConfig(model.predictor_config), text: textConfig(model.text_config),
});

/** The shipped model, and its training step: pictures per step, tokens of the longest caption, floats in the flat parameter buffer. */
export const SHIPPED = { ...read(NANO.model as never), dim: NANO.model.embedding_dim as number, batch: NANO.batch, textTokens: 12, parameters: 2_970_752 };

/** V-JEPA 2 ViT-L, eight layers of Llama 3.2 1B, EmbeddingGemma 300M. */
export const FULL_SIZE = { ...read(PAPER), dim: PAPER.embedding_dim };
