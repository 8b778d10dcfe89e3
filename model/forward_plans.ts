/**
 * Forward passes by shape. The first time a shape comes it runs op by op, which compiles its kernels and costs no recording where it never comes back; the second time it is
 * recorded as a plan (engine/plan.ts), and from then on replayed: one submit, nothing created, the same bits. Few plans are held, the ones used last; intermediate tensors of all
 * of them lie in the same buffers, so a plan costs its inputs, its result and some bytes per kernel. Recording, filling and running happen in one go without waiting,
 * so calls that overlap cannot meet in one plan: commands run in the order of the calls.
 */
import type { Device } from '../engine/device.ts';
import { keep, scope } from '../engine/memory.ts';
import { planNow } from '../engine/plan.ts';
import type { Plan, PlanReport } from '../engine/plan.ts';
import { debugLevel } from '../engine/profile.ts';
import { noGrad } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import type { HostArray } from './token_batch.ts';

/** What a forward pass takes; undefined ones are handed on as they are. */
export type ForwardInput = Tensor | HostArray | undefined;

interface Recorded {
  readonly plan: Plan<Tensor>;
  /** Where each call writes its inputs. */
  readonly inputs: readonly (Tensor | undefined)[];
  /** Of the inputs and the result. */
  readonly bytes: number;
}

const MOST_PLANS = 12;
/** Of the inputs and results of all plans but the newest: pixels of long clips are large. */
const MOST_BYTES = 2 ** 28;
const MOST_SEEN = 64;

const dtypeOf = (input: Tensor | HostArray): 'u32' | Tensor['dtype'] => (input instanceof Tensor ? input.dtype : 'u32');
/** Debug level 4 looks at every kernel's output, scaled integers cannot be copied alone, and nothing is to be won for empty tensors. */
const replayable = (input: ForwardInput): boolean => !input || (!(input instanceof Tensor && input.scales) && input.shape.every((n) => n > 0));

/** The forward passes of one model. */
export class ForwardPlans {
  private readonly device: Device;
  private readonly plans = new Map<string, Recorded>();
  private readonly seen = new Set<string>();

  /** @param device of the model */
  constructor(device: Device) {
    this.device = device;
  }

  /**
   * One forward pass without gradients.
   *
   * @param name which function; with the shapes of the inputs it names the plan
   * @param inputs its arguments; a replay copies them to a place of its own first
   * @param forward the function, deterministic, of these inputs and of weights that stay where they are
   * @returns what it returns, in a tensor that belongs to the caller
   * @throws DeviceError; what `forward` throws
   */
  run(name: string, inputs: readonly ForwardInput[], forward: (...inputs: (Tensor | undefined)[]) => Tensor): Tensor {
    const once = (): Tensor => scope(() => noGrad(() => forward(...inputs.map((input) => (input && !(input instanceof Tensor) ? Tensor.from(this.device, input.data, input.shape) : input)))));
    if (this.device.recorder.sink || debugLevel() >= 4 || !inputs.every(replayable)) return once();
    const key = `${name} ${inputs.map((input) => (input ? `${dtypeOf(input)} ${input.shape.join('x')}` : '-')).join(', ')}`;
    let recorded = this.plans.get(key);
    this.plans.delete(key); // and back in at the end: the map's order is the order of use
    if (recorded?.plan.stale) {
      release(recorded);
      recorded = undefined;
    }
    if (!recorded && !this.seen.has(key)) {
      this.remember(key);
      return once();
    }
    recorded ??= this.record(inputs, forward);
    this.plans.set(key, recorded);
    inputs.forEach((input, i) => {
      const place = recorded.inputs[i];
      if (input instanceof Tensor) this.device.copy(input, place!);
      else if (input) this.device.upload(place!, input.data);
    });
    const result = recorded.plan.enqueue();
    const own = Tensor.empty(this.device, result.shape, result.dtype);
    this.device.copy(result, own);
    return own;
  }

  /** Shapes seen once, the oldest forgotten. */
  private remember(key: string): void {
    this.seen.add(key);
    if (this.seen.size > MOST_SEEN) this.seen.delete(this.seen.values().next().value!);
  }

  private record(inputs: readonly ForwardInput[], forward: (...inputs: (Tensor | undefined)[]) => Tensor): Recorded {
    for (const [oldest, recorded] of this.plans) {
      const bytes = [...this.plans.values()].reduce((n, r) => n + r.bytes, 0);
      if (this.plans.size < MOST_PLANS && bytes <= MOST_BYTES) break;
      this.plans.delete(oldest);
      release(recorded);
    }
    const places = inputs.map((input) => input && keep(Tensor.empty(this.device, input.shape, dtypeOf(input))));
    try {
      const plan = planNow(this.device, () => noGrad(() => forward(...places)));
      keep(plan.outputs);
      return { plan, inputs: places, bytes: [...places, plan.outputs].reduce((n, t) => n + (t?.byteLength ?? 0), 0) };
    } catch (error) {
      for (const place of places) place?.dispose();
      throw error;
    }
  }

  /** What the plans take that are held, the one used last at the end. @returns by function and shapes */
  reports(): Map<string, PlanReport> {
    return new Map([...this.plans].map(([key, { plan }]) => [key, plan.report]));
  }

  /** Releases all plans. @returns nothing */
  dispose(): void {
    for (const recorded of this.plans.values()) release(recorded);
    this.plans.clear();
    this.seen.clear();
  }
}

function release({ plan, inputs }: Recorded): void {
  plan.dispose();
  for (const place of inputs) place?.dispose();
}
