// What a plan is made of: the commands that a function gives while it is recorded, what each of them touches, and the uniform fields of all of them.
import type { Block } from './arena.ts';
import { DeviceError, showShape } from './check.ts';
import type { Device } from './device.ts';
import type { CommandSink } from './dispatch.ts';
import type { Storage } from './memory.ts';
import { writeParams } from './pipeline.ts';
import type { Param, Pipeline } from './pipeline.ts';
import { Tensor } from './tensor.ts';

/** Storages that one command reads and writes. */
export interface Use { read: Set<Storage>; write: Set<Storage> }
/** One kernel. */
export interface DispatchCommand { kind: 'dispatch'; pipeline: Pipeline; tensors: Readonly<Record<string, Tensor>>; slot: number; grid: readonly [number, number, number] }
/** One kernel, clear or copy. */
export type Command = DispatchCommand | { kind: 'clear'; tensor: Tensor } | { kind: 'copy'; src: Tensor; dst: Tensor };

/** Bytes from one dispatch's uniform fields to the next: the alignment of dynamic offsets. */
export const SLOT = 256;
const WORDS = SLOT / 4;

/** Uniform fields of all commands: equal ones share a slot, those with functions are asked before each run. */
export class Uniforms {
  private words = new Uint32Array(64 * WORDS);
  private readonly known = new Map<string, number>();
  private readonly asked: { pipeline: Pipeline; params: Readonly<Record<string, Param>>; slot: number }[] = [];
  slots = 0;
  /** A field was refused halfway, so that what the GPU has is older than the words. */
  private behind = false;

  /** Takes in the fields of one dispatch. @param pipeline whose @param params values @returns its slot */
  add(pipeline: Pipeline, params: Readonly<Record<string, Param>>): number {
    if ((this.slots + 1) * WORDS > this.words.length) {
      const wider = new Uint32Array(this.words.length * 2);
      wider.set(this.words);
      this.words = wider;
    }
    const base = this.slots * WORDS;
    this.words.fill(0, base, base + WORDS);
    writeParams(pipeline, params, this.words, base);
    const asks = pipeline.fields.some(f => typeof params[f.name] === 'function');
    const key = this.words.subarray(base, base + pipeline.kernel.paramsBytes / 4).join();
    const same = asks ? undefined : this.known.get(key);
    if (same !== undefined) return same;
    if (asks) this.asked.push({ pipeline, params, slot: this.slots });
    else this.known.set(key, this.slots);
    return this.slots++;
  }

  /** The bytes of all slots. @returns a view of them */
  all(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.words.buffer, 0, Math.max(1, this.slots) * SLOT);
  }

  /** Asks the functions again. @returns whether a byte changed since the last call that returned @throws DeviceError for a number that does not fit its field, and what a function throws */
  refresh(): boolean {
    let changed = this.behind;
    this.behind = true;
    for (const { pipeline, params, slot } of this.asked) changed = writeParams(pipeline, params, this.words, slot * WORDS) || changed;
    this.behind = false;
    return changed;
  }
}

/** Everything that happens while the function runs. */
export class Recording implements CommandSink {
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

  /** Notes a kernel. @param pipeline which @param tensors by binding name @param params uniform fields @param grid workgroups @returns nothing */
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

  /** Notes a clear. @param tensor its target @returns nothing */
  clear(tensor: Tensor): void {
    this.add({ kind: 'clear', tensor: borrow(tensor) }, [], [tensor]);
  }

  /** Notes a copy. @param src source @param dst target @returns nothing */
  copy(src: Tensor, dst: Tensor): void {
    this.add({ kind: 'copy', src: borrow(src), dst: borrow(dst) }, [src], [dst]);
  }

  /** Host data that arrives while recording is a constant of the plan; what was there before has to be written outside. @param tensor its target @returns nothing @throws DeviceError when it comes too late or is not the plan's */
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

  /** Storages that were there before, each held once more: nobody else gets them while the plan lives. @returns these storages */
  retain(): Storage[] {
    const outside = new Set<Storage>();
    for (const { read, write } of this.uses) for (const s of [...read, ...write]) if (!s.virtual && !this.constants.has(s)) outside.add(s);
    for (const s of outside) s.refs++;
    return [...outside];
  }
}

/** The same place seen by a tensor that no scope knows, so that it survives the scope of the recorded function. */
function borrow(t: Tensor): Tensor {
  return Object.assign(Object.create(Tensor.prototype) as Tensor, { device: t.device, shape: t.shape, dtype: t.dtype, size: t.size, byteLength: t.byteLength, block: t.block, offsetBytes: t.offsetBytes, held: t.storage, scales: t.scales && borrow(t.scales) });
}

/** Blocks of the storages that have no buffer yet, and which of them may not share one. @param recording at its end @returns storages, and a block for each */
export function blocksOf(recording: Recording): { storages: Storage[]; blocks: Block[] } {
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

