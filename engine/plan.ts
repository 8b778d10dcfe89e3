// Plans: a function of fixed shapes is recorded once and replayed. One submit per run, nothing created: pipelines are compiled side by side, bind groups made
// and intermediate tensors laid out by lifetime beforehand.
import { layOut, livenessBound } from './arena.ts';
import { SMALLEST_BINDING, makeGroup } from './bind_groups.ts';
import { DeviceError } from './check.ts';
import type { Device } from './device.ts';
import { GPUBufferUsageBits, scope } from './memory.ts';
import type { ArenaBuffer, Storage } from './memory.ts';
import type { Pipeline } from './pipeline.ts';
import { debugLevel, nameOf } from './profile.ts';
import { Recording, SLOT, blocksOf } from './recording.ts';
import type { Command } from './recording.ts';
import { Tensor } from './tensor.ts';

/** What a plan takes. */
export interface PlanReport {
  /** Kernels per run. */
  readonly dispatches: number;
  /** Passes per run: clears and copies stand between them. */
  readonly passes: number;
  readonly pipelines: number;
  /** Bytes of the buffers that intermediate tensors share. */
  readonly arenaBytes: number;
  /** The most bytes of intermediate tensors that live at one command: no layout can do with less. */
  readonly boundBytes: number;
}

/** A recorded function. */
export interface Plan<R> {
  /** What the function returned: the same tensors after every run, with the values of the last one. */
  readonly outputs: R;
  readonly report: PlanReport;
  /** Whether a tensor that it uses was moved since, so that it cannot run any more. */
  readonly stale: boolean;
  /** Submits the recorded commands once, behind those that wait. @returns the outputs @throws DeviceError after a loss or error, after `dispose`, and when it is stale */
  run(): R;
  /** Adds the recorded commands to those that wait, so that copies before and after go out with them in one submit. @returns the outputs @throws as `run` */
  enqueue(): R;
  /** Releases outputs and buffers. @returns nothing */
  dispose(): void;
}

/** Gives storages without a buffer their place. Returns the buffers and where each storage begins. */
function place(device: Device, recording: Recording): { arenas: ArenaBuffer[]; base: Map<Storage, number>; arenaBytes: number; boundBytes: number } {
  const { storages, blocks } = blocksOf(recording);
  const layout = layOut(blocks);
  const arenas = device.pool.borrowArenas(layout.arenas);
  const base = new Map<Storage, number>();
  storages.forEach((s, i) => {
    const { arena, offset } = layout.places[i]!;
    s.buffer = arenas[arena]!.buffer;
    base.set(s, offset);
  });
  return { arenas, base, arenaBytes: layout.arenas.reduce((a, b) => a + b, 0), boundBytes: livenessBound(blocks) };
}

const pipelinesOf = (commands: readonly Command[]): Set<Pipeline> => new Set(commands.flatMap(c => (c.kind === 'dispatch' ? [c.pipeline] : [])));

/** How far the compilation of a plan's pipelines is. */
export interface PlanOptions {
  /** Told how many of the pipelines that nobody had compiled are ready, first 0. */
  readonly compiled?: ((built: number, total: number) => void) | undefined;
  /** Gives up waiting; what compiles already is kept for the next time. */
  readonly signal?: AbortSignal | undefined;
}

/** Compiles what no one has compiled yet, all at once. */
async function compile(gpu: GPUDevice, commands: readonly Command[], { compiled, signal }: PlanOptions): Promise<void> {
  const waiting = [...pipelinesOf(commands)].filter(p => !p.pipeline);
  let built = 0;
  const over = new AbortController();
  const cancelled = new Promise<never>((_, refuse) => signal?.addEventListener('abort', () => refuse(signal.reason), { once: true, signal: over.signal }));
  cancelled.catch(() => {}); // heard below, unless it comes before anyone waits
  const all = (): Promise<unknown> => Promise.all(waiting.map(async p => {
    try {
      p.pipeline = await gpu.createComputePipelineAsync(p.descriptor);
    } catch (cause) {
      throw new DeviceError(`plan: ${nameOf(p.kernel.name, p.entry)} does not compile, expected a valid shader (${(cause as Error).message})`, 'validation');
    }
    built++;
    if (!over.signal.aborted && !signal?.aborted) compiled?.(built, waiting.length);
  }));
  try {
    signal?.throwIfAborted();
    compiled?.(0, waiting.length);
    signal?.throwIfAborted();
    await Promise.race([all(), cancelled]);
  } finally {
    over.abort();
  }
}

