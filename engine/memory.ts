// Buffers by size class, and scopes that release what was made inside them.
import { DeviceError } from './check.ts';
import type { Tensor } from './tensor.ts';

/** A pooled GPU buffer with a count of the tensors that share it. */
export interface Storage {
  buffer: GPUBuffer;
  bytes: number;
  id: number;
  /** Made while a plan is recorded: it has no buffer of its own, and the plan decides where it lies. */
  virtual?: boolean;
  refs: number;
  /** A tensor left it for another place (`Tensor.moveTo`): plans that were recorded before use the old one. */
  moved?: boolean;
  /** Serial of the last encoder that used it: a write from the host must not overtake commands not yet submitted. */
  lastUse: number;
}

/** A buffer for intermediate tensors of plans. Plans run one after another and nothing in it outlives a run, so all of them may use it. */
export interface ArenaBuffer {
  readonly buffer: GPUBuffer;
  readonly bytes: number;
  /** Plans that use it. */
  users: number;
}

/** What `device.memory()` reports. Bytes are those of the buffers, size classes included. */
export interface MemoryReport {
  liveBytes: number;
  liveBuffers: number;
  liveTensors: number;
  peakBytes: number;
  poolBytes: number;
}

const SMALLEST = 256;
const SPARE_BYTES = 4096;

/** Size class of a byte count: four steps per power of two, so at most a quarter is unused. @param bytes wanted bytes @returns bytes of the buffer */
export function sizeClass(bytes: number): number {
  if (bytes <= SMALLEST) return SMALLEST;
  const step = Math.max(SMALLEST, (bytes <= 2 ** 31 ? 2 ** (31 - Math.clz32(bytes - 1)) : 2 ** Math.floor(Math.log2(bytes - 1))) / 4);
  return Math.ceil(bytes / step) * step;
}

/**
 * The free buffer with the lowest id, off a heap: the choice depends on which buffers are free, not on the order of their release, so every training step
 * gets the same ones and finds its bind groups again. (The last one released would wander: hundreds of new groups per step, until the driver dies.)
 */
