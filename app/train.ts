// `vl-jepa train --preset nano`: pretraining on set E4 (stage 1), or training with questions and clips on top of it (stage 2); resumable, with a log and a report.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { TRAIN_ARTISTS, loadE4 } from '../data/e4.ts';
import type { Artist } from '../data/e4.ts';
import { openDevice } from '../engine/device.ts';
import type { Device } from '../engine/device.ts';
import { scope } from '../engine/memory.ts';
import { loadTokenizerJson } from '../data/tokenizer.ts';
import { VLJEPA } from '../model/vl_jepa.ts';
import { evaluateRetrieval } from '../tasks/retrieve.ts';
import type { Recall } from '../tasks/metrics.ts';
import { Trainer } from '../train/loop.ts';
import type { StepReport } from '../train/loop.ts';
import { PictureBatches } from '../train/pictures.ts';
import { lossWarning } from '../train/losses.ts';
import type { LossName } from '../train/losses.ts';
import { ClipLesson } from '../train/clip_lesson.ts';
import { ClipBatches } from '../train/clips.ts';
import { CLIP_PRESETS, PRESETS, TAUGHT_PRESETS } from '../train/presets.ts';
import { startTemporal } from '../train/temporal_start.ts';
import { checkRecipe } from '../train/recipe.ts';
import type { Recipe } from '../train/recipe.ts';
import { clearStates } from '../train/state.ts';
import type { WriteOptions } from '../weights/writer.ts';
import { artistTable, decodedPictures, loadArtistSet } from './e4_set.ts';
import type { ArtistSet } from './e4_set.ts';
import { CliError } from './errors.ts';
import { progressBar } from './progress.ts';
import { openRunLog, readRunLog } from './run_log.ts';
import { writeTrainReport } from './train_report.ts';

export interface TrainOptions {
  preset: string;
  /** 1: pictures and names. 2: clips and questions too, from the weights in `from`. */
  stage?: number;
  /** Folder of the weights that stage 2 starts from. */
  from?: string;
  /** Folders of the teachers of stage 2, with commas between. */
  teacher?: string | undefined;
  out: string;
  /** Training artist that is left out and evaluated; undefined: train on all, evaluate nothing on the way. */
  leaveOut?: string;
  steps?: number;
  batch?: number;
  lr?: number;
  seed?: number;
  textLr?: number;
  shuffleTexts?: boolean;
  /** One of train/losses.ts. */
  loss?: string;
  /** Samples whose activations are held at once. */
  microBatch?: number;
  freezeText?: boolean;
  evalEvery: number;
  saveEvery: number;
  fresh?: boolean;
  device?: Device;
  quiet?: boolean;
  /** File system that states are written with. */
  files?: WriteOptions;
}

export interface TrainResult {
  out: string;
  adapter: string;
  steps: number;
  loss: number;
  seconds: number;
  leftOut?: { artist: string; pictureToText: Recall; textToPicture: Recall };
}

/** The preset with the command line's changes. @param options parsed command line @returns the recipe @throws CliError for an unknown preset or artist, RangeError for a broken recipe */
export function recipeOf(options: TrainOptions): Recipe {
  const { stage = 1 } = options;
  if (stage !== 1 && stage !== 2) throw new CliError(`train: --stage is ${stage}, expected 1 or 2`);
  if ((stage === 2) !== (options.from !== undefined)) throw new CliError(`train: --from is ${options.from ?? 'missing'}, expected ${stage === 2 ? 'the folder of the weights of stage 1' : 'none in stage 1 (it starts from nothing; or add --stage 2)'}`);
  if (stage !== 2 && options.teacher !== undefined) throw new CliError(`train: --teacher is ${options.teacher}, expected none in stage 1 (teachers name the objects of clips; add --stage 2)`);
  const presets = stage !== 2 ? PRESETS : options.teacher === undefined ? CLIP_PRESETS : TAUGHT_PRESETS;
  if (options.from !== undefined && resolve(options.from) === resolve(options.out)) throw new CliError(`train: --out is ${options.out}, expected another folder than --from (the run would write over the weights that it starts from)`);
  const preset = Object.hasOwn(presets, options.preset) ? presets[options.preset]! : undefined;
  if (!preset) throw new CliError(`train: --preset is ${options.preset}, expected one of ${Object.keys(presets).join(', ')}`);
  const { leaveOut } = options;
  if (leaveOut !== undefined && !(TRAIN_ARTISTS as readonly string[]).includes(leaveOut)) throw new CliError(`train: --leave-out is ${leaveOut}, expected one of ${TRAIN_ARTISTS.join(', ')}`);
  const { steps, batch, lr, seed, textLr, microBatch, freezeText } = options;
  const loss = options.loss as LossName | undefined; // checked with the rest
  const changes = Object.fromEntries(Object.entries({ steps, batch, lr, seed, textLr, loss, microBatch, freezeText: freezeText || undefined }).filter(([, v]) => v !== undefined));
  const recipe = { ...preset, ...changes, artists: preset.artists.filter(a => a !== leaveOut), shuffleTexts: options.shuffleTexts ?? false };
  const fitted = { ...recipe, warmup: Math.min(recipe.warmup, Math.ceil(recipe.steps / 10)) };
  checkRecipe(fitted);
  return fitted;
}

