// Texts from vectors: captions and open answers by the Y-Decoder, with the nearest text of a bank beside them (spec 1.9: options 1 and 2).
import { ShapeError } from '../engine/check.ts';
import { scope } from '../engine/memory.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { DecodeOptions, Hypothesis, TextDecoder } from '../model/text_decoder.ts';
import type { Pictures, VLJEPA } from '../model/vl_jepa.ts';
import { checkQuestion } from './ask.ts';
import { classify } from './classify.ts';
import type { LabelBank, Scored } from './classify.ts';

/** How texts are made: the settings of the decoder, and what is asked. */
export interface CaptionOptions extends DecodeOptions {
  /** Question or instruction that the prediction is for; default: the model's own, or none. */
  readonly query?: string;
  /** Texts to read out of beside the decoder: the oracle. Its nearest one is what any decoder can be measured by. */
  readonly bank?: LabelBank;
  /** How many texts of the bank, default 1. */
  readonly k?: number;
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
export async function captionVectors(model: VLJEPA, decoder: TextDecoder, vectors: Tensor, { query: _, bank, k = 1, ...decode }: CaptionOptions = {}): Promise<Caption[]> {
  if (decoder.device !== model.device) throw new ShapeError('caption: the decoder lives on another device, expected that of the model (give fromPretrained the model)');
  await decoder.check(model);
  const texts = await decoder.hypotheses(vectors, decode);
  const nearest = bank ? await classify(model, vectors, bank, { k }) : [];
  return texts.map((list, i) => ({ text: list[0]!.text, texts: list, nearest: nearest[i] ?? [] }));
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
