// Discriminative question answering: the candidate answer e(answer) nearest to f(picture, question) (VL-JEPA section 3.3, spec 1.7).
import type { Pictures, VLJEPA } from '../model/vl_jepa.ts';
import { checkLabels, classify, labelBank } from './classify.ts';
import type { LabelBank, Scored } from './classify.ts';

/**
 * Encodes candidate answers once, for many questions.
 * @param model with a tokenizer @param answers texts, each non-empty @returns the bank; dispose `vectors` when done
 * @throws RangeError when there is no answer, or one is empty
 */
export function answerBank(model: VLJEPA, answers: readonly string[]): LabelBank {
  checkLabels('ask', answers);
  return labelBank(model, answers);
}

/** Frames of the longest clip. */
const longest = (pictures: Pictures): number => ('shape' in pictures ? (pictures.shape.length === 5 ? pictures.shape[1]! : 1) : pictures.reduce((n, p) => Math.max(n, Array.isArray(p) ? p.length : 1), 1));

/**
 * Refuses a question that has no words, or more tokens than fit beside the visual ones: half a question would get half an answer.
 * @param where caller, for the message @param model with a tokenizer @param pictures [P] that are asked about @param question text @returns nothing
 * @throws RangeError with the number of tokens that fit
 */
export function checkQuestion(where: string, model: VLJEPA, pictures: Pictures, question: string): void {
  if (question.trim() === '') throw new RangeError(`${where}: the question is empty, expected words`);
  const { maxQueryTokens, predictor: { maxPositions } } = model.config;
  const visual = 'shape' in pictures && pictures.shape.length === 3 ? pictures.shape[1]! : model.vision.tokens(longest(pictures));
  const room = Math.min(maxQueryTokens, maxPositions - visual);
  const tokens = model.queryTokenizer?.encode(question, { maxLength: room + 1 }).length ?? 0;
  if (tokens > room) throw new RangeError(`${where}: the question has more than ${room} tokens, expected at most so many beside ${visual} visual ones (it is ${question.length.toLocaleString('en')} characters long; shorten it)`);
}

/**
 * The answers to a question about each picture.
 * @param model the model @param pictures [P] pictures, clips or pixels @param question text
 * @param answers candidates @param k best per picture @returns per picture: k answers with cosines, best first
 * @throws RangeError for a question that is empty or too long
 */
export async function ask(model: VLJEPA, pictures: Pictures, question: string, answers: LabelBank, k = 5): Promise<Scored[][]> {
  checkQuestion('ask', model, pictures, question);
  return classify(model, pictures, answers, { k, query: question });
}
