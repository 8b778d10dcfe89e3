// How kernels read numbers that are stored small: for every binding that a .wgsl file declares as `array<NameStored>` the generator has written the load
// functions of all storage types; the tensor that is bound picks one. A kernel knows nothing of storage types.
import { DeviceError } from './check.ts';
import type { DType } from './tensor.ts';

/** Lanes that one call of a load function gives: a number, or 'elem' where the file's `alias Elem` decides. */
export type Lanes = 1 | 2 | 4 | 'elem';

/** What kernels/storage_loads.mjs writes for one binding: WGSL by lanes and storage type. `words` are f32, i32 and u32; `native` is f16 read by the language's own type. */
export type Loads = Readonly<Partial<Record<1 | 2 | 4, Readonly<Record<'words' | 'native' | 'f16' | 'bf16' | 'i8' | 'i4', string>>>>>;

/** How the tensor of one binding is stored. */
export interface Stored {
  readonly dtype: DType;
  /** Elements per scale; 0 where there is none. */
  readonly block: number;
}

/** Where the scales of a binding are bound. @param binding number of the binding itself @returns its companion's number */
export const scaleBinding = (binding: number): number => 100 + binding;

/** Lanes of `alias Elem` in a text, and whether they are floats. */
function elem(text: string, name: string): { lanes: 1 | 4; floats: boolean } {
  const type = /\balias\s+Elem\s*=\s*([^;]+);/.exec(text)?.[1];
  if (!type) throw new DeviceError(`storage: binding ${name} has elements of type Elem, expected an alias in the header`, 'validation');
  return { lanes: type.startsWith('vec4') ? 4 : 1, floats: /f/.test(type) };
}

/** What goes around a kernel's text. */
export interface StorageText {
  /** Behind it. */
  readonly loads: string;
  /** In front of it: block sizes. */
  readonly constants: string;
  /** Whether `enable f16;` has to stand in front of everything. */
  readonly f16: boolean;
}

/**
 * Picks the load functions of a kernel's stored bindings.
 * @param text header and code of the kernel @param stored lanes by binding name @param loads texts by binding name @param decoders functions that the texts use
 * @param used how the tensor of each binding is stored; 32 bits where nothing is said @param native whether f16 is read by the language's own type (needs shader-f16)
 * @returns the texts @throws DeviceError when the file moves words and a tensor is not made of words
 */
export function storageText(
  text: string, stored: Readonly<Record<string, Lanes>>, loads: Readonly<Record<string, Loads>>, decoders: string, used: Readonly<Record<string, Stored>>, native: boolean,
): StorageText {
  let picked = '', constants = '';
  let f16 = false, small = false;
  for (const [name, declared] of Object.entries(stored)) {
    const { lanes, floats } = declared === 'elem' ? elem(text, name) : { lanes: declared, floats: true };
    const { dtype, block } = used[name] ?? { dtype: 'f32', block: 0 };
    const kind = dtype === 'f32' || dtype === 'i32' || dtype === 'u32' ? 'words' : dtype === 'f16' && native ? 'native' : dtype;
    if (kind !== 'words' && !floats) throw new DeviceError(`storage: binding ${name} moves words, expected a tensor of f32, i32 or u32, got ${dtype}`, 'validation');
    picked += loads[name]![lanes]![kind];
    if (block > 0) constants += `const ${name.toUpperCase()}_BLOCK = ${block}u;\n`;
    f16 ||= kind === 'native';
    small ||= kind !== 'words' && kind !== 'native';
  }
  return { loads: small ? picked + decoders : picked, constants, f16 };
}
