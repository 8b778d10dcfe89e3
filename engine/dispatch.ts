// Typed dispatch: pipelines and bind groups from caches, one command encoder and one compute pass for everything until `flush`,
// uniforms in one arena with dynamic offsets and a single write per flush.
import { GroupCache, SMALLEST_BINDING, makeGroup } from './bind_groups.ts';
import { DeviceError } from './check.ts';
import type { Device } from './device.ts';
import { GPUBufferUsageBits } from './memory.ts';
import type { Storage } from './memory.ts';
import { createPipeline, describePipeline, writeParams } from './pipeline.ts';
import type { DispatchOptions, Kernel, Param, Pipeline } from './pipeline.ts';
import { debugLevel, nameOf, Timer } from './profile.ts';
import type { Stored } from './storage.ts';
import { DTYPE_BITS } from './tensor.ts';
import type { Tensor } from './tensor.ts';

export { createPipeline, shaderText } from './pipeline.ts';
export type { DispatchOptions, Kernel, Param } from './pipeline.ts';

type Entry<K extends Kernel> = keyof K['entries'] & string;
type TensorsOf<K extends Kernel, E extends Entry<K>> = { readonly [N in K['entries'][E]['tensors'][number]]: Tensor };
type ParamsOf<K extends Kernel> = { readonly [N in keyof K['params']]: Param };

/** Workgroups: a total (folded into two dimensions above 65,535; the kernel uses wid.x + wid.y * nwg.x) or an explicit grid. */
export type Workgroups = number | readonly [number, number, number];

const SLOT = 256;
const SLOTS = 4096;
const MAX_GROUPS = 65_535;

/** Counters since the device was opened, for tests and benchmarks. */
export interface Counters {
  submits: number;
  dispatches: number;
  pipelines: number;
  bindGroups: number;
  uniformWrites: number;
}

/** Takes commands instead of the GPU: engine/plan.ts. */
export interface CommandSink {
  dispatch(pipeline: Pipeline, tensors: Readonly<Record<string, Tensor>>, params: Readonly<Record<string, Param>>, grid: readonly [number, number, number]): void;
  clear(tensor: Tensor): void;
  copy(src: Tensor, dst: Tensor): void;
  upload(tensor: Tensor): void;
}

/** One entry point of one file, and its pipelines. */
interface EntryPoint {
  readonly name: string;
  readonly tensors: readonly string[];
  readonly params: boolean;
  /** Which of the tensors are read through load functions, so that their types are part of the pipeline. */
  readonly stored: readonly number[];
  /** Those last used in front. */
  readonly pipelines: Pipeline[];
}

/** Collects commands between flushes. One per device. */
export class Recorder {
  private readonly device: Device;
  private readonly pipelines: Pipeline[] = [];
  private readonly entries = new Map<Kernel, Map<string, EntryPoint>>();
  /** The tensors of the dispatch at hand, in the order of its entry point. */
  private readonly bound: Tensor[] = [];
  /** Uniform fields as the arena holds them, but for the slots from `changedFrom` to `changedTo`. */
  private readonly staged = new Uint32Array(SLOT * SLOTS / 4);
  private changedFrom = SLOTS;
  private changedTo = 0;
  private readonly arena: GPUBuffer;
  private slots = 0;
  private readonly groups = new GroupCache();
  private encoder: GPUCommandEncoder | undefined;
  private pass: GPUComputePassEncoder | undefined;
  private current: Pipeline | undefined;
  readonly timer: Timer;
  serial = 0;
  /** While a plan is recorded, commands go there. */
  sink: CommandSink | undefined;
  readonly counters: Counters = { submits: 0, dispatches: 0, pipelines: 0, bindGroups: 0, uniformWrites: 0 };

  constructor(device: Device) {
    this.device = device;
    this.arena = device.gpu.createBuffer({ size: SLOT * SLOTS, usage: GPUBufferUsageBits.UNIFORM | GPUBufferUsageBits.COPY_DST, label: 'uniforms' });
    this.timer = new Timer(device.gpu);
  }

  /** Every pipeline made so far: tests compile them all again one by one. @returns kernel, entry point and options of each */
  variants(): { kernel: Kernel; entry: string; options: DispatchOptions }[] {
    return this.pipelines.map(({ kernel, entry, options }) => ({ kernel, entry, options }));
  }

  /** Whether commands wait that touch this storage. */
  pending(storage: Storage): boolean {
    return this.encoder !== undefined && storage.lastUse === this.serial;
  }

  /** The encoder outside a pass, for copies. */
  commands(): GPUCommandEncoder {
    this.pass?.end();
    this.pass = undefined;
    this.current = undefined;
    return (this.encoder ??= this.device.gpu.createCommandEncoder());
  }

  /** Notes that the commands that wait use this storage. */
  touch(storage: Storage): void {
    storage.lastUse = this.serial;
  }

