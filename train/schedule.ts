// Learning rates as functions of the step.

export interface CosineOptions {
  /** Peak rate. */
  lr: number;
  /** Steps of linear warm-up from 0 (the first step already has lr / warmup). */
  warmup: number;
  /** Step at which the rate reaches `floor`. */
  steps: number;
  /** Lowest rate as a share of the peak. */
  floor?: number;
}

/**
 * Linear warm-up, then a cosine from the peak to `floor` times the peak (Loshchilov and Hutter 2017, arXiv 1608.03983).
 * @param options rates and lengths in steps @returns learning rate of a step, counted from 0 @throws RangeError for a length that is not positive
 */
export function cosine({ lr, warmup, steps, floor = 0.01 }: CosineOptions): (step: number) => number {
  if (!(steps > 0) || warmup < 0) throw new RangeError(`cosine: steps is ${steps} and warmup ${warmup}, expected steps > 0 and warmup ≥ 0`);
  return step => {
    if (step < warmup) return (lr * (step + 1)) / warmup;
    const t = Math.min(1, (step - warmup) / Math.max(1, steps - warmup));
    return lr * (floor + (1 - floor) * 0.5 * (1 + Math.cos(Math.PI * t)));
  };
}

/**
 * Constant rate after a linear warm-up (stage 1 of the paper: 5e-5).
 * @param lr rate @param warmup steps of warm-up @returns learning rate of a step, counted from 0
 */
export const constant = (lr: number, warmup = 0): ((step: number) => number) => step => (step < warmup ? (lr * (step + 1)) / warmup : lr);
