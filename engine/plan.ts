// Plans: a function of fixed shapes is recorded once and replayed. One submit per run, nothing created: pipelines are compiled side by side, bind groups made
// and intermediate tensors laid out by lifetime beforehand.
import { layOut, livenessBound } from './arena.ts';
import type { Block } from './arena.ts';
import { DeviceError, showShape } from './check.ts';
import type { Device } from './device.ts';
import { SMALLEST_BINDING, makeGroup } from './dispatch.ts';
import type { CommandSink } from './dispatch.ts';
import { GPUBufferUsageBits, scope } from './memory.ts';
import type { Storage } from './memory.ts';
import { writeParams } from './pipeline.ts';
import type { Param, Pipeline } from './pipeline.ts';
import { debugLevel, nameOf } from './profile.ts';
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
  /** Submits the recorded commands once. @returns the outputs @throws DeviceError after a loss or error, or after `dispose` */
  run(): R;
  /** Releases outputs and buffers. @returns nothing */
  dispose(): void;
}

interface Use { read: Set<Storage>; write: Set<Storage> }
interface DispatchCommand { kind: 'dispatch'; pipeline: Pipeline; tensors: Readonly<Record<string, Tensor>>; slot: number; grid: readonly [number, number, number] }
type Command = DispatchCommand | { kind: 'clear'; tensor: Tensor } | { kind: 'copy'; src: Tensor; dst: Tensor };

const SLOT = 256;

/** Uniform fields of all commands: equal ones share a slot, those with functions are asked before each run. */
class Uniforms {
  private bytes = new Uint8Array(64 * SLOT);
  private readonly known = new Map<string, number>();
  private readonly asked: { pipeline: Pipeline; params: Readonly<Record<string, Param>>; slot: number }[] = [];
  slots = 0;

  add(pipeline: Pipeline, params: Readonly<Record<string, Param>>): number {
    if ((this.slots + 1) * SLOT > this.bytes.length) {
      const wider = new Uint8Array(this.bytes.length * 2);
      wider.set(this.bytes);
      this.bytes = wider;
    }
    const { kernel, entry } = pipeline;
    const base = this.slots * SLOT;
    this.bytes.fill(0, base, base + SLOT);
    const functions = writeParams(kernel, entry, params, new DataView(this.bytes.buffer), base);
    const key = this.bytes.subarray(base, base + kernel.paramsBytes).join();
    const same = functions.length ? undefined : this.known.get(key);
    if (same !== undefined) return same;
    if (functions.length) this.asked.push({ pipeline, params, slot: this.slots });
    else this.known.set(key, this.slots);
    return this.slots++;
  }

  /** The bytes of all slots. */
  all(): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(0, Math.max(1, this.slots) * SLOT);
  }

  /** Asks the functions again. Returns whether a byte changed. */
  refresh(): boolean {
    if (this.asked.length === 0) return false;
    const view = new DataView(this.bytes.buffer);
    let changed = false;
    for (const { pipeline: { kernel, entry }, params, slot } of this.asked) {
      const before = this.bytes.slice(slot * SLOT, slot * SLOT + kernel.paramsBytes);
      writeParams(kernel, entry, params, view, slot * SLOT);
      changed ||= before.some((b, i) => b !== this.bytes[slot * SLOT + i]);
    }
    return changed;
  }
}

/** Everything that happens while the function runs. */
class Recording implements CommandSink {
  readonly commands: Command[] = [];
  readonly uses: Use[] = [];
  readonly uniforms = new Uniforms();
  private readonly device: Device;

  constructor(device: Device) {
    this.device = device;
  }

  private add(command: Command, read: readonly Tensor[], written: readonly Tensor[]): void {
    this.commands.push(command);
    this.uses.push({ read: new Set(read.map(t => t.storage)), write: new Set(written.map(t => t.storage)) });
  }

  dispatch(pipeline: Pipeline, tensors: Readonly<Record<string, Tensor>>, params: Readonly<Record<string, Param>>, grid: readonly [number, number, number]): void {
    const { kernel, entry } = pipeline;
    const { tensors: names, params: wanted } = kernel.entries[entry]!;
    const read: Tensor[] = [], written: Tensor[] = [];
    const held: Record<string, Tensor> = {};
    for (const name of names) {
      const t = tensors[name]!;
      held[name] = borrow(t);
      (kernel.bindings[name]!.write ? written : read).push(t);
      if (t.scales) read.push(t.scales);
    }
    this.add({ kind: 'dispatch', pipeline, tensors: held, slot: wanted ? this.uniforms.add(pipeline, params) : -1, grid }, read, written);
  }

