// `vl-jepa compare`: predicting the answer's embedding against generating its tokens, and against shuffled texts: same encoder, data, batch and steps, several seeds (the paper's controlled
// comparison, spec 1.11, on the small sets; Node only: drawings come from npm packages).
import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TEST_ARTIST, loadE4 } from '../data/e4.ts';
import type { E4 } from '../data/e4.ts';
import { loadTokenizerJson, Tokenizer } from '../data/tokenizer.ts';
import { openDevice } from '../engine/device.ts';
import type { Device } from '../engine/device.ts';
import type { Tensor } from '../engine/tensor.ts';
import { TokenGenerator } from '../model/token_generator.ts';
import { VLJEPA } from '../model/vl_jepa.ts';
import { ClipLesson } from '../train/clip_lesson.ts';
import { ClipBatches } from '../train/clips.ts';
import type { ClipConcepts, ClipRecipe } from '../train/clips.ts';
import { Trainer } from '../train/loop.ts';
import type { PictureTable } from '../train/pictures.ts';
import { NANO_CLIPS, TINY_CLIPS } from '../train/presets.ts';
import type { Recipe } from '../train/recipe.ts';
import { checkRecipe } from '../train/recipe.ts';
import { startTemporal } from '../train/temporal_start.ts';
import { TokenTrainer } from '../train/token_trainer.ts';
import { writeFileAtomic } from '../weights/writer.ts';
import { OBJECTIVES, comparisonLines } from './comparison.ts';
import type { Comparison, Objective, ObjectiveRun } from './comparison.ts';
import { checkpointFolder, shortPath } from './checkpoint_path.ts';
import { embeddingFigures, generatorFigures, objectiveItems } from './compare_figures.ts';
import type { ObjectiveFigures, ObjectiveItems } from './compare_figures.ts';
import { artistTable } from './e4_set.ts';
import { CliError } from './errors.ts';

export interface CompareOptions {
  preset: string;
  /** Checkpoint whose vision encoder every run starts from. */
  from?: string | undefined;
  steps: number;
  seeds: readonly number[];
  /** Figures are also taken at so many steps before the end, evenly spread. */
  marks: number;
  objectives: readonly string[];
  /** Clips to measure with. */
  clips: number;
  lr?: number | undefined;
  out: string;
  json: boolean;
  device?: Device;
}

/** The same for every objective: half the batch of stage 2, fresh heads, so the rate of stage 1. */
function recipeOf({ preset, steps, lr }: CompareOptions): Recipe & { clips: ClipRecipe } {
  const known: Readonly<Record<string, Recipe>> = { nano: NANO_CLIPS, tiny: TINY_CLIPS };
  const base = Object.hasOwn(known, preset) ? known[preset]! : undefined;
  if (!base) throw new CliError(`compare: --preset is ${preset}, expected one of ${Object.keys(known).join(', ')}`);
  const half = preset === 'nano' ? { batch: 96, clips: { ...base.clips!, clips: 32, asked: 16 } } : { clips: base.clips! };
  const recipe = { ...base, ...half, name: `${preset}, objectives`, steps, lr: lr ?? 1.5e-3, textLr: 1, average: 0.98, warmup: Math.min(30, Math.ceil(steps / 10)) };
  checkRecipe(recipe);
  return recipe;
}

/** What all runs share. */
interface Stage {
  device: Device;
  e4: E4;
  recipe: Recipe & { clips: ClipRecipe };
  table: PictureTable;
  concepts: ClipConcepts;
  /** The trained vision encoder's tensors by their names in a joint checkpoint. */
  vision: ReadonlyMap<string, Float32Array>;
  tokenizer: object;
  items: ObjectiveItems;
  marks: readonly number[];
}

/** Both kinds of model begin with the trained encoder, its two frames moved apart, and with new weights in everything else. */
async function beginWith(parameters: ReadonlyMap<string, Tensor>, { vision, recipe, device }: Stage, seed: number): Promise<void> {
  for (const [name, values] of vision) device.upload(parameters.get(name)!, values);
  const { temporal } = recipe.clips;
  if (temporal > 0) await startTemporal(parameters.get('vision.encoder.embeddings.patch_embeddings.proj.weight')!, temporal, seed);
}

