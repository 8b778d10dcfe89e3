// What the Y-Decoder of the small model learns: the texts of sets E4 and MS from their own vectors, and from predictions of changed pictures and clips by the training artists.
import { TRAIN_ARTISTS } from '../data/e4.ts';
import type { E4 } from '../data/e4.ts';
import { movingCaptions } from '../data/questions.ts';
import { MOTIONS, SPRITES } from '../data/sprites.ts';
import { captionsOf } from '../data/templates.ts';
import { scope } from '../engine/memory.ts';
import { Tensor } from '../engine/tensor.ts';
import { concat } from '../kernels/concat.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';
import { ClipBatches } from '../train/clips.ts';
import type { ClipBatch } from '../train/clips.ts';
import { textLesson } from '../train/decoder.ts';
import type { DecoderLesson } from '../train/decoder_batches.ts';
import type { DecoderRecipe } from '../train/decoder_recipe.ts';
import { NANO_CLIPS } from '../train/presets.ts';
import { artistTable } from './e4_set.ts';

/** Shares of the samples by kind of text. */
const SHARES = { names: 0.5, sentences: 0.1, captions: 0.36, motions: 0.04 } as const;
/** The same of predictions: names of pictures, of asked pictures and of clips' objects; motions and captions of clips. */
const PREDICTED: Readonly<Record<PredictedKind, number>> = { names: 0.35, captions: 0.6, motions: 0.05 };
/** What one batch of predictions is of; clips fill it more than in stage 2, since captions are of clips alone. */
const PICTURES = 96, ASKED = 16, CLIPS = 96;
/** Not the seed of stage 2: other changes and clips than the model was trained on. */
const SEED = 4711;

/** What the recipe says of predictions. */
type PredictionShares = Pick<DecoderRecipe, 'predictions' | 'predicted' | 'predictedNoise'>;
type PredictedKind = 'names' | 'captions' | 'motions';

/** Predictions of one batch [n, dim] in the order of its answers. */
function predictBatch(model: VLJEPA, { pictures, clips, questions }: ClipBatch): Tensor {
  const side = model.config.vision.cropSize;
  const upload = (pixels: Float32Array, frames: number): Tensor => Tensor.from(model.device, pixels, [pixels.length / (frames * 3 * side * side), frames, 3, side, side]);
  return scope(() => {
    const still = upload(pictures.pixels, 1);
    const tokens = model.encodeImage(upload(clips, SPRITES.frames), { batchSize: 64 });
    const count = tokens.shape[0]!;
    const asked = questions.length - 3 * count;
    const parts = [model.predict(still, undefined, { batchSize: 256 })];
    if (asked > 0) parts.push(model.predict(upload(pictures.pixels.subarray(0, asked * 3 * side * side), 1), questions.slice(0, asked), { batchSize: 64 }));
    for (let k = 0; k < 3; k++) parts.push(model.predict(tokens, questions.slice(asked + k * count, asked + (k + 1) * count), { batchSize: 64 }));
    return concat(parts, 0);
  });
}

/** What each row of a batch answers, in the order of `ClipBatch.answers`. */
const kindsOf = ({ pictures, concepts, questions }: ClipBatch): PredictedKind[] => {
  const clips = concepts.length;
  const shown = pictures.captions.length + questions.length - 3 * clips;
  return Array.from({ length: shown + 3 * clips }, (_, row) => (row < shown + clips ? 'names' : row < shown + 2 * clips ? 'motions' : 'captions'));
};

/** Predictions with the texts that they should be, of pictures and clips that stage 2 did not see in this form; a lesson for each kind. */
async function predictionLessons(model: VLJEPA, e4: E4, { predictions: share, predicted: count, predictedNoise: noise }: PredictionShares): Promise<DecoderLesson[]> {
  const { cropSize } = model.config.vision;
  const concepts = { keys: e4.concepts.map(c => c.key), unseen: e4.concepts.map(c => c.unseen) };
  const recipe = { ...NANO_CLIPS, seed: SEED, batch: PICTURES, clips: { ...NANO_CLIPS.clips!, asked: ASKED, clips: CLIPS } };
  const batches = new ClipBatches(await artistTable(model, e4, TRAIN_ARTISTS), concepts, recipe, cropSize);
  const lessons = Object.entries(PREDICTED).map(([kind, part]) => ({ kind, share: share * part, rows: [] as Float32Array[], texts: [] as string[] }));
  for (let step = 0; step < count; step++) {
    const batch = batches.at(step);
    const predicted = predictBatch(model, batch);
    const values = await predicted.read();
    const dim = predicted.shape[1]!;
    predicted.dispose();
    kindsOf(batch).forEach((kind, row) => {
      const lesson = lessons.find(l => l.kind === kind)!;
      lesson.rows.push(values.subarray(row * dim, (row + 1) * dim));
      lesson.texts.push(batch.texts[batch.answers[row]!]!);
    });
  }
  return lessons.map(({ share: part, rows, texts }) => ({ share: part, texts, noise, vectors: joined(rows) }));
}

/** Rows in one array. */
function joined(rows: readonly Float32Array[]): Float32Array {
  const each = rows[0]?.length ?? 0;
  const out = new Float32Array(rows.length * each);
  rows.forEach((row, i) => out.set(row, i * each));
  return out;
}

/**
 * All lessons of the small model's decoder.
 * @param model trained, with a tokenizer @param e4 the list of concepts @param shares of the recipe: how many of the samples are predictions, from how many batches, made once, with which noise
 * @returns names first, then sentences, captions, motions and, where their share is above 0, predictions
 */
export async function lessonsOf(model: VLJEPA, e4: E4, shares: PredictionShares): Promise<DecoderLesson[]> {
  const names = e4.concepts.map(c => c.name);
  const lessons = [
    await textLesson(model, names, SHARES.names),
    await textLesson(model, names.flatMap(name => captionsOf(name).slice(1)), SHARES.sentences),
    await textLesson(model, movingCaptions(names), SHARES.captions),
    await textLesson(model, MOTIONS.map(m => m.answer), SHARES.motions),
  ];
  const scaled = lessons.map(l => ({ ...l, share: l.share * (1 - shares.predictions) }));
  return shares.predictions > 0 ? [...scaled, ...(await predictionLessons(model, e4, shares))] : scaled;
}
