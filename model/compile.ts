/** Compiling a loaded model's kernels before they are needed, with progress: the first picture then costs no compilation. */
import { scope } from '../engine/memory.ts';
import { plan } from '../engine/plan.ts';
import { noGrad } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { bucketLength } from './token_batch.ts';
import type { VLJEPA } from './vl_jepa.ts';

/** How far the compilation is. */
export interface CompileProgress {
  readonly status: 'compile';
  /** Pipelines that are ready. */
  readonly built: number;
  /** Pipelines that are needed and were not there; it grows while the later passes are looked at. */
  readonly total: number;
  /** Infinity before the first pipeline. */
  readonly secondsLeft: number;
}

/** Which shapes will come; kernels differ between large and small ones. */
export interface CompileOptions {
  /** Rows of a batch, default 1. */
  readonly batch?: number;
  /** Frames of a clip, default 1. */
  readonly frames?: number;
  /** Tokens of a query, default 0: none. */
  readonly queryTokens?: number;
  /** Tokens of a text, default 16. */
  readonly textTokens?: number;
  readonly progress?: (event: CompileProgress) => void;
  readonly signal?: AbortSignal;
}

/**
 * Compiles, side by side, what `predict` and `encodeText` need for these shapes. Nothing is computed.
 *
 * @param model a loaded model
 * @param options shapes, progress, cancel
 * @returns how many pipelines were compiled
 * @throws DeviceError when a shader does not compile; the signal's reason; nothing is left on the device then
 */
export async function compileModel(model: VLJEPA, options: CompileOptions = {}): Promise<number> {
  const { batch = 1, frames = 1, queryTokens = 0, textTokens = 16, progress, signal } = options;
  const { device, config } = model;
  const began = performance.now();
  const side = config.vision.cropSize;
  let before = 0;
  let total = 0;
  const compiled = (built: number, more: number): void => {
    total = before + more;
    const done = before + built;
    const seconds = (performance.now() - began) / 1000;
    progress?.({ status: 'compile', built: done, total, secondsLeft: done === total ? 0 : done > 0 ? ((total - done) * seconds) / done : Infinity });
  };
  const u32 = (tokens: number): Tensor => Tensor.empty(device, [batch, tokens], 'u32');
  const passes: (() => { inputs: Tensor[]; run: () => Tensor })[] = [
    () => {
      const pixels = Tensor.empty(device, [batch, frames, 3, side, side]);
      if (queryTokens === 0) return { inputs: [pixels], run: () => model.forwardPrediction(pixels) };
      const tokens = bucketLength(queryTokens);
      const query = { ids: u32(tokens), mask: u32(model.vision.tokens(frames) + tokens), poolMask: u32(model.vision.tokens(frames) + tokens) };
      return { inputs: [pixels, ...Object.values(query)], run: () => model.forwardPrediction(pixels, query) };
    },
    () => {
      const text = { ids: u32(bucketLength(textTokens)), mask: u32(bucketLength(textTokens)) };
      return { inputs: Object.values(text), run: () => model.forwardText(text) };
    },
  ];
  for (const pass of passes) {
    const { inputs, run } = pass();
    try {
      const made = await plan(device, () => scope(() => noGrad(run)), { compiled, signal });
      made.dispose();
    } finally {
      for (const tensor of inputs) tensor.dispose();
    }
    before = total;
  }
  return total;
}
