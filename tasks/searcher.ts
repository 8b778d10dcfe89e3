// Search in an index behind one interface: exact on the GPU, or by npm package usearch (a graph of neighbours, nearly exact) for large galleries.
import type { Device } from '../engine/device.ts';
import { Tensor } from '../engine/tensor.ts';
import { nearest } from './nearest.ts';
import type { Hit } from './nearest.ts';

/** An index that can be searched. */
export interface Searcher {
  /** How: 'exact' or 'usearch'. */
  readonly method: 'exact' | 'usearch';
  /** The k best rows for each of the queries [Q, dim], best first. */
  search(queries: Tensor, k: number): Promise<Hit[][]>;
  /** Releases memory. */
  dispose(): void;
}

/** Rows above which a graph is worth its building: below, one product and a selection answer at once. */
export const USEARCH_FROM = 50_000;

/** Bytes of one part of a gallery on the GPU: below the smallest limit of a binding, 128 MiB. */
const PART_BYTES = 64 * 2 ** 20;

interface Gallery {
  /** [N, dim] row-major unit rows. */
  readonly vectors: Float32Array;
  readonly dim: number;
}

/**
 * A gallery on the GPU, searched exactly.
 * @param device where @param gallery [N, dim] unit rows @returns the searcher; dispose it when done
 */
export function exactSearcher(device: Device, { vectors, dim }: Gallery): Searcher {
  const count = vectors.length / dim;
  const rows = Math.max(1, Math.floor(PART_BYTES / 4 / dim));
  const parts: Tensor[] = [];
  for (let at = 0; at < count; at += rows) {
    const some = Math.min(rows, count - at);
    parts.push(Tensor.from(device, vectors.subarray(at * dim, (at + some) * dim), [some, dim]));
  }
  return { method: 'exact', search: (queries, k) => nearest(queries, parts, k), dispose: () => { for (const p of parts) p.dispose(); } };
}

/** What is used of npm package usearch 2.25. */
export interface UsearchModule {
  Index: new (options: { dimensions: number; metric: string; quantization: string; connectivity: number; expansion_add: number; expansion_search: number; multi: boolean }) => {
    add(keys: BigUint64Array, vectors: Float32Array, threads: number): void;
    search(vectors: Float32Array, k: number, threads: number): { keys: BigUint64Array; distances: Float32Array; counts?: BigUint64Array };
    save(path: string): void;
    view(path: string): void;
  };
}

/** Loads the package. @returns the module @throws RangeError that names it when it is not installed */
export async function importUsearch(): Promise<UsearchModule> {
  const name: string = 'usearch'; // no dependency: a page has none, and bundlers need not look for it
  try {
    const module = (await import(name)) as { default?: UsearchModule } & UsearchModule;
    return module.default ?? module;
  } catch (cause) {
    throw new RangeError('search: the npm package usearch could not be loaded (run: npm install usearch@2.25.3, or search exactly)', { cause });
  }
}

/**
 * A gallery in usearch's graph of neighbours (HNSW): built once, then a query costs a walk instead of all rows; now and then a neighbour is missed.
 * @param usearch the module @param gallery [N, dim] unit rows @param options neighbours per node, breadth of building and of searching; more is slower and misses less
 * @param stored file of a graph of this very gallery: mapped where `exists`, else written once it is built
 * @returns the searcher
 */
export function usearchSearcher(usearch: UsearchModule, { vectors, dim }: Gallery, { connectivity = 16, expandAdd = 128, expandSearch = 128 } = {}, stored?: { path: string; exists: boolean }): Searcher {
  const count = vectors.length / dim;
  const graph = new usearch.Index({ dimensions: dim, metric: 'ip', quantization: 'f32', connectivity, expansion_add: expandAdd, expansion_search: expandSearch, multi: false });
  if (stored?.exists) graph.view(stored.path);
  else {
    if (count) graph.add(BigUint64Array.from({ length: count }, (_, i) => BigInt(i)), vectors, 0);
    if (stored) graph.save(stored.path);
  }
  return {
    method: 'usearch',
    async search(queries, k) {
      const [rows, width] = queries.shape as [number, number];
      if (width !== dim) throw new RangeError(`search: the queries are ${width} wide, expected ${dim} as the index`);
      const most = Math.min(k, count);
      if (most === 0 || rows === 0) return Array.from({ length: rows }, () => []);
      const { keys, distances } = graph.search(await queries.read(), most, 0);
      const own = distances.length / rows; // rows that found fewer are padded by the package
      return Array.from({ length: rows }, (_, q) => Array.from({ length: own }, (_, j) => ({ index: Number(keys[q * own + j]!), score: 1 - distances[q * own + j]! })));
    },
    dispose() {},
  };
}

export interface SearchOptions {
  /** 'exact', 'usearch', or 'auto': usearch for more than 50,000 rows where its graph is stored already, since building one takes far longer than many exact searches. */
  readonly method?: 'auto' | 'exact' | 'usearch';
  /** Where the graph of this very gallery is kept, and whether it is there (Node). */
  readonly graph?: { readonly path: string; readonly exists: boolean };
}

/**
 * Opens a gallery for searching; `method` of the result says how.
 * @param device where @param gallery [N, dim] unit rows @param options how @returns the searcher; dispose it when done
 * @throws RangeError when usearch was asked for and is not there
 */
export async function openSearcher(device: Device, gallery: Gallery, { method = 'auto', graph }: SearchOptions = {}): Promise<Searcher> {
  const large = gallery.vectors.length / gallery.dim > USEARCH_FROM;
  if (method === 'usearch' || (method === 'auto' && large && graph?.exists)) return usearchSearcher(await importUsearch(), gallery, {}, graph);
  return exactSearcher(device, gallery);
}
