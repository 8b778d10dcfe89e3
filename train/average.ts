// Exponential moving average of the weights (Polyak and Juditsky 1992), on the optimiser's flat buffers.
import { DeviceError } from '../engine/check.ts';
import { keep } from '../engine/memory.ts';
import { Tensor } from '../engine/tensor.ts';
import { lerpInPlace } from '../kernels/lerp.ts';
import type { AdamW } from './adamw.ts';

/** The averaged weights beside the trained ones. */
export class WeightAverage {
  private readonly params: readonly Tensor[];
  private readonly averages: readonly Tensor[];
  private readonly decay: number;

  /** Starts at the weights of now. @param optimizer whose parameters are averaged @param decay 0 to 1, for example 0.998 per step @throws DeviceError for a decay out of range */
  constructor(optimizer: AdamW, decay: number) {
    if (!(decay >= 0 && decay < 1)) throw new DeviceError(`WeightAverage: decay is ${decay}, expected 0 ≤ decay < 1`, 'validation');
    this.decay = decay;
    this.params = optimizer.flatParameters();
    this.averages = this.params.map(p => {
      const copy = keep(Tensor.empty(p.device, p.shape));
      p.device.copy(p, copy);
      return copy;
    });
  }

  /** After a step: average ← average + (1 − d)(weights − average), with d = min(decay, (1 + step)/(10 + step)) so that early steps count less. @param step steps done before this one; in a plan a function, asked before every run @returns nothing */
  update(step: number | (() => number)): void {
    const share = (): number => {
      const done = typeof step === 'function' ? step() : step;
      return 1 - Math.min(this.decay, (1 + done) / (10 + done));
    };
    this.params.forEach((p, i) => lerpInPlace(this.averages[i]!, p, share));
  }

  /** Exchanges weights and average: call before and after evaluating or saving the averaged model. @returns nothing */
  swap(): void {
    this.params.forEach((p, i) => {
      const average = this.averages[i]!;
      const spare = Tensor.empty(p.device, p.shape);
      p.device.copy(p, spare);
      p.device.copy(average, p);
      p.device.copy(spare, average);
      spare.dispose();
    });
  }

  /** The flat averages, in the order of the optimiser's flat parameters. @returns [total] each */
  flat(): readonly Tensor[] {
    return this.averages;
  }

  /** Gives the buffers back. @returns nothing */
  dispose(): void {
    for (const t of this.averages) t.dispose();
  }
}