/** What trains and is measured, whatever it learns. */
interface Learner {
  readonly parameters: number;
  advance(): Promise<{ loss: number }>;
  figures(full: boolean): Promise<ObjectiveFigures>;
  dispose(): void;
}

const sizeOf = (tensors: ReadonlyMap<string, Tensor>): number => [...tensors.values()].reduce((n, t) => n + t.size, 0);

async function embeddingLearner(stage: Stage, seed: number, shuffleTexts: boolean): Promise<Learner> {
  const { device, e4, table, concepts, items, tokenizer } = stage;
  const recipe = { ...stage.recipe, seed, shuffleTexts };
  const model = VLJEPA.fromConfig(recipe.model, { device, seed, init: recipe.init as never, tokenizer });
  await beginWith(model.tensors(), stage, seed);
  const trainer = new Trainer(model, recipe, new ClipLesson(model, new ClipBatches(table, concepts, recipe, model.config.vision.cropSize)));
  return {
    parameters: sizeOf(model.parameters()),
    advance: () => trainer.advance(),
    figures: full => trainer.withAverage(() => embeddingFigures(model, e4, items, full)),
    dispose: () => { trainer.dispose(); model.dispose(); },
  };
}

async function tokenLearner(stage: Stage, seed: number): Promise<Learner> {
  const { device, e4, table, concepts, items, tokenizer } = stage;
  const recipe = { ...stage.recipe, seed };
  const { vision_config: vision, predictor_config: llama } = recipe.model as { vision_config: object; predictor_config: { num_hidden_layers: number } };
  const generator = TokenGenerator.create({ vision, llama: { ...llama, num_hidden_layers: 2 * llama.num_hidden_layers }, maxTokens: 32 }, { device, tokenizer: Tokenizer.fromJSON(tokenizer), seed, init: recipe.init as never });
  await beginWith(generator.parameters(), stage, seed);
  const trainer = new TokenTrainer(generator, new ClipBatches(table, concepts, recipe, generator.vision.config.cropSize));
  return {
    parameters: sizeOf(generator.parameters()),
    advance: () => trainer.advance(),
    figures: full => trainer.withAverage(() => generatorFigures(generator, e4, items, full)),
    dispose: () => { trainer.dispose(); generator.dispose(); },
  };
}

async function runOne(stage: Stage, objective: Objective, seed: number, say: (text: string) => void): Promise<ObjectiveRun> {
  const learner = await (objective === 'tokens' ? tokenLearner(stage, seed) : embeddingLearner(stage, seed, objective === 'shuffled'));
  const { recipe: { steps }, marks } = stage;
  const curve: ObjectiveRun['curve'] = [];
  let [seconds, lastLoss, said] = [0, NaN, performance.now()];
  try {
    for (let step = 1; step <= steps; step++) {
      const began = performance.now();
      lastLoss = (await learner.advance()).loss;
      seconds += (performance.now() - began) / 1000;
      if (performance.now() - said > 10_000) {
        said = performance.now();
        say(`${objective}, seed ${seed}: step ${step}/${steps}, loss ${lastLoss.toFixed(3)}, ${(seconds / step).toFixed(2)} s per step`);
      }
      if (marks.includes(step)) curve.push({ step, ...(await learner.figures(step === steps)) });
    }
    return { objective, seed, steps, parameters: learner.parameters, lastLoss, seconds, curve };
  } finally {
    learner.dispose();
  }
}

