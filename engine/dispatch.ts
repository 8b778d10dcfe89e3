// Typed dispatch: pipelines and bind groups from caches, one command encoder and one compute pass for everything until `flush`,
// uniforms in one arena with dynamic offsets and a single write per flush.
import { DeviceError } from './check.ts';
import type { Device } from './device.ts';
import { GPUBufferUsageBits } from './memory.ts';
import type { Storage } from './memory.ts';
import { debugLevel, nameOf, Timer } from './profile.ts';
import { scaleBinding, storageText } from './storage.ts';
import type { Lanes, Stored } from './storage.ts';
import { DTYPE_BITS } from './tensor.ts';
import type { Tensor } from './tensor.ts';

/** What kernels/gen.mjs writes for one .wgsl file. */
export interface Kernel {
  readonly name: string;
  readonly code: string;
  readonly bindings: Readonly<Record<string, { readonly binding: number; readonly write: boolean }>>;
  readonly params: Readonly<Record<string, { readonly offset: number; readonly type: 'f32' | 'u32' | 'i32' }>>;
  readonly paramsBytes: number;
  readonly entries: Readonly<Record<string, { readonly tensors: readonly string[]; readonly params: boolean }>>;
  readonly overrides: readonly string[];
  /** Bindings that are read through a load function, see storage.ts. */
  readonly stored?: Readonly<Record<string, Lanes>>;
}

type Entry<K extends Kernel> = keyof K['entries'] & string;
type TensorsOf<K extends Kernel, E extends Entry<K>> = { readonly [N in K['entries'][E]['tensors'][number]]: Tensor };
type ParamsOf<K extends Kernel> = { readonly [N in keyof K['params']]: number };

/** Workgroups: a total (folded into two dimensions above 65,535; the kernel uses wid.x + wid.y * nwg.x) or an explicit grid. */
export type Workgroups = number | readonly [number, number, number];

export interface DispatchOptions {
  /** Values of `override`s. */
  constants?: Readonly<Record<string, number>>;
  /** `enable`, `alias` and `const` lines put before the kernel's text. */
  header?: string;
  /** How the tensors of stored bindings are stored, where not f32. The dispatcher takes it from the tensors. */
  storage?: Readonly<Record<string, Stored>>;
  /** Whether f16 is read by the language's own type. The dispatcher takes it from the device. */
  nativeF16?: boolean;
}

