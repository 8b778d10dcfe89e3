// Collapse: embeddings that all become one vector, or lose all but a few dimensions. What a batch says about it, and when to say so.
import { scope } from '../engine/memory.ts';
import { noGrad } from '../engine/tape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { columnSum } from '../kernels/column_sum.ts';
import { concat } from '../kernels/concat.ts';
import { mul } from '../kernels/elementwise.ts';
import { matmul } from '../kernels/matmul.ts';
import { sum } from '../kernels/sum.ts';
import { alignment, uniformity } from '../kernels/uniformity.ts';
import { centerColumns } from '../kernels/vicreg.ts';

/** How spread out the unit rows of a batch are. */
export interface Spread {
  /** √D times the mean over dimensions of their standard deviation: about 1 for directions at random, 0 for one vector (Chen & He 2021, arXiv 2011.10566, section 4.1). */
  readonly deviation: number;
  /** Mean cosine of different rows: about 0 at random, 1 for one vector. */
  readonly cosine: number;
  /** Effective number of dimensions tr(C)² / tr(C²) of the covariance C: between 1 and min(N − 1, D), 0 where nothing varies. */
  readonly rank: number;
}

/** What a batch of pairs says about its embeddings: their spread, and how near pairs are and how evenly the rest lies (Wang & Isola, spec 1.5). */
export interface Meters {
  readonly predictions: Spread;
  readonly texts: Spread;
  /** Mean |p − y|² of the pairs: 0 at best, 2 at random. */
  readonly alignment: number;
  /** Log of the mean exp(−2 |a − b|²) over pairs of different predictions, and of different texts: 0 for one vector, about −4 at random. */
  readonly uniformity: readonly [number, number];
}

/** Embeddings have collapsed. */
export interface CollapseWarning {
  readonly kind: 'collapse';
  readonly step: number;
  /** Whose embeddings. */
  readonly side: 'predictions' | 'texts';
  /** Which measure fell below its threshold. */
  readonly measure: 'deviation' | 'rank';
  readonly value: number;
  readonly threshold: number;
  /** One sentence for people. */
  readonly message: string;
}

/** When the alarm looks and what it calls a collapse. */
export interface CollapseOptions {
  /** Steps between measurements. Default 10. */
  readonly every?: number;
  /** Measurements in a row below a threshold before it says so. Default 3: one odd batch is none. */
  readonly patience?: number;
  /** First step that counts. Default 0; the trainer says the end of the warm-up, since an untrained network may begin with all vectors alike. */
  readonly from?: number;
  /** Lowest deviation. Default 0.1: a mean cosine of 0.99. */
  readonly deviation?: number;
  /** Lowest rank as a share of min(N − 1, D), the highest there is. Default 0.02; never below 1.5 dimensions, and not asked of batches that have fewer than 4. */
  readonly rank?: number;
}

/**
 * What `spreadOf` needs of a batch, in one small tensor, so that it can be read with the loss.
 * @param x [N, D] unit rows, N ≥ 2 @returns [2D + 1] sums of the columns, sums of their centred squares, squared norm of the products of centred columns
 */
export function spreadSums(x: Tensor): Tensor {
  return scope(() => noGrad(() => {
    const centred = centerColumns(x);
    const products = matmul(centred, centred, x.shape[0]! < x.shape[1]! ? { transposeB: true } : { transposeA: true }); // either has the same norm
    return concat([columnSum(x), columnSum(mul(centred, centred)), sum(mul(products, products))], 0);
  }));
}

/**
 * The measures of a batch.
 * @param sums [2D + 1] read from `spreadSums` @param rows N ≥ 2 @returns deviation, mean cosine and rank
 */
