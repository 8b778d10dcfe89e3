// CIDEr and CIDEr-D (Vedantam et al. 2015, spec 1.14): n-grams weighted by how rare they are among the items' references.
import { captionTokens } from './caption_tokens.ts';

/** One item: what the model said and what people said. */
export interface CaptionItem {
  readonly caption: string;
  /** At least one. */
  readonly references: readonly string[];
}

export interface CiderOptions {
  /** How a caption becomes words; `captionTokens` where missing. */
  readonly tokens?: (text: string) => readonly string[];
  /** References whose n-grams tell what is rare, one list per item; those of the items where missing. A scorer of few items needs a larger corpus: of one item every weight is ln 1 = 0. */
  readonly corpus?: readonly (readonly string[])[];
}

export interface CiderScore {
  /** Mean over the items, 0 to 10. Papers print it times 100 (and the mean of 0.9 as 90). */
  mean: number;
  /** [items] */
  perItem: Float64Array;
}

const N = 4;
const SIGMA = 6;

/** n-gram → how often, one map per n. */
type Grams = readonly Map<string, number>[];

function gramsOf(words: readonly string[]): Grams {
  return Array.from({ length: N }, (_, n) => {
    const counts = new Map<string, number>();
    for (let i = 0; i + n < words.length; i++) {
      const gram = words.slice(i, i + n + 1).join(' ');
      counts.set(gram, (counts.get(gram) ?? 0) + 1);
    }
    return counts;
  });
}

/** In how many items' references each n-gram occurs. */
function documentCounts(corpus: readonly (readonly Grams[])[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const references of corpus) {
    const found = new Set(references.flatMap(grams => grams.flatMap(map => [...map.keys()])));
    for (const gram of found) counts.set(gram, (counts.get(gram) ?? 0) + 1);
  }
  return counts;
}

interface Weighted {
  /** TF-IDF per n. */
  readonly vectors: readonly Map<string, number>[];
  readonly norms: readonly number[];
  /** Count of bigrams. */
  readonly length: number;
}

function weigh(grams: Grams, counts: ReadonlyMap<string, number>, logItems: number): Weighted {
  const vectors = grams.map(map => new Map([...map].map(([gram, tf]): [string, number] => [gram, tf * (logItems - Math.log(Math.max(1, counts.get(gram) ?? 0)))])));
  const norms = vectors.map(v => Math.sqrt([...v.values()].reduce((s, w) => s + w * w, 0)));
  return { vectors, norms, length: [...grams[1]!.values()].reduce((s, c) => s + c, 0) };
}

/** Mean over n of the similarity of two captions, before the factor 10. */
function similarity(h: Weighted, r: Weighted, clipped: boolean): number {
  let total = 0;
  for (let n = 0; n < N; n++) {
    if (h.norms[n] === 0 || r.norms[n] === 0) continue;
    let dot = 0;
    for (const [gram, w] of h.vectors[n]!) {
      const other = r.vectors[n]!.get(gram);
      if (other !== undefined) dot += (clipped ? Math.min(w, other) : w) * other;
    }
    total += dot / (h.norms[n]! * r.norms[n]!);
  }
  return (total / N) * (clipped ? Math.exp(-((h.length - r.length) ** 2) / (2 * SIGMA ** 2)) : 1);
}

function score(where: string, items: readonly CaptionItem[], { tokens = captionTokens, corpus }: CiderOptions, clipped: boolean): CiderScore {
  items.forEach(({ references }, i) => {
    if (references.length === 0) throw new RangeError(`${where}: item ${i} has no reference, expected at least one`);
  });
  const read = (text: string): Grams => gramsOf(tokens(text));
  const references = items.map(item => item.references.map(read));
  const known = corpus ? corpus.map(list => list.map(read)) : references;
  const counts = documentCounts(known);
  const logItems = Math.log(known.length);
  const perItem = Float64Array.from(items, ({ caption }, i) => {
    const h = weigh(read(caption), counts, logItems);
    const sum = references[i]!.reduce((s, r) => s + similarity(h, weigh(r, counts, logItems), clipped), 0);
    return (10 * sum) / references[i]!.length;
  });
  return { mean: perItem.length ? perItem.reduce((s, v) => s + v, 0) / perItem.length : 0, perItem };
}

/**
 * CIDEr-D: with the hypothesis' weights clipped to the reference's and a Gaussian (σ = 6) on the difference of their lengths; what "CIDEr" means in the tables of papers.
 * @param items captions with references @param options words and corpus @returns mean and per item, 0 to 10 @throws RangeError for an item without a reference
 */
export const ciderD = (items: readonly CaptionItem[], options: CiderOptions = {}): CiderScore => score('ciderD', items, options, true);

/**
 * CIDEr as first written: cosine of TF-IDF vectors, mean over n = 1 to 4 and over references, times 10. No stemming.
 * @param items captions with references @param options words and corpus @returns mean and per item, 0 to 10 @throws RangeError for an item without a reference
 */
export const cider = (items: readonly CaptionItem[], options: CiderOptions = {}): CiderScore => score('cider', items, options, false);
