import { DataError } from './errors.ts';
import { readOwnJson } from './platform.ts';

/** Who drew a picture: the name of the npm package `@iconify-json/<artist>`. */
export type Artist =
  | 'noto'
  | 'twemoji'
  | 'openmoji'
  | 'noto-v1'
  | 'emojione'
  | 'emojione-v1'
  | 'emojione-monotone'
  | 'fluent-emoji-flat';

/** The artist whose pictures are looked at once, at the end. Never trained on. */
export const TEST_ARTIST: Artist = 'fluent-emoji-flat';

/** Artists to train on. */
export const TRAIN_ARTISTS: readonly Artist[] = [
  'noto',
  'twemoji',
  'openmoji',
  'noto-v1',
  'emojione',
  'emojione-v1',
  'emojione-monotone',
];

/** Training artists that draw in colour. */
export const COLOUR_ARTISTS: readonly Artist[] = TRAIN_ARTISTS.filter((artist) => artist !== 'emojione-monotone');

/** Training artists that draw every concept: the gallery of the baselines. */
export const GALLERY_ARTISTS: readonly Artist[] = ['noto', 'twemoji', 'openmoji'];

/** One thing that is drawn by several artists. */
export interface Concept {
  /** place in the list, 0 to 1593 */
  index: number;
  /** hexcode in lower case without `-fe0f` */
  key: string;
  /** official English name */
  name: string;
  /** key of `E4.groups` */
  group: number;
  /** key of `E4.subgroups` */
  subgroup: number;
  /** other words for it */
  tags: string[];
  /** removed from training in every style: sha256(key) as one big-endian integer, modulo 10, is below 2 */
  unseen: boolean;
  /** name of the icon in the package of each artist that draws it */
  icons: Partial<Record<Artist, string>>;
}

/** Set E4: concepts that four artists drew independently, with names. */
export interface E4 {
  /** npm package to version, as the list was made */
  versions: Record<string, string>;
  groups: Record<number, string>;
  subgroups: Record<number, string>;
  concepts: Concept[];
}

/**
 * Reads the committed list of set E4 (written by `data/make_e4.mjs`).
 * @returns 1,594 concepts in the order of the list
 * @throws DataError when the list is missing or is not such a list
 */
export async function loadE4(): Promise<E4> {
  const list = (await readOwnJson('e4.json')) as E4;
  if (!Array.isArray(list?.concepts)) {
    throw new DataError('data/e4.json', `expected an array "concepts", got ${typeof list?.concepts}`);
  }
  list.concepts.forEach((concept, index) => {
    concept.index = index;
  });
  return list;
}

/**
 * @param e4 the set
 * @param artist who
 * @returns the concepts that the artist draws, in the order of the list
 */
export function conceptsOf(e4: E4, artist: Artist): Concept[] {
  return e4.concepts.filter((concept) => concept.icons[artist] !== undefined);
}
