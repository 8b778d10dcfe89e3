// Streams of joined clips with known joins (spec 1.10): scenes of set MS that loop for a few seconds each, as embeddings of sliding windows, one annotation per scene.
import { clipCaptions, QUESTIONS } from '../data/questions.ts';
import { CounterRandom } from '../data/random.ts';
import { MOTIONS, SPRITES } from '../data/sprites.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';
import type { AnnotatedStream, Annotation } from '../tasks/decode_curve.ts';
import { clipLevels, predictClips } from './clip_sets.ts';
import type { ClipItem } from './clip_sets.ts';

/** How streams are joined. */
export interface JoinSettings {
  /** Scenes of a stream. */
  readonly clips: number;
  readonly framesPerS: number;
  /** Frames from one window to the next; a window shows as many frames as a clip has. */
  readonly stride: number;
  /** Shortest and longest scene, s; short ones are commoner (the square of a uniform number). */
  readonly seconds: readonly [number, number];
}

/** Twenty scenes of 2 to 15 s, windows of 2 s twice a second. */
export const JOINED: JoinSettings = { clips: 20, framesPerS: 8, stride: 4, seconds: [2, 15] };

const STREAM = 501, DRAWS = 3;

export interface JoinedStream extends AnnotatedStream {
  /** Where one scene ends and the next begins, s. */
  readonly joins: readonly number[];
  /** The same annotations, each at a moment of its scene by lot in place of the middle. */
  readonly anywhere: readonly Annotation[];
}

/** A scene: a clip that loops without a seam (its motion wraps), from one frame of the stream to another. */
interface Scene { readonly levels: Uint8Array; readonly from: number; readonly to: number }

/**
 * One stream: scenes by lot, each annotated once, at its middle, with the five captions of its clip.
 * @param model the model @param pool clips that scenes are made of @param names of the concepts @param seed of the streams @param index of this one @param settings of joining
 * @returns embeddings for the captioning question at the middles of the windows
 */
export async function joinedStream(model: VLJEPA, pool: readonly ClipItem[], names: readonly string[], seed: number, index: number, settings: JoinSettings = JOINED): Promise<JoinedStream> {
  const { clips, framesPerS, stride, seconds: [least, most] } = settings;
  const side = model.config.vision.cropSize;
  const bytes = side * side * 3;
  const random = new CounterRandom(seed, index, 0, STREAM);
  const scenes: Scene[] = [];
  const annotations: Annotation[] = [], anywhere: Annotation[] = [];
  let frames = 0;
  for (let c = 0; c < clips; c++) {
    const { concept, drawing, backdrop } = pool[Math.floor(random.uniform(c * DRAWS) * pool.length)]!;
    const motion = Math.floor(random.uniform(c * DRAWS + 1) * MOTIONS.length);
    const length = Math.round((least + (most - least) * random.uniform(c * DRAWS + 2) ** 2) * framesPerS);
    scenes.push({ levels: clipLevels({ concept, drawing, backdrop, motion, random: new CounterRandom(seed, index, c, STREAM + 1) }, side), from: frames, to: frames + length });
    const text = clipCaptions(names[concept]!, motion);
    annotations.push({ timeS: (frames + length / 2) / framesPerS, text });
    anywhere.push({ timeS: (frames + length * new CounterRandom(seed, index, c, STREAM + 2).uniform(0)) / framesPerS, text });
    frames += length;
  }
  const count = Math.floor((frames - SPRITES.frames) / stride) + 1;
  const windowAt = (w: number): Uint8Array => {
    const out = new Uint8Array(SPRITES.frames * bytes);
    for (let k = 0; k < SPRITES.frames; k++) {
      const t = w * stride + k;
      const { levels, from } = scenes.find(s => t < s.to)!;
      const frame = (t - from) % SPRITES.frames;
      out.set(levels.subarray(frame * bytes, (frame + 1) * bytes), k * bytes);
    }
    return out;
  };
  const [prediction] = predictClips(model, count, windowAt, [QUESTIONS.caption[0]!]);
  const values = await prediction!.read();
  prediction!.dispose();
  return {
    values, dim: model.config.embeddingDim, timesS: Array.from({ length: count }, (_, w) => (w * stride + SPRITES.frames / 2) / framesPerS),
    annotations, anywhere, joins: scenes.slice(1).map(s => s.from / framesPerS),
  };
}
