// `vl-jepa eval --preset nano`: one report of everything the small model does, every figure beside its baselines and controls (Node only: drawings come from npm packages).
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GALLERY_ARTISTS, TEST_ARTIST } from '../data/e4.ts';
import { clipCaptions, movingCaptions, QUESTIONS } from '../data/questions.ts';
import { MOTIONS } from '../data/sprites.ts';
import { openDevice } from '../engine/device.ts';
import type { Device } from '../engine/device.ts';
import { scope } from '../engine/memory.ts';
import type { Tensor } from '../engine/tensor.ts';
import { TextDecoder } from '../model/text_decoder.ts';
import { VLJEPA } from '../model/vl_jepa.ts';
import { bootstrap } from '../tasks/metrics.ts';
import { evaluateRetrieval } from '../tasks/retrieve.ts';
import { writeFileAtomic } from '../weights/writer.ts';
import { PACKAGE_ROOT, checkpointFolder, shortPath } from './checkpoint_path.ts';
import type { ObjectiveRuns } from './comparison.ts';
import { galleryItems, predictItems } from './clip_sets.ts';
import type { ClipItem } from './clip_sets.ts';
import { decodedPictures, loadArtistSet } from './e4_set.ts';
import { CliError } from './errors.ts';
import { bankFigure, decodedFigures, retrievedFigures } from './evaluate_captions.ts';
import type { CaptionFigure } from './evaluate_captions.ts';
import { UNSEEN, clipFigures, clipStage, releasePredictions } from './evaluate_clips.ts';
import type { BoundedRecall, ClipFigures, ClipStage } from './evaluate_clips.ts';
import { bankText, joinedFigures } from './evaluate_joined.ts';
import type { JoinedFigures, JoinedOptions } from './evaluate_joined.ts';
import { evaluationLines, evaluationPage } from './evaluation_report.ts';
import { nameFigures, nearestTexts, shareOf } from './figures.ts';
import type { NameFigures, Share } from './figures.ts';
import { neighbourFigures } from './neighbours.ts';
import type { NeighbourFigures } from './neighbours.ts';
import { weightsDigest } from './weights_digest.ts';

/** Folders of presets, under checkpoints/: the model that does all tasks. */
const PRESETS: Readonly<Record<string, string>> = { nano: 'nano2' };

/** What metrics.json of a checkpoint may hold of its training. */
export interface TrainingMetrics {
  /** Recall of pictures by things that are no model, and of controls. */
  baselines?: Record<string, { r1: number; r5: number; r10: number }>;
  /** Short runs with right texts and with every text on another picture, and chance. */
  trainingControls?: Record<string, unknown>;
  /** Figures of other seeds. */
  seeds?: unknown;
  /** Embeddings against tokens against shuffled texts, of `vl-jepa compare`. */
  objectives?: ObjectiveRuns & { note?: string };
}

export interface Evaluation {
  preset: string;
  checkpoint: string;
  /** SHA-256 of the weights and the decoder's: figures of other weights are not shown for these. */
  weights: string;
  measured: { date: string; adapter: string; seconds: number; command: string };
  artist: string;
  pictures: { n: number; pictureToText: BoundedRecall; textToPicture: BoundedRecall; classification: NameFigures };
  clips: Pick<ClipFigures, 'splits' | 'controls' | 'wordings' | 'chance'> & { classification: NameFigures };
  /** Questions about clips of the unseen artist, the nearest of so many candidates. */
  questions: Record<'object' | 'motion' | 'caption', Share & { question: string; candidates: number }>;
  neighbours: Record<string, NeighbourFigures>;
  /** By split and way; without a decoder only what needs none. */
  captions: Record<string, Record<string, CaptionFigure>>;
  /** Some clips with what was decoded, for people. */
  examples: { truth: string; decoded: string }[];
  joined: JoinedFigures;
  training: TrainingMetrics;
}