function takeLowest(heap: Storage[] | undefined): Storage | undefined {
  const found = heap?.[0];
  if (!heap || !found) return undefined;
  const last = heap.pop()!;
  const count = heap.length;
  if (count === 0) return found;
  let at = 0;
  for (let child = 1; child < count; child = 2 * at + 1) {
    if (child + 1 < count && heap[child + 1]!.id < heap[child]!.id) child++;
    if (heap[child]!.id > last.id) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return found;
}

/** Puts a free buffer on the heap. */
function putBack(heap: Storage[], storage: Storage): void {
  let at = heap.push(storage) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (heap[parent]!.id < storage.id) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = storage;
}

/** The allocator of one device: hands the same buffers out at every step, so bind groups are found in their cache. */
export class Pool {
  private readonly gpu: GPUDevice;
  /** By size, heaps with the lowest id on top. */
  private readonly free = new Map<number, Storage[]>();
  /** Most bytes of one tensor: limits are asked once, for asking costs more than the rest of an allocation. */
  limit: number;
  private nextId = 1;
  liveBytes = 0;
  liveBuffers = 0;
  peakBytes = 0;
  poolBytes = 0;
  created = 0;
  /** Buffers that plans share, smallest first, and their bytes (not among the live ones: no tensor lies there for longer than a run). */
  private readonly arenas: ArenaBuffer[] = [];
  arenaBytes = 0;
  /** What `Tensor.placeholder` hands out. */
  readonly placeholders: { read?: Tensor; written?: Tensor } = {};
  /** Tests fill every buffer that is handed out with a pattern, so that a kernel that leaves gaps is seen. */
  onAcquire: ((storage: Storage) => void) | undefined;
  /** Tests put a margin on both sides of every tensor, a multiple of 256 bytes, and bind the one behind it too: a kernel that writes past its end is seen there. */
  marginBytes = 0;
  /** While a plan is recorded, storages have no buffer. */
  recording = false;

  constructor(gpu: GPUDevice) {
    this.gpu = gpu;
    this.limit = Math.min(gpu.limits.maxBufferSize, gpu.limits.maxStorageBufferBindingSize);
  }

  /** A buffer of at least `bytes`. @param bytes wanted bytes @param exact no size class: for what stays, such as weights @returns storage with one reference @throws DeviceError above the device's limits */
  acquire(bytes: number, exact = false): Storage {
    const { limit } = this;
    if (bytes > limit) throw new DeviceError(`allocate: a tensor of ${bytes} bytes was asked for, expected at most ${limit} (the device's storage binding limit)`, 'limit');
    if (this.recording) return { buffer: undefined as unknown as GPUBuffer, bytes, id: this.nextId++, refs: 1, lastUse: -1, virtual: true };
    const size = Math.min(exact ? Math.max(SMALLEST, Math.ceil(bytes / 256) * 256) : sizeClass(bytes), Math.floor(limit / 4) * 4);
    const storage = takeLowest(this.free.get(size)) ?? this.create(size);
    if (storage.refs !== 0) throw new DeviceError(`allocate: buffer ${storage.id} is in use twice`, 'internal');
    storage.refs = 1;
    storage.moved = false;
    this.liveBytes += storage.bytes;
    this.liveBuffers++;
    this.poolBytes = Math.max(0, this.poolBytes - storage.bytes);
    this.peakBytes = Math.max(this.peakBytes, this.liveBytes);
    this.onAcquire?.(storage);
    return storage;
  }

  private create(size: number): Storage {
    const buffer = this.createBuffer(size);
    this.poolBytes += size;
    return { buffer, bytes: size, id: this.nextId++, refs: 0, lastUse: -1 };
  }

  private createBuffer(size: number): GPUBuffer {
    this.created++;
    return this.gpu.createBuffer({ size, usage: GPUBufferUsageBits.STORAGE | GPUBufferUsageBits.COPY_SRC | GPUBufferUsageBits.COPY_DST });
  }

  /** A storage that belongs to nobody and is in no count, full of NaN: whoever reads it shows. @returns a storage that is never released */
  spare(): Storage {
    const buffer = this.gpu.createBuffer({ size: SPARE_BYTES, usage: GPUBufferUsageBits.STORAGE, mappedAtCreation: true });
    new Uint32Array(buffer.getMappedRange()).fill(0x7fc0dead);
    buffer.unmap();
    return { buffer, bytes: SPARE_BYTES, id: this.nextId++, refs: 1, lastUse: -1 };
  }

  /** Gives a storage of a recording a buffer of its own. @param storage a virtual one @returns nothing @throws DeviceError above the device's limits */
  materialise(storage: Storage): void {
    const { recording, onAcquire } = this;
    this.recording = false;
    this.onAcquire = undefined; // its kernel would be recorded
    const { buffer, bytes, id } = this.acquire(storage.bytes);
    Object.assign(this, { recording, onAcquire });
    Object.assign(storage, { buffer, bytes, id, virtual: false });
  }

  /** Buffers of at least these sizes for one plan, where possible those that other plans use already. @param sizes bytes @returns one buffer per size, all different */
  borrowArenas(sizes: readonly number[]): ArenaBuffer[] {
    const taken = new Set<ArenaBuffer>();
    const order = sizes.map((_, i) => i).sort((a, b) => sizes[b]! - sizes[a]!);
    const result: ArenaBuffer[] = [];
    for (const i of order) {
      let found = this.arenas.find(a => a.bytes >= sizes[i]! && !taken.has(a)); // the smallest that is large enough
      if (!found) {
        found = { buffer: this.createBuffer(sizes[i]!), bytes: sizes[i]!, users: 0 };
        this.arenas.push(found);
        this.arenas.sort((a, b) => a.bytes - b.bytes);
        this.arenaBytes += found.bytes;
      }
      taken.add(found);
      found.users++;
      result[i] = found;
    }
    return result;
  }

  /** Gives buffers back that a plan had; the last user destroys them. @param arenas from `borrowArenas` @returns nothing */
  returnArenas(arenas: readonly ArenaBuffer[]): void {
    for (const a of arenas) {
      if (--a.users > 0) continue;
      a.buffer.destroy();
      this.arenas.splice(this.arenas.indexOf(a), 1);
      this.arenaBytes -= a.bytes;
    }
  }

  /** One tensor less uses the storage; at zero it goes back to the pool. @param storage a storage in use @returns nothing */
  release(storage: Storage): void {
    if (--storage.refs > 0 || storage.virtual) return;
    this.liveBytes -= storage.bytes;
    this.liveBuffers--;
    this.poolBytes += storage.bytes;
    const list = this.free.get(storage.bytes);
    if (list) putBack(list, storage);
    else this.free.set(storage.bytes, [storage]);
  }

  /** Destroys the buffers that nobody uses. Call only when no command waits to be submitted. @returns ids of the destroyed storages */
  trim(): number[] {
    const gone: number[] = [];
    for (const list of this.free.values()) {
      for (const s of list) {
        s.buffer.destroy();
        gone.push(s.id);
      }
    }
    this.free.clear();
    this.poolBytes = 0;
    return gone;
  }
}

/** The usage bits of the WebGPU standard: Node has no such global before a device exists. */
export const GPUBufferUsageBits = { MAP_READ: 1, MAP_WRITE: 2, COPY_SRC: 4, COPY_DST: 8, UNIFORM: 64, STORAGE: 128, QUERY_RESOLVE: 512 } as const;

const scopes: Set<Tensor>[] = [];

/** Called by `Tensor` for every new one: the innermost open scope will release it. @param tensor [any] a new tensor @returns nothing */
export function enlist(tensor: Tensor): void {
  scopes[scopes.length - 1]?.add(tensor);
}

/**
 * Takes a tensor out of all open scopes: it lives until `dispose()`.
 * @param tensor [any] a tensor @returns the same tensor
 */
export function keep<T extends Tensor>(tensor: T): T {
  for (const s of scopes) s.delete(tensor);
  return tensor;
}

function collect(value: unknown, into: Set<unknown>, depth = 0): void {
  if (value === null || typeof value !== 'object' || depth > 6 || into.has(value)) return;
  if ('storage' in value && 'dispose' in value) {
    into.add(value);
    return;
  }
  if (Array.isArray(value)) for (const v of value) collect(v, into, depth + 1);
  else if (value instanceof Map) for (const v of value.values()) collect(v, into, depth + 1);
  else if (Object.getPrototypeOf(value) === Object.prototype) for (const v of Object.values(value)) collect(v, into, depth + 1);
}

/**
 * Runs `fn` and releases every tensor made inside, except those it returns (also inside plain arrays, objects and maps), which pass to the
 * scope around it. Synchronous on purpose: ops only enqueue, and two scopes that wait would release each other's tensors.
 * @param fn the work @returns what `fn` returns @throws TypeError when `fn` returns a promise
 */
export function scope<T>(fn: () => T): T {
  const made = new Set<Tensor>();
  scopes.push(made);
  let result: T;
  try {
    result = fn();
    if (result instanceof Promise) throw new TypeError('scope: the function returned a promise, expected a synchronous one (wait outside, ops only enqueue)');
  } catch (error) {
    scopes.splice(scopes.indexOf(made), 1);
    for (const t of made) t.dispose();
    throw error;
  }
  scopes.splice(scopes.indexOf(made), 1);
  const returned = new Set<unknown>();
  collect(result, returned);
  for (const t of made) {
    if (returned.has(t)) enlist(t);
    else t.dispose();
  }
  return result;
}