/** The vision encoder and the small drawings, taken from a trained model of the same sizes. */
async function openStage(options: CompareOptions, recipe: Stage['recipe'], device: Device): Promise<Stage> {
  const e4 = await loadE4();
  const from = await checkpointFolder(options.from, options.preset === 'nano' ? 'nano' : undefined);
  const model = await VLJEPA.fromPretrained(from, { device, dtype: 'f32' });
  try {
    const { cropSize } = model.config.vision;
    const wanted = (recipe.model as { vision_config: { crop_size: number; hidden_size: number } }).vision_config;
    if (cropSize !== wanted.crop_size || model.config.vision.hiddenSize !== wanted.hidden_size) throw new CliError(`compare: the vision encoder of ${shortPath(from)} takes ${cropSize} pixels and is ${model.config.vision.hiddenSize} wide, expected ${wanted.crop_size} and ${wanted.hidden_size} as the preset ${options.preset}`);
    const vision = new Map<string, Float32Array>();
    for (const [name, tensor] of model.tensors()) if (name.startsWith('vision.')) vision.set(name, await tensor.read());
    const concepts = { keys: e4.concepts.map(c => c.key), unseen: e4.concepts.map(c => c.unseen) };
    const marks = Array.from({ length: options.marks + 1 }, (_, i) => Math.round((recipe.steps * (i + 1)) / (options.marks + 1)));
    return { device, e4, recipe, vision, concepts, marks, table: await artistTable(model, e4, recipe.artists), tokenizer: await loadTokenizerJson(), items: await objectiveItems(model, e4, options.clips) };
  } finally {
    model.dispose();
  }
}

/** Runs of an earlier call. @throws CliError for a file that cannot be read or whose runs do not go with these: they would be lost */
function runsOf(text: string, path: string, goesOn: (before: Comparison) => boolean): ObjectiveRun[] {
  let before: Comparison | undefined;
  try {
    before = JSON.parse(text) as Comparison;
  } catch { /* said below */ }
  if (before && goesOn(before)) return before.runs;
  throw new CliError(`compare: ${path} ${before ? 'holds runs of other settings, another start or another adapter' : 'is damaged'}, expected another --out, so that nothing is lost`);
}

/**
 * Trains every objective with every seed and measures all alike; runs that an earlier call finished with the same settings are kept.
 * @param options settings @returns all runs, also in `compare.json` of the folder
 * @throws CliError for an unknown objective or preset, RangeError for settings that do not fit
 */
export async function compareObjectives(options: CompareOptions): Promise<Comparison> {
  const { out, seeds, json } = options;
  const objectives = options.objectives.map(name => {
    const known = OBJECTIVES.find(o => o === name);
    if (!known) throw new CliError(`compare: --objectives has ${name}, expected ${OBJECTIVES.join(', ')}`);
    return known;
  });
  const recipe = recipeOf(options);
  const say = (text: string): void => { if (!json) console.error(text); };
  const device = options.device ?? (await openDevice());
  say(`adapter: ${device.adapter.notice}`);
  const stage = await openStage(options, recipe, device);
  const { items, vision } = stage;
  const start = createHash('sha256');
  for (const values of vision.values()) start.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  const comparison: Comparison = {
    adapter: device.adapter.notice, date: new Date().toISOString().slice(0, 10), artist: TEST_ARTIST, clips: items.items.length, candidates: items.candidates[0]!.length,
    command: `vl-jepa compare --preset ${options.preset} --steps ${options.steps} --seeds ${seeds.join(',')} --marks ${options.marks} --clips ${options.clips}`,
    recipe: { ...recipe, clips: { ...recipe.clips, start: start.digest('hex') } }, runs: [],
  };
  await mkdir(out, { recursive: true });
  const path = join(out, 'compare.json');
  const key = (c: Comparison): string => JSON.stringify([c.adapter, c.artist, c.clips, c.candidates, c.recipe]);
  const before = await readFile(path, 'utf8').catch(() => undefined);
  if (before !== undefined) comparison.runs.push(...runsOf(before, path, c => key(c) === key(comparison)));
  for (const seed of seeds) {
    for (const objective of objectives) {
      if (comparison.runs.some(r => r.objective === objective && r.seed === seed)) continue;
      comparison.runs.push(await runOne(stage, objective, seed, say));
      await writeFileAtomic(path, `${JSON.stringify(comparison, null, 1)}\n`);
    }
  }
  if (!json) for (const line of comparisonLines(comparison)) console.log(line);
  return comparison;
}