export interface PresetOptions {
  preset: string;
  model?: string | undefined;
  artist?: string;
  /** Folder for evaluation.json and evaluation.html. */
  out: string;
  json: boolean;
  /** Clips of a split, at most: a look instead of a measurement. */
  most?: number | undefined;
  joined?: JoinedOptions;
  device?: Device;
}

/** Joined streams of a look. */
const LOOK: JoinedOptions = { seeds: [1, 2], streams: 2 };

/** The folder of a preset's checkpoint. @param preset name @returns folder @throws CliError for an unknown one */
export function presetFolder(preset: string): string {
  const folder = Object.hasOwn(PRESETS, preset) ? PRESETS[preset]! : undefined;
  if (!folder) throw new CliError(`eval: --preset is ${preset}, expected one of ${Object.keys(PRESETS).join(', ')}`);
  return join(PACKAGE_ROOT, 'checkpoints', folder);
}

/** JSON of a file. @param path of it @returns undefined where there is none @throws SyntaxError for another text */
export async function readJson<T>(path: string): Promise<T | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as T);
}

/** Names of one artist's pictures. */
async function pictureFigures({ model, e4, artist }: ClipStage): Promise<Evaluation['pictures']> {
  const set = await loadArtistSet(e4, artist);
  const { predictions, texts } = scope(() => ({ predictions: model.predict(decodedPictures(set), undefined, { batchSize: 256 }), texts: model.encodeText(e4.concepts.map(c => c.name), { batchSize: 256 }) }));
  try {
    const { pictureToText, textToPicture, ranks, textRanks } = await evaluateRetrieval(model, predictions, texts, set.concepts);
    const first = (rank: Uint32Array): [number, number] => bootstrap(Array.from(rank, r => (r === 1 ? 100 : 0)));
    return { n: pictureToText.n, pictureToText: { ...pictureToText, interval: first(ranks) }, textToPicture: { ...textToPicture, interval: first(textRanks) }, classification: await nameFigures(model, predictions, set.concepts, e4) };
  } finally {
    predictions.dispose();
    texts.dispose();
  }
}

/** Every caption of the set. */
interface Bank { texts: readonly string[]; vectors: Tensor }

interface ClipPart { clips: Evaluation['clips']; captions: Evaluation['captions']; object: Evaluation['questions']['object']; motion: Evaluation['questions']['motion'] }

/** Set MS with its controls; the decoder on the clips of trained artists. */
async function clipPart(stage: ClipStage, names: readonly string[], decoder: TextDecoder | undefined): Promise<ClipPart> {
  const { model, e4, items } = stage;
  const { predictions, ...figures } = await clipFigures(stage);
  try {
    const captions: Evaluation['captions'] = {};
    for (const [split, of] of Object.entries(predictions)) if (decoder && split !== UNSEEN) captions[split] = (await decodedFigures(model, decoder, of, names, false)).ways;
    const { object, motion } = figures.splits[UNSEEN]!;
    return {
      clips: { ...figures, classification: await nameFigures(model, predictions[UNSEEN]!.object, items.map(i => i.concept), e4) }, captions,
      object: { question: QUESTIONS.object[0]!, candidates: names.length, percent: object.r1, interval: object.interval, n: object.n }, motion: { question: QUESTIONS.motion[0]!, candidates: MOTIONS.length, ...motion },
    };
  } finally {
    releasePredictions(predictions);
  }
}

interface CaptionPart { ways: Record<string, CaptionFigure>; examples: Evaluation['examples']; question: Evaluation['questions']['caption'] }

/** "Describe the video." on the unseen artist: the decoder, the text bank, and every caption of the set as candidates. */
async function captionPart({ model, items }: ClipStage, names: readonly string[], bank: Bank, decoder: TextDecoder | undefined): Promise<CaptionPart> {
  const [caption] = predictItems(model, items, [QUESTIONS.caption[0]!]) as [Tensor];
  try {
    const found = await nearestTexts(caption, bank.vectors);
    const decoded = decoder && (await decodedFigures(model, decoder, { items, caption }, names, true));
    return {
      ways: { ...decoded?.ways, ...(await bankFigure({ items, caption }, names, bank)) },
      examples: decoded ? items.flatMap((item, i) => (i % Math.ceil(items.length / 16) === 0 ? [{ truth: clipCaptions(names[item.concept]!, item.motion)[0]!, decoded: decoded.captions[i]! }] : [])) : [],
      question: { question: QUESTIONS.caption[0]!, candidates: bank.texts.length, ...shareOf(items.map((item, i) => found[i] === item.concept * MOTIONS.length + item.motion)) },
    };
  } finally {
    caption.dispose();
  }
}

