// Training steps as recorded plans: one per padded text length, with and without the meters. Inputs are uploaded into the same tensors at every step.
import type { Device } from '../engine/device.ts';
import { keep } from '../engine/memory.ts';
import { plan } from '../engine/plan.ts';
import type { Plan, PlanReport } from '../engine/plan.ts';
import { Tensor } from '../engine/tensor.ts';
import type { TokenBatch } from '../model/vl_jepa.ts';

/** Samples that go through the networks together, on the host. */
export interface HostPiece {
  /** [b, 1, 3, S, S] normalised pixels. */
  readonly pixels: Float32Array;
  /** [b, T]; every piece of a step has the same T. */
  readonly texts: TokenBatch;
}

/** The same on the GPU. The mask is always there: one plan serves batches with and without padding. */
export interface Piece {
  readonly pixels: Tensor;
  readonly ids: Tensor;
  readonly mask: Tensor;
}

/** Steps of one shape. */
interface Recorded {
  readonly pieces: readonly Piece[];
  /** Without and with the meters. */
  readonly plans: (Plan<Tensor> | undefined)[];
}

const MOST_SHAPES = 6;

const rowsOf = ({ texts: { ids, tokens } }: HostPiece): number => ids.length / tokens;
const pixelsFor = (device: Device, host: readonly HostPiece[], side: number): Tensor[] => host.map(piece => Tensor.empty(device, [rowsOf(piece), 1, 3, side, side]));

/** Empty tensors for the texts of a step, beside those of its pictures. */
function placesFor(device: Device, host: readonly HostPiece[], pixels: readonly Tensor[]): Piece[] {
  return host.map((piece, i) => {
    const shape = [rowsOf(piece), piece.texts.tokens];
    return { pixels: pixels[i]!, ids: Tensor.empty(device, shape, 'u32'), mask: Tensor.empty(device, shape, 'u32') };
  });
}

function fill(device: Device, places: readonly Piece[], host: readonly HostPiece[]): void {
  places.forEach(({ pixels, ids, mask }, i) => {
    device.upload(pixels, host[i]!.pixels);
    device.upload(ids, host[i]!.texts.ids);
    device.upload(mask, host[i]!.texts.mask);
  });
}

/**
 * Uploads the pieces of a step to tensors of the open scope.
 * @param device where @param host pieces @param side edge of the pictures, pixels @returns tensors per piece
 */
export function uploadPieces(device: Device, host: readonly HostPiece[], side: number): Piece[] {
  const places = placesFor(device, host, pixelsFor(device, host, side));
  fill(device, places, host);
  return places;
}

/** The plans of one trainer. */
export class StepPlans {
  private readonly device: Device;
  private readonly side: number;
  private readonly work: (pieces: readonly Piece[], measured: boolean) => Tensor;
  private readonly shapes = new Map<string, Recorded>();
  /** Places of the pictures by rows of the pieces: texts of any length use the same. */
  private readonly pixels = new Map<string, readonly Tensor[]>();

  /** @param device where @param side edge of the pictures, pixels @param work enqueues one step, with or without meters, and returns what is read of it */
  constructor(device: Device, side: number, work: (pieces: readonly Piece[], measured: boolean) => Tensor) {
    this.device = device;
    this.side = side;
    this.work = work;
  }

  /**
   * Enqueues one step, recorded on the first batch of its length.
   * @param host pieces @param measured whether with meters @returns what `work` returned: it belongs to the plan and is overwritten by its next step
   * @throws DeviceError when it cannot be recorded or run
   */
  async enqueue(host: readonly HostPiece[], measured: boolean): Promise<Tensor> {
    const key = host.map(piece => `${rowsOf(piece)}x${piece.texts.tokens}`).join(', ');
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
    const rows = host.map(rowsOf).join();
    const pixels = this.pixels.get(rows) ?? pixelsFor(this.device, host, this.side).map(keep);
    this.pixels.set(rows, pixels);
    const pieces = placesFor(this.device, host, pixels);
    for (const { ids, mask } of pieces) for (const t of [ids, mask]) keep(t);
    return { pieces, plans: [undefined, undefined] };
  }

  /** What the plans take. @returns reports by rows and length of the pieces, without and with the meters */
  reports(): Map<string, readonly (PlanReport | undefined)[]> {
    return new Map([...this.shapes].map(([key, { plans }]) => [key, plans.map(p => p?.report)]));
  }

  /** Releases all plans. @returns nothing */
  dispose(): void {
    for (const recorded of this.shapes.values()) release(recorded);
    for (const pixels of this.pixels.values()) for (const t of pixels) t.dispose();
    this.shapes.clear();
    this.pixels.clear();
  }
}

function release({ plans, pieces }: Recorded): void {
  for (const made of plans) made?.dispose();
  for (const { ids, mask } of pieces) for (const t of [ids, mask]) t.dispose();
}
