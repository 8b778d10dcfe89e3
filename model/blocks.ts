/** Running a stack of transformer blocks: layer outputs for comparison, recomputation in training, early release without it. */
import { scope } from '../engine/memory.ts';
import { checkpoint, gradEnabled } from '../engine/tape.ts';
import type { Tensor } from '../engine/tensor.ts';

/** Called with the name and value of each intermediate result, for example `layers.3`. */
export type Trace = (name: string, value: Tensor) => void;

export interface Block {
  /** `layers.i`, i as stored. */
  readonly name: string;
  /** The block's weights that want gradients. */
  readonly weights: readonly Tensor[];
  /** x [B,N,D] -> [B,N,D]. */
  readonly run: (x: Tensor) => Tensor;
}

/** How a network's blocks run; `recompute` keeps only the blocks' inputs for the backward pass and computes the rest again. */
export interface BlockOptions {
  readonly recompute?: boolean | undefined;
  readonly trace?: Trace | undefined;
}

/**
 * x -> block_n(...block_1(x)).
 *
 * Where no gradient is wanted each block runs in a scope of its own and its input is released after it, so memory does not grow with depth.
 *
 * @param x [B,N,D]
 * @param blocks in order
 * @returns [B,N,D]
 */
export function runBlocks(x: Tensor, blocks: readonly Block[], options: BlockOptions = {}): Tensor {
  const { recompute = false, trace } = options;
  let current = x;
  for (const block of blocks) {
    const learns = gradEnabled() && (current.needsGrad || block.weights.length > 0);
    const next = !learns ? scope(() => block.run(current)) : recompute ? checkpoint(block.run, [current], block.weights) : block.run(current);
    const ours = current !== x; // the input belongs to the caller
    if (!learns && ours && !trace && !current.needsGrad) current.dispose();
    trace?.(block.name, next);
    current = next;
  }
  return current;
}
