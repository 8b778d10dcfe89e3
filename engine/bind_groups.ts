// Bind groups: made once for a pipeline and the places of its tensors, and found again by them.
import type { Device } from './device.ts';
import type { Pipeline } from './pipeline.ts';
import { scaleBinding } from './storage.ts';
import type { Tensor } from './tensor.ts';

/** One vec4: a shader that reads four numbers at once wants that much, also where it reads none. Every storage has it. */
export const SMALLEST_BINDING = 16;
/**
 * Over all pipelines. Lavapipe maps memory for every group, and Linux gives a process 65,530 mappings: the next one kills it. A group that was collected leaves its mapping
 * to the next one of its layout, so a process has about twice as many as are cached, per layout that was in fashion once, and those that Dawn makes ahead for each layout.
 */
export const MAX_CACHED_GROUPS = 8192;
const NUDGE_BYTES = 2 ** 27;

/**
 * Asks for forgotten groups to be collected: they have no `destroy`, and V8 knows nothing of the driver's memory, so that 60,000 of them lie where it finds its own heap
 * small. It does count the bytes of array buffers, also of one that nobody keeps and whose pages nobody touches.
 */
function hastenCollection(): void {
  try {
    Reflect.construct(ArrayBuffer, [NUDGE_BYTES]);
  } catch {
    // refused for want of memory: then everything that nobody holds was collected before the refusal
  }
}

interface Found { readonly group: GPUBindGroup; readonly places: readonly number[] }

const mixed = (hash: number, value: number): number => Math.imul(hash ^ value, 0x9e3779b1);

/**
 * Bind groups of all pipelines of one device. One table per pipeline and one short list of numbers per group: a tree of maps, one level per number, is the same
 * thing with ten times the memory touched, and that is what a lookup costs once there are a thousand groups.
 */
export class GroupCache {
  private readonly tables = new Map<Pipeline, Map<number, Found[]>>();
  private count = 0;
  /** What was last looked for: margin, then storage, offset and bytes of each tensor and place of its scales. Which of them have scales is part of the pipeline. */
  private readonly wanted: number[] = [];
  private length = 0;
  private hash = 0;

  /**
   * Looks for a group, and notes that the commands that wait use its tensors.
   * @param device where @param p pipeline @param bound [any] its tensors, in order @param count how many of `bound` @returns the group, or undefined where there is none yet
   */
  find(device: Device, p: Pipeline, bound: readonly Tensor[], count: number): GPUBindGroup | undefined {
    const { wanted } = this;
    const { serial } = device.recorder;
    const margin = device.pool.marginBytes;
    wanted[0] = margin; // bindings are wider with it
    let n = 1;
    let hash = margin;
    for (let i = 0; i < count; i++) {
      const { storage, offsetBytes, byteLength, scales } = bound[i]!;
      storage.lastUse = serial;
      hash = mixed(mixed(mixed(hash, storage.id), offsetBytes), byteLength);
      wanted[n++] = storage.id;
      wanted[n++] = offsetBytes;
      wanted[n++] = byteLength;
      if (!scales) continue;
      scales.storage.lastUse = serial;
      hash = mixed(mixed(hash, scales.storage.id), scales.offsetBytes);
      wanted[n++] = scales.storage.id;
      wanted[n++] = scales.offsetBytes;
    }
    this.length = n;
    this.hash = hash >> 2; // small enough to be a key without a box
    const bucket = this.tables.get(p)?.get(this.hash);
    if (bucket) for (let i = 0; i < bucket.length; i++) if (this.fits(bucket[i]!.places)) return bucket[i]!.group;
    return undefined;
  }

  private fits(places: readonly number[]): boolean {
    if (places.length !== this.length) return false;
    for (let i = 0; i < places.length; i++) if (places[i] !== this.wanted[i]) return false;
    return true;
  }

  /** Keeps the group that was not found. @param p pipeline @param group as made @returns the same */
  add(p: Pipeline, group: GPUBindGroup): GPUBindGroup {
    if (this.count >= MAX_CACHED_GROUPS) {
      this.clear();
      hastenCollection();
    }
    this.count++;
    let table = this.tables.get(p);
    if (!table) this.tables.set(p, table = new Map());
    const found = { group, places: this.wanted.slice(0, this.length) };
    const bucket = table.get(this.hash);
    if (bucket) bucket.push(found);
    else table.set(this.hash, [found]);
    return group;
  }

  /** Forgets all of them. @returns nothing */
  clear(): void {
    this.tables.clear();
    this.count = 0;
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
