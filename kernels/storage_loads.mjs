// The load functions of bindings whose numbers may be stored small, for kernels/gen.mjs: one text per binding, storage type and count of lanes, over the
// functions of storage.wgsl. A shader gets the text of the tensor that is bound; engine/pipeline.ts picks it.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** All of storage.wgsl. */
export const DECODERS = readFileSync(join(dirname(fileURLToPath(import.meta.url)), 'storage.wgsl'), 'utf8');

/** Where the scales of a binding are bound. */
const scaleBinding = binding => 100 + binding;
const VECTOR = { 1: 'f32', 2: 'vec2<f32>', 4: 'vec4<f32>' };
/** log2 of the numbers in a word. */
const IN_WORD = { f16: 1, bf16: 1, i8: 2, i4: 3 };
/** What four numbers are stored as, and the value that goes into the decoder. */
const FOUR = {
  f16: { type: 'vec2<u32>', word: x => `${x}[i]` }, bf16: { type: 'vec2<u32>', word: x => `${x}[i]` },
  i8: { type: 'u32', word: x => `${x}[i]` }, i4: { type: 'u32', word: x => `(${x}[i >> 1u] >> ((i & 1u) << 4u))` },
};

/** The alias of a binding's elements. */
export const aliasOf = name => `${name[0].toUpperCase()}${name.slice(1).replace(/_(\w)/g, (_, c) => c.toUpperCase())}Stored`;

const plain = (name, type, value, stored) => `alias ${aliasOf(name)} = ${stored};\nfn load_${name}(i: u32) -> ${type} { return ${value}; }\n`;

/** Factor of the numbers from lanes · i on: one scale where a block holds all of them. NAME_BLOCK comes from the header. */
function scaled(name, lanes) {
  const block = `${name.toUpperCase()}_BLOCK`;
  if (lanes === 1) return { factor: ` * ${name}_scales[i / ${block}]`, text: '' };
  const each = Array.from({ length: lanes }, (_, k) => `${name}_scales[(${lanes}u * i + ${k}u) / ${block}]`).join(', ');
  return {
    factor: ` * scale_${name}(i)`,
    text: `fn scale_${name}(i: u32) -> ${VECTOR[lanes]} {\n  if (${block} % ${lanes}u == 0u) { return ${VECTOR[lanes]}(${name}_scales[${lanes}u * i / ${block}]); }\n  return ${VECTOR[lanes]}(${each});\n}\n`,
  };
}

function small(name, type, lanes, dtype, binding) {
  const quantised = dtype === 'i8' || dtype === 'i4';
  const { factor, text } = quantised ? scaled(name, lanes) : { factor: '', text: '' };
  const scales = quantised ? `@group(0) @binding(${scaleBinding(binding)}) var<storage, read> ${name}_scales: array<f32>;\n${text}` : '';
  if (lanes === 4) return scales + plain(name, type, `stored_${dtype}_four(${FOUR[dtype].word(name)})${factor}`, FOUR[dtype].type);
  const one = at => `stored_${dtype}_one(${name}[(${at}) >> ${IN_WORD[dtype]}u], ${at})`;
  return scales + plain(name, type, lanes === 1 ? `${one('i')}${factor}` : `vec2<f32>(${one('2u * i')}, ${one('2u * i + 1u')})${factor}`, 'u32');
}

/**
 * The texts of one binding by count of lanes and storage type: `words` is the element itself, whatever 32 bits it has; `native` is f16 by the language's own type.
 * `declared` is 1, 2, 4, or 'elem' where the file's alias Elem decides (then 1 and 4).
 */
export function loadsOf(name, declared, binding) {
  const type = lanes => (declared === 'elem' ? 'Elem' : VECTOR[lanes]);
  return Object.fromEntries((declared === 'elem' ? [1, 4] : [declared]).map(lanes => [lanes, {
    words: plain(name, type(lanes), `${name}[i]`, type(lanes)),
    native: plain(name, type(lanes), `${VECTOR[lanes]}(${name}[i])`, VECTOR[lanes].replace('f32', 'f16')),
    ...Object.fromEntries(Object.keys(IN_WORD).map(dtype => [dtype, small(name, type(lanes), lanes, dtype, binding)])),
  }]));
}
