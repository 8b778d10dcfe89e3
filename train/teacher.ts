// Distillation in stage 2: frozen models see the still drawing of what moves in a clip, and the answer to "What is in the video?" is pulled to their predictions.
import type { AugmentConfig } from '../data/augment.ts';
import type { SpriteSettings } from '../data/sprites.ts';
import { scope } from '../engine/memory.ts';
import { noGrad } from '../engine/tape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { add } from '../kernels/elementwise.ts';
import { l2Normalize } from '../kernels/l2_normalize.ts';
import { meanPool } from '../kernels/mean_pool.ts';
import { reshape } from '../kernels/reshape.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';

/** What teachers add to stage 2, plain data. */
export interface TeacherRecipe {
  /** SHA-256 of the weights of each teacher, hexadecimal; empty before a run fills it in. */
  start: readonly string[];
  /** Weight of 1 − cosine to the teachers' vectors, a mean over all pictures and all questions about objects. */
  weight: number;
  /** Weight of the divergence between the names that are near for the student and for the teachers, and the temperature of both; weight 0 leaves it out. */
  names: { weight: number; temperature: number };
  /**
   * How many of the clips without names are asked for a caption as well, the weight of the divergence between the captions that are near for the student and those that the teachers' names
   * and the clip's motion make, and the temperature of the student's; 0 clips leave it out. 1 − cosine to such captions does not do: captions of one motion lie so close together that the
   * right one was nearest for 19 per cent of new clips in place of 32.
   */
  captions: { clips: number; weight: number; temperature: number };
  /** Clips per step without names: mixes of two things and changed colours, which only the teachers can name. */
  clips: number;
  /** Changes to the drawings of those clips. */
  augment: Partial<AugmentConfig>;
  /** Poses in which the teachers see a drawing, on white and hardly moved: `views.frames` of them, drawn as a clip is. */
  views: SpriteSettings;
}

/**
 * What the teachers predict for still pictures, no gradients: the mean over teachers and over views of one drawing, at unit length. Where one of them errs alone the others outvote it.
 * @param teachers frozen models, one or more @param pictures [n · views, 1, 3, S, S] normalised, the views of a drawing one after another @param views per drawing
 * @returns [n, dim] unit rows
 */
export function teacherVectors(teachers: readonly VLJEPA[], pictures: Tensor, views: number): Tensor {
  return scope(() => noGrad(() => {
    const sum = teachers.map(teacher => teacher.forwardPrediction(pictures)).reduce((a, b) => add(a, b)); // [n · views, dim]
    return l2Normalize(meanPool(reshape(sum, [sum.shape[0]! / views, views, sum.shape[1]!])), { eps: 1e-12 });
  }));
}
