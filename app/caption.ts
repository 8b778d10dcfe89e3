// `vl-jepa caption`, and `vl-jepa ask` without candidates: what the Y-Decoder says of the user's files, with the nearest text of a bank beside it.
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { loadE4 } from '../data/e4.ts';
import { movingCaptions } from '../data/questions.ts';
import { openDevice } from '../engine/device.ts';
import { TextDecoder } from '../model/text_decoder.ts';
import type { DecodeOptions } from '../model/text_decoder.ts';
import { VLJEPA } from '../model/vl_jepa.ts';
import { askOpen, caption } from '../tasks/caption.ts';
import type { Caption } from '../tasks/caption.ts';
import { labelBank } from '../tasks/classify.ts';
import { checkpointFolder } from './checkpoint_path.ts';
import { isClip, loadVisuals, visualInput } from './clips.ts';
import { CliError } from './errors.ts';
import { keptBank } from './text_bank.ts';

export interface CaptionFilesOptions extends DecodeOptions {
  model?: string | undefined;
  /** Folder whose `decoder/` is used in place of the model's. */
  decoder?: string | undefined;
  files: readonly string[];
  query?: string | undefined;
  /** Frames of a clip. */
  frames?: number | undefined;
  /** Text file with one text per line that is read out of beside the decoder; set E4's names, for clips their captions too, by default. */
  bank?: string | undefined;
  /** The texts asked for in the order of what the text encoder makes of them. */
  rerank?: boolean;
  json: boolean;
}

/** What is printed of one file. */
export interface CaptionedFile {
  file: string;
  text: string;
  logProbability: number;
  /** All texts asked for, best first. */
  texts: { text: string; logProbability: number; ended: boolean }[];
  nearest: { text: string; score: number };
}

async function bankTexts(path: string | undefined, clips: boolean): Promise<string[]> {
  if (path === undefined) {
    const names = (await loadE4()).concepts.map(c => c.name);
    return clips ? [...names, ...movingCaptions(names)] : names;
  }
  const text = await readFile(path, 'utf8').catch((error: Error) => { throw new CliError(`caption: --bank ${path} cannot be read, expected a text file with one text per line (${error.message})`); });
  const texts = text.split(/\r?\n/).map(l => l.trim()).filter(Boolean);
  if (texts.length === 0) throw new CliError(`caption: --bank ${path} holds no text, expected one per line`);
  return texts;
}

type Bank = ReturnType<typeof labelBank>;

/** Asks file by file: an answer stands as soon as its file has been seen. */
async function withFiles(command: string, options: CaptionFilesOptions, work: (model: VLJEPA, decoder: TextDecoder, pictures: Parameters<typeof caption>[2], more: DecodeOptions & { bank: Bank; rerank?: boolean }) => Promise<Caption[]>): Promise<CaptionedFile[]> {
  const { files, model: folder, decoder: own, query: _, frames, bank: bankPath, json, ...decode } = options;
  if (files.length === 0) throw new CliError(`${command}: there is no file, expected at least one picture or film`);
  const path = await checkpointFolder(folder, 'nano2');
  const model = await VLJEPA.fromPretrained(path, { device: await openDevice() });
  const decoder = await TextDecoder.fromPretrained(own ?? path, { model });
  const banks = new Map<boolean, Bank>(); // of pictures and of clips, the user's own one for both
  const bankFor = async (clip: boolean): Promise<Bank> => {
    const kind = bankPath === undefined && clip;
    const known = banks.get(kind) ?? await (bankPath === undefined ? keptBank : labelBank)(model, await bankTexts(bankPath, kind)); // texts of the user are kept nowhere
    banks.set(kind, known);
    return known;
  };
  const result: CaptionedFile[] = [];
  if (bankPath !== undefined) await bankFor(false); // a bank that cannot be read is told before the first answer
  for await (const visual of loadVisuals(files, frames === undefined ? {} : { frames })) {
    const [said] = await work(model, decoder, [visualInput(visual)], { ...decode, bank: await bankFor(isClip(visual)) });
    result.push(lineOf(files[result.length]!, said!));
    if (!json) print(result.at(-1)!);
  }
  for (const { vectors } of banks.values()) vectors.dispose();
  decoder.dispose();
  model.dispose();
  return result;
}

const lineOf = (file: string, { text, texts, nearest }: Caption): CaptionedFile => ({
  file, text, logProbability: texts[0]!.logProbability, texts: texts.map(({ text: t, logProbability, ended }) => ({ text: t, logProbability, ended })), nearest: { text: nearest[0]!.label, score: nearest[0]!.score },
});

function print({ file, text, texts, nearest }: CaptionedFile): void {
  console.log(`${basename(file)}: ${text}${texts[0]!.ended ? '' : ' …'} (log p ${texts[0]!.logProbability.toFixed(2)}; nearest text: ${nearest.text}, ${nearest.score.toFixed(3)})`);
  for (const other of texts.slice(1)) console.log(`  ${other.text}${other.ended ? '' : ' …'} (${other.logProbability.toFixed(2)})`);
}

/** `vl-jepa caption`. @param options files, query, decoding @returns per file what is said @throws CliError, WeightError without a decoder, ConfigError for that of another model */
export const captionFiles = (options: CaptionFilesOptions): Promise<CaptionedFile[]> =>
  withFiles('caption', options, (model, decoder, pictures, more) => caption(model, decoder, pictures, { ...more, ...(options.query !== undefined && { query: options.query }) }));

/** `vl-jepa ask` without candidates. @param options files, question as `query`, decoding @returns per file the answer @throws as `captionFiles`, and CliError without a question */
export function askFiles(options: CaptionFilesOptions): Promise<CaptionedFile[]> {
  const { query } = options;
  if (!query) throw new CliError('ask: --question is missing, expected a text');
  return withFiles('ask', options, (model, decoder, pictures, more) => askOpen(model, decoder, pictures, query, more));
}
