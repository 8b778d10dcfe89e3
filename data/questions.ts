// What is asked of pictures and clips, and what is answered: several wordings of each question; the first is the one that is measured with.
import { MOTIONS } from './sprites.ts';

/** Kinds of question: the thing, its motion, both in a sentence, and the thing in a still picture. */
export type QuestionKind = 'object' | 'motion' | 'caption' | 'picture';

/** Wordings by kind. */
export const QUESTIONS: Readonly<Record<QuestionKind, readonly string[]>> = {
  object: ['What is in the video?', 'What do you see in the video?', 'Which thing moves?', 'What is the object?'],
  motion: ['How does it move?', 'How does the object move?', 'What is the motion?', 'Which way does it go?'],
  caption: ['Describe the video.', 'What happens in the video?', 'Write a caption for the video.'],
  picture: ['What is this?', 'What is in the picture?', 'Name the thing in the picture.'],
};

/** Sentences about a clip; the first is the one that is trained on most and measured with. */
const CAPTIONS = ['a {name} {motion}', 'the {name} is {motion}', '{name} {motion}', 'a video of a {name} {motion}', 'we see a {name} {motion}'];

/**
 * Captions of a clip, for training and as references of CIDEr.
 * @param name of the object @param motion 0 to 7 @returns [5] sentences
 */
export const clipCaptions = (name: string, motion: number): string[] => CAPTIONS.map((text) => text.replace('{motion}', MOTIONS[motion]!.answer).replace('{name}', () => name));

/** Every caption of set MS in its first wording, by name and then by motion. @param names of the concepts @returns [8 · names] */
export const movingCaptions = (names: readonly string[]): string[] => names.flatMap(name => MOTIONS.map((_, motion) => clipCaptions(name, motion)[0]!));

/**
 * The answer to a question.
 * @param kind of question @param name of the object @param motion 0 to 7, of no matter for a picture @returns the text
 */
export function answerOf(kind: QuestionKind, name: string, motion: number): string {
  if (kind === 'motion') return MOTIONS[motion]!.answer;
  return kind === 'caption' ? clipCaptions(name, motion)[0]! : name;
}