/** Captions of the nearest clip of training artists, by the model and by colours and edges, and one caption for all. */
async function retrievedPart({ model, items }: ClipStage, names: readonly string[], gallery: readonly ClipItem[], alike: readonly number[]): Promise<Record<string, CaptionFigure>> {
  const [caption] = predictItems(model, items, [QUESTIONS.caption[0]!]) as [Tensor];
  const [shown] = predictItems(model, gallery, [QUESTIONS.caption[0]!]) as [Tensor];
  try {
    return await retrievedFigures({ items, caption }, names, { items: gallery, caption: shown }, alike);
  } finally {
    caption.dispose();
    shown.dispose();
  }
}

/** Decoder of a checkpoint, or none where it ships without. */
async function decoderOf(folder: string, model: VLJEPA): Promise<TextDecoder | undefined> {
  const there = await readJson<object>(join(folder, 'decoder', 'config.json'));
  return there && TextDecoder.fromPretrained(folder, { model });
}

async function measure(model: VLJEPA, folder: string, { artist = TEST_ARTIST, most, joined }: PresetOptions, part: Part): Promise<Omit<Evaluation, 'preset' | 'checkpoint' | 'measured' | 'weights'>> {
  const stage = await clipStage(model, artist, most);
  const { e4, items } = stage;
  const names = e4.concepts.map(c => c.name);
  const decoder = await decoderOf(folder, model);
  const texts = movingCaptions(names);
  const bank = { texts, vectors: model.encodeText(texts, { batchSize: 256 }) };
  const artists = GALLERY_ARTISTS.filter(a => a !== stage.artist); // else the nearest drawing is the one that is asked about
  const gallery = (): Promise<ClipItem[][]> => galleryItems(model, e4, artists); // drawings are kept, and not loaded where both parts were measured before
  try {
    const pictures = await part('pictures', () => pictureFigures(stage));
    const { ways, examples, question } = await part('captions', () => captionPart(stage, names, bank, decoder));
    const { figures: neighbours, nearest } = await part('nearest clips by pixels, colours and edges', async () => neighbourFigures(model.device, items, await gallery(), model.config.vision.cropSize));
    const retrieved = await part('captions of the nearest clips', async () => retrievedPart(stage, names, (await gallery()).flat(), nearest));
    const figures = await part('joined clips', () => joinedFigures(model, items, names, bankText(model, bank.texts, bank.vectors), 'the nearest of all captions', joined ?? (most === undefined ? {} : LOOK)));
    const { clips, captions, object, motion } = await part('clips, every split and control', () => clipPart(stage, names, decoder));
    return { artist: stage.artist, pictures, clips, questions: { object, motion, caption: question }, neighbours, captions: { ...captions, [UNSEEN]: { ...ways, ...retrieved } }, examples, joined: figures, training: await trainingOf(folder, stage.artist) };
  } finally {
    bank.vectors.dispose();
    decoder?.dispose();
  }
}

/** Measures a part, or takes it from a run that was stopped. */
type Part = <T>(name: string, make: () => Promise<T>) => Promise<T>;

/** What was measured of given weights, part by part: on a slow machine a run may be stopped and goes on. */
interface Kept { key: string; parts: Record<string, { seconds: number; value: unknown }> }

async function keptParts(path: string, key: string): Promise<Kept> {
  const known = await readJson<Kept>(path);
  return known?.key === key ? known : { key, parts: {} };
}

