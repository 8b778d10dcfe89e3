// Typed dispatch: pipelines and bind groups from caches, one command encoder and one compute pass for everything until `flush`,
// uniforms in one arena with dynamic offsets and a single write per flush.
import { DeviceError } from './check.ts';
import type { Device } from './device.ts';
import { GPUBufferUsageBits } from './memory.ts';
import type { Storage } from './memory.ts';
import { createPipeline, describePipeline, writeParams } from './pipeline.ts';
import type { DispatchOptions, Groups, Kernel, Param, Pipeline } from './pipeline.ts';
import { debugLevel, nameOf, Timer } from './profile.ts';
import { scaleBinding } from './storage.ts';
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

/** One vec4: a shader that reads four numbers at once wants that much, also where it reads none. Every storage has it. */
export const SMALLEST_BINDING = 16;
const SLOT = 256;
const SLOTS = 4096;
const MAX_GROUPS = 65_535;
/** Over all pipelines: drivers keep a mapping per group and die near 65,530 of them. */
const MAX_CACHED_GROUPS = 16_384;

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

/** Collects commands between flushes. One per device. */
export class Recorder {
  private readonly device: Device;
  private readonly pipelines = new Map<string, Pipeline>();
  private readonly staged = new ArrayBuffer(SLOT * SLOTS);
  private readonly stagedView = new DataView(this.staged);
  private readonly stagedWords = new Uint32Array(this.staged);
  private readonly written = new Uint32Array(SLOT * SLOTS / 4);
  private writtenSlots = 0;
  private readonly arena: GPUBuffer;
  private slots = 0;
  private cachedGroups = 0;
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
    return [...this.pipelines.values()].map(({ kernel, entry, options }) => ({ kernel, entry, options }));
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

  private pipelineFor(kernel: Kernel, entry: string, tensors: Readonly<Record<string, Tensor>>, options: DispatchOptions): Pipeline {
    let key = `${kernel.name}:${entry}`;
    if (options.header) key += `\n${options.header}`;
    const { constants } = options;
    for (const name in constants) key += `,${name}=${constants[name]}`;
    let storage: Record<string, Stored> | undefined;
    for (const name in kernel.stored) {
      const t = tensors[name];
      if (t === undefined || DTYPE_BITS[t.dtype] === 32) continue;
      (storage ??= {})[name] = { dtype: t.dtype, block: t.block };
      key += `|${name} ${t.dtype} ${t.block}`;
    }
    if (storage && this.device.nativeF16) key += '|native';
    const cached = this.pipelines.get(key);
    if (cached) return cached;
    const make = this.sink ? describePipeline : createPipeline; // a recording compiles all of its pipelines side by side
    const made = make(this.device.gpu, kernel, entry, storage ? { ...options, storage, nativeF16: this.device.nativeF16 } : options, this.pipelines.size);
    this.counters.pipelines++;
    this.pipelines.set(key, made);
    return made;
  }

  private checkTensors(p: Pipeline, tensors: Readonly<Record<string, Tensor>>): void {
    for (const name of p.kernel.entries[p.entry]!.tensors) {
      const t = tensors[name];
      if (!t) throw new DeviceError(`${nameOf(p.kernel.name, p.entry)}: tensor ${name} is missing`, 'validation');
      if (t.device !== this.device) throw new DeviceError(`${nameOf(p.kernel.name, p.entry)}: ${name} lives on another device`, 'validation');
      if (t.scales && !(name in (p.kernel.stored ?? {}))) throw new DeviceError(`${nameOf(p.kernel.name, p.entry)}: ${name} is ${t.dtype}, expected a type that this kernel reads`, 'validation');
    }
  }

  private groupFor(p: Pipeline, tensors: Readonly<Record<string, Tensor>>): GPUBindGroup {
    this.checkTensors(p, tensors);
    const margin = this.device.pool.marginBytes;
    let at = margin ? step(p.groups, -margin) : p.groups; // bindings are wider with it
    for (const name of p.kernel.entries[p.entry]!.tensors) {
      const t = tensors[name]!;
      const s = t.storage;
      s.lastUse = this.serial;
      at = step(step(at, s.id + t.offsetBytes * IDS), t.byteLength);
      if (!t.scales) continue;
      this.touch(t.scales.storage);
      at = step(at, t.scales.storage.id + t.scales.offsetBytes * IDS);
    }
    if (at.group) return at.group;
    const group = makeGroup(this.device.gpu, p, tensors, this.arena, t => ({ buffer: t.storage.buffer, offset: t.offsetBytes, size: Math.max(SMALLEST_BINDING, t.byteLength) + margin }));
    this.counters.bindGroups++;
    if (this.cachedGroups >= MAX_CACHED_GROUPS) this.forgetGroups();
    this.cachedGroups++;
    // forgetGroups may have cut the path just walked: then this group is made again next time
    return (at.group = group);
  }

