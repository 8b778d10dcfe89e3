/** The weights of one network: checkpoint name + expected shape -> tensor. Every stored name is used or skipped by name; nothing is guessed. */
import type { Device } from '../engine/device.ts';
import { keep } from '../engine/memory.ts';
import { Tensor } from '../engine/tensor.ts';
import type { Safetensors } from '../weights/safetensors.ts';
import { initialValues } from './init.ts';
import type { InitTable } from './init.ts';
import { matchTensors, missing, nearestName } from './match_tensors.ts';
import { checkWeightDtype, streamTensors } from './weight_stream.ts';
import type { WeightDtype } from './weight_stream.ts';

export { matchTensors } from './match_tensors.ts';
export type { Match } from './match_tensors.ts';

/** What a weight is, for its initial values and for the optimiser. */
export type TensorKind = 'linear' | 'embedding' | 'patch' | 'norm' | 'norm_offset' | 'bias' | 'log_scale';

/** One tensor that a network needs, under its name in the checkpoint. */
export interface TensorSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly kind: TensorKind;
}

/** How far loading is. `loaded` and `total` are bytes as stored; reading overlaps with the other two. */
export interface Progress {
  readonly status: 'progress' | 'done';
  readonly file: string;
  /** Stored name of the tensor that just moved; empty at the end. */
  readonly tensor: string;
  readonly loaded: number;
  readonly total: number;
  readonly bytesPerSecond: number;
  /** Infinity before the first bytes. */
  readonly secondsLeft: number;
  /** What the host has done so far, ms: reading, converting between types, waiting for and filling staging buffers. */
  readonly readMs: number;
  readonly convertMs: number;
  readonly uploadMs: number;
}

export interface LoadOptions {
  /** Stored names (without the wrapper prefixes) that may be there and are not read. */
  readonly skip?: readonly RegExp[];
  /** Only stored names that start with this belong to the network; it is cut off. */
  readonly prefix?: string;
  /** How errors call the checkpoint. */
  readonly where?: string;
  /** How matrices are held, or that by the tensor's name; default 'f32'. */
  readonly dtype?: WeightDtype | ((name: string) => WeightDtype) | undefined;
  readonly progress?: ((event: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Named tensors of a network, or the part of them under a prefix. */
export class Params {
  private readonly map: ReadonlyMap<string, Tensor>;
  private readonly prefix: string;

  /**
   * @param map tensors by full name
   * @param prefix what `get` puts before a name
   */
  constructor(map: ReadonlyMap<string, Tensor>, prefix = '') {
    this.map = map;
    this.prefix = prefix;
  }

  /**
   * @param name checkpoint name after the prefix
   * @returns the tensor
   * @throws WeightError when there is none
   */
  get(name: string): Tensor {
    const tensor = this.map.get(this.prefix + name);
    if (!tensor) throw missing('model', this.prefix + name, nearestName(this.prefix + name, [...this.map.keys()]));
    return tensor;
  }

  /**
   * A token table: one tensor, or its parts where no binding can hold it whole.
   *
   * @param name checkpoint name after the prefix
   * @returns the parts, in order of their rows
   * @throws WeightError when there is none
   */
  table(name: string): readonly Tensor[] {
    if (!this.has(`${name}#0`)) return [this.get(name)];
    const parts: Tensor[] = [];
    while (this.has(`${name}#${parts.length}`)) parts.push(this.get(`${name}#${parts.length}`));
    return parts;
  }

  /** @returns whether the tensor exists. */
  has(name: string): boolean {
    return this.map.has(this.prefix + name);
  }

  /** @returns the part of the names that starts with `prefix`. */
  at(prefix: string): Params {
    return new Params(this.map, this.prefix + prefix);
  }

  /** @returns name (after the prefix) and tensor, in the order of the network's table. */
  entries(): [string, Tensor][] {
    return [...this.map].filter(([name]) => name.startsWith(this.prefix)).map(([name, tensor]) => [name.slice(this.prefix.length), tensor]);
  }

  /** @returns the names after the prefix. */
  names(): string[] {
    return this.entries().map(([name]) => name);
  }

  /** @returns the tensors under the prefix that want gradients. */
  trainable(): Tensor[] {
    return this.entries().map(([, tensor]) => tensor).filter((tensor) => tensor.needsGrad);
  }
}

/**
 * Reads a network's tensors and uploads them, chunk by chunk.
 *
 * @param device where the tensors go
 * @param checkpoint an open safetensors file or sharded folder
 * @param specs the network's table
 * @param options dtype of the matrices, progress, cancel
 * @returns the tensors under the names of the table; a token table above the binding limit in parts (see {@link Params.table})
 * @throws WeightError naming tensors that are missing (with the nearest stored name), have another shape, or are not used; RangeError for a dtype that is none
 */
export async function loadParams(device: Device, checkpoint: Safetensors, specs: readonly TensorSpec[], options: LoadOptions = {}): Promise<Params> {
  const { where = 'checkpoint', signal, progress, dtype = 'f32' } = options;
  if (typeof dtype !== 'function') checkWeightDtype('load', dtype);
  const { found, problems } = matchTensors(checkpoint, specs, options);
  if (problems[0]) throw problems[0];
  return new Params(await streamTensors(device, checkpoint, new Map(specs.map(spec => [spec, found.get(spec.name)!])), { where, dtype, progress, signal }));
}

/**
 * Makes a network's tensors without a checkpoint. A tensor's values depend on the seed and its name alone.
 *
 * @param device where the tensors go
 * @param specs the network's table
 * @param seed any integer
 * @param table what each kind starts from; see {@link InitTable}
 * @param prefix put before the name when the values are drawn, so that equal names in two networks differ
 * @returns the tensors under the names of the table
 */
export function initParams(device: Device, specs: readonly TensorSpec[], seed: number, table: Partial<InitTable> = {}, prefix = ''): Params {
  const map = new Map<string, Tensor>();
  for (const spec of specs) map.set(spec.name, keep(Tensor.from(device, initialValues(spec, seed, table, prefix), spec.shape)));
  return new Params(map);
}
