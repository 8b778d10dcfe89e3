// Retrieval in both directions by cosine, exact: text → picture and picture → text (VL-JEPA section 3.3).
import { scope } from '../engine/memory.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { Pictures, VLJEPA } from '../model/vl_jepa.ts';
import { classify } from './classify.ts';
import type { LabelBank, Scored } from './classify.ts';
import { ranks, recall } from './metrics.ts';
import type { Recall } from './metrics.ts';
import { nearest } from './nearest.ts';
import type { Hit } from './nearest.ts';

export type { Hit } from './nearest.ts';

/**
 * The pictures nearest to each text.
 * @param model the model @param texts [Q] queries @param gallery [P, dim] unit rows, from `predict`, in parts where one binding cannot hold it @param k how many per query @returns per query: k hits, best first
 * @throws RangeError for an empty text
 */
export async function retrieve(model: VLJEPA, texts: readonly string[], gallery: Tensor | readonly Tensor[], k = 10): Promise<Hit[][]> {
  texts.forEach((text, i) => {
    if (text.trim() === '') throw new RangeError(`retrieve: text ${i + 1} of ${texts.length} is empty, expected words`);
  });
  const queries = model.encodeText([...texts]); // [Q, dim]
  try {
    return await nearest(queries, gallery, k);
  } finally {
    queries.dispose();
  }
}

/**
 * The texts nearest to each picture: the other direction.
 * @param model the model @param pictures [P] pictures, pixels or predictions @param bank texts with their vectors @param k how many per picture @param query asked of each picture, default none
 * @returns per picture: k texts, best first
 */
export const retrieveTexts = (model: VLJEPA, pictures: Pictures, bank: LabelBank, k = 10, query?: string): Promise<Scored[][]> =>
  classify(model, pictures, bank, { k, ...(query !== undefined && { query }) });

export interface RetrievalReport {
  /** Picture → text over all candidate texts. */
  pictureToText: Recall;
  /** Text → picture over all pictures of the set. */
  textToPicture: Recall;
  /** [P] rank of the true text of each picture. */
  ranks: Uint32Array;
  /** [P] rank of each picture for its text. */
  textRanks: Uint32Array;
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
  return { pictureToText: recall(rank), textToPicture: recall(back), ranks: rank, textRanks: back, scores };
}