/** What metrics.json says of training. @param folder of a checkpoint @param artist that is measured: the baselines there are those of the test artist @returns nothing that was not run */
export async function trainingOf(folder: string, artist: string = TEST_ARTIST): Promise<TrainingMetrics> {
  const { baselines, trainingControls, seeds, objectives } = (await readJson<TrainingMetrics>(join(folder, 'metrics.json'))) ?? {};
  return { ...(baselines && artist === TEST_ARTIST && { baselines }), ...(trainingControls && { trainingControls }), ...(seeds !== undefined && { seeds }), ...(objectives && { objectives }) };
}

/**
 * Measures everything and writes evaluation.json and evaluation.html.
 * @param options preset or checkpoint, folder for the report @returns all figures @throws CliError for an unknown preset or artist
 */
export async function evaluatePreset(options: PresetOptions): Promise<Evaluation> {
  const { preset, out, json } = options;
  const folder = await checkpointFolder(options.model ?? presetFolder(preset));
  const device = options.device ?? (await openDevice());
  const model = await VLJEPA.fromPretrained(folder, { device });
  try {
    await mkdir(out, { recursive: true });
    const [path, weights] = [join(out, 'evaluation.parts.json'), await weightsDigest(folder)];
    const kept = await keptParts(path, [weights, options.artist ?? TEST_ARTIST, options.most ?? 'all', JSON.stringify(options.joined ?? {}), device.adapter.notice].join(' '));
    const part: Part = async <T>(name: string, make: () => Promise<T>): Promise<T> => {
      const found = kept.parts[name];
      if (!json) console.error(`${name}${found ? `: measured before, in ${found.seconds.toFixed(0)} s` : ''}`);
      if (found) return found.value as T;
      const began = performance.now();
      const value = await make();
      kept.parts[name] = { seconds: (performance.now() - began) / 1000, value };
      await writeFileAtomic(path, JSON.stringify(kept));
      return value;
    };
    const figures = await measure(model, folder, options, part);
    const seconds = Object.values(kept.parts).reduce((t, p) => t + p.seconds, 0);
    const command = commandOf(options, folder);
    const result: Evaluation = { preset, checkpoint: shortPath(folder), weights, measured: { date: new Date().toISOString().slice(0, 10), adapter: device.adapter.notice, seconds, command }, ...figures };
    await writeFileAtomic(join(out, 'evaluation.json'), `${JSON.stringify(result, null, 1)}\n`);
    await writeFileAtomic(join(out, 'evaluation.html'), evaluationPage(result));
    await rm(path, { force: true }); // what was asked for is there: the next run measures anew
    if (!json) for (const line of [...evaluationLines(result), '', `report      ${join(out, 'evaluation.html')}`]) console.log(line);
    return result;
  } finally {
    model.dispose();
  }
}

/** What makes the same figures again. @param options of the run @param folder of the checkpoint @returns command line */
export const commandOf = ({ preset, model, artist, most }: Pick<PresetOptions, 'preset' | 'model' | 'artist' | 'most'>, folder: string): string =>
  `vl-jepa eval --preset ${preset}${model ? ` --model ${shortPath(folder)}` : ''}${artist !== undefined && artist !== TEST_ARTIST ? ` --artist ${artist}` : ''}${most ? ` --most ${most}` : ''}`;

/**
 * The newest figures of a preset: those just measured into a folder, else those that ship with the checkpoint; of the weights that lie there alone, and of every clip of the test artist.
 * @param preset name @param out folder of reports @returns undefined where these weights were not measured
 */
export async function knownEvaluation(preset: string, out: string): Promise<Evaluation | undefined> {
  const folder = presetFolder(preset);
  const weights = await weightsDigest(folder).catch(() => undefined);
  for (const path of [join(out, 'evaluation.json'), join(folder, 'evaluation.json')]) {
    const known = await readJson<Evaluation>(path);
    if (known?.weights === weights && weights !== undefined && !/ --(most|artist) /.test(known!.measured.command)) return { ...known!, training: await trainingOf(folder) };
  }
  return undefined;
}