  private openPass(p: Pipeline, tensors: Readonly<Record<string, Tensor>>): GPUComputePassEncoder {
    if (debugLevel() >= 2) {
      const encoder = this.commands();
      const label = nameOf(p.kernel.name, p.entry);
      const bytes = p.kernel.entries[p.entry]!.tensors.reduce((n, name) => n + tensors[name]!.byteLength, 0);
      return (this.pass = encoder.beginComputePass({ label, ...this.timer.writes(label, bytes) }));
    }
    if (!this.pass) {
      this.encoder ??= this.device.gpu.createCommandEncoder();
      this.pass = this.encoder.beginComputePass();
    }
    return this.pass;
  }

  private entryOf(kernel: Kernel, name: string): EntryPoint {
    let all = this.entries.get(kernel);
    if (!all) this.entries.set(kernel, all = new Map());
    let found = all.get(name);
    if (!found) {
      const { tensors, params } = kernel.entries[name] ?? { tensors: [], params: false }; // a missing one is refused where its pipeline is made
      const stored = tensors.flatMap((t, i) => (t in (kernel.stored ?? {}) ? [i] : []));
      all.set(name, found = { name, tensors, params, stored, pipelines: [] });
    }
    return found;
  }

  /** Checks the tensors of a dispatch and notes them in `bound`. */
  private bind(kernel: Kernel, entry: EntryPoint, tensors: Readonly<Record<string, Tensor>>): void {
    const names = entry.tensors;
    for (let i = 0; i < names.length; i++) {
      const name = names[i]!;
      const t = tensors[name];
      if (!t) throw new DeviceError(`${nameOf(kernel.name, entry.name)}: tensor ${name} is missing`, 'validation');
      if (t.device !== this.device) throw new DeviceError(`${nameOf(kernel.name, entry.name)}: ${name} lives on another device`, 'validation');
      if (t.scales && !entry.stored.includes(i)) throw new DeviceError(`${nameOf(kernel.name, entry.name)}: ${name} is ${t.dtype}, expected a type that this kernel reads`, 'validation');
      this.bound[i] = t;
    }
  }

  private pipelineFor(kernel: Kernel, entry: EntryPoint, options: DispatchOptions): Pipeline {
    const { pipelines } = entry;
    for (let i = 0; i < pipelines.length; i++) {
      const p = pipelines[i]!;
      if (!this.serves(p, entry, options)) continue;
      if (i > 0) {
        pipelines[i] = pipelines[i - 1]!;
        pipelines[i - 1] = p;
      }
      return p;
    }
    let storage: Record<string, Stored> | undefined;
    for (const i of entry.stored) {
      const { dtype, block } = this.bound[i]!;
      if (DTYPE_BITS[dtype] !== 32) (storage ??= {})[entry.tensors[i]!] = { dtype, block };
    }
    const make = this.sink ? describePipeline : createPipeline; // a recording compiles all of its pipelines side by side
    const made = make(this.device.gpu, kernel, entry.name, storage ? { ...options, storage, nativeF16: this.device.nativeF16 } : options, this.pipelines.length);
    this.counters.pipelines++;
    this.pipelines.push(made);
    pipelines.push(made);
    return made;
  }

  /** Whether a pipeline is the one for these options and the types of the tensors in `bound`. */
  private serves({ options }: Pipeline, entry: EntryPoint, { header, constants }: DispatchOptions): boolean {
    const { storage } = options;
    if ((options.header ?? '') !== (header ?? '') || (storage && options.nativeF16 !== this.device.nativeF16) || !sameConstants(options.constants, constants)) return false;
    for (let i = 0; i < entry.stored.length; i++) {
      const at = entry.stored[i]!;
      const t = this.bound[at]!;
      if (!storage && DTYPE_BITS[t.dtype] === 32) continue;
      const own = storage?.[entry.tensors[at]!];
      if (own ? own.dtype !== t.dtype || own.block !== t.block : DTYPE_BITS[t.dtype] !== 32) return false;
    }
    return true;
  }

  private newGroup(p: Pipeline, tensors: Readonly<Record<string, Tensor>>): GPUBindGroup {
    const { gpu, pool } = this.device;
    this.counters.bindGroups++;
    return this.groups.add(p, makeGroup(gpu, p, tensors, this.arena, t => ({ buffer: t.storage.buffer, offset: t.offsetBytes, size: Math.max(SMALLEST_BINDING, t.byteLength) + pool.marginBytes })));
  }

  private slotFor(p: Pipeline, params: Readonly<Record<string, Param>>): number {
    const slot = this.slots;
    let changed = true; // also where a field is refused: those before it are written
    try {
      changed = writeParams(p, params, this.staged, slot * (SLOT / 4));
    } finally {
      if (changed && slot < this.changedFrom) this.changedFrom = slot;
      if (changed && slot >= this.changedTo) this.changedTo = slot + 1;
    }
    this.slots++;
    return slot * SLOT;
  }

