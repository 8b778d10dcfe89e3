// `vl-jepa train --stage decoder`: the Y-Decoder of a trained model, on the texts of sets E4 and MS; resumable, with a log and figures.
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { loadE4 } from '../data/e4.ts';
import { openDevice } from '../engine/device.ts';
import type { Device } from '../engine/device.ts';
import { TextDecoder } from '../model/text_decoder.ts';
import { VLJEPA } from '../model/vl_jepa.ts';
import { DecoderTrainer } from '../train/decoder.ts';
import type { DecoderStep } from '../train/decoder.ts';
import type { DecoderLesson } from '../train/decoder_batches.ts';
import { DECODER_PRESETS, checkDecoderRecipe } from '../train/decoder_recipe.ts';
import type { DecoderRecipe } from '../train/decoder_recipe.ts';
import { clearStates } from '../train/state.ts';
import { writeFileAtomic } from '../weights/writer.ts';
import { checkpointFolder } from './checkpoint_path.ts';
import { exactMatch, spread } from './decoder_figures.ts';
import { lessonsOf } from './decoder_lessons.ts';
import { CliError } from './errors.ts';
import { openRunLog, readRunLog } from './run_log.ts';

export interface TrainDecoderOptions {
  preset: string;
  /** Folder of the trained model; the one that ships by default. */
  from?: string | undefined;
  /** Folder whose `decoder/` is learned on; an untrained one by default. */
  begin?: string | undefined;
  /** Folder of the run; the decoder goes to its `decoder/`. */
  out: string;
  steps?: number | undefined;
  batch?: number | undefined;
  lr?: number | undefined;
  seed?: number | undefined;
  noise?: number | undefined;
  predictedNoise?: number | undefined;
  /** Share of samples that are predictions of pictures and clips by the training artists instead of the recipe's; 0 leaves them out. */
  predictions?: number | undefined;
  /** Batches of predictions. */
  predicted?: number | undefined;
  saveEvery: number;
  fresh?: boolean;
  device?: Device;
  quiet?: boolean;
}

export interface TrainDecoderResult {
  out: string;
  adapter: string;
  parameters: number;
  steps: number;
  loss: number;
  seconds: number;
  /** Texts that come back word for word from their own vectors, percent. */
  names: number;
  captions: number;
}

const CHECKED_CAPTIONS = 500;

function recipeOf({ preset, steps, batch, lr, seed, noise, predictedNoise, predictions, predicted }: TrainDecoderOptions): DecoderRecipe {
  const known = Object.hasOwn(DECODER_PRESETS, preset) ? DECODER_PRESETS[preset]! : undefined;
  if (!known) throw new CliError(`train: --preset is ${preset}, expected one of ${Object.keys(DECODER_PRESETS).join(', ')}`);
  const changes = Object.fromEntries(Object.entries({ steps, batch, lr, seed, noise, predictedNoise, predictions, predicted }).filter(([, v]) => v !== undefined));
  const recipe = { ...known, ...changes };
  const fitted = { ...recipe, warmup: Math.min(recipe.warmup, Math.ceil(recipe.steps / 10)) };
  checkDecoderRecipe(fitted);
  return fitted;
}

/** The vector of a text, roughly: runs on other weights do not resume each other, and adapters round differently. */
const spaceOf = ({ vectors }: DecoderLesson): string => [...vectors.slice(0, 8)].map(v => v.toFixed(2)).join(' ');

/** Gives a decoder the weights of another one of the same sizes. */
async function copyWeights(to: TextDecoder, folder: string): Promise<void> {
  const from = await TextDecoder.fromPretrained(folder, { device: to.device });
  try {
    for (const [name, tensor] of to.parameters()) {
      const given = from.parameters().get(name);
      if (!given || given.shape.join() !== tensor.shape.join()) throw new CliError(`train: --begin ${folder} has ${name} [${given?.shape.join(', ') ?? 'missing'}], expected [${tensor.shape.join(', ')}] as the preset`);
      to.device.upload(tensor, await given.read());
    }
  } finally {
    from.dispose();
  }
}

