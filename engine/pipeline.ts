// Pipelines: from the generated description of a .wgsl file to a GPUComputePipeline with an explicit layout, and its uniform fields to bytes.
import { DeviceError } from './check.ts';
import { debugLevel, nameOf } from './profile.ts';
import { scaleBinding, storageText } from './storage.ts';
import type { Lanes, Loads, Stored } from './storage.ts';

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
  /** The load functions of those bindings. */
  readonly loads?: Readonly<Record<string, Loads>>;
  /** Functions that the load functions of small storage types use. */
  readonly decoders?: string;
}

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

/** A value of a uniform field: a number, or a function that a plan asks again before every replay. */
export type Param = number | (() => number);

/** One entry point of one file under one set of constants, aliases and storage types. */
export interface Pipeline {
  readonly id: number;
  /** Missing while a plan that was just recorded waits for its compilation. */
  pipeline: GPUComputePipeline | undefined;
  readonly descriptor: GPUComputePipelineDescriptor;
  readonly layout: GPUBindGroupLayout;
  readonly kernel: Kernel;
  readonly entry: string;
  readonly options: DispatchOptions;
  /** Its uniform fields. */
  readonly fields: readonly Field[];
}

/** Where a uniform field lies, in words. */
interface Field { readonly name: string; readonly at: number; readonly type: 'f32' | 'u32' | 'i32' }

/** Whether a uniform field can hold a number: DataView would wrap it silently. */
function fits(value: number, type: 'f32' | 'u32' | 'i32'): boolean {
  if (type === 'f32') return true;
  return Number.isInteger(value) && (type === 'u32' ? value >= 0 && value < 2 ** 32 : value >= -(2 ** 31) && value < 2 ** 31);
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/**
 * Writes the uniform fields of one dispatch.
 * @param pipeline whose fields @param params value per field @param words target @param base first word
 * @returns whether a word changed @throws DeviceError for a missing field, or a number that does not fit its type
 */
export function writeParams({ kernel, entry, fields }: Pipeline, params: Readonly<Record<string, Param>>, words: Uint32Array, base: number): boolean {
  let changed = false;
  for (let i = 0; i < fields.length; i++) {
    const { name, at, type } = fields[i]!;
    const given = params[name];
    const value = typeof given === 'function' ? given() : given;
    if (value === undefined || !fits(value, type)) {
      throw new DeviceError(`${nameOf(kernel.name, entry)}: params.${name} is ${value}, expected ${type === 'f32' ? 'a number' : `a whole number that fits ${type}`}`, 'validation');
    }
    if (type === 'f32') float[0] = value;
    else bits[0] = value;
    const word = bits[0]!;
    if (words[base + at] === word) continue;
    words[base + at] = word;
    changed = true;
  }
  return changed;
}

/** The whole text of a shader: header, the file, and the loads of its stored bindings. @param kernel generated description @param options header and storage @returns WGSL */
export function shaderText(kernel: Kernel, { header, storage = {}, nativeF16 = false }: DispatchOptions): string {
  const text = (header ? `${header}\n` : '') + kernel.code;
  const { loads, constants, f16 } = storageText(text, kernel.stored ?? {}, kernel.loads ?? {}, kernel.decoders ?? '', storage, nativeF16);
  return (f16 ? 'enable f16;\n' : '') + text + constants + loads;
}

/**
 * Builds the pipeline of one entry point with an explicit layout from the reflected bindings.
 * @param gpu device @param kernel generated description @param entry entry point @param options constants and header @param id number in the cache
 * @returns the pipeline @throws DeviceError when an override is unknown
 */
export function createPipeline(gpu: GPUDevice, kernel: Kernel, entry: string, options: DispatchOptions, id = 0): Pipeline {
  const made = describePipeline(gpu, kernel, entry, options, id);
  made.pipeline = gpu.createComputePipeline(made.descriptor);
  return made;
}

/**
 * What `createPipeline` builds, but for the compilation.
 * @param gpu device @param kernel generated description @param entry entry point @param options constants and header @param id number in the cache
 * @returns the pipeline, not compiled yet @throws DeviceError when an override is unknown
 */
export function describePipeline(gpu: GPUDevice, kernel: Kernel, entry: string, options: DispatchOptions, id = 0): Pipeline {
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
  const descriptor = {
    label, layout: gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module, entryPoint: entry, constants: { ...options.constants } },
  };
  const fields = Object.entries(kernel.params).map(([name, { offset, type }]) => ({ name, at: offset / 4, type }));
  return { id, pipeline: undefined, descriptor, layout, kernel, entry, options, fields };
}
