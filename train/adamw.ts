// AdamW over many tensors in few dispatches: parameters, moments and gradients each lie in flat buffers, one update per buffer.
import { DeviceError } from '../engine/check.ts';
import type { Device } from '../engine/device.ts';
import { keep, scope } from '../engine/memory.ts';
import { noGrad } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { ADAMW_BLOCK, adamwStep } from '../kernels/adamw.ts';
import { clipFactor, gradNorm } from '../kernels/grad_norm.ts';

/** Elements to which segments are aligned: bindings start at multiples of 256 bytes. */
const BLOCK = ADAMW_BLOCK;

export interface Group {
  /** Multiplier of the learning rate, for example 0.05 for the Y-Encoder (VL-JEPA section 3.2). */
  lr?: number;
  /** Decoupled weight decay. */
  weightDecay?: number;
}

export interface AdamWOptions {
  lr: number;
  betas?: readonly [number, number];
  eps?: number;
  weightDecay?: number;
  /** Global gradient norm above which gradients are scaled down; Infinity turns it off. */
  clipNorm?: number;
  group?: (name: string, tensor: Tensor) => Group;
}

interface Flat {
  readonly names: string[];
  readonly param: Tensor;
  readonly grad: Tensor;
  readonly m: Tensor;
  readonly v: Tensor;
  readonly rest: Tensor;
  readonly blockGroup: Tensor;
  readonly places: { name: string; parameter: Tensor; offset: number; grad: Tensor }[];
}

/** No weight decay on norms, biases and token tables (spec 1.15). @param name checkpoint name @param tensor the parameter @returns whether decay applies */
export const decays = (name: string, tensor: Tensor): boolean => tensor.shape.length > 1 && !name.includes('embed_tokens');

/**
 * AdamW with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101), exactly as PyTorch computes it, with clipping of the
 * global gradient norm. The learning rate of a step is uploaded; nothing is read back.
 */
export class AdamW {
  readonly gradNorm: Tensor;
  stepCount = 0;
  private readonly device: Device;
  private readonly flats: Flat[];
  private readonly rates: { lr: number; weightDecay: number }[] = [];
  private readonly groups: Tensor;
  private readonly options: Required<Omit<AdamWOptions, 'group'>>;

  /**
   * Moves every parameter into flat buffers; the `Tensor` objects stay valid.
   * @param parameters by checkpoint name, each f32 @param options rates @throws DeviceError when there is nothing to train or a tensor passes the binding limit
   */
  constructor(parameters: ReadonlyMap<string, Tensor>, options: AdamWOptions) {
    const first = parameters.values().next().value;
    if (!first) throw new DeviceError('AdamW: there is no parameter, expected at least one tensor that needs a gradient', 'validation');
    this.device = first.device;
    this.options = { betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0.01, clipNorm: 1, ...options };
    this.flats = this.layOut(parameters, options);
    this.groups = keep(Tensor.from(this.device, this.rates.flatMap(r => [r.lr, r.weightDecay]), [this.rates.length, 2]));
    this.gradNorm = keep(Tensor.zeros(this.device, [1]));
  }

  private layOut(parameters: ReadonlyMap<string, Tensor>, options: AdamWOptions): Flat[] {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.device.limits;
    const limit = Math.floor(Math.min(maxBufferSize, maxStorageBufferBindingSize) / 4 / BLOCK) * BLOCK;
    const plans: { entries: [string, Tensor, number][]; total: number }[] = [];
    for (const [name, t] of parameters) {
      const room = Math.ceil(t.size / BLOCK) * BLOCK;
      if (room > limit) throw new DeviceError(`AdamW: ${name} has ${t.size} elements, expected at most ${limit} (the device's binding limit)`, 'limit');
      let plan = plans[plans.length - 1];
      if (!plan || plan.total + room > limit) plans.push((plan = { entries: [], total: 0 }));
      plan.entries.push([name, t, plan.total]);
      plan.total += room;
    }
    return plans.map(({ entries, total }) => this.makeFlat(entries, total, options));
  }

  private makeFlat(entries: [string, Tensor, number][], total: number, options: AdamWOptions): Flat {
    const make = (): Tensor => keep(Tensor.zeros(this.device, [total]));
    const [param, grad, m, v, rest] = [make(), make(), make(), make(), make()];
    const blocks = new Uint32Array(total / BLOCK);
    const places = entries.map(([name, parameter, offset]) => {
      const group = options.group?.(name, parameter) ?? {};
      blocks.fill(this.groupIndex({ lr: group.lr ?? 1, weightDecay: group.weightDecay ?? (decays(name, parameter) ? this.options.weightDecay : 0) }),
        offset / BLOCK, Math.ceil((offset + parameter.size) / BLOCK));
      const place = param.view(parameter.shape, offset);
      parameter.moveTo(place);
      place.dispose();
      return { name, parameter, offset, grad: keep(grad.view(parameter.shape, offset)) };
    });
    return { names: entries.map(([name]) => name), param, grad, m, v, rest, blockGroup: keep(Tensor.from(this.device, blocks)), places };
  }