/** One command ready to be encoded. */
type Step = { encode: undefined; pipeline: GPUComputePipeline; group: GPUBindGroup; offset: number[] | undefined; x: number; y: number; z: number; label: string; bytes: number }
  | { encode: (encoder: GPUCommandEncoder) => void };

function prepare(device: Device, recording: Recording, base: ReadonlyMap<Storage, number>, uniforms: GPUBuffer): Step[] {
  const at = (t: Tensor): number => t.offsetBytes + (base.get(t.storage) ?? 0);
  const margin = device.pool.marginBytes;
  const groups = new Map<string, GPUBindGroup>();
  const groupOf = (p: Pipeline, tensors: Readonly<Record<string, Tensor>>): GPUBindGroup => {
    const key = `${p.id},${Object.values(tensors).flatMap(t => (t.scales ? [t, t.scales] : [t])).map(t => `${t.storage.id}:${at(t)}:${t.byteLength}`).join()}`;
    let group = groups.get(key);
    if (!group) {
      group = makeGroup(device.gpu, p, tensors, uniforms, t => ({ buffer: t.storage.buffer, offset: at(t), size: Math.max(SMALLEST_BINDING, t.byteLength) + margin }));
      device.recorder.counters.bindGroups++;
      groups.set(key, group);
    }
    return group;
  };
  return recording.commands.map((c): Step => {
    if (c.kind === 'clear') return { encode: e => e.clearBuffer(c.tensor.storage.buffer, at(c.tensor), c.tensor.byteLength) };
    if (c.kind === 'copy') return { encode: e => e.copyBufferToBuffer(c.src.storage.buffer, at(c.src), c.dst.storage.buffer, at(c.dst), c.src.byteLength) };
    return {
      encode: undefined, pipeline: c.pipeline.pipeline!, group: groupOf(c.pipeline, c.tensors), offset: c.slot < 0 ? undefined : [c.slot * SLOT], x: c.grid[0], y: c.grid[1], z: c.grid[2],
      label: nameOf(c.pipeline.kernel.name, c.pipeline.entry), bytes: Object.values(c.tensors).reduce((n, t) => n + t.byteLength, 0),
    };
  });
}

/** Adds all steps to an encoder: as few passes as clears and copies allow, or one per kernel when times are asked for. */
function encode(device: Device, encoder: GPUCommandEncoder, steps: readonly Step[]): void {
  const { timer } = device.recorder;
  const timed = debugLevel() >= 2;
  let pass: GPUComputePassEncoder | undefined;
  let current: GPUComputePipeline | undefined;
  for (const step of steps) {
    if (step.encode || timed) {
      pass?.end();
      pass = current = undefined;
    }
    if (step.encode) {
      step.encode(encoder);
      continue;
    }
    pass ??= encoder.beginComputePass(timed ? { label: step.label, ...timer.writes(step.label, step.bytes) } : undefined);
    if (step.pipeline !== current) pass.setPipeline(current = step.pipeline);
    if (step.offset) pass.setBindGroup(0, step.group, step.offset);
    else pass.setBindGroup(0, step.group);
    pass.dispatchWorkgroups(step.x, step.y, step.z);
  }
  pass?.end();
}

/** Tensors of a result: alone, in arrays, maps and plain objects. */
function tensorsIn(value: unknown, into = new Set<Tensor>()): Set<Tensor> {
  if (value instanceof Tensor) into.add(value);
  else if (value instanceof Map || Array.isArray(value)) for (const v of value.values()) tensorsIn(v, into);
  else if (value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) for (const v of Object.values(value)) tensorsIn(v, into);
  return into;
}

/** Runs the function with the recorder in place of the GPU. */
function record<R>(device: Device, fn: () => R): { recording: Recording; outputs: R } {
  device.check();
  const { recorder, pool } = device;
  if (recorder.sink) throw new DeviceError('plan: another plan is being recorded, expected one at a time', 'validation');
  device.flush();
  const recording = new Recording(device);
  recorder.sink = recording;
  pool.recording = true;
  let outputs: R;
  try {
    outputs = scope(fn);
  } catch (error) {
    for (const s of recording.constants) pool.release(s);
    throw error;
  } finally {
    recorder.sink = undefined;
    pool.recording = false;
  }
  return { recording, outputs };
}

