// The commands of the Y-Decoder.
import { MODEL, number, text } from './command_options.ts';
import type { Command, Option, Values } from './command_options.ts';
import type { CaptionFilesOptions } from './caption.ts';
import { CliError } from './errors.ts';

/** Options of everything that decodes. */
export const DECODE_OPTIONS: Readonly<Record<string, Option>> = {
  decoder: { type: 'string', value: 'DIR', help: 'folder whose decoder/ is used; default that of the model' },
  method: { type: 'string', value: 'NAME', help: 'greedy, beam or sample', default: 'greedy' },
  width: { type: 'string', value: 'N', help: 'beam: beams, 1 to 16 (default 4)' },
  'length-penalty': { type: 'string', value: 'X', help: 'beam: exponent of the length that log-probabilities are divided by' },
  'n-best': { type: 'string', value: 'N', help: 'beam, sample: texts to show (default 1)' },
  rerank: { type: 'boolean', help: 'beam, sample: order the n-best texts (default 4) by their probability and by how near their own vectors are to what is decoded' },
  temperature: { type: 'string', value: 'X', help: 'sample: divides the logits' },
  'top-k': { type: 'string', value: 'K', help: 'sample: how many of the likeliest tokens stay' },
  'top-p': { type: 'string', value: 'P', help: 'sample: share of the probability that stays' },
  seed: { type: 'string', value: 'N', help: 'sample: equal seeds give equal texts' },
  frames: { type: 'string', value: 'N', help: 'frames of a film (default 16)' },
  bank: { type: 'string', value: 'FILE', help: 'texts, one per line, whose nearest is shown beside; default the texts of sets E4 and MS' },
};

/** Decoding settings of a command line. @param command name, for messages @param v values @param files words @returns options of app/caption.ts @throws CliError for a number that is none, or a method that does not exist */
export function decodeValues(command: string, v: Values, files: readonly string[]): CaptionFilesOptions {
  const method = text(v, 'method') ?? 'greedy';
  if (method !== 'greedy' && method !== 'beam' && method !== 'sample') throw new CliError(`${command}: --method is ${method}, expected greedy, beam or sample`);
  const n = (name: string, options?: { whole?: boolean; least?: number }): number | undefined => number(command, v, name, options);
  const given = {
    width: n('width', { least: 1 }), nBest: n('n-best', { least: 1 }), lengthPenalty: n('length-penalty', { whole: false }), temperature: n('temperature', { whole: false }),
    topK: n('top-k'), topP: n('top-p', { whole: false }), seed: n('seed'), frames: n('frames', { least: 1 }),
  };
  const rerank = v.rerank === true;
  if (rerank && method === 'greedy') throw new CliError(`${command}: --rerank was given with --method greedy, expected beam or sample (greedy decoding has one text)`);
  if (rerank) given.nBest ??= given.width ?? 4;
  return {
    model: text(v, 'model'), decoder: text(v, 'decoder'), files, bank: text(v, 'bank'), json: v.json === true, method, rerank,
    ...(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<Record<keyof typeof given, number>>),
  };
}

export const DECODER_COMMANDS: Readonly<Record<string, Command>> = {
  caption: {
    summary: 'says what is in pictures and films, by the decoder, with the nearest known text beside it',
    usage: 'FILE…',
    options: { model: MODEL, query: { type: 'string', value: 'TEXT', help: 'instruction, for a model that was trained with some; default: the model\'s own, or none' }, ...DECODE_OPTIONS },
    example: 'vl-jepa caption cat.png --method beam --n-best 3',
    run: async (v, files) => (await import('./caption.ts')).captionFiles({ ...decodeValues('caption', v, files), query: text(v, 'query') }),
  },
};

/** Options of other stages. */
const OTHERS = ['leave-out', 'text-lr', 'loss', 'micro-batch', 'freeze-text', 'shuffle-texts', 'teacher'] as const;

/** Options of `train` that only this stage has. */
export const TRAIN_DECODER_OPTIONS: Readonly<Record<string, Option>> = {
  noise: { type: 'string', value: 'X', help: 'stage decoder: longest noise added to a vector of length 1, instead of the recipe\'s' },
  'predicted-noise': { type: 'string', value: 'X', help: 'stage decoder: the same for predictions' },
  predicted: { type: 'string', value: 'N', help: 'stage decoder: batches of 96 pictures and 96 clips whose predictions are made before the first step' },
  begin: { type: 'string', value: 'DIR', help: 'stage decoder: folder whose decoder/ learns on, in place of an untrained one' },
  predictions: { type: 'string', value: 'P', help: 'stage decoder: share of samples that are predictions of pictures, 0 to 1' },
};

/** `vl-jepa train --stage decoder`. @param v options of `train` @returns figures @throws CliError for an option of another stage */
export async function trainDecoderCommand(v: Values): Promise<unknown> {
  const other = OTHERS.find(o => v[o] !== undefined && v[o] !== false);
  if (other) throw new CliError(`train: --${other} was given with --stage decoder, expected it with stage 1 or 2 (the decoder learns texts; the model stays as it is)`);
  const n = (name: string, options?: { whole?: boolean; least?: number }): number | undefined => number('train', v, name, options);
  const { trainDecoder } = await import('./train_decoder.ts');
  return trainDecoder({
    preset: text(v, 'preset')!, from: text(v, 'from'), begin: text(v, 'begin'), out: text(v, 'out')!, steps: n('steps', { least: 1 }), batch: n('batch', { least: 1 }), lr: n('lr', { whole: false }), seed: n('seed'),
    noise: n('noise', { whole: false }), predictedNoise: n('predicted-noise', { whole: false }), predictions: n('predictions', { whole: false }), predicted: n('predicted', { least: 1 }), saveEvery: n('save-every', { least: 1 })!, fresh: v.fresh === true,
  });
}