  private groupIndex(group: { lr: number; weightDecay: number }): number {
    const at = this.rates.findIndex(r => r.lr === group.lr && r.weightDecay === group.weightDecay);
    return at >= 0 ? at : this.rates.push(group) - 1;
  }

  /**
   * One update from the parameters' `grad`, which are consumed. Parameters without a gradient count as zero gradients.
   * @param lr learning rate of this step, default the constructor's @returns nothing; only enqueues
   */
  step(lr: number = this.options.lr): void {
    this.begin(lr);
    this.update();
  }

  /** The part of a step that cannot be recorded: counts it and uploads the learning rates. @param lr learning rate of this step @returns nothing */
  begin(lr: number): void {
    this.stepCount++;
    this.groups.device.upload(this.groups, Float32Array.from(this.rates.flatMap(r => [r.lr * lr, r.weightDecay])));
  }

  /** The rest of a step, which a plan may record: gradients, their norm, the update. The number of the step is asked anew at every run. @returns nothing; only enqueues @throws DeviceError before the first `begin`, unless a plan is being recorded */
  update(): void {
    const { betas: [beta1, beta2], eps, clipNorm } = this.options;
    scope(() => noGrad(() => {
      for (const { places } of this.flats) {
        for (const { parameter, grad } of places) {
          if (parameter.grad) this.device.copy(parameter.grad, grad);
          else this.device.clear(grad);
          parameter.grad?.dispose();
          parameter.grad = undefined;
        }
      }
      const norm = this.norm();
      this.device.copy(norm, this.gradNorm);
      const clip = clipFactor(norm, clipNorm);
      for (const { param, grad, m, v, rest, blockGroup } of this.flats) {
        adamwStep(this.device, { param, grad, m, v, rest, blockGroup, groups: this.groups, clip }, { beta1, beta2, eps, step: () => this.counted() });
      }
    }));
  }

  /** Number of the step that `begin` counted; a plan may be recorded before its first step. */
  private counted(): number {
    if (this.stepCount === 0 && !this.device.recorder.sink) throw new DeviceError('AdamW: update came before begin, expected begin(lr) before every update', 'validation');
    return Math.max(1, this.stepCount);
  }

  /** Norm over all flat buffers: the norm of their norms. */
  private norm(): Tensor {
    const norms = this.flats.map(f => gradNorm(f.grad));
    if (norms.length === 1) return norms[0]!;
    const row = Tensor.zeros(this.device, [norms.length * BLOCK]);
    norms.forEach((n, i) => this.device.copy(n, row.view([1], i * BLOCK)));
    return gradNorm(row);
  }

  /**
   * Reads flat buffers laid out like the parameters and cuts them by name.
   * @param flats one per flat parameter buffer, default the parameters themselves @returns values and shape by parameter name
   */
  async read(flats: readonly Tensor[] = this.flatParameters()): Promise<Map<string, { shape: readonly number[]; data: Float32Array }>> {
    const out = new Map<string, { shape: readonly number[]; data: Float32Array }>();
    for (const [i, { places }] of this.flats.entries()) {
      const values = await flats[i]!.read();
      for (const { name, parameter, offset } of places) out.set(name, { shape: parameter.shape, data: values.slice(offset, offset + parameter.size) });
    }
    return out;
  }

  /** Moments and the rests of rounding, laid out like the parameters: with the parameters and the step count they decide every later step. @returns flat tensors */
  moments(): { m: readonly Tensor[]; v: readonly Tensor[]; rest: readonly Tensor[] } {
    return { m: this.flats.map(f => f.m), v: this.flats.map(f => f.v), rest: this.flats.map(f => f.rest) };
  }

  /**
   * Writes values by parameter name into flat buffers laid out like the parameters.
   * @param flats one per flat parameter buffer @param values by name, each as long as its parameter @param what for the message @returns nothing
   * @throws DeviceError when a name is missing or has another length
   */
  write(flats: readonly Tensor[], values: (name: string) => Float32Array | undefined, what: string): void {
    this.flats.forEach(({ places, param }, i) => {
      const all = new Float32Array(param.size);
      for (const { name, parameter, offset } of places) {
        const data = values(name);
        if (data?.length !== parameter.size) throw new DeviceError(`AdamW: ${what} of ${name} has ${data?.length ?? 'no'} values, expected ${parameter.size}`, 'validation');
        all.set(data, offset);
      }
      this.device.upload(flats[i]!, all);
    });
  }

  /** The flat parameter buffers, for averages over training. @returns [total] each */
  flatParameters(): Tensor[] {
    return this.flats.map(f => f.param);
  }

  /** Gives moments and gradient buffers back; the parameters stay where they are. @returns nothing */
  dispose(): void {
    for (const f of this.flats) {
      for (const t of [f.param, f.grad, f.m, f.v, f.rest, f.blockGroup]) t.dispose();
      for (const p of f.places) p.grad.dispose();
    }
    this.groups.dispose();
    this.gradNorm.dispose();
  }
}
