// How the kernels that only move elements load them: as words, so that NaN payloads, tiny floats and integers arrive bit for bit.
// Elements that are stored smaller than a word arrive as f32.
import { DTYPE_BITS } from '../engine/tensor.ts';
import type { DType } from '../engine/tensor.ts';

/** Options of a dispatch whose WGSL file leaves `alias Elem` to the header. */
export interface WordMoves {
  readonly options: { readonly header: string };
  /** Words per Elem: divide lengths by it. */
  readonly width: 1 | 4;
  /** What comes out: the type itself, or f32 for what is stored smaller. */
  readonly dtype: DType;
}

const HEADERS = {
  u32: { 1: { header: 'alias Elem = u32;' }, 4: { header: 'alias Elem = vec4<u32>;' } },
  f32: { 1: { header: 'alias Elem = f32;' }, 4: { header: 'alias Elem = vec4<f32>;' } },
} as const;

/** Four elements at once where every length and offset allows it. @param dtype of the elements @param lengths elements per run, and offsets of runs @returns header, width and the dtype that comes out */
export function wordMoves(dtype: DType, ...lengths: readonly number[]): WordMoves {
  const whole = DTYPE_BITS[dtype] === 32;
  const width = lengths.every(n => n % 4 === 0) ? 4 : 1;
  return { options: HEADERS[whole ? 'u32' : 'f32'][width], width, dtype: whole ? dtype : 'f32' };
}
