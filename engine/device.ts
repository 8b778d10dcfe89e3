// The device: opened once, shared by all tensors. Errors and loss that WebGPU reports on the side become typed errors of the next call that matters.
import { findAdapter } from './adapters.ts';
import type { AdapterChoice } from './adapters.ts';
import { DeviceError, ShapeError, showShape } from './check.ts';
import { Recorder } from './dispatch.ts';
import type { Counters } from './dispatch.ts';
import { GPUBufferUsageBits, Pool } from './memory.ts';
import type { MemoryReport } from './memory.ts';
import { installCalmPolling, wait } from './polling.ts';
import { debugLevel } from './profile.ts';
import type { KernelTime } from './profile.ts';
import type { HostArray, Tensor } from './tensor.ts';
import { checkTuning, loadTuning } from './tuning.ts';
import type { TuningTable } from './tuning.ts';

/** Which adapter is in use. `profile` picks kernel variants. */
export interface AdapterSummary {
  readonly vendor: string;
  readonly architecture: string;
  readonly description: string;
  readonly class: 'software' | 'gpu';
  /** 'swiftshader' | 'lavapipe' | 'default' */
  readonly profile: string;
  /** One sentence for people. */
  readonly notice: string;
}

export interface OpenOptions {
  /** 'auto' (default), 'swiftshader' (the npm software driver), 'null' (Dawn's validating backend). */
  adapter?: AdapterChoice;
  /** 'adapter' (default): all the adapter has; 'default': the limits that every WebGPU device has, as VL_JEPA_LIMITS=default says in the environment. */
  limits?: 'adapter' | 'default';
  /** Dawn toggles to enable (Node only), for example 'disable_robustness'. */
  toggles?: readonly string[];
  /** What was measured on this adapter, in place of the user's tuning file (Node only); 'off': neither, as VL_JEPA_TUNING=off says in the environment. */
  tuning?: TuningTable | 'off';
  /** Multiplies f16 by f16 on the adapter's matrix units, with f32 sums (false): an error where it has none that the kernels know. Not run on a GPU yet. */
  matrixUnits?: boolean;
}

const WANTED_LIMITS = ['maxBufferSize', 'maxStorageBufferBindingSize', 'maxComputeWorkgroupStorageSize', 'maxComputeInvocationsPerWorkgroup', 'maxComputeWorkgroupSizeX', 'maxComputeWorkgroupSizeY'] as const;
const WANTED_FEATURES = ['shader-f16', 'subgroups', 'timestamp-query'];

/** How long a read that was refused waits for the reason: a page hears of a loss from another process. */
const REASON_MS = 3000;

function profileOf(text: string): string {
  if (/swiftshader/i.test(text)) return 'swiftshader';
  return /llvmpipe|lavapipe|mesa software/i.test(text) ? 'lavapipe' : 'default';
}

/** Features that products on matrix units need. @throws DeviceError where the adapter lacks one, or lists no 16 x 16 x 16 of f16 with f32 sums for subgroups of 32 */
function matrixFeatures(adapter: GPUAdapter, language: ReadonlySet<string>, notice: string): readonly string[] {
  const features = ['chromium-experimental-subgroup-matrix', 'subgroups', 'shader-f16'];
  const info = adapter.info as GPUAdapterInfo & { subgroupMatrixConfigs?: Iterable<{ componentType: string; resultComponentType: string; M: number; N: number; K: number }> };
  const missing = [
    ...features.filter(f => !adapter.features.has(f as GPUFeatureName)), ...(language.has('subgroup_id') ? [] : ['the shader language feature subgroup_id']),
    ...(info.subgroupMinSize === 32 && info.subgroupMaxSize === 32 ? [] : ['subgroups of 32']),
    ...([...info.subgroupMatrixConfigs ?? []].some(c => c.componentType === 'f16' && c.resultComponentType === 'f32' && c.M === 16 && c.N === 16 && c.K === 16) ? [] : ['matrices of 16 x 16 x 16, f16 into f32']),
  ];
  if (missing.length) throw new DeviceError(`openDevice: matrixUnits was asked for, expected an adapter that has ${missing.join(', ')}: ${notice}`, 'unavailable');
  return features;
}