  clear(tensor: Tensor): void {
    this.add({ kind: 'clear', tensor: borrow(tensor) }, [], [tensor]);
  }

  copy(src: Tensor, dst: Tensor): void {
    this.add({ kind: 'copy', src: borrow(src), dst: borrow(dst) }, [src], [dst]);
  }

  /** Host data that arrives while recording is a constant of the plan; what was there before has to be written outside. */
  upload({ storage, shape }: Tensor): void {
    if (!storage.virtual && !this.constants.has(storage)) throw new DeviceError(`plan: a tensor ${showShape(shape)} from outside is uploaded inside the recorded function, expected uploads before run() (they would happen once)`, 'validation');
    if (this.uses.some(u => u.write.has(storage) || u.read.has(storage))) throw new DeviceError(`plan: a tensor ${showShape(shape)} is uploaded after kernels used it, expected host data first`, 'validation');
    if (this.constants.has(storage)) return;
    this.device.pool.materialise(storage);
    storage.refs++; // held by the plan
    this.constants.add(storage);
  }

  /** Storages with host data: they live as long as the plan. */
  readonly constants = new Set<Storage>();
}

/** The same place seen by a tensor that no scope knows, so that it survives the scope of the recorded function. */
function borrow(t: Tensor): Tensor {
  return Object.assign(Object.create(Tensor.prototype) as Tensor, { device: t.device, shape: t.shape, dtype: t.dtype, size: t.size, block: t.block, offsetBytes: t.offsetBytes, held: t.storage, scales: t.scales && borrow(t.scales) });
}

/** Blocks of the storages that have no buffer yet, and which of them may not share one. */
function blocksOf(recording: Recording): { storages: Storage[]; blocks: Block[] } {
  const storages: Storage[] = [];
  const index = new Map<Storage, number>();
  const found: { first: number; last: number; apart: Set<number> }[] = [];
  const visit = (s: Storage, at: number): number | undefined => {
    if (!s.virtual) return undefined;
    let i = index.get(s);
    if (i === undefined) {
      i = storages.push(s) - 1;
      index.set(s, i);
      found.push({ first: at, last: at, apart: new Set() });
    }
    found[i]!.last = at;
    return i;
  };
  recording.uses.forEach(({ read, write }, at) => {
    const readers = [...read].map(s => visit(s, at)).filter(i => i !== undefined);
    const writers = [...write].map(s => visit(s, at)).filter(i => i !== undefined);
    for (const r of readers) for (const w of writers) {
      found[r]!.apart.add(w);
      found[w]!.apart.add(r);
    }
  });
  return { storages, blocks: found.map((f, i) => ({ bytes: storages[i]!.bytes, ...f })) };
}

/** Gives storages without a buffer their place. Returns the buffers and where each storage begins. */
function place(device: Device, recording: Recording): { arenas: GPUBuffer[]; base: Map<Storage, number>; arenaBytes: number; boundBytes: number } {
  const { storages, blocks } = blocksOf(recording);
  const layout = layOut(blocks);
  const usage = GPUBufferUsageBits.STORAGE | GPUBufferUsageBits.COPY_SRC | GPUBufferUsageBits.COPY_DST;
  const arenas = layout.arenas.map((size, i) => device.gpu.createBuffer({ size, usage, label: `plan arena ${i}` }));
  const base = new Map<Storage, number>();
  storages.forEach((s, i) => {
    const { arena, offset } = layout.places[i]!;
    s.buffer = arenas[arena]!;
    base.set(s, offset);
  });
  device.pool.created += arenas.length;
  return { arenas, base, arenaBytes: layout.arenas.reduce((a, b) => a + b, 0), boundBytes: livenessBound(blocks) };
}

/** Compiles what no one has compiled yet, all at once. */
async function compile(gpu: GPUDevice, commands: readonly Command[]): Promise<number> {
  const all = new Set(commands.flatMap(c => (c.kind === 'dispatch' ? [c.pipeline] : [])));
  await Promise.all([...all].filter(p => !p.pipeline).map(async p => {
    try {
      p.pipeline = await gpu.createComputePipelineAsync(p.descriptor);
    } catch (cause) {
      throw new DeviceError(`plan: ${nameOf(p.kernel.name, p.entry)} does not compile, expected a valid shader (${(cause as Error).message})`, 'validation');
    }
  }));
  return all.size;
}

/** One command ready to be encoded. */
type Step = { pipeline: GPUComputePipeline; group: GPUBindGroup; offset: number[] | undefined; grid: readonly [number, number, number]; label: string; bytes: number }
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
      pipeline: c.pipeline.pipeline!, group: groupOf(c.pipeline, c.tensors), offset: c.slot < 0 ? undefined : [c.slot * SLOT], grid: c.grid,
      label: nameOf(c.pipeline.kernel.name, c.pipeline.entry), bytes: Object.values(c.tensors).reduce((n, t) => n + t.byteLength, 0),
    };
  });
}

