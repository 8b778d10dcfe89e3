// How kernels read numbers that are stored small: for every binding that a .wgsl file declares as `array<NameStored>`, the alias and the function
// `load_name(i)` that turns stored bits into f32. They follow from the tensor that is bound, so a kernel knows nothing of storage types.
import { DeviceError } from './check.ts';
import type { DType } from './tensor.ts';

/** Lanes that one call of a load function gives: a number, or 'elem' where the file's `alias Elem` decides. */
export type Lanes = 1 | 2 | 4 | 'elem';

/** How the tensor of one binding is stored. */
export interface Stored {
  readonly dtype: DType;
  /** Elements per scale; 0 where there is none. */
  readonly block: number;
}

/** Where the scales of a binding are bound. @param binding number of the binding itself @returns its companion's number */
export const scaleBinding = (binding: number): number => 100 + binding;

const VECTOR = { 1: 'f32', 2: 'vec2<f32>', 4: 'vec4<f32>' } as const;

// f16 by integer arithmetic: a subnormal is a whole number of 2^-24, and no adapter may flush what is never a small float.
const HALVES = `fn stored_halves(h: vec4<u32>) -> vec4<f32> {
  let magnitude = h & vec4<u32>(0x7fffu);
  let normal = (magnitude << vec4<u32>(13u)) + select(vec4<u32>(0x38000000u), vec4<u32>(0x70000000u), magnitude >= vec4<u32>(0x7c00u));
  let tiny = bitcast<vec4<u32>>(vec4<f32>(magnitude) * 5.9604644775390625e-8);
  return bitcast<vec4<f32>>(select(normal, tiny, magnitude < vec4<u32>(0x400u)) | ((h & vec4<u32>(0x8000u)) << vec4<u32>(16u)));
}
`;

/** Body of `load` for one element at flat index `i`, without its scale. */
const SINGLE: Readonly<Partial<Record<DType, (name: string) => string>>> = {
  bf16: x => `bitcast<f32>((${x}[i >> 1u] >> ((i & 1u) << 4u)) << 16u)`,
  f16: x => `stored_halves(vec4<u32>((${x}[i >> 1u] >> ((i & 1u) << 4u)) & 0xffffu)).x`,
  i8: x => `f32((bitcast<i32>(${x}[i >> 2u]) << (24u - ((i & 3u) << 3u))) >> 24u)`,
  i4: x => `f32((bitcast<i32>(${x}[i >> 3u]) << (28u - ((i & 7u) << 2u))) >> 28u)`,
};

/** The stored type of four elements and how the value `w` of that type becomes f32. */
const QUAD: Readonly<Partial<Record<DType, { type: string; word: (name: string) => string; value: string }>>> = {
  bf16: { type: 'vec2<u32>', word: x => `${x}[i]`, value: 'bitcast<vec4<f32>>(vec4<u32>(w.x << 16u, w.x & 0xffff0000u, w.y << 16u, w.y & 0xffff0000u))' },
  f16: { type: 'vec2<u32>', word: x => `${x}[i]`, value: 'stored_halves(vec4<u32>(w.x & 0xffffu, w.x >> 16u, w.y & 0xffffu, w.y >> 16u))' },
  i8: { type: 'u32', word: x => `bitcast<i32>(${x}[i])`, value: 'vec4<f32>(vec4<i32>(w << 24u, w << 16u, w << 8u, w) >> vec4<u32>(24u))' },
  i4: { type: 'u32', word: x => `bitcast<i32>(${x}[i >> 1u] >> ((i & 1u) << 4u))`, value: 'vec4<f32>(vec4<i32>(w << 28u, w << 24u, w << 20u, w << 16u) >> vec4<u32>(28u))' },
};

const pascal = (name: string): string => name[0]!.toUpperCase() + name.slice(1).replace(/_(\w)/g, (_, c: string) => c.toUpperCase());

/** The alias a .wgsl file uses for the elements of a binding. @param name of the binding @returns PascalCase name and `Stored` */
export const storedAlias = (name: string): string => `${pascal(name)}Stored`;

