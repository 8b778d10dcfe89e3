// What the teachers' vectors of drawings mean as texts: shares of names, and captions of clips that nobody named. The Y-Encoder is frozen, so its vectors are made once.
import { movingCaptions } from '../data/questions.ts';
import { MOTIONS } from '../data/sprites.ts';
import { keep } from '../engine/memory.ts';
import { noGrad } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { crossEntropy } from '../kernels/cross_entropy.ts';
import { add, mul, scale, sub } from '../kernels/elementwise.ts';
import { embedding } from '../kernels/embedding.ts';
import { matmul } from '../kernels/matmul.ts';
import { reshape } from '../kernels/reshape.ts';
import { slice } from '../kernels/slice.ts';
import { softmax } from '../kernels/softmax.ts';
import { sum } from '../kernels/sum.ts';
import { transpose } from '../kernels/transpose.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';

/** Cross-entropy of rows of logits [R, M] with shares [R, N] of some of them, mean over rows: log Σ exp z − Σ q z. */
function softCrossEntropy(logits: Tensor, shared: Tensor, shares: Tensor, zeros: Tensor): Tensor {
  const against = sub(sum(slice(logits, 1, 0, 1)), sum(mul(shares, shared))); // log Σ exp z is the loss of name 0 and its logit
  return add(crossEntropy(logits, zeros), scale(against, 1 / logits.shape[0]!));
}

/** Vectors of all names, and of all their captions where they are wanted. */
export class TaughtTexts {
  /** [N, dim] unit rows */
  readonly names: Tensor;
  /** [N · motions, dim] unit rows, a name's captions one after another; [1, 1] where none are wanted */
  readonly captions: Tensor;
  private readonly temperature: number;
  private readonly captionTemperature: number;
  /** First name as the target of `rows` rows. */
  private readonly zeros: Tensor;

  /** @param model whose Y-Encoder is frozen @param names [N] @param options temperature of shares of names; rows of which `divergence` is taken; temperature of the student's captions where those are wanted */
  constructor(model: VLJEPA, names: readonly string[], { temperature, rows, captions }: { temperature: number; rows: number; captions?: number | undefined }) {
    this.temperature = temperature;
    this.captionTemperature = captions ?? temperature;
    this.names = keep(model.encodeText(names, { batchSize: 256 }));
    this.zeros = keep(Tensor.zeros(model.device, [rows], 'u32'));
    this.captions = keep(captions === undefined ? Tensor.zeros(model.device, [1, 1]) : model.encodeText(movingCaptions(names), { batchSize: 256 }));
  }

  /** Cosines with all names over the temperature. */
  private logits(vectors: Tensor): Tensor {
    return scale(matmul(vectors, this.names, { transposeB: true }), 1 / this.temperature);
  }

  /** Shares of names [R, N] for vectors of the teachers, and their entropy [1], mean over rows; no gradients. */
  private sharesOf(wanted: Tensor, zeros: Tensor): { shares: Tensor; entropy: Tensor } {
    return noGrad(() => {
      const logits = this.logits(wanted);
      const shares = softmax(logits);
      return { shares, entropy: softCrossEntropy(logits, logits, shares, zeros) };
    });
  }

  /**
   * Kullback-Leibler divergence of the shares of names: what the student still has to learn of which names are near and which are not.
   * @param said [rows, dim] unit rows of the student @param wanted [rows, dim] unit rows of the teachers, no gradients @returns [1] nats, mean over rows; differentiable in `said`
   */
  divergence(said: Tensor, wanted: Tensor): Tensor {
    const { shares, entropy } = this.sharesOf(wanted, this.zeros);
    const logits = this.logits(said);
    return sub(softCrossEntropy(logits, logits, shares, this.zeros), entropy);
  }

  /**
   * Divergence of the shares of captions: among all captions those with the clip's motion are as near as the teachers find their names, and the others are not.
   * @param said [D, dim] unit rows of the student @param wanted [D, dim] unit rows of the teachers, no gradients @param places [D] u32, clip · motions + motion
   * @returns [1] nats, mean over rows; differentiable in `said`
   */
  captionDivergence(said: Tensor, wanted: Tensor, places: Tensor): Tensor {
    const rows = said.shape[0]!, [count, motions] = [this.names.shape[0]!, MOTIONS.length];
    const zeros = slice(this.zeros, 0, 0, rows);
    const { shares, entropy } = this.sharesOf(wanted, zeros);
    const all = scale(matmul(said, this.captions, { transposeB: true }), 1 / this.captionTemperature); // [D, N · motions]
    const moving = embedding(reshape(transpose(reshape(all, [rows, count, motions]), 1, 2), [rows * motions, count]), places); // [D, N]
    return sub(softCrossEntropy(all, moving, shares, zeros), entropy);
  }

  /** Gives the vectors back. @returns nothing */
  dispose(): void {
    for (const t of [this.names, this.captions, this.zeros]) t.dispose();
  }
}
