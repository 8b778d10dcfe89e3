// Contrastive batches larger than memory: embeddings first, without activations; then the loss of the whole batch; then the networks again, piece by piece.
import { ShapeError, showShape } from '../engine/check.ts';
import { scope } from '../engine/memory.ts';
import { noGrad } from '../engine/tape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { backward } from '../kernels/backward.ts';
import { concat } from '../kernels/concat.ts';
import { add, mul } from '../kernels/elementwise.ts';
import { slice } from '../kernels/slice.ts';
import { sum } from '../kernels/sum.ts';

/** One step: a batch in `parts` pieces. */
export interface CachedGradientStep {
  /** Pieces of the batch. */
  readonly parts: number;
  /** The networks on one piece: for example predictions [b, D] and texts [b, D]. Runs twice and must give the same both times. */
  readonly embed: (part: number) => readonly Tensor[];
  /** Loss [1] of the embeddings of the whole batch, in the order of `embed`. */
  readonly loss: (embeddings: readonly Tensor[]) => Tensor;
  /** Everything that learns, parameters of the loss included: gradients of other tensors are lost. */
  readonly parameters: readonly Tensor[];
}

/** What a step gives: the loss, the embeddings of the whole batch, and the parameters' gradients (which they also hold as `grad`, owned by the open scope). */
export interface CachedGradientResult {
  readonly loss: Tensor;
  readonly embeddings: readonly Tensor[];
  readonly gradients: readonly Tensor[];
}

const gradientsOf = (parameters: readonly Tensor[]): Tensor[] => parameters.flatMap(t => (t.grad && !t.grad.released ? [t.grad] : []));

/** Embeddings of all pieces, one after another, as leaves. */
function wholeBatch({ parts, embed }: CachedGradientStep): { whole: Tensor[]; starts: number[] } {
  return scope(() => noGrad(() => {
    const pieces = Array.from({ length: parts }, (_, k) => {
      const piece = scope(() => [...embed(k)]);
      piece[0]?.device.flush();
      return piece;
    });
    const count = pieces[0]!.length;
    const starts = [0];
    for (const piece of pieces) {
      const rows = piece[0]?.shape[0] ?? 0;
      const odd = piece.find(t => t.shape[0] !== rows) ?? (piece.length === count ? undefined : piece[0]);
      if (odd || rows === 0) throw new ShapeError(`cachedGradient: a piece gave ${piece.map(t => showShape(t.shape)).join(', ') || 'nothing'}, expected ${count} embeddings of equally many rows`);
      starts.push(starts[starts.length - 1]! + rows);
    }
    return { whole: pieces[0]!.map((_, i) => concat(pieces.map(p => p[i]!), 0)), starts };
  }));
}

/**
 * Gradients of a loss over a whole batch with the activations of one piece: pass 1 embeds every piece without activations; the loss of all embeddings gives their
 * gradients; pass 2 embeds every piece again and sends them back. Equal to one pass over the whole batch but for the order of sums; the networks run forward twice.
 * Source: Gao et al. 2021 (GradCache, arXiv 2101.06983), spec 1.5.
 * @param step pieces, networks, loss and parameters
 * @returns loss [1], embeddings of the batch; the gradients are added to `grad` of the parameters
 * @throws ShapeError when there is no piece or the pieces do not go together
 */
export function cachedGradient(step: CachedGradientStep): CachedGradientResult {
  const { parts, embed, loss: lossOf, parameters } = step;
  if (!Number.isInteger(parts) || parts < 1) throw new ShapeError(`cachedGradient: parts is ${parts}, expected a whole number ≥ 1`);
  return scope(() => {
    const { whole, starts } = wholeBatch(step);
    const loss = scope(() => {
      for (const t of whole) t.needsGrad = true;
      const loss = lossOf(whole);
      backward(loss);
      return { loss, cached: whole.map(t => t.grad), own: gradientsOf(parameters) };
    });
    for (let k = 0; k < parts; k++) {
      scope(() => {
        const terms = embed(k).flatMap((t, i) => (t.needsGrad && loss.cached[i] ? [sum(mul(t, slice(loss.cached[i], 0, starts[k]!, starts[k + 1]!)))] : []));
        if (terms.length) backward(terms.reduce(add)); // the gradient of Σ embedding · cached gradient is the cached gradient, sent back
        return gradientsOf(parameters);
      });
      loss.loss.device.flush();
    }
    for (const t of whole) {
      t.needsGrad = false;
      t.grad = undefined;
    }
    loss.loss.needsGrad = false; // its history is gone
    loss.loss.node = undefined;
    return { loss: loss.loss, embeddings: whole, gradients: gradientsOf(parameters) };
  });
}
