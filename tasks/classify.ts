// Open-vocabulary classification: the label whose text embedding is nearest to the predicted embedding (VL-JEPA section 3.3).
import { scope } from '../engine/memory.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { Pictures, VLJEPA } from '../model/vl_jepa.ts';
import { topK } from './metrics.ts';

/** Labels with their cached unit vectors on the GPU. */
export interface LabelBank {
  readonly labels: readonly string[];
  /** [C, dim] unit rows. */
  readonly vectors: Tensor;
}

export interface Scored {
  label: string;
  /** Cosine, −1 to 1. */
  score: number;
}

/**
 * Encodes labels once, for many pictures.
 * @param model with a tokenizer @param labels texts, each non-empty @param batchSize labels at a time @returns the bank; dispose `vectors` when done
 * @throws RangeError when there is no label
 */
export function labelBank(model: VLJEPA, labels: readonly string[], batchSize = 256): LabelBank {
  if (labels.length === 0) throw new RangeError('classify: there is no label, expected at least one');
  return { labels, vectors: model.encodeText([...labels], { batchSize }) };
}

/**
 * Cosines of every picture with every label.
 * @param model the model @param pictures [P] pictures, pixels [P, T, 3, S, S] or predictions [P, dim] @param bank labels @param query question asked of each picture, default none
 * @returns [P, C] row-major on the host
 */
export async function labelScores(model: VLJEPA, pictures: Pictures, bank: LabelBank, query?: string): Promise<Float32Array> {
  const scores = scope(() => model.similarity(isPrediction(pictures) ? pictures : model.predict(pictures, query), bank.vectors)); // [P, C]
  try {
    return await scores.read();
  } finally {
    scores.dispose();
  }
}

const isPrediction = (pictures: Pictures): pictures is Tensor => 'shape' in pictures && pictures.shape.length === 2;

/**
 * The best labels of each picture.
 * @param model the model @param pictures [P] pictures, pixels or predictions @param bank labels @param options k best (5), query
 * @returns per picture: k labels with cosines, best first
 */
export async function classify(model: VLJEPA, pictures: Pictures, bank: LabelBank, { k = 5, query }: { k?: number; query?: string } = {}): Promise<Scored[][]> {
  const scores = await labelScores(model, pictures, bank, query);
  const c = bank.labels.length;
  return Array.from({ length: scores.length / c }, (_, p) => topK(scores.subarray(p * c, (p + 1) * c), k).map(({ index, score }) => ({ label: bank.labels[index]!, score })));
}
