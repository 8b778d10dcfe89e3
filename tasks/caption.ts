// Texts from vectors: captions and open answers by the Y-Decoder, with the nearest text of a bank beside them (spec 1.9: options 1 and 2).
import { ShapeError } from '../engine/check.ts';
import { scope } from '../engine/memory.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { DecodeOptions, Hypothesis, TextDecoder } from '../model/text_decoder.ts';
import type { Pictures, VLJEPA } from '../model/vl_jepa.ts';
import { checkQuestion } from './ask.ts';
import { classify } from './classify.ts';
import type { LabelBank, Scored } from './classify.ts';
import { dotRows } from './mean_vector.ts';

/** How texts are made: the settings of the decoder, and what is asked. */
export interface CaptionOptions extends DecodeOptions {
  /** Question or instruction that the prediction is for; default: the model's own, or none. */
  readonly query?: string;
  /** Texts to read out of beside the decoder: the oracle. Its nearest one is what any decoder can be measured by. */
  readonly bank?: LabelBank;
  /** How many texts of the bank, default 1. */
  readonly k?: number;
  /** Orders the texts asked for (`nBest`) by their log-probability and by the cosine that the Y-Encoder's vector of each has with what is decoded, as `rerankTexts` does; a number is its temperature. */
  readonly rerank?: boolean | number;
}

/** What is said of one picture, clip or vector. */
export interface Caption {
  /** The best text. */
  readonly text: string;
  /** All texts asked for (`nBest`), best first, or in the order drawn. */
  readonly texts: readonly Hypothesis[];
  /** The nearest texts of the bank, best first; none without a bank. */
  readonly nearest: readonly Scored[];
}

/**
 * Says what vectors mean: predictions, means of segments, or encoded texts.
 * @param model that made them @param decoder of this model @param vectors [N, dim] on the model's device @param options decoding and bank @returns [N]
 * @throws ConfigError for a decoder of another model, ShapeError for one on another device, vectors of another width or settings that do not fit
 */
export async function captionVectors(model: VLJEPA, decoder: TextDecoder, vectors: Tensor, { query: _, bank, k = 1, rerank, ...decode }: CaptionOptions = {}): Promise<Caption[]> {
  if (decoder.device !== model.device) throw new ShapeError('caption: the decoder lives on another device, expected that of the model (give fromPretrained the model)');
  await decoder.check(model);
  const proposed = await decoder.hypotheses(vectors, decode);
  const texts = rerank === undefined || rerank === false ? proposed : await rerankTexts(model, vectors, proposed, rerank === true ? undefined : rerank);
  const nearest = bank ? await classify(model, vectors, bank, { k }) : [];
  return texts.map((list, i) => ({ text: list[0]!.text, texts: list, nearest: nearest[i] ?? [] }));
}

/** What a cosine is divided by beside log-probabilities. Of 0.01 to 0.15 those from 0.02 to 0.08 were alike on FxEmojis, an artist apart from training and test (CIDEr-D 3.21 to 3.23, four beams; 3.09 by the cosine alone, 3.00 by probability alone). */
const TEMPERATURE = 0.05;

/**
 * Orders proposals by both judges: log-probability (of the decoder, all tokens) + cosine(e(text), vector) / temperature. Empty texts come last.
 * @param model with a tokenizer @param vectors [N, dim] unit rows @param proposed [N] texts of each, at least one @param temperature of the cosine; 0: the cosine alone @returns [N] the same texts, best first
 * @throws RangeError for a temperature that is no number ≥ 0
 */
export async function rerankTexts(model: VLJEPA, vectors: Tensor, proposed: readonly (readonly Hypothesis[])[], temperature = TEMPERATURE): Promise<Hypothesis[][]> {
  if (!(temperature >= 0 && temperature < Infinity)) throw new RangeError(`rerankTexts: temperature is ${temperature}, expected a number ≥ 0`);
  const distinct = [...new Set(proposed.flat().map(h => h.text).filter(t => t.trim() !== ''))];
  const place = new Map(distinct.map((t, i) => [t, i]));
  if (distinct.length === 0) return proposed.map(list => [...list]);
  const encoded = model.encodeText(distinct, { batchSize: 256 });
  try {
    const [rows, texts] = await Promise.all([vectors.read(), encoded.read()]);
    const dim = vectors.shape[1]!;
    const judge = (n: number, { text, logProbability }: Hypothesis): number => {
      const at = place.get(text);
      if (at === undefined) return -Infinity;
      const cosine = dotRows(rows, n, texts, at, dim);
      return temperature > 0 ? logProbability + cosine / temperature : cosine;
    };
    return proposed.map((list, n) => list.map(h => ({ h, score: judge(n, h) })).sort((a, b) => (b.score > a.score ? 1 : b.score < a.score ? -1 : 0)).map(({ h }) => h));
  } finally {
    encoded.dispose();
  }
}

/**
 * Captions of pictures and clips: f(picture, query), then the decoder.
 * @param model the model @param decoder of this model @param pictures [P] pictures, clips or pixels [P, T, 3, S, S] @param options query, decoding, bank @returns [P]
 * @throws RangeError for a query that is empty or too long; as `captionVectors`
 */
export async function caption(model: VLJEPA, decoder: TextDecoder, pictures: Pictures, options: CaptionOptions = {}): Promise<Caption[]> {
  const { query } = options;
  if (query !== undefined) checkQuestion('caption', model, pictures, query);
  const vectors = scope(() => model.predict(pictures, query)); // [P, dim]
  try {
    return await captionVectors(model, decoder, vectors, options);
  } finally {
    vectors.dispose();
  }
}

/**
 * Open question answering: what the decoder says to f(picture, question), without candidates (`ask` has them).
 * @param model trained with questions @param decoder of this model @param pictures [P] pictures, clips or pixels @param question text @param options decoding, bank @returns [P]
 * @throws RangeError for a question that is empty or too long; as `captionVectors`
 */
export async function askOpen(model: VLJEPA, decoder: TextDecoder, pictures: Pictures, question: string, options: Omit<CaptionOptions, 'query'> = {}): Promise<Caption[]> {
  checkQuestion('ask', model, pictures, question);
  return caption(model, decoder, pictures, { ...options, query: question });
}
