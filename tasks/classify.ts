// Open-vocabulary classification: the label whose text embedding is nearest to the predicted embedding (VL-JEPA section 3.3).
import { scope } from '../engine/memory.ts';
import { Tensor } from '../engine/tensor.ts';
import type { Pictures, VLJEPA } from '../model/vl_jepa.ts';
import { meanVector } from './mean_vector.ts';
import { nearest } from './nearest.ts';

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

/** Refuses texts without words. @param where caller, for the message @param labels texts @returns nothing @throws RangeError when there is none, or one is empty */
export function checkLabels(where: string, labels: readonly string[]): void {
  if (labels.length === 0) throw new RangeError(`${where}: there is no label, expected at least one`);
  labels.forEach((label, i) => {
    if (label.trim() === '') throw new RangeError(`${where}: label ${i + 1} of ${labels.length} is empty, expected words`);
  });
}

/**
 * Encodes labels once, for many pictures.
 * @param model with a tokenizer @param labels texts, each non-empty @param batchSize labels at a time @returns the bank; dispose `vectors` when done
 * @throws RangeError when there is no label, or one is empty
 */
export function labelBank(model: VLJEPA, labels: readonly string[], batchSize = 256): LabelBank {
  checkLabels('classify', labels);
  return { labels, vectors: model.encodeText([...labels], { batchSize }) };
}

/**
 * Encodes each class by several sentences: the mean of their unit vectors, of unit length again (CLIP's prompt ensembles, spec 1.14).
 * @param model with a tokenizer @param labels class names, each non-empty @param templates sentences with {name} in the place of the class @param batchSize sentences at a time
 * @returns the bank; dispose `vectors` when done @throws RangeError for an empty label, no template, or one without {name}
 */
export async function ensembleBank(model: VLJEPA, labels: readonly string[], templates: readonly string[], batchSize = 256): Promise<LabelBank> {
  checkLabels('classify', labels);
  if (templates.length === 0 || templates.some(t => !t.includes('{name}'))) throw new RangeError('classify: a template has no {name}, expected at least one template, each with the place of the label');
  const all = model.encodeText(labels.flatMap(label => templates.map(t => t.replaceAll('{name}', () => label))), { batchSize }); // [C * templates, dim]
  const values = await all.read();
  all.dispose();
  const dim = all.shape[1]!;
  const means = new Float32Array(labels.length * dim);
  for (let c = 0; c < labels.length; c++) means.set(meanVector(values, dim, c * templates.length, (c + 1) * templates.length), c * dim);
  return { labels, vectors: Tensor.from(model.device, means, [labels.length, dim]) };
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
 * The best labels of each picture; the k best are chosen on the GPU.
 * @param model the model @param pictures [P] pictures, pixels or predictions @param bank labels @param options k best (5), query
 * @returns per picture: k labels with cosines, best first
 */
export async function classify(model: VLJEPA, pictures: Pictures, bank: LabelBank, { k = 5, query }: { k?: number; query?: string } = {}): Promise<Scored[][]> {
  const given = isPrediction(pictures);
  const predictions = given ? pictures : model.predict(pictures, query); // [P, dim]
  try {
    return (await nearest(predictions, bank.vectors, k)).map(list => list.map(({ index, score }) => ({ label: bank.labels[index]!, score })));
  } finally {
    if (!given) predictions.dispose();
  }
}