/** Puts all steps into one encoder: as few passes as clears and copies allow, or one per kernel when times are asked for. */
function encode(device: Device, steps: readonly Step[]): GPUCommandBuffer {
  const encoder = device.gpu.createCommandEncoder();
  const { timer } = device.recorder;
  const timed = debugLevel() >= 2;
  let pass: GPUComputePassEncoder | undefined;
  let current: GPUComputePipeline | undefined;
  for (const step of steps) {
    if ('encode' in step || timed) {
      pass?.end();
      pass = current = undefined;
    }
    if ('encode' in step) {
      step.encode(encoder);
      continue;
    }
    pass ??= encoder.beginComputePass(timed ? { label: step.label, ...timer.writes(step.label, step.bytes) } : undefined);
    if (step.pipeline !== current) pass.setPipeline(current = step.pipeline);
    if (step.offset) pass.setBindGroup(0, step.group, step.offset);
    else pass.setBindGroup(0, step.group);
    pass.dispatchWorkgroups(step.grid[0], step.grid[1], step.grid[2]);
  }
  pass?.end();
  if (timed) timer.resolve(encoder);
  return encoder.finish();
}

/** Tensors of a result: alone, in arrays, maps and plain objects. */
function tensorsIn(value: unknown, into = new Set<Tensor>()): Set<Tensor> {
  if (value instanceof Tensor) into.add(value);
  else if (value instanceof Map || Array.isArray(value)) for (const v of value.values()) tensorsIn(v, into);
  else if (value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) for (const v of Object.values(value)) tensorsIn(v, into);
  return into;
}

/**
 * Records a function of fixed shapes and returns a plan that replays it: one submit, no buffer, group or pipeline created, intermediate tensors in few shared buffers.
 * The function runs once, on tensors whose values do not exist yet, so it may not read them. Tensors made outside keep their place: write new inputs into them
 * (`device.upload`) before `run()`. Host data uploaded inside becomes a constant of the plan; uniform fields given as functions are asked again at every run.
 * Tensors that outlive the function without being returned (`keep`, a leaf's `grad`) get a place of their own as well.
 * @param device where @param fn the work; ops only @returns the plan, once its pipelines are compiled
 * @throws DeviceError when a shader does not compile, host data arrives too late, or a plan is being recorded already; what `fn` throws
 */
export async function plan<R>(device: Device, fn: () => R): Promise<Plan<R>> {
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
  } finally {
    recorder.sink = undefined;
    pool.recording = false;
  }
  for (const { read, write } of recording.uses) for (const s of [...read, ...write]) if (s.virtual && s.refs > 0) pool.materialise(s);
  for (const t of tensorsIn(outputs)) if (t.storage.virtual) pool.materialise(t.storage); // written by nobody
  const release = (): void => {
    for (const t of tensorsIn(outputs)) t.dispose();
    for (const s of recording.constants) pool.release(s);
  };
  const pipelines = await compile(device.gpu, recording.commands).catch((error: unknown) => {
    release();
    throw error;
  });
  const { arenas, base, arenaBytes, boundBytes } = place(device, recording);
  const bytes = recording.uniforms.all();
  const uniforms = device.gpu.createBuffer({ size: bytes.length, usage: GPUBufferUsageBits.UNIFORM | GPUBufferUsageBits.COPY_DST, label: 'plan uniforms' });
  device.gpu.queue.writeBuffer(uniforms, 0, bytes);
  const steps = prepare(device, recording, base, uniforms);
  const dispatches = steps.filter(s => !('encode' in s)).length;
  const passes = steps.filter((s, i) => !('encode' in s) && (i === 0 || 'encode' in steps[i - 1]!)).length;
  let live = true;
  return {
    outputs,
    report: { dispatches, passes, pipelines, arenaBytes, boundBytes },
    run() {
      if (!live) throw new DeviceError('plan: it was disposed, expected a live one', 'validation');
      device.check();
      device.flush();
      if (recording.uniforms.refresh()) {
        device.gpu.queue.writeBuffer(uniforms, 0, bytes);
        recorder.counters.uniformWrites++;
      }
      device.gpu.queue.submit([encode(device, steps)]);
      recorder.counters.submits++;
      recorder.counters.dispatches += dispatches;
      recorder.serial++;
      return outputs;
    },
    dispose() {
      if (!live) return;
      live = false;
      release();
      for (const buffer of [...arenas, uniforms]) buffer.destroy();
    },
  };
}