/** Scales of `lanes` elements from flat index lanes · i on; one load where all of them share it. */
function scales(name: string, lanes: 1 | 2 | 4, block: number): string {
  if (lanes === 1) return `${name}_scales[i / ${block}u]`;
  if (block % lanes === 0) return `${name}_scales[i / ${block / lanes}u]`;
  return `${VECTOR[lanes]}(${Array.from({ length: lanes }, (_, k) => `${name}_scales[(${lanes}u * i + ${k}u) / ${block}u]`).join(', ')})`;
}

function loadOf(name: string, lanes: 1 | 2 | 4, { dtype, block }: Stored, binding: number, type: string): string {
  const alias = storedAlias(name);
  const scaled = block > 0 ? ` * ${scales(name, lanes, block)}` : '';
  const companion = block > 0 ? `@group(0) @binding(${scaleBinding(binding)}) var<storage, read> ${name}_scales: array<f32>;\n` : '';
  if (lanes === 4) {
    const quad = QUAD[dtype]!;
    return `${companion}alias ${alias} = ${quad.type};\nfn load_${name}(i: u32) -> ${type} {\n  let w = ${quad.word(name)};\n  return ${quad.value}${scaled};\n}\n`;
  }
  const one = SINGLE[dtype]!(name);
  if (lanes === 1) return `${companion}alias ${alias} = u32;\nfn load_${name}(i: u32) -> ${type} { return ${one}${scaled}; }\n`;
  return `${companion}alias ${alias} = u32;\nfn stored_${name}(i: u32) -> f32 { return ${one}; }\n` +
    `fn load_${name}(i: u32) -> ${type} { return vec2<f32>(stored_${name}(2u * i), stored_${name}(2u * i + 1u))${scaled}; }\n`;
}

/** Lanes of `alias Elem` in a text, and how it is spelt. */
function elem(text: string, name: string): { lanes: 1 | 2 | 4; floats: boolean } {
  const type = /\balias\s+Elem\s*=\s*([^;]+);/.exec(text)?.[1] ?? '';
  const lanes = type.startsWith('vec4') ? 4 : type.startsWith('vec2') ? 2 : 1;
  if (!type) throw new DeviceError(`storage: binding ${name} has elements of type Elem, expected an alias in the header`, 'validation');
  return { lanes, floats: /f32|f>?$|vec[24]f/.test(type) };
}

/**
 * The text that goes behind a kernel's own: an alias and a load function per stored binding.
 * @param text header and code of the kernel @param stored lanes by binding name @param bindings binding numbers by name @param used how the tensor of each binding is stored; f32 where nothing is said
 * @param native whether f16 is read by the language's own type (needs shader-f16)
 * @returns the text, and whether `enable f16;` has to stand in front @throws DeviceError when the file moves words and a tensor is not made of words
 */
export function storageText(
  text: string, stored: Readonly<Record<string, Lanes>>, bindings: Readonly<Record<string, { readonly binding: number }>>, used: Readonly<Record<string, Stored>>, native: boolean,
): { code: string; f16: boolean } {
  let code = '';
  let f16 = false;
  for (const [name, declared] of Object.entries(stored)) {
    const { lanes, floats } = declared === 'elem' ? elem(text, name) : { lanes: declared, floats: true };
    const type = declared === 'elem' ? 'Elem' : VECTOR[lanes];
    const how = used[name] ?? { dtype: 'f32', block: 0 };
    if (SINGLE[how.dtype] === undefined) {
      code += `alias ${storedAlias(name)} = ${type};\nfn load_${name}(i: u32) -> ${type} { return ${name}[i]; }\n`;
      continue;
    }
    if (!floats) throw new DeviceError(`storage: binding ${name} moves words, expected a tensor of f32, i32 or u32, got ${how.dtype}`, 'validation');
    if (how.dtype === 'f16' && native) {
      f16 = true;
      code += `alias ${storedAlias(name)} = ${VECTOR[lanes].replace('f32', 'f16')};\nfn load_${name}(i: u32) -> ${type} { return ${VECTOR[lanes]}(${name}[i]); }\n`;
    } else code += loadOf(name, lanes, how, bindings[name]!.binding, type);
  }
  if (code.includes('stored_halves')) code += HALVES;
  return { code, f16 };
}