interface Pipeline {
  readonly id: number;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly kernel: Kernel;
  readonly entry: string;
  readonly options: DispatchOptions;
  readonly groups: Map<string, GPUBindGroup>;
}

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

  private openPass(label: string, bytes: () => number): GPUComputePassEncoder {
    if (debugLevel() >= 2) {
      const encoder = this.commands();
      return (this.pass = encoder.beginComputePass({ label, ...this.timer.writes(label, bytes()) }));
    }
    if (!this.pass) {
      this.encoder ??= this.device.gpu.createCommandEncoder();
      this.pass = this.encoder.beginComputePass();
    }
    return this.pass;
  }

  private pipelineFor(kernel: Kernel, entry: string, tensors: Readonly<Record<string, Tensor>>, options: DispatchOptions): Pipeline {
    let key = options.constants || options.header ? JSON.stringify([kernel.name, entry, options.header, options.constants]) : `${kernel.name}:${entry}`;
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
    const made = createPipeline(this.device.gpu, kernel, entry, storage ? { ...options, storage, nativeF16: this.device.nativeF16 } : options, this.pipelines.size);
    this.counters.pipelines++;
    this.pipelines.set(key, made);
    return made;
  }

  private groupFor(p: Pipeline, tensors: Readonly<Record<string, Tensor>>): GPUBindGroup {
    const { tensors: names, params } = p.kernel.entries[p.entry]!;
    let key = '';
    const scaled: string[] = [];
    for (const name of names) {
      const t = tensors[name];
      if (!t) throw new DeviceError(`${nameOf(p.kernel.name, p.entry)}: tensor ${name} is missing`, 'validation');
      if (t.device !== this.device) throw new DeviceError(`${nameOf(p.kernel.name, p.entry)}: ${name} lives on another device`, 'validation');
      const s = t.storage;
      this.touch(s);
      key += `${s.id}:${t.offsetBytes}:${t.byteLength},`;
      if (!t.scales) continue;
      if (!(name in (p.kernel.stored ?? {}))) throw new DeviceError(`${nameOf(p.kernel.name, p.entry)}: ${name} is ${t.dtype}, expected a type that this kernel reads`, 'validation');
      scaled.push(name);
      this.touch(t.scales.storage);
      key += `${t.scales.storage.id}:${t.scales.offsetBytes},`;
    }
    const cached = p.groups.get(key);
    if (cached) return cached;
    const resource = (t: Tensor): GPUBufferBinding => ({ buffer: t.storage.buffer, offset: t.offsetBytes, size: Math.max(4, t.byteLength) + this.device.pool.marginBytes });
    const entries: GPUBindGroupEntry[] = names.map(name => ({ binding: p.kernel.bindings[name]!.binding, resource: resource(tensors[name]!) }));
    for (const name of scaled) entries.push({ binding: scaleBinding(p.kernel.bindings[name]!.binding), resource: resource(tensors[name]!.scales!) });
    if (params) entries.push({ binding: 0, resource: { buffer: this.arena, offset: 0, size: p.kernel.paramsBytes } });
    const group = this.device.gpu.createBindGroup({ layout: p.layout, entries });
    this.counters.bindGroups++;
    if (this.cachedGroups >= MAX_CACHED_GROUPS) this.forgetGroups();
    this.cachedGroups++;
    p.groups.set(key, group);
    return group;
  }

  private slotFor(kernel: Kernel, entry: string, params: Readonly<Record<string, number>>): number {
    const base = this.slots * SLOT;
    const words = base / 4;
    this.stagedWords.fill(0, words, words + kernel.paramsBytes / 4);
    for (const name in kernel.params) {
      const { offset, type } = kernel.params[name]!;
      const value = params[name];
      if (value === undefined || !fits(value, type)) {
        throw new DeviceError(`${nameOf(kernel.name, entry)}: params.${name} is ${value}, expected ${type === 'f32' ? 'a number' : `a whole number that fits ${type}`}`, 'validation');
      }
      if (type === 'f32') this.stagedView.setFloat32(base + offset, value, true);
      else if (type === 'u32') this.stagedView.setUint32(base + offset, value, true);
      else this.stagedView.setInt32(base + offset, value, true);
    }
    this.slots++;
    return base;
  }

  /** What the function `dispatch` does, without its types. @throws DeviceError for a grid, parameter or tensor that does not fit, and after a loss or error */
  dispatch(kernel: Kernel, entry: string, tensors: Readonly<Record<string, Tensor>>, params: Readonly<Record<string, number>>, workgroups: Workgroups, options: DispatchOptions): void {
    this.device.check();
    const grid = typeof workgroups === 'number' ? fold(workgroups) : workgroups;
    if (grid.some(n => n > MAX_GROUPS || n < 0 || !Number.isInteger(n))) throw new DeviceError(`${nameOf(kernel.name, entry)}: grid is [${grid.join(', ')}] workgroups, expected whole numbers up to ${MAX_GROUPS}`, 'limit');
    if (grid.some(n => n === 0)) return;
    if (this.slots >= SLOTS) this.flush();
    const p = this.pipelineFor(kernel, entry, tensors, options);
    const group = this.groupFor(p, tensors);
    const pass = this.openPass(nameOf(kernel.name, entry), () => kernel.entries[entry]!.tensors.reduce((n, name) => n + tensors[name]!.byteLength, 0));
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
    if (!this.encoder) return;
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
    for (const p of this.pipelines.values()) p.groups.clear();
    this.cachedGroups = 0;
  }
}

/** Whether a uniform field can hold a number: DataView would wrap it silently. */
function fits(value: number, type: 'f32' | 'u32' | 'i32'): boolean {
  if (type === 'f32') return true;
  return Number.isInteger(value) && (type === 'u32' ? value >= 0 && value < 2 ** 32 : value >= -(2 ** 31) && value < 2 ** 31);
}