/** A new model for stage 1; for stage 2 the one to start from and the teachers, whose hashes go into the recipe so that a run is never resumed on other weights. */
async function startModel(recipe: Recipe, { from, teacher }: TrainOptions, device: Device): Promise<{ model: VLJEPA; recipe: Recipe; teachers: VLJEPA[] }> {
  if (from === undefined || !recipe.clips) {
    return { recipe, teachers: [], model: VLJEPA.fromConfig(recipe.model, { device, seed: recipe.seed, init: recipe.init as never, tokenizer: await loadTokenizerJson() }) };
  }
  const model = await VLJEPA.fromPretrained(from, { device, dtype: 'f32' });
  const patches = model.tensors().get('vision.encoder.embeddings.patch_embeddings.proj.weight')!;
  if (recipe.clips.temporal > 0) await startTemporal(patches, recipe.clips.temporal, recipe.seed);
  const hashOf = async (folder: string): Promise<string> => createHash('sha256').update(await readFile(join(folder, 'model.safetensors'))).digest('hex');
  const clips = { ...recipe.clips, start: await hashOf(from) };
  const teachers: VLJEPA[] = [];
  if (clips.teacher && teacher !== undefined) {
    const folders = teacher.split(',');
    for (const folder of folders) teachers.push(await loadTeacher(folder, model));
    clips.teacher = { ...clips.teacher, start: await Promise.all(folders.map(hashOf)) };
  }
  return { model, teachers, recipe: { ...recipe, model: model.config.json as Record<string, unknown>, clips } };
}

/** A frozen model that sees pictures as the student does and predicts into a space of the same size. */
async function loadTeacher(folder: string, { device, config }: VLJEPA): Promise<VLJEPA> {
  const teacher = await VLJEPA.fromPretrained(folder, { device, dtype: 'f32' });
  const [has, wanted] = [teacher.config, config].map(c => `pictures of ${c.vision.cropSize} pixels (resize ${c.resize}) and vectors of ${c.embeddingDim} values`) as [string, string];
  if (has !== wanted) throw new CliError(`train: the teacher ${folder} has ${has}, expected ${wanted} as the model that learns`);
  return teacher;
}

/** R@1 and friends of one artist's pictures against all names. */
export async function evaluateArtist(model: VLJEPA, set: ArtistSet, names: readonly string[]): Promise<{ pictureToText: Recall; textToPicture: Recall; ranks: Uint32Array; scores: Float32Array }> {
  const { predictions, texts } = scope(() => ({
    predictions: model.predict(decodedPictures(set), undefined, { batchSize: 256 }),
    texts: model.encodeText([...names], { batchSize: 256 }),
  }));
  const report = await evaluateRetrieval(model, predictions, texts, set.concepts);
  predictions.dispose();
  texts.dispose();
  return report;
}

