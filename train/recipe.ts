// A training recipe: everything that decides the weights, as data. Its fingerprint is stored with every state.
import type { AugmentConfig } from '../data/augment.ts';
import { augmentConfig } from '../data/augment_config.ts';
import type { Artist } from '../data/e4.ts';
import type { ClipRecipe } from './clips.ts';
import { LOSSES } from './losses.ts';
import type { LossName } from './losses.ts';
import type { TeacherRecipe } from './teacher.ts';

export interface Recipe {
  /** Name of the preset. */
  name: string;
  /** config.json of the model (model_type vl_jepa). */
  model: Record<string, unknown>;
  /** Standard deviations of the initial weights by kind of tensor, see model/params.ts. */
  init?: Record<string, unknown>;
  /** Whose drawings are trained on. */
  artists: readonly Artist[];
  seed: number;
  steps: number;
  batch: number;
  /** Peak learning rate, its floor as a share, warm-up in steps. */
  lr: number;
  floor: number;
  warmup: number;
  betas: readonly [number, number];
  weightDecay: number;
  clipNorm: number;
  /** Multiplier of the rate for the Y-Encoder's tensors (the paper: 0.05; from scratch: 1). */
  textLr: number;
  /** Decay of the averaged weights per step; 0 = the last weights count. */
  average: number;
  augment: Partial<AugmentConfig>;
  /** Caption templates are drawn from these indices of data/templates.ts. */
  templates: readonly number[];
  /** Targets are the captions of other concepts' pictures: shuffled once, for the control. */
  shuffleTexts: boolean;
  /** Default 'info-nce'. */
  loss?: LossName;
  /** Samples whose activations are held at once; less than the batch takes the two passes of train/cached_gradient.ts. Default: the batch. */
  microBatch?: number;
  /** Whether the Y-Encoder and its head keep their weights. Default false. */
  freezeText?: boolean;
  /** Stage 2: clips, questions, and which parts learn. Absent in stage 1. */
  clips?: ClipRecipe;
}

/** A recipe as one line: equal lines give equal weights on one adapter. @param recipe settings @returns JSON */
export const fingerprint = (recipe: Recipe): string => JSON.stringify(recipe);

/**
 * Names what is wrong with a recipe.
 * @param recipe settings @returns nothing @throws RangeError that names the field, what was expected and what came
 */
export function checkRecipe(recipe: Recipe): void {
  const whole = (field: 'steps' | 'batch' | 'seed' | 'warmup' | 'microBatch', least: number): void => {
    if (!Number.isInteger(recipe[field]) || recipe[field]! < least) throw new RangeError(`train: ${field} is ${recipe[field]}, expected a whole number ≥ ${least}`);
  };
  whole('steps', 1);
  whole('batch', 2); // one sample has no negatives: the contrastive loss is zero
  whole('seed', 0);
  whole('warmup', 0);
  if (recipe.microBatch !== undefined) whole('microBatch', 1);
  if (recipe.loss !== undefined && !Object.hasOwn(LOSSES, recipe.loss)) throw new RangeError(`train: loss is ${recipe.loss}, expected one of ${Object.keys(LOSSES).join(', ')}`);
  for (const field of ['lr', 'clipNorm'] as const) if (!(recipe[field] > 0)) throw new RangeError(`train: ${field} is ${recipe[field]}, expected a number > 0`);
  for (const field of ['floor', 'textLr', 'weightDecay', 'average'] as const) if (!(recipe[field] >= 0)) throw new RangeError(`train: ${field} is ${recipe[field]}, expected a number ≥ 0`);
  if (recipe.clips) checkClips(recipe, recipe.clips);
  for (const field of ['artists', 'templates'] as const) if (recipe[field].length === 0) throw new RangeError(`train: ${field} is empty, expected at least one`);
}

function checkTeacher({ freezeText }: Recipe, { weight, names, captions, clips, augment, views }: TeacherRecipe): void {
  if (!(weight > 0)) throw new RangeError(`train: the teacher's weight is ${weight}, expected a number > 0`);
  if (!(names.weight >= 0) || !(names.temperature > 0)) throw new RangeError(`train: the teacher's names have weight ${names.weight} and temperature ${names.temperature}, expected a number ≥ 0 and one > 0`);
  if (!Number.isInteger(captions.clips) || captions.clips < 0 || captions.clips > clips || !(captions.weight >= 0) || !(captions.temperature > 0)) throw new RangeError(`train: the teacher's captions are of ${captions.clips} clips with weight ${captions.weight} and temperature ${captions.temperature}, expected a whole number from 0 to ${clips}, the clips, a number ≥ 0 and one > 0`);
  if (!Number.isInteger(clips) || clips < 0) throw new RangeError(`train: the teacher's clips are ${clips}, expected a whole number ≥ 0`);
  if (!freezeText) throw new RangeError('train: the recipe has a teacher and the Y-Encoder learns, expected --freeze-text (a teacher\'s vectors lie in the space of the texts of now)');
  if (!Number.isInteger(views.frames) || views.frames < 2 || views.frames % 2) throw new RangeError(`train: the teacher's views are ${views.frames}, expected an even number`);
  augmentConfig(augment);
}

function checkClips(recipe: Recipe, { clips, asked, motionWeight, temporal, visionLr, predictorLr, wordings, captions, sprites, teacher }: ClipRecipe): void {
  const { batch, loss = 'info-nce', microBatch } = recipe;
  if (teacher) checkTeacher(recipe, teacher);
  if (!Number.isInteger(clips) || clips < 4 || clips % 4) throw new RangeError(`train: clips is ${clips}, expected a multiple of 4 (half of them come in pairs)`);
  if (!Number.isInteger(asked) || asked < 0 || asked > batch) throw new RangeError(`train: asked is ${asked}, expected a whole number from 0 to ${batch}, the pictures of a step`);
  if (!Number.isInteger(sprites.frames) || sprites.frames < 2 || sprites.frames % 2) throw new RangeError(`train: frames is ${sprites.frames}, expected an even number`);
  if (loss !== 'info-nce') throw new RangeError(`train: loss is ${loss}, expected info-nce in stage 2 (answers repeat within a batch, and only it leaves repeated ones out)`);
  if (microBatch !== undefined) throw new RangeError(`train: microBatch is ${microBatch}, expected none in stage 2 (its batches go through the networks whole)`);
  for (const [name, value] of Object.entries({ motionWeight, temporal, visionLr, predictorLr })) if (!(value >= 0)) throw new RangeError(`train: ${name} is ${value}, expected a number ≥ 0`);
  for (const [name, list] of Object.entries({ wordings, captions })) if (list.length === 0) throw new RangeError(`train: ${name} is empty, expected at least one`);
}

/**
 * Multiplier of the learning rate of a tensor.
 * @param recipe settings @param name full name of the tensor @returns factor of `lr`
 */
export function rateOf({ textLr, clips }: Recipe, name: string): number {
  if (name.startsWith('text.')) return textLr;
  if (!clips) return 1;
  return name.startsWith('vision.') ? clips.visionLr : clips.predictorLr;
}