/** An open device. Everything but reading only enqueues. */
export class Device {
  readonly gpu: GPUDevice;
  readonly adapter: AdapterSummary;
  readonly limits: GPUSupportedLimits;
  readonly features: ReadonlySet<string>;
  /** Fewest invocations of a subgroup; 0 where there are no subgroups. */
  readonly subgroupSize: number;
  /** Features of the shader language. */
  readonly language: ReadonlySet<string>;
  readonly pool: Pool;
  readonly recorder: Recorder;
  /** Resolves once, when the device is gone. */
  readonly lost: Promise<DeviceError>;
  liveTensors = 0;
  /** Whether f16 tensors are read by the language's own type; else by integer arithmetic. True where the device has shader-f16. */
  nativeF16: boolean;
  /** Which tiles were measured to be the fastest here, where that was done. */
  readonly tuning: TuningTable | undefined;
  /** Whether products of two f16 tensors run on matrix units. */
  readonly matrixUnits: boolean;
  private failure: DeviceError | undefined;
  /** Resolves with the first error that WebGPU reports on the side. */
  private readonly failed: Promise<void>;
  private readonly staging: { buffer: GPUBuffer; bytes: number }[] = [];

  constructor(gpu: GPUDevice, adapter: AdapterSummary, { tuning, language = new Set(), matrixUnits = false }: { tuning?: TuningTable | undefined; language?: ReadonlySet<string>; matrixUnits?: boolean } = {}) {
    this.gpu = gpu;
    this.tuning = tuning;
    this.matrixUnits = matrixUnits;
    this.language = language;
    this.adapter = adapter;
    this.limits = gpu.limits;
    this.features = new Set(gpu.features as unknown as Iterable<string>); // asked by many ops: a copy answers at once
    this.subgroupSize = this.features.has('subgroups') ? gpu.adapterInfo?.subgroupMinSize ?? 0 : 0;
    this.nativeF16 = this.features.has('shader-f16');
    this.pool = new Pool(gpu);
    this.recorder = new Recorder(this);
    let tell = (): void => {};
    this.failed = new Promise(done => { tell = done; });
    this.lost = gpu.lost.then(info => {
      tell();
      this.failure = new DeviceError(`device: it was lost (${info.reason}: ${info.message || 'no message'}), expected it to live; open a new one and load again`, 'lost');
      return this.failure;
    });
    gpu.addEventListener('uncapturederror', event => {
      event.preventDefault();
      const { error } = event as GPUUncapturedErrorEvent;
      const kind = error.constructor.name === 'GPUOutOfMemoryError' ? 'out-of-memory' : error.constructor.name === 'GPUValidationError' ? 'validation' : 'internal';
      this.failure ??= new DeviceError(`device: ${kind} error, expected none: ${error.message}`, kind);
      tell();
    });
  }

  /** Throws what WebGPU reported on the side. @returns nothing @throws DeviceError after a loss or an uncaptured error */
  check(): void {
    if (this.failure) throw this.failure;
  }

  /** Submits the commands that wait. @returns nothing */
  flush(): void {
    const before = this.recorder.counters.submits;
    this.recorder.flush();
    if (debugLevel() >= 1 && this.recorder.counters.submits > before) {
      const { liveBytes, liveBuffers } = this.memory();
      console.error(`flush ${this.recorder.counters.submits}: ${this.recorder.counters.dispatches} dispatches so far, ${liveBuffers} buffers, ${(liveBytes / 2 ** 20).toFixed(1)} MiB live`);
    }
  }

  /** Waits until the GPU has done everything so far. @returns nothing @throws DeviceError after a loss or error */
  async sync(): Promise<void> {
    this.flush();
    await wait(this.gpu.queue.onSubmittedWorkDone());
    await this.recorder.timer.inspect();
    await this.recorder.timer.print();
    this.check();
  }

  /** Live, peak and pooled bytes. @returns the report */
  memory(): MemoryReport {
    const { liveBytes, liveBuffers, peakBytes, poolBytes } = this.pool;
    return { liveBytes, liveBuffers, liveTensors: this.liveTensors, peakBytes, poolBytes };
  }

  /** Starts a new peak measurement at the live bytes of now. @returns nothing */
  resetPeak(): void {
    this.pool.peakBytes = this.pool.liveBytes;
  }

  /** Submits, dispatches and objects created since the device was opened. @returns a copy of the counters, with the buffers created */
  counters(): Counters & { buffers: number } {
    return { ...this.recorder.counters, buffers: this.pool.created };
  }

