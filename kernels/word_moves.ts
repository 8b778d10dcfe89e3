// How the kernels that only move elements load them: as words, so that NaN payloads, tiny floats and integers arrive bit for bit.

/** Options of a dispatch whose WGSL file leaves `alias Elem` to the header. */
export interface WordMoves {
  readonly options: { readonly header: string };
  /** Words per Elem: divide lengths by it. */
  readonly width: 1 | 4;
}

const SINGLE: WordMoves = { options: { header: 'alias Elem = u32;' }, width: 1 };
const QUAD: WordMoves = { options: { header: 'alias Elem = vec4<u32>;' }, width: 4 };

/** Four words at once where every length and offset allows it. @param lengths words per run, and offsets of runs @returns header and width */
export const wordMoves = (...lengths: readonly number[]): WordMoves => (lengths.every(n => n % 4 === 0) ? QUAD : SINGLE);
