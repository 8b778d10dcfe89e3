// What the comparison asks of a library: prepare a piece of work, run it, wait for it, and hand the results over to be checked.
import type { Work } from './works.ts';

/** Host values by the names of a work's inputs. Weights are [in, out]. */
export type Arrays = Readonly<Record<string, Float32Array>>;

/** A piece of work ready to run on one library. */
export interface Runner {
  /** Enqueues the work once; a training step also changes its weights. */
  run(): void | Promise<void>;
  /** Resolves when everything enqueued has been done. */
  sync(): Promise<void>;
  /** Results of the last run, by the names that the reference uses; weights are [in, out]. */
  results(): Promise<Arrays>;
  dispose(): void;
}

/** A library on its own device of the adapter that all share. */
export interface Library {
  readonly name: string;
  readonly version: string;
  /** @returns a runner, or why the library cannot do this work, in a few words; undefined where this form of the library has nothing of its own */
  prepare(work: Work, values: Arrays): Promise<Runner | string | undefined>;
}

/** A peer is not there, or does not start. */
export class PeerError extends Error {
  override name = 'PeerError';
}

/**
 * Loads a package that is a development dependency.
 * @param name of the package @param load imports it @returns the module @throws PeerError when it is not installed
 */
export async function loadPeer<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    const { code, message } = cause as Error & { code?: string };
    const why = code === 'ERR_MODULE_NOT_FOUND' ? 'it is not installed' : message.split('\n')[0];
    throw new PeerError(`bench peers: package ${name} could not be loaded (${why}), expected the development dependencies of this repository: run npm install without --omit=dev`);
  }
}

/**
 * The other layout of a matrix.
 * @param x [rows, cols] values @param rows count @param cols count @returns [cols, rows] values
 */
export function transposed(x: Float32Array, rows: number, cols: number): Float32Array {
  const y = new Float32Array(x.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) y[c * rows + r] = x[r * cols + c]!;
  return y;
}
