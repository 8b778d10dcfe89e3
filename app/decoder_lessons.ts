// What the Y-Decoder of the small model learns: the texts of sets E4 and MS from their own vectors, and from predictions of changed pictures and clips by the training artists.
import { TRAIN_ARTISTS } from '../data/e4.ts';
import type { E4 } from '../data/e4.ts';
import { answerOf } from '../data/questions.ts';
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
import { pictureTable } from '../train/pictures.ts';
import { NANO_CLIPS } from '../train/presets.ts';
import { loadArtistSet, smallPictures } from './e4_set.ts';

/** Shares of the samples by kind of text. */
const SHARES = { names: 0.5, sentences: 0.1, captions: 0.36, motions: 0.04 } as const;
/** Batches of stage 2 that are predicted once: 160 pictures, 24 asked ones and 48 clips with three questions each. */
const BATCHES = 36;
/** Not the seed of stage 2: other changes and clips than the model was trained on. */
const SEED = 4711;

/** Every caption of set MS. @param names of the concepts @returns [8 · names] */
export const movingCaptions = (names: readonly string[]): string[] => names.flatMap(name => MOTIONS.map((_, motion) => answerOf('caption', name, motion)));

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

/** Predictions with the texts that they should be, of pictures and clips that stage 2 did not see in this form. */
async function predictionLesson(model: VLJEPA, e4: E4, share: number): Promise<DecoderLesson> {
  const { cropSize } = model.config.vision;
  const names = e4.concepts.map(c => c.name);
  const sets: { concepts: readonly number[]; pixels: Uint8Array }[] = [];
  for (const artist of TRAIN_ARTISTS) {
    const set = await loadArtistSet(e4, artist);
    sets.push({ concepts: set.concepts, pixels: await smallPictures(model, set) });
  }
  const concepts = { keys: e4.concepts.map(c => c.key), unseen: e4.concepts.map(c => c.unseen) };
  const batches = new ClipBatches(pictureTable(names, sets, cropSize), concepts, { ...NANO_CLIPS, seed: SEED }, cropSize);
  const rows: Float32Array[] = [];
  const texts: string[] = [];
  for (let step = 0; step < BATCHES; step++) {
    const batch = batches.at(step);
    const predicted = predictBatch(model, batch);
    rows.push(await predicted.read());
    predicted.dispose();
    texts.push(...Array.from(batch.answers, a => batch.texts[a]!));
  }
  const vectors = new Float32Array(rows.reduce((n, r) => n + r.length, 0));
  let at = 0;
  for (const r of rows) { vectors.set(r, at); at += r.length; }
  return { share, vectors, texts };
}

/**
 * All lessons of the small model's decoder.
 * @param model trained, with a tokenizer @param e4 the list of concepts @param predictions share of the samples that are predictions, 0 to 1
 * @returns names first, then sentences, captions, motions and, where their share is above 0, predictions
 */
export async function lessonsOf(model: VLJEPA, e4: E4, predictions: number): Promise<DecoderLesson[]> {
  const names = e4.concepts.map(c => c.name);
  const lessons = [
    await textLesson(model, names, SHARES.names),
    await textLesson(model, names.flatMap(name => captionsOf(name).slice(1)), SHARES.sentences),
    await textLesson(model, movingCaptions(names), SHARES.captions),
    await textLesson(model, MOTIONS.map(m => m.answer), SHARES.motions),
  ];
  const scaled = lessons.map(l => ({ ...l, share: l.share * (1 - predictions) }));
  return predictions > 0 ? [...scaled, await predictionLesson(model, e4, predictions)] : scaled;
}