/** Trains; returns when the last step is saved, or after an interrupt. */
export async function train(options: TrainOptions): Promise<TrainResult> {
  const wanted = recipeOf(options);
  const leaveOut = options.leaveOut as Artist | undefined;
  const say = (text: string): void => { if (!options.quiet) console.error(text); };
  const device = options.device ?? (await openDevice());
  say(`adapter: ${device.adapter.notice}`);
  const e4 = await loadE4();
  const names = e4.concepts.map(c => c.name);
  const { model, recipe, teachers } = await startModel(wanted, options, device);
  const crop = model.config.vision.cropSize;
  const table = await artistTable(model, e4, recipe.artists);
  say(`${names.length} concepts, ${table.byConcept.flat().length} pictures by ${recipe.artists.length} artists${leaveOut ? `, ${leaveOut} left out` : ''}`);
  const doubt = lossWarning(recipe.loss ?? 'info-nce', recipe.freezeText ?? false);
  if (doubt) say(`warning: ${doubt}`);
  const concepts = { keys: e4.concepts.map(c => c.key), unseen: e4.concepts.map(c => c.unseen) };
  const trainer = new Trainer(model, recipe, recipe.clips ? new ClipLesson(model, new ClipBatches(table, concepts, recipe, crop), teachers) : new PictureBatches(table, recipe, crop));
  if (options.fresh) await clearStates(options.out);
  const resumed = !options.fresh && (await trainer.resume(options.out, text => say(`warning: ${text}`)));
  if (resumed) say(`resumed at step ${trainer.step} of ${recipe.steps}`);
  const held = leaveOut ? await loadArtistSet(e4, leaveOut) : undefined;
  const result = await run(trainer, options, held, names);
  await trainer.withAverage(() => model.save(options.out));
  const report = await writeTrainReport(options.out, recipe, device.adapter.notice);
  say(`${result.steps} steps done, loss ${result.loss.toFixed(3)}; checkpoint in ${options.out}, curves in ${report}`);
  trainer.dispose();
  for (const teacher of teachers) teacher.dispose();
  const { leftOut: recalls, ...rest } = result;
  return { out: options.out, adapter: device.adapter.notice, ...rest, ...(held && recalls ? { leftOut: { artist: held.artist, ...recalls } } : {}) };
}

interface RunResult {
  steps: number;
  loss: number;
  seconds: number;
  leftOut?: { pictureToText: Recall; textToPicture: Recall };
}

async function run(trainer: Trainer, options: TrainOptions, held: ArtistSet | undefined, names: readonly string[]): Promise<RunResult> {
  const { recipe } = trainer;
  const log = await openRunLog(options.out, trainer.step);
  const bar = progressBar(recipe.steps, trainer.step, options.quiet);
  const began = performance.now();
  let last: StepReport | undefined;
  let leftOut: RunResult['leftOut'];
  let stop = false;
  const interrupt = (): void => { stop = true; };
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  try {
    while (trainer.step < recipe.steps && !stop) {
      last = await trainer.advance();
      for (const { message } of last.warnings ?? []) console.error(`warning: ${message}`);
      const done = trainer.step === recipe.steps;
      if (held && (trainer.step % options.evalEvery === 0 || done)) {
        const { pictureToText, textToPicture } = await trainer.withAverage(() => evaluateArtist(trainer.model, held, names));
        leftOut = { pictureToText, textToPicture };
      }
      await log.write({ ...last, samplesPerSecond: recipe.batch / (last.timeMs / 1000), ...(leftOut ? { r1: leftOut.pictureToText.r1, r5: leftOut.pictureToText.r5, r10: leftOut.pictureToText.r10 } : {}) });
      bar.update(trainer.step, last, recipe.batch, leftOut?.pictureToText.r1);
      if (stop) break;
      if (trainer.step % options.saveEvery === 0 || done) await saveOrSay(trainer, options);
    }
    if (stop) {
      await trainer.save(options.out, options.files);
      await trainer.withAverage(() => trainer.model.save(options.out)); // a run that was long enough is a model, too
    }
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
    bar.stop();
    await log.close();
  }
  if (stop && trainer.step < recipe.steps) throw new CliError(`train: interrupted at step ${trainer.step} of ${recipe.steps}; the state is saved in ${options.out} with the averaged weights of now, the same command goes on from there`);
  const loss = last?.loss ?? (await readRunLog(options.out)).at(-1)?.loss ?? NaN; // the log knows it when nothing was left to do
  return { steps: trainer.step, loss, seconds: (performance.now() - began) / 1000, ...(leftOut ? { leftOut } : {}) };
}

/** A full disk must not end a run: the older state is whole, training goes on, the next save is tried again. The last save must succeed. */
async function saveOrSay(trainer: Trainer, { out, files }: TrainOptions): Promise<void> {
  try {
    await trainer.save(out, files);
  } catch (error) {
    if (trainer.step >= trainer.recipe.steps) throw error;
    console.error(`warning: step ${trainer.step} was not saved: ${(error as Error).message}; the state before it is unharmed, training goes on`);
  }
}
