/** Initial values of weights, from a seed and the tensor's name: the order of creation does not matter. */
import type { TensorKind, TensorSpec } from './params.ts';

/** Start of one kind: normal with a standard deviation, normal with gain/sqrt(fan in), or a constant. */
export type Init = { readonly std: number } | { readonly fanIn: number } | { readonly value: number };
export type InitTable = Readonly<Record<TensorKind, Init>>;

/** Normal 0.02 for matrices (the three checkpoints' initializer_range; heads: spec section 1.15), norms at identity, biases 0, temperature 0.07. */
export const DEFAULT_INIT: InitTable = Object.freeze({
  linear: { std: 0.02 },
  embedding: { std: 0.02 },
  patch: { std: 0.02 },
  norm: { value: 1 },
  norm_offset: { value: 0 }, // the gain is 1 + w
  bias: { value: 0 },
  log_scale: { value: Math.log(1 / 0.07) },
});

/**
 * @param spec the tensor: its kind chooses the row of the table, its shape [out, in...] the fan in
 * @param seed any integer
 * @param table rows that replace the defaults
 * @param prefix put before the name when the values are drawn
 * @returns the values, row-major
 */
export function initialValues(spec: TensorSpec, seed: number, table: Partial<InitTable> = {}, prefix = ''): Float32Array {
  const init = table[spec.kind] ?? DEFAULT_INIT[spec.kind];
  const count = spec.shape.reduce((product, size) => product * size, 1);
  const values = new Float32Array(count);
  if ('value' in init) return values.fill(init.value);
  const fanIn = spec.shape.slice(1).reduce((product, size) => product * size, 1);
  const std = 'std' in init ? init.std : init.fanIn / Math.sqrt(fanIn);
  const next = uniforms(nameSeed(prefix + spec.name, seed));
  for (let i = 0; i < count; i += 2) {
    const radius = std * Math.sqrt(-2 * Math.log(1 - next())); // Box-Muller; 1 - u is never 0
    const angle = 2 * Math.PI * next();
    values[i] = radius * Math.cos(angle);
    if (i + 1 < count) values[i + 1] = radius * Math.sin(angle);
  }
  return values;
}

/** 32-bit FNV-1a of the name, mixed with the seed. */
function nameSeed(name: string, seed: number): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return mix(hash ^ mix(seed | 0));
}

/** The finaliser of murmur3: every bit of the result depends on every bit of x. */
function mix(x: number): number {
  let z = x | 0;
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
  return z ^ (z >>> 16);
}

/** Uniform numbers in [0, 1) with 32 bits: a Weyl sequence through the mixer. */
function uniforms(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    return (mix(mix(state) ^ seed) >>> 0) / 2 ** 32;
  };
}
