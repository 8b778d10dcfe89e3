// Runs a batch of planned cases on the device: all forwards, then all gradients, then one read. Nothing waits in between.
import type { Device } from '../../engine/device.ts';
import { scope } from '../../engine/memory.ts';
import { gradients } from '../../engine/tape.ts';
import { size } from '../../engine/tensor.ts';
import type { Tensor } from '../../engine/tensor.ts';
import '../../kernels/backward.ts';
import { dice, hash } from './draw.ts';
import { readF16, wantsGradient } from './plan.ts';
import type { Planned, Run } from './plan.ts';
import { guarded, place, Readback } from './readback.ts';
import type { Result } from './readback.ts';
import { permutation } from './values.ts';

/** What one run gave. */
export interface Outcome {
  readonly run: Run;
  readonly outputs: readonly Result[];
  /** One per input; undefined where the tape has none. */
  readonly grads: readonly (Result | undefined)[];
  /** Gradient that went into the first result. */
  readonly dy: Float32Array | undefined;
  /** Thrown by the op. */
  readonly error: Error | undefined;
}

interface Live {
  readonly planned: Planned;
  readonly run: Run;
  leaves: Tensor[];
  outputs: Tensor[];
  grads: (Tensor | undefined)[];
  dy: Float32Array | undefined;
  error: Error | undefined;
}

/** Larger grids are folded by the dispatcher itself. */
const MOST_GROUPS = 65_535;

/**
 * Runs `fn` with every counted grid folded into so many rows of workgroups: what happens beyond 65,535 of them otherwise, where no small case comes. A second
 * run of a case folds otherwise than its first, and without guards, where a stray write does not land beside the tensor but is turned back onto its last element.
 */
function folded(device: Device, { spec }: Planned, run: Run, fn: () => void): void {
  const rows = 1 + ((hash('grid', spec.seed) + (run.role === 'again' ? 1 : 0)) % 3);
  const { recorder, pool } = device;
  const margin = pool.marginBytes;
  if (run.role === 'again') pool.marginBytes = 0;
  const plain = recorder.dispatch;
  recorder.dispatch = (kernel, entry, tensors, params, groups, options) =>
    plain.call(recorder, kernel, entry, tensors, params, typeof groups === 'number' && rows > 1 && groups > 1 && groups <= MOST_GROUPS ? [Math.ceil(groups / rows), rows, 1] : groups, options);
  try {
    fn();
  } finally {
    recorder.dispatch = plain;
    pool.marginBytes = margin;
  }
}

/** Cotangent of a case: integers stay integers; rows move with the rows of the result. */
function cotangent({ proof, spec, kind, order, axes }: Planned, run: Run, shape: readonly number[]): Float32Array {
  const d = dice(hash(`${proof.name} dy`, spec.seed));
  const dy = Float32Array.from({ length: size(shape) }, () => (kind === 'integers' ? d.int(-3, 3) : d.normal()));
  const axis = run.role === 'permuted' ? axes?.outputs[0] : undefined;
  if (axis === undefined) return dy;
  const from = permutation(shape, axis, order!);
  return dy.map((_, i) => dy[from[i]!]!);
}

const within = ({ proof, case: c }: Planned, fn: () => void): void => (proof.within ? proof.within(c.options, fn) : fn());

function forward(device: Device, live: Live): void {
  const { planned: { proof, case: c, nativeF16 }, run } = live;
  readF16(device, nativeF16);
  try {
    live.leaves = run.inputs.map((stored, i) => {
      const t = place(device, stored, run.poison, i);
      if (run.gradients) t.needsGrad = wantsGradient(stored);
      return t;
    });
    within(live.planned, () => {
      const y = proof.run(live.leaves, c.options, device);
      live.outputs = Array.isArray(y) ? [...y as Tensor[]] : [y as Tensor];
    });
  } catch (error) {
    live.error = error as Error;
  }
}

function backward(device: Device, live: Live): void {
  const y = live.outputs[0];
  if (live.error || !live.run.gradients || !y) return;
  readF16(device, live.planned.nativeF16);
  try {
    const dy = cotangent(live.planned, live.run, y.shape);
    const words = new Uint32Array(dy.buffer);
    const seed = place(device, { input: { shape: y.shape, kind: 'float' }, dtype: 'f32', values: new Float64Array(0), words, scales: undefined }, live.run.poison, live.leaves.length);
    within(live.planned, () => { live.grads = gradients(y, seed, live.leaves); });
    live.dy = dy;
  } catch (error) {
    live.error = error as Error;
  }
}

/**
 * Runs cases together.
 * @param device where @param batch planned cases @param meanwhile CPU work to do while the device computes
 * @returns per case the outcome of each of its runs @throws DeviceError when the device reports an error that no single call threw
 */
export async function execute(device: Device, batch: readonly Planned[], meanwhile: () => void = () => {}): Promise<Outcome[][]> {
  const back = new Readback(device);
  const native = device.nativeF16;
  const lives = batch.map(planned => planned.runs.map((run): Live => ({ planned, run, leaves: [], outputs: [], grads: [], dy: undefined, error: undefined })));
  const pattern = { bits: 0 };
  const noted = new Map<Live, { outputs: number[]; grads: (number | undefined)[] }>();
  try {
    scope(() => guarded(device, pattern, () => {
      const all = lives.flat();
      for (const live of all) {
        pattern.bits = live.run.poison;
        folded(device, live.planned, live.run, () => forward(device, live));
      }
      device.flush();
      for (const live of all) {
        pattern.bits = live.run.poison;
        folded(device, live.planned, live.run, () => backward(device, live));
      }
      for (const live of all) {
        if (live.error) continue;
        noted.set(live, { outputs: live.outputs.map(t => back.add(t)), grads: live.grads.map(t => t && back.add(t)) });
      }
      back.enqueue();
    }));
  } finally {
    device.nativeF16 = native;
  }
  meanwhile();
  const results = await back.read();
  return lives.map(runs => runs.map((live): Outcome => {
    const at = noted.get(live);
    return { run: live.run, dy: live.dy, error: live.error, outputs: at?.outputs.map(i => results[i]!) ?? [], grads: at?.grads.map(i => (i === undefined ? undefined : results[i]!)) ?? [] };
  }));
}
