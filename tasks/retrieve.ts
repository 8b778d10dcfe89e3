// Text-to-picture and picture-to-text retrieval by cosine, exact.
import { scope } from '../engine/memory.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';
import { ranks, recall, topK } from './metrics.ts';
import type { Recall } from './metrics.ts';

export interface Hit {
  /** Index of the picture in the gallery. */
  index: number;
  /** Cosine, −1 to 1. */
  score: number;
}

/**
 * The pictures nearest to each text.
 * @param model the model @param texts [Q] queries @param gallery [P, dim] unit rows, from `predict` @param k how many per query @returns per query: k hits, best first
 */
export async function retrieve(model: VLJEPA, texts: readonly string[], gallery: Tensor, k = 10): Promise<Hit[][]> {
  const scores = scope(() => model.similarity(model.encodeText([...texts]), gallery)); // [Q, P]
  const values = await scores.read();
  scores.dispose();
  const p = gallery.shape[0]!;
  return texts.map((_, q) => topK(values.subarray(q * p, (q + 1) * p), k));
}

export interface RetrievalReport {
  /** Picture → text over all candidate texts. */
  pictureToText: Recall;
  /** Text → picture over all pictures of the set. */
  textToPicture: Recall;
  /** [P] rank of the true text of each picture. */
  ranks: Uint32Array;
  /** [P, C] cosines, row-major. */
  scores: Float32Array;
}

/**
 * Recall in both directions over a set in which picture i belongs to text `truth[i]`, each text to at most one picture.
 * @param model the model @param predictions [P, dim] unit rows @param texts [C, dim] unit rows @param truth [P] index of each picture's text
 * @returns recalls, ranks and scores @throws RangeError when an index is out of range
 */
export async function evaluateRetrieval(model: VLJEPA, predictions: Tensor, texts: Tensor, truth: readonly number[]): Promise<RetrievalReport> {
  const similarity = scope(() => model.similarity(predictions, texts)); // [P, C]
  const scores = await similarity.read();
  similarity.dispose();
  const [p, c] = [predictions.shape[0]!, texts.shape[0]!];
  const rank = ranks(scores, c, truth);
  const turned = new Float32Array(p * p); // row: the text of picture i; column: picture j
  for (let i = 0; i < p; i++) for (let j = 0; j < p; j++) turned[i * p + j] = scores[j * c + truth[i]!]!;
  const back = ranks(turned, p, truth.map((_, i) => i));
  return { pictureToText: recall(rank), textToPicture: recall(back), ranks: rank, scores };
}