export function spreadOf(sums: ArrayLike<number>, rows: number): Spread {
  const dim = (sums.length - 1) / 2;
  let deviations = 0, mean = 0, variation = 0;
  for (let d = 0; d < dim; d++) {
    deviations += Math.sqrt(sums[dim + d]! / rows) / dim;
    mean += (sums[d]! / rows) ** 2;
    variation += sums[dim + d]!;
  }
  const squares = rows * mean + variation; // Σ |x|², N where the rows are unit rows
  const power = sums[2 * dim]!;
  return { deviation: Math.sqrt(dim) * deviations, cosine: (rows * rows * mean - squares) / (squares * (rows - 1)), rank: power > 0 ? (variation * variation) / power : power === 0 ? 0 : NaN };
}

/**
 * What `metersOf` needs, in one small tensor.
 * @param p [N, D] predictions, unit rows, N ≥ 2 @param y [N, D] texts, unit rows @returns [4D + 5]
 */
export const meterSums = (p: Tensor, y: Tensor): Tensor => scope(() => noGrad(() => concat([alignment(p, y), uniformity(p), uniformity(y), spreadSums(p), spreadSums(y)], 0)));

/**
 * The meters of a batch.
 * @param sums [4D + 5] read from `meterSums` @param rows N ≥ 2 @returns spread, alignment and uniformity
 */
export function metersOf(sums: Float32Array, rows: number): Meters {
  const half = (sums.length - 3) / 2;
  return { predictions: spreadOf(sums.subarray(3, 3 + half), rows), texts: spreadOf(sums.subarray(3 + half), rows), alignment: sums[0]!, uniformity: [sums[1]!, sums[2]!] };
}

/** Watches the spread of embeddings during training. */
export class CollapseAlarm {
  private readonly options: Required<CollapseOptions>;
  private readonly low = new Map<string, number>();

  /** @param options thresholds @throws RangeError for a setting that is not positive */
  constructor(options: CollapseOptions = {}) {
    this.options = { every: 10, patience: 3, from: 0, deviation: 0.1, rank: 0.02, ...options };
    for (const field of ['every', 'patience'] as const) {
      if (!Number.isInteger(this.options[field]) || this.options[field] < 1) throw new RangeError(`CollapseAlarm: ${field} is ${this.options[field]}, expected a whole number ≥ 1`);
    }
    for (const field of ['from', 'deviation', 'rank'] as const) if (!(this.options[field] >= 0)) throw new RangeError(`CollapseAlarm: ${field} is ${this.options[field]}, expected a number ≥ 0`);
  }

  /** Whether the step is to be measured. @param step from 0 @returns true every `every` steps */
  wants(step: number): boolean {
    return step % this.options.every === 0;
  }

  /**
   * Takes in one measurement.
   * @param step it was made at @param side whose embeddings @param spread the measures @param most min(N − 1, D), the highest rank there is
   * @returns a warning when a measure stayed below its threshold `patience` times in a row; the same collapse is said once, another one after a recovery again
   */
  observe(step: number, side: CollapseWarning['side'], spread: Spread, most: number): CollapseWarning | undefined {
    const { from, patience, deviation, rank } = this.options;
    if (step < from) return undefined;
    const limits = { deviation, rank: most >= 4 ? Math.max(1.5, rank * most) : 0 };
    let warning: CollapseWarning | undefined;
    for (const measure of ['deviation', 'rank'] as const) {
      const key = `${side} ${measure}`;
      const [value, threshold] = [spread[measure], limits[measure]];
      const times = value < threshold ? (this.low.get(key) ?? 0) + 1 : 0;
      this.low.set(key, times);
      if (times !== patience || warning) continue;
      const what = measure === 'deviation' ? `nearly one vector: spread ${value.toPrecision(3)}, expected at least ${threshold} (1 is random, mean cosine ${spread.cosine.toFixed(4)})`
        : `using ${value.toFixed(2)} effective dimensions, expected at least ${threshold.toFixed(2)} of ${most}`;
      warning = { kind: 'collapse', step, side, measure, value, threshold, message: `collapse at step ${step}: the ${side} are ${what}; a contrastive loss, frozen texts or a lower learning rate may prevent it` };
    }
    return warning;
  }
}
