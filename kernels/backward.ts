// Reverse-mode differentiation: the engine's tape with the op that sums gradients. Importing this module is what gives the tape that op.
import { runBackward, setAccumulate } from '../engine/tape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { add } from './elementwise.ts';
import { full } from './fill.ts';

setAccumulate(add);

/**
 * Adds d loss / d leaf to `grad` of every leaf that has `needsGrad`. Gradients belong to the open scope: end the step inside it, or `keepGradients`.
 * @param loss [1] or [] the scalar to differentiate
 * @returns nothing
 * @throws ShapeError unless the loss has one element and depends on a leaf that needs a gradient
 */
export function backward(loss: Tensor): void {
  const seed = full(loss.device, loss.shape, 1);
  runBackward(loss, seed);
  seed.dispose();
}
