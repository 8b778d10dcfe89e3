// Training steps as recorded plans: one per shape of the inputs (texts come in few padded lengths), with and without the meters. Inputs are uploaded into the same tensors at every step.
import type { Device } from '../engine/device.ts';
import { keep } from '../engine/memory.ts';
import { plan } from '../engine/plan.ts';
import type { Plan, PlanReport } from '../engine/plan.ts';
import { Tensor } from '../engine/tensor.ts';

/** Values of one input on the host. */
export interface HostArray {
  readonly data: Float32Array | Uint32Array;
  readonly shape: readonly number[];
}

/** Inputs by name of samples that go through the networks together, on the host. */
export type HostPiece = Readonly<Record<string, HostArray>>;

/** The same on the GPU. */
export type Piece = Readonly<Record<string, Tensor>>;

/** Steps of one shape. */
interface Recorded {
  readonly pieces: readonly Piece[];
  /** Without and with the meters. */
  readonly plans: (Plan<Tensor> | undefined)[];
}

const MOST_SHAPES = 6;

const placeOf = (device: Device, { data, shape }: HostArray): Tensor => Tensor.empty(device, [...shape], data instanceof Uint32Array ? 'u32' : 'f32');
const shapeOf = (piece: HostPiece): string => Object.values(piece).map(({ shape }) => shape.join('x')).join(' ');

function fill(device: Device, places: readonly Piece[], host: readonly HostPiece[]): void {
  places.forEach((place, i) => {
    for (const [name, { data }] of Object.entries(host[i]!)) device.upload(place[name]!, data);
  });
}

/**
 * Uploads the pieces of a step to tensors of the open scope.
 * @param device where @param host pieces @returns tensors per piece, by name, shaped as on the host
 */
export function uploadPieces(device: Device, host: readonly HostPiece[]): Piece[] {
  const places = host.map(piece => Object.fromEntries(Object.entries(piece).map(([name, array]) => [name, placeOf(device, array)])));
  fill(device, places, host);
  return places;
}

/** The plans of one trainer. */
export class StepPlans {
  private readonly device: Device;
  private readonly work: (pieces: readonly Piece[], measured: boolean) => Tensor;
  private readonly shapes = new Map<string, Recorded>();
  /** Places by piece, name and shape: steps that differ in one input share the others. */
  private readonly places = new Map<string, Tensor>();

  /** @param device where @param work enqueues one step, with or without meters, and returns what is read of it */
  constructor(device: Device, work: (pieces: readonly Piece[], measured: boolean) => Tensor) {
    this.device = device;
    this.work = work;
  }

  /**
   * Enqueues one step, recorded on the first batch of its shape.
   * @param host pieces @param measured whether with meters @returns what `work` returned: it belongs to the plan and is overwritten by its next step
   * @throws DeviceError when it cannot be recorded or run
   */
  async enqueue(host: readonly HostPiece[], measured: boolean): Promise<Tensor> {
    const key = host.map(shapeOf).join(', ');
    const recorded = this.shapes.get(key) ?? this.placesOf(host);
    this.shapes.delete(key); // and in again: the map's order is the order of use
    this.shapes.set(key, recorded);
    const made = (recorded.plans[Number(measured)] ??= await plan(this.device, () => this.work(recorded.pieces, measured)));
    fill(this.device, recorded.pieces, host);
    return made.enqueue();
  }

  private placesOf(host: readonly HostPiece[]): Recorded {
    if (this.shapes.size >= MOST_SHAPES) {
      const [oldest, recorded] = this.shapes.entries().next().value!;
      this.shapes.delete(oldest);
      release(recorded);
    }
    const pieces = host.map((piece, i) => Object.fromEntries(Object.entries(piece).map(([name, array]) => {
      const key = `${i} ${name} ${array.shape.join('x')}`;
      const place = this.places.get(key) ?? keep(placeOf(this.device, array));
      this.places.set(key, place);
      return [name, place];
    })));
    return { pieces, plans: [undefined, undefined] };
  }

  /** What the plans take. @returns reports by the shapes of the inputs, without and with the meters */
  reports(): Map<string, readonly (PlanReport | undefined)[]> {
    return new Map([...this.shapes].map(([key, { plans }]) => [key, plans.map(p => p?.report)]));
  }

  /** Releases all plans. @returns nothing */
  dispose(): void {
    for (const recorded of this.shapes.values()) release(recorded);
    for (const place of this.places.values()) place.dispose();
    this.shapes.clear();
    this.places.clear();
  }
}

function release({ plans }: Recorded): void {
  for (const made of plans) made?.dispose();
}