  /** Debug level 2: time per kernel since the last call. @returns rows, most time first */
  async kernelTimes(): Promise<KernelTime[]> {
    this.flush();
    await wait(this.gpu.queue.onSubmittedWorkDone());
    this.check();
    return this.recorder.timer.report();
  }

  /** Writes host data into a tensor, in order with the kernels. @param tensor [any] the target @param data as many elements @returns nothing @throws ShapeError when the count differs, DeviceError after a loss or error */
  upload(tensor: Tensor, data: HostArray): void {
    this.check();
    if (data.length !== tensor.size) throw new ShapeError(`upload: ${data.length} values were given, expected ${tensor.size} for shape ${showShape(tensor.shape)}`);
    if (tensor.size === 0) return;
    this.recorder.sink?.upload(tensor);
    if (this.recorder.pending(tensor.storage)) this.flush();
    let whole = data; // a write is a number of words
    if (data instanceof Uint16Array && data.length % 2 !== 0) {
      whole = new Uint16Array(data.length + 1);
      whole.set(data);
    }
    if (whole.byteLength !== tensor.byteLength) throw new ShapeError(`upload: ${data.length} values of ${data.BYTES_PER_ELEMENT} bytes were given, expected the ${tensor.byteLength} bytes of ${tensor.dtype} ${showShape(tensor.shape)}`);
    this.gpu.queue.writeBuffer(tensor.storage.buffer, tensor.offsetBytes, whole.buffer as ArrayBuffer, whole.byteOffset, whole.byteLength);
  }

  /** Fills a tensor with zero bytes, in order with the kernels. @param tensor [any] the target @returns nothing @throws DeviceError after a loss or error */
  clear(tensor: Tensor): void {
    this.check();
    if (tensor.size === 0) return;
    if (this.recorder.sink) return this.recorder.sink.clear(tensor);
    this.recorder.commands().clearBuffer(tensor.storage.buffer, tensor.offsetBytes, tensor.byteLength);
    this.recorder.touch(tensor.storage);
  }

  /** Copies bytes on the GPU, in order with the kernels. @param src [any] source @param dst [any] target of the same byte length @returns nothing @throws DeviceError when lengths differ, and after a loss or error */
  copy(src: Tensor, dst: Tensor): void {
    this.check();
    if (src.byteLength !== dst.byteLength) throw new DeviceError(`copy: source has ${src.byteLength} bytes, expected ${dst.byteLength}, those of the target`, 'validation');
    if (src.size === 0) return;
    if (this.recorder.sink) return this.recorder.sink.copy(src, dst);
    this.recorder.commands().copyBufferToBuffer(src.storage.buffer, src.offsetBytes, dst.storage.buffer, dst.offsetBytes, src.byteLength);
    this.recorder.touch(src.storage);
    this.recorder.touch(dst.storage);
  }

  /** Reads a tensor's bytes. A result counts only now: after a loss every call before this one still appeared to succeed. @param tensor [any] @returns its bytes @throws DeviceError after a loss or error */
  async readBytes(tensor: Tensor): Promise<ArrayBuffer> {
    this.check();
    if (this.recorder.sink) throw new DeviceError('read: a plan is being recorded, expected reads after it has run', 'validation');
    const bytes = tensor.byteLength;
    if (bytes === 0) return new ArrayBuffer(0);
    const { buffer } = tensor.storage;
    const at = this.staging.findIndex(s => s.bytes >= bytes && s.bytes <= 4 * Math.max(bytes, 1024));
    const stage = at >= 0 ? this.staging.splice(at, 1)[0]! : this.stage(bytes);
    this.recorder.commands().copyBufferToBuffer(buffer, tensor.offsetBytes, stage.buffer, 0, bytes);
    this.recorder.touch(tensor.storage);
    this.flush();
    try {
      await wait(stage.buffer.mapAsync(1, 0, bytes));
    } catch (cause) {
      stage.buffer.destroy();
      throw await this.explain('read: the buffer could not be mapped', cause);
    }
    const copy = stage.buffer.getMappedRange(0, bytes).slice(0);
    stage.buffer.unmap();
    this.staging.push(stage);
    if (this.staging.length > 8) this.staging.shift()!.buffer.destroy();
    await this.recorder.timer.inspect();
    await this.recorder.timer.print();
    this.check();
    return copy;
  }