  /** What the function `dispatch` does, without its types. @throws DeviceError for a grid, parameter or tensor that does not fit, and after a loss or error */
  dispatch(kernel: Kernel, entry: string, tensors: Readonly<Record<string, Tensor>>, params: Readonly<Record<string, Param>>, workgroups: Workgroups, options: DispatchOptions): void {
    this.device.check();
    const grid = typeof workgroups === 'number' ? fold(workgroups) : workgroups;
    if (!(countable(grid[0]) && countable(grid[1]) && countable(grid[2]))) throw new DeviceError(`${nameOf(kernel.name, entry)}: grid is [${grid.join(', ')}] workgroups, expected whole numbers up to ${MAX_GROUPS}`, 'limit');
    if (grid[0] === 0 || grid[1] === 0 || grid[2] === 0) return;
    const point = this.entryOf(kernel, entry);
    this.bind(kernel, point, tensors);
    const p = this.pipelineFor(kernel, point, options);
    if (this.sink) {
      this.sink.dispatch(p, tensors, params, grid);
      return;
    }
    p.pipeline ??= this.device.gpu.createComputePipeline(p.descriptor);
    if (this.slots >= SLOTS) this.flush();
    const group = this.groups.find(this.device, p, this.bound, point.tensors.length) ?? this.newGroup(p, tensors);
    const pass = this.openPass(p, tensors);
    if (p !== this.current || debugLevel() >= 2) pass.setPipeline(p.pipeline);
    this.current = p;
    if (point.params) pass.setBindGroup(0, group, [this.slotFor(p, params)]);
    else pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
    this.counters.dispatches++;
    if (debugLevel() >= 4) this.watch(p, tensors);
  }

  /** Debug level 4: copies of what a kernel wrote, looked at on the next read, in order. */
  private watch(p: Pipeline, tensors: Readonly<Record<string, Tensor>>): void {
    for (const name of p.kernel.entries[p.entry]!.tensors) {
      const t = tensors[name]!;
      if (!p.kernel.bindings[name]!.write || t.size === 0 || t.dtype !== 'f32') continue;
      const buffer = this.device.gpu.createBuffer({ size: t.byteLength, usage: GPUBufferUsageBits.COPY_DST | GPUBufferUsageBits.MAP_READ });
      this.commands().copyBufferToBuffer(t.storage.buffer, t.offsetBytes, buffer, 0, t.byteLength);
      this.timer.watched.push({ label: `${nameOf(p.kernel.name, p.entry)} ${name} [${t.shape.join(', ')}]`, buffer });
    }
  }

  /** Submits what waits. Returns the number of dispatches that went out. */
  flush(): void {
    if (!this.encoder || this.sink) return;
    this.pass?.end();
    this.timer.resolve(this.encoder);
    if (this.changedTo > this.changedFrom) {
      const first = this.changedFrom * SLOT;
      this.device.gpu.queue.writeBuffer(this.arena, first, this.staged.buffer, first, this.changedTo * SLOT - first);
      this.changedFrom = SLOTS;
      this.changedTo = 0;
      this.counters.uniformWrites++;
    }
    this.device.gpu.queue.submit([this.encoder.finish()]);
    this.counters.submits++;
    this.encoder = undefined;
    this.pass = undefined;
    this.current = undefined;
    this.slots = 0;
    this.serial++;
  }

  /** Forgets bind groups: their buffers were destroyed. */
  forgetGroups(): void {
    this.groups.clear();
  }
}

const countable = (n: number): boolean => n <= MAX_GROUPS && n >= 0 && Number.isInteger(n);

/** Same names with the same values. */
function sameConstants(a: DispatchOptions['constants'], b: DispatchOptions['constants']): boolean {
  if (a === b) return true;
  let left = 0;
  for (const name in a) {
    if (b?.[name] !== a[name]) return false;
    left++;
  }
  for (const _ in b) left--;
  return left === 0;
}

function fold(total: number): readonly [number, number, number] {
  if (total <= MAX_GROUPS) return [total, 1, 1];
  const rows = Math.ceil(total / MAX_GROUPS);
  return [Math.ceil(total / rows), rows, 1];
}

/**
 * Enqueues one kernel. Tensors are exactly the storage bindings of the entry point, params the fields of its uniform struct: a wrong name does not compile.
 * @param device where @param kernel from kernels/wgsl.gen.ts @param entry entry point @param tensors by binding name @param params uniform fields @param workgroups how many
 * @param options overrides and header @returns nothing @throws DeviceError for a grid or binding beyond the limits, and after a loss
 */
export function dispatch<K extends Kernel, E extends Entry<K>>(
  device: Device, kernel: K, entry: E, tensors: TensorsOf<K, E>, params: ParamsOf<K>, workgroups: Workgroups, options: DispatchOptions = {},
): void {
  device.recorder.dispatch(kernel, entry, tensors as Readonly<Record<string, Tensor>>, params as Readonly<Record<string, Param>>, workgroups, options);
}