/** Trains; returns when the last step is saved, or after an interrupt. @param options parsed command line @returns figures @throws CliError, RangeError for settings that do not fit, StateError for a run of another model */
export async function trainDecoder(options: TrainDecoderOptions): Promise<TrainDecoderResult> {
  const recipe = recipeOf(options);
  const { out } = options;
  const from = await checkpointFolder(options.from);
  if (resolve(from) === resolve(out)) throw new CliError(`train: --out is ${out}, expected another folder than that of the model (states of its own training may lie there)`);
  const say = (text: string): void => { if (!options.quiet) console.error(text); };
  const device = options.device ?? (await openDevice());
  say(`adapter: ${device.adapter.notice}`);
  const model = await VLJEPA.fromPretrained(from, { device });
  if (!model.tokenizer) throw new CliError(`train: ${from} has no tokenizer.json, expected one (the decoder writes its tokens)`);
  const decoder = await TextDecoder.create({ ...recipe.decoder, embedding_dim: model.config.embeddingDim }, { device, tokenizer: model.tokenizer, seed: recipe.seed, init: recipe.init as never });
  if (options.begin !== undefined) await copyWeights(decoder, options.begin);
  decoder.bind(model);
  const lessons = await lessonsOf(model, await loadE4(), recipe);
  say(`${lessons.reduce((n, l) => n + l.texts.length, 0)} vectors with their texts`);
  const trainer = new DecoderTrainer(decoder, recipe, lessons, `${spaceOf(lessons[0]!)}${options.begin === undefined ? '' : ` after ${options.begin}`}`);
  try {
    await mkdir(out, { recursive: true });
    if (options.fresh) await clearStates(out);
    if (await trainer.resume(out, text => say(`warning: ${text}`))) say(`resumed at step ${trainer.step} of ${recipe.steps}`);
    const began = performance.now();
    const last = await steps(trainer, options, say);
    const seconds = (performance.now() - began) / 1000;
    const captions = spread(lessons[2]!, CHECKED_CAPTIONS);
    const figures = await trainer.withAverage(async () => {
      await decoder.save(out, { dtype: 'F16' });
      return { names: await exactMatch(decoder, lessons[0]!.vectors, lessons[0]!.texts), captions: await exactMatch(decoder, captions.vectors, captions.texts) };
    });
    const parameters = [...decoder.parameters().values()].reduce((n, t) => n + t.size, 0);
    const card = { adapter: device.adapter.notice, parameters, steps: trainer.step, loss: last?.loss ?? (await readRunLog(out)).at(-1)?.loss ?? NaN, ...figures };
    const result = { out, seconds, ...card };
    await writeFileAtomic(join(out, 'decoder', 'metrics.json'), `${JSON.stringify({ ...card, recipe, ...(options.begin !== undefined && { begin: 'a trained decoder' }) }, null, 2)}\n`); // neither a path of this machine nor the time since the last resume
    say(`${result.steps} steps done; word for word from their own vectors: names ${figures.names.toFixed(1)} %, captions ${figures.captions.toFixed(1)} %; the decoder is in ${join(out, 'decoder')}: copy that folder into the model's`);
    return result;
  } finally {
    trainer.dispose();
    decoder.dispose();
    model.dispose();
  }
}

async function steps(trainer: DecoderTrainer, { out, saveEvery, quiet }: TrainDecoderOptions, say: (text: string) => void): Promise<DecoderStep | undefined> {
  const { recipe } = trainer;
  const log = await openRunLog(out, trainer.step);
  let last: DecoderStep | undefined;
  let stop = false;
  let said = performance.now();
  const interrupt = (): void => { stop = true; };
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  try {
    while (trainer.step < recipe.steps && !stop) {
      last = await trainer.advance();
      await log.write(last);
      if (!quiet && performance.now() - said > 10_000) {
        said = performance.now();
        say(`step ${trainer.step}/${recipe.steps}, loss ${last.loss.toFixed(3)} nats per token, ${last.timeMs.toFixed(0)} ms`);
      }
      if (trainer.step % saveEvery === 0 || trainer.step === recipe.steps || stop) await trainer.save(out);
    }
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
    await log.close();
  }
  if (stop && trainer.step < recipe.steps) throw new CliError(`train: interrupted at step ${trainer.step} of ${recipe.steps}; the state is saved in ${out}, the same command goes on from there`);
  return last;
}