function same(a: Uint32Array, b: Uint32Array, words: number): boolean {
  for (let i = 0; i < words; i++) if (a[i] !== b[i]) return false;
  return true;
}

function fold(total: number): readonly [number, number, number] {
  if (total <= MAX_GROUPS) return [total, 1, 1];
  const rows = Math.ceil(total / MAX_GROUPS);
  return [Math.ceil(total / rows), rows, 1];
}

/** The whole text of a shader: header, the file, and the loads of its stored bindings. @param kernel generated description @param options header and storage @returns WGSL */
export function shaderText(kernel: Kernel, { header, storage = {}, nativeF16 = false }: DispatchOptions): string {
  const text = (header ? `${header}\n` : '') + kernel.code;
  const { code, f16 } = storageText(text, kernel.stored ?? {}, kernel.bindings, storage, nativeF16);
  return (f16 ? 'enable f16;\n' : '') + text + code;
}

/**
 * Builds the pipeline of one entry point with an explicit layout from the reflected bindings.
 * @param gpu device @param kernel generated description @param entry entry point @param options constants and header @param id number in the cache
 * @returns the pipeline @throws DeviceError when an override is unknown
 */
export function createPipeline(gpu: GPUDevice, kernel: Kernel, entry: string, options: DispatchOptions, id = 0): Pipeline {
  const label = nameOf(kernel.name, entry);
  const unknown = Object.keys(options.constants ?? {}).find(n => !kernel.overrides.includes(n));
  if (unknown) throw new DeviceError(`${label}: constant ${unknown} is not an override of the file, expected one of ${kernel.overrides.join(', ') || 'none'}`, 'validation');
  const { tensors, params } = kernel.entries[entry] ?? {};
  if (!tensors) throw new DeviceError(`${kernel.name}.wgsl: entry point ${entry} does not exist, expected one of ${Object.keys(kernel.entries).join(', ')}`, 'validation');
  const entries: GPUBindGroupLayoutEntry[] = tensors.map(name => ({
    binding: kernel.bindings[name]!.binding, visibility: 4, buffer: { type: kernel.bindings[name]!.write ? 'storage' : 'read-only-storage' },
  }));
  for (const [name, { block }] of Object.entries(options.storage ?? {})) {
    if (block > 0) entries.push({ binding: scaleBinding(kernel.bindings[name]!.binding), visibility: 4, buffer: { type: 'read-only-storage' } });
  }
  if (params) entries.push({ binding: 0, visibility: 4, buffer: { type: 'uniform', hasDynamicOffset: true, minBindingSize: kernel.paramsBytes } });
  if (debugLevel() >= 3) console.error(`pipeline ${label} ${JSON.stringify(options)} bindings ${tensors.join(', ')}`);
  const layout = gpu.createBindGroupLayout({ label, entries });
  const module = gpu.createShaderModule({ label: `${kernel.name}.wgsl`, code: shaderText(kernel, options) });
  const pipeline = gpu.createComputePipeline({
    label, layout: gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module, entryPoint: entry, constants: { ...options.constants } },
  });
  return { id, pipeline, layout, kernel, entry, options, groups: new Map() };
}

/**
 * Enqueues one kernel. Tensors are exactly the storage bindings of the entry point, params the fields of its uniform struct: a wrong name does not compile.
 * @param device where @param kernel from kernels/wgsl.gen.ts @param entry entry point @param tensors by binding name @param params uniform fields @param workgroups how many
 * @param options overrides and header @returns nothing @throws DeviceError for a grid or binding beyond the limits, and after a loss
 */
export function dispatch<K extends Kernel, E extends Entry<K>>(
  device: Device, kernel: K, entry: E, tensors: TensorsOf<K, E>, params: ParamsOf<K>, workgroups: Workgroups, options: DispatchOptions = {},
): void {
  device.recorder.dispatch(kernel, entry, tensors as Readonly<Record<string, Tensor>>, params as Readonly<Record<string, number>>, workgroups, options);
}
