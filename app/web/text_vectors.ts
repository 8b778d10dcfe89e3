// Unit vectors of texts on the host, where a few thousand cosines cost less than a trip to the GPU.
import { topK } from '../../tasks/metrics.ts';
import type { VLJEPA } from '../../model/vl_jepa.ts';
import type { Scored } from './protocol.ts';

/** Texts encoded at once: short enough that the worker answers between. */
const AT_ONCE = 64;

export class TextVectors {
  readonly texts: readonly string[];
  private readonly values: Float32Array;
  private readonly dim: number;

  private constructor(texts: readonly string[], values: Float32Array, dim: number) {
    this.texts = texts;
    this.values = values;
    this.dim = dim;
  }

  static async of(model: VLJEPA, texts: readonly string[], progress: (part: number) => void | Promise<void> = () => {}, signal?: AbortSignal): Promise<TextVectors> {
    const dim = model.config.embeddingDim;
    const values = new Float32Array(texts.length * dim);
    for (let at = 0; at < texts.length; at += AT_ONCE) {
      signal?.throwIfAborted();
      const some = texts.slice(at, at + AT_ONCE);
      const rows = model.encodeText(some, { batchSize: AT_ONCE });
      try {
        values.set(await rows.read(), at * dim);
      } finally {
        rows.dispose();
      }
      await progress(Math.min(1, (at + AT_ONCE) / texts.length));
    }
    return new TextVectors(texts, values, dim);
  }

  /** Cosine of text i with a unit vector. */
  cosine(i: number, vector: Float32Array): number {
    let sum = 0;
    for (let d = 0; d < this.dim; d++) sum += this.values[i * this.dim + d]! * vector[d]!;
    return sum;
  }

  /** The nearest texts, best first. */
  nearest(vector: Float32Array, k: number): Scored[] {
    return topK(this.texts.map((_, i) => this.cosine(i, vector)), k).map(({ index, score }) => ({ label: this.texts[index]!, score }));
  }
}
