// The losses that a recipe can name, as functions of predictions and texts.
import { Tensor } from '../engine/tensor.ts';
import { infoNCE } from '../kernels/info_nce.ts';
import { cosineLoss, l1Loss, l2Loss } from '../kernels/regression_loss.ts';
import { sigmoidLoss } from '../kernels/sigmoid_loss.ts';

/** What a loss may use beside predictions [B, D] and texts [B, D]. */
export interface LossParameters {
  /** [1] log of the inverse temperature. */
  readonly logScale: Tensor;
  /** [1] added to every logit (SigLIP). */
  readonly bias: Tensor;
  readonly maxLogScale: number;
}

/** Contrastive ones pit every pair of the batch against the others; the rest only pull pairs together, and hold only while the texts cannot move (spec 1.5). */
export const LOSSES = {
  'info-nce': { contrastive: true, of: (p, y, { logScale, maxLogScale }) => infoNCE(p, y, logScale, { maxLogScale }).loss },
  siglip: { contrastive: true, of: (p, y, { logScale, bias, maxLogScale }) => sigmoidLoss(p, y, logScale, bias, { maxLogScale }) },
  cosine: { contrastive: false, of: (p, y) => cosineLoss(p, y) },
  l1: { contrastive: false, of: (p, y) => l1Loss(p, y) },
  l2: { contrastive: false, of: (p, y) => l2Loss(p, y) },
} as const satisfies Record<string, { contrastive: boolean; of: (p: Tensor, y: Tensor, parameters: LossParameters) => Tensor }>;

export type LossName = keyof typeof LOSSES;

/** SigLIP's first values (arXiv 2303.15343, section 3.1): nearly every pair of a batch is a negative, and the bias says so from the start. */
export const SIGLIP_START = { logScale: Math.log(10), bias: -10 } as const;

/**
 * What is wrong with a loss while the Y-Encoder learns.
 * @param loss name @param freezeText whether the Y-Encoder is frozen @returns a sentence, or undefined
 */
export const lossWarning = (loss: LossName, freezeText: boolean): string | undefined => (LOSSES[loss].contrastive || freezeText ? undefined
  : `the loss is ${loss} and the Y-Encoder learns: nothing keeps all embeddings from becoming one vector, which the paper saw with every loss but InfoNCE; freeze the texts or take a contrastive loss`);