/** Lays a recording out, whose pipelines are compiled. */
function build<R>(device: Device, recording: Recording, outputs: R): Plan<R> {
  const { recorder, pool } = device;
  const outside = recording.retain();
  const watched = outside.filter(s => !s.moved); // a tensor that shared its place with one that left is where it was
  for (const { read, write } of recording.uses) for (const s of [...read, ...write]) if (s.virtual && s.refs > 0) pool.materialise(s);
  for (const t of tensorsIn(outputs)) if (t.storage.virtual) pool.materialise(t.storage); // written by nobody
  const { arenas, base, arenaBytes, boundBytes } = place(device, recording);
  const bytes = recording.uniforms.all();
  const uniforms = device.gpu.createBuffer({ size: bytes.length, usage: GPUBufferUsageBits.UNIFORM | GPUBufferUsageBits.COPY_DST, label: 'plan uniforms' });
  device.gpu.queue.writeBuffer(uniforms, 0, bytes);
  const steps = prepare(device, recording, base, uniforms);
  const dispatches = steps.filter(s => !s.encode).length;
  const passes = steps.filter((s, i) => !s.encode && (i === 0 || steps[i - 1]!.encode)).length;
  const touched = [...outside, ...[...tensorsIn(outputs)].map(t => t.storage)];
  let live = true;
  let waits = -1; // serial of the commands that this plan was last added to
  const enqueue = (): R => {
    if (!live) throw new DeviceError('plan: it was disposed, expected a live one', 'validation');
    if (watched.some(s => s.moved)) throw new DeviceError('plan: a tensor that it uses was moved since (an optimiser lays parameters out anew), expected it in its place; record again', 'validation');
    device.check();
    if (recorder.sink) throw new DeviceError('plan: it runs while another one is being recorded, expected it afterwards', 'validation');
    if (recording.uniforms.refresh()) {
      if (waits === recorder.serial) device.flush(); // the write would overtake the run before this one
      device.gpu.queue.writeBuffer(uniforms, 0, bytes);
      recorder.counters.uniformWrites++;
    }
    encode(device, recorder.commands(), steps);
    recorder.counters.dispatches += dispatches;
    waits = recorder.serial;
    for (const s of touched) s.lastUse = waits;
    return outputs;
  };
  return {
    outputs,
    report: { dispatches, passes, pipelines: pipelinesOf(recording.commands).size, arenaBytes, boundBytes },
    get stale() { return watched.some(s => s.moved); },
    enqueue,
    run() {
      const results = enqueue();
      device.flush();
      return results;
    },
    dispose() {
      if (!live) return;
      live = false;
      if (waits === recorder.serial) device.flush();
      for (const t of tensorsIn(outputs)) t.dispose();
      for (const s of [...recording.constants, ...outside]) pool.release(s);
      pool.returnArenas(arenas);
      uniforms.destroy();
    },
  };
}

/**
 * Records a function of fixed shapes and returns a plan that replays it: one submit, no buffer, group or pipeline created, intermediate tensors in few buffers, which all
 * plans of a device share. The function runs once, on tensors whose values do not exist yet, so it may not read them. Tensors made outside keep their place: write new
 * inputs into them (`device.upload`) before `run()`. Host data uploaded inside becomes a constant of the plan; uniform fields given as functions are asked again at every
 * run. Tensors that outlive the function without being returned (`keep`, a leaf's `grad`) get a place of their own as well. Pipelines are compiled side by side.
 * @param device where @param fn the work; ops only @param options progress and cancelling of the compilation @returns the plan, once its pipelines are compiled
 * @throws DeviceError when a shader does not compile, host data arrives too late, or a plan is being recorded already; what `fn` throws; the signal's reason
 */
export async function plan<R>(device: Device, fn: () => R, options: PlanOptions = {}): Promise<Plan<R>> {
  const { recording, outputs } = record(device, fn);
  const held = recording.retain(); // nobody takes them while the pipelines are compiled
  const letGo = (): void => { for (const s of held) device.pool.release(s); };
  try {
    await compile(device.gpu, recording.commands, options);
    options.signal?.throwIfAborted(); // told by `compiled` of the last one
  } catch (error) {
    letGo();
    for (const t of tensorsIn(outputs)) t.dispose();
    for (const s of recording.constants) device.pool.release(s);
    throw error;
  }
  const made = build(device, recording, outputs);
  letGo();
  return made;
}

/**
 * `plan` without waiting: pipelines that nobody has compiled yet are compiled one by one, as ops do it.
 * @param device where @param fn the work; ops only @returns the plan @throws DeviceError as `plan`, but a shader that does not compile shows at the next wait; what `fn` throws
 */
export function planNow<R>(device: Device, fn: () => R): Plan<R> {
  const { recording, outputs } = record(device, fn);
  for (const p of pipelinesOf(recording.commands)) p.pipeline ??= device.gpu.createComputePipeline(p.descriptor);
  return build(device, recording, outputs);
}