  private slotFor(kernel: Kernel, entry: string, params: Readonly<Record<string, Param>>): number {
    const base = this.slots * SLOT;
    this.stagedWords.fill(0, base / 4, (base + kernel.paramsBytes) / 4);
    writeParams(kernel, entry, params, this.stagedView, base);
    this.slots++;
    return base;
  }

  /** What the function `dispatch` does, without its types. @throws DeviceError for a grid, parameter or tensor that does not fit, and after a loss or error */
  dispatch(kernel: Kernel, entry: string, tensors: Readonly<Record<string, Tensor>>, params: Readonly<Record<string, Param>>, workgroups: Workgroups, options: DispatchOptions): void {
    this.device.check();
    const grid = typeof workgroups === 'number' ? fold(workgroups) : workgroups;
    if (!(countable(grid[0]) && countable(grid[1]) && countable(grid[2]))) throw new DeviceError(`${nameOf(kernel.name, entry)}: grid is [${grid.join(', ')}] workgroups, expected whole numbers up to ${MAX_GROUPS}`, 'limit');
    if (grid[0] === 0 || grid[1] === 0 || grid[2] === 0) return;
    const p = this.pipelineFor(kernel, entry, tensors, options);
    if (this.sink) {
      this.checkTensors(p, tensors);
      this.sink.dispatch(p, tensors, params, grid);
      return;
    }
    p.pipeline ??= this.device.gpu.createComputePipeline(p.descriptor);
    if (this.slots >= SLOTS) this.flush();
    const group = this.groupFor(p, tensors);
    const pass = this.openPass(p, tensors);
    if (p !== this.current || debugLevel() >= 2) pass.setPipeline(p.pipeline);
    this.current = p;
    if (kernel.entries[entry]!.params) pass.setBindGroup(0, group, [this.slotFor(kernel, entry, params)]);
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
    const words = (this.slots * SLOT) / 4;
    if (words > 0 && (this.slots > this.writtenSlots || !same(this.stagedWords, this.written, words))) {
      this.device.gpu.queue.writeBuffer(this.arena, 0, this.staged, 0, words * 4);
      this.written.set(this.stagedWords.subarray(0, words));
      this.writtenSlots = Math.max(this.writtenSlots, this.slots);
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
    for (const p of this.pipelines.values()) p.groups.next.clear();
    this.cachedGroups = 0;
  }
}

/**
 * The bind group of one dispatch: its tensors, their scales, and the uniform fields.
 * @param gpu device @param p pipeline @param tensors by binding name @param uniforms buffer of the fields @param place where a tensor lies @returns the group
 */
export function makeGroup(gpu: GPUDevice, p: Pipeline, tensors: Readonly<Record<string, Tensor>>, uniforms: GPUBuffer, place: (t: Tensor) => GPUBufferBinding): GPUBindGroup {
  const { tensors: names, params } = p.kernel.entries[p.entry]!;
  const entries: GPUBindGroupEntry[] = [];
  for (const name of names) {
    const t = tensors[name]!;
    const { binding } = p.kernel.bindings[name]!;
    entries.push({ binding, resource: place(t) });
    if (t.scales) entries.push({ binding: scaleBinding(binding), resource: place(t.scales) });
  }
  if (params) entries.push({ binding: 0, resource: { buffer: uniforms, offset: 0, size: p.kernel.paramsBytes } });
  return gpu.createBindGroup({ layout: p.layout, entries });
}

/** Offsets are multiples of 256 bytes, so that ids up to 2^28 and offsets up to 2^32 make one whole number without meeting. */
const IDS = 2 ** 20;

/** One level down the tree of bind groups: numbers find their way faster than the string that they would make. */
function step(at: Groups, key: number): Groups {
  let next = at.next.get(key);
  if (!next) at.next.set(key, next = { group: undefined, next: new Map() });
  return next;
}

const countable = (n: number): boolean => n <= MAX_GROUPS && n >= 0 && Number.isInteger(n);

function same(a: Uint32Array, b: Uint32Array, words: number): boolean {
  for (let i = 0; i < words; i++) if (a[i] !== b[i]) return false;
  return true;
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