  /** The error behind a refused mapping: the loss or error that is about to be reported, or what was said. @param what failed @param cause as thrown @returns the error to throw */
  async explain(what: string, cause: unknown): Promise<DeviceError> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    if (!this.failure) await Promise.race([this.failed, new Promise(done => { timer = setTimeout(done, REASON_MS); })]);
    clearTimeout(timer);
    return this.failure ?? new DeviceError(`${what} (${(cause as Error).message})`, 'internal');
  }

  private stage(bytes: number): { buffer: GPUBuffer; bytes: number } {
    const size = Math.max(1024, 2 ** Math.ceil(Math.log2(bytes)) <= this.limits.maxBufferSize ? 2 ** Math.ceil(Math.log2(bytes)) : bytes);
    return { buffer: this.gpu.createBuffer({ size, usage: GPUBufferUsageBits.MAP_READ | GPUBufferUsageBits.COPY_DST }), bytes: size };
  }

  /** Destroys pooled buffers that nobody uses. @returns nothing */
  trim(): void {
    this.flush();
    this.pool.trim();
    this.recorder.forgetGroups();
  }

  /** Ends the device. Every later call throws. @returns nothing */
  destroy(): void {
    this.failure ??= new DeviceError('device: it was destroyed, expected an open one', 'lost');
    this.gpu.destroy();
  }
}

/** Which limits are asked for. @throws DeviceError for another word in the environment */
function limitsOf({ limits }: OpenOptions): 'adapter' | 'default' {
  const named = limits ?? (typeof process === 'undefined' ? undefined : process.env?.VL_JEPA_LIMITS || undefined) ?? 'adapter';
  if (named !== 'adapter' && named !== 'default') throw new DeviceError(`openDevice: VL_JEPA_LIMITS is ${JSON.stringify(named)}, expected adapter or default`, 'validation');
  return named;
}

/**
 * Opens a device: the browser's, or Dawn's in Node on a real driver, or Dawn on the software driver that npm carries (and says so in `adapter.notice`).
 * @param options adapter, limits, Dawn toggles @returns the device @throws DeviceError when there is no adapter or it refuses a device, TuningWarning when `tuning` is no table
 */
export async function openDevice(options: OpenOptions = {}): Promise<Device> {
  const { adapter, language, software, notice } = await findAdapter(options.adapter ?? 'auto', options.toggles);
  if (software) installCalmPolling();
  const requiredLimits: Record<string, number> = {};
  if (limitsOf(options) === 'adapter') for (const name of WANTED_LIMITS) requiredLimits[name] = adapter.limits[name];
  const asked = options.matrixUnits ? matrixFeatures(adapter, language, notice) : [];
  const requiredFeatures = [...new Set([...WANTED_FEATURES.filter(f => adapter.features.has(f as GPUFeatureName)), ...asked])] as GPUFeatureName[];
  let gpu: GPUDevice;
  try {
    gpu = await wait(adapter.requestDevice({ requiredLimits, requiredFeatures }));
  } catch (cause) {
    throw new DeviceError(`openDevice: ${notice} gave no device (${(cause as Error).message})`, 'unavailable');
  }
  const { vendor, architecture, device, description } = adapter.info;
  const text = `${vendor} ${architecture} ${device} ${description}`;
  const summary = { vendor, architecture, description: description || device, class: software ? 'software' : 'gpu', profile: profileOf(text), notice } as const;
  if (debugLevel() >= 1) console.error(`adapter: ${notice}; features ${requiredFeatures.join(', ') || 'none'}`);
  const tuning = options.tuning === 'off' ? undefined : options.tuning ? checkTuning(options.tuning, 'openDevice: tuning') : await loadTuning(adapter.info);
  return new Device(gpu, summary, { tuning, language, matrixUnits: options.matrixUnits === true });
}

/**
 * Work on the caller's device, or on one of its own, which is destroyed if the work fails.
 * @param given the caller's, undefined for a new one @param work gets the device @returns what the work returns @throws DeviceError when none opens, and what the work throws
 */
export async function onDevice<T>(given: Device | undefined, work: (device: Device) => Promise<T>): Promise<T> {
  const device = given ?? (await openDevice());
  try {
    return await work(device);
  } catch (error) {
    if (!given) device.destroy();
    throw error;
  }
}
