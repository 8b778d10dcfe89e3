// How good a Y-Decoder is: texts that come back word for word, from their own vectors and from predictions of pictures, beside the nearest text of a bank.
import { loadE4 } from '../data/e4.ts';
import type { Artist } from '../data/e4.ts';
import { Tensor } from '../engine/tensor.ts';
import type { DecodeOptions, TextDecoder } from '../model/text_decoder.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';
import { captionVectors } from '../tasks/caption.ts';
import { labelBank } from '../tasks/classify.ts';
import type { DecoderLesson } from '../train/decoder_batches.ts';
import { decodedPictures, loadArtistSet } from './e4_set.ts';

/**
 * How many texts come back word for word (as the tokenizer spells them) from vectors.
 * @param decoder which @param vectors [n, dim] on the host @param texts [n] @param options of decoding @returns percent
 */
export async function exactMatch(decoder: TextDecoder, vectors: Float32Array, texts: readonly string[], options: DecodeOptions = {}): Promise<number> {
  const rows = Tensor.from(decoder.device, vectors, [texts.length, decoder.config.embeddingDim]);
  try {
    const said = await decoder.decode(rows, { batchSize: 256, ...options });
    return (100 * said.filter((text, i) => text === decoder.spell(texts[i]!)).length) / texts.length;
  } finally {
    rows.dispose();
  }
}

/** Some rows of a lesson, evenly spread. @param lesson vectors with texts @param most how many @returns vectors [n, dim] and texts [n] */
export function spread({ vectors, texts }: DecoderLesson, most: number): { vectors: Float32Array; texts: string[] } {
  const dim = vectors.length / texts.length;
  const step = Math.max(1, Math.floor(texts.length / most));
  const rows = texts.map((_, i) => i).filter(i => i % step === 0).slice(0, most);
  const out = new Float32Array(rows.length * dim);
  rows.forEach((row, k) => out.set(vectors.subarray(row * dim, (row + 1) * dim), k * dim));
  return { vectors: out, texts: rows.map(row => texts[row]!) };
}

/** Words of one artist's pictures, percent of them all. */
export interface PictureFigures {
  artist: Artist;
  pictures: number;
  /** The decoder's text is the name, word for word. */
  decoded: number;
  /** The nearest of all names is the name: the oracle. */
  nearest: number;
  /** The decoder says what the nearest text says. */
  agree: number;
  /** The decoder's text is one of all names. */
  names: number;
}

/**
 * The decoder on predictions of one artist's pictures.
 * @param model the model @param decoder of this model @param artist of set E4 @param options decoding, and what is asked @returns percent
 */
export async function pictureFigures(model: VLJEPA, decoder: TextDecoder, artist: Artist, { query, ...options }: DecodeOptions & { query?: string } = {}): Promise<PictureFigures> {
  const e4 = await loadE4();
  const set = await loadArtistSet(e4, artist);
  const names = e4.concepts.map(c => c.name);
  const spelt = names.map(n => decoder.spell(n));
  const known = new Set(spelt);
  const bank = labelBank(model, names);
  const vectors = model.predict(decodedPictures(set), query, { batchSize: 256 });
  try {
    const said = await captionVectors(model, decoder, vectors, { batchSize: 256, ...options, bank });
    const share = (holds: (i: number) => boolean): number => (100 * said.filter((_, i) => holds(i)).length) / said.length;
    const read = (i: number): string => decoder.spell(said[i]!.nearest[0]!.label);
    const right = (i: number): string => spelt[set.concepts[i]!]!;
    return {
      artist, pictures: said.length,
      decoded: share(i => said[i]!.text === right(i)), nearest: share(i => read(i) === right(i)), agree: share(i => said[i]!.text === read(i)), names: share(i => known.has(said[i]!.text)),
    };
  } finally {
    for (const t of [vectors, bank.vectors]) t.dispose();
  }
}
