// Matrix products, with what follows them in their epilogue.
import { size } from '../../../engine/tensor.ts';
import { gatedLinearGradRef, gatedLinearRef } from '../../../kernels/gated_linear.ref.ts';
import * as ops from '../../../kernels/index.ts';
import { linearGradRef, linearRef } from '../../../kernels/linear.ref.ts';
import { matmulGradRef, matmulRef } from '../../../kernels/matmul.ref.ts';
import type { MatmulSizes } from '../../../kernels/matmul.ref.ts';
import { forceTile } from '../../../kernels/matmul.ts';
import type { Forced } from '../../../kernels/matmul.ts';
import { patchEmbedGradRef, patchEmbedRef } from '../../../kernels/patch_embed.ref.ts';
import type { PatchSizes } from '../../../kernels/patch_embed.ref.ts';
import { proof } from '../proof.ts';
import type { Draw, Proof } from '../proof.ts';
import { float, half, large, weight } from './inputs.ts';

/** The adapter's own tile (undefined), that of another profile where this adapter can run it, or one by name. */
export type TileName = Forced | undefined;
/** Share of the tiles for GPUs: every pipeline of theirs takes lavapipe two to five seconds to compile. */
const TILED = 0.01;

/** Draws one. @param r source @returns its name */
export const tile = (r: Draw): TileName => (r.chance(TILED) ? r.pick(['default', 'tiled32', 'tiled64', 'tiled128', 'tiled128_k8']) : r.pick([undefined, undefined, 'lavapipe', 'swiftshader', 'single']));

/** Runs on a tile. @param name of its profile @param run the work @returns what it returns */
export function onTile<T>(name: TileName, run: () => T): T {
  forceTile(name);
  try {
    return run();
  } finally {
    forceTile(undefined);
  }
}

/** m, n, k around the tiles (16 to 64); products small enough for the reference; now and then a k that is cut into parts, or so long that it has to be. */
function sizes(r: Draw): { m: number; n: number; k: number } {
  if (large(r, 0.03)) return { m: r.int(1, 9), n: r.int(1, 9), k: r.int(4097, 8600) };
  if (large(r, 0.12)) return { m: r.size(1, 40), n: r.size(1, 40), k: r.pick([511, 512, 513, 516, 768, 1024, 1300]) };
  const [m, n] = [r.size(0, 129), r.size(0, 129)];
  const k = r.size(0, Math.max(1, Math.floor(300_000 / Math.max(1, m * n))));
  const fours = r.cap >= 8 && r.chance(0.4); // every side a multiple of 4, for the vector loads
  return fours ? { m: 4 * Math.ceil(m / 4), n: 4 * Math.ceil(n / 4), k: 4 * Math.ceil(k / 4) } : { m, n, k };
}

/** Products of larger numbers overflow. */
const MULTIPLIABLE = 1e15;

interface Product extends MatmulSizes { readonly tile: TileName; readonly lead: readonly number[] }

const matmul = proof<Product>({
  name: 'matmul', ops: ['matmul'],
  draw: r => {
    const { m, n, k } = sizes(r);
    const lead = m * n * k > 40_000 ? r.pick([[], [1]]) : r.pick([[], [], [2], [3], [2, 2], [r.size(0, 5)]]);
    const [transposeA, transposeB, shared] = [r.chance(0.5), r.chance(0.5), lead.length === 0 || r.chance(0.5)];
    const a = transposeA ? [k, m] : [m, k], b = transposeB ? [n, k] : [k, n];
    return {
      inputs: [half([...lead, ...a], { most: MULTIPLIABLE }), weight(shared ? b : [...lead, ...b], { most: MULTIPLIABLE })],
      options: { m, n, k, transposeA, transposeB, shared, batch: size(lead), lead, tile: tile(r) },
    };
  },
  run: ([a, b], { tile: name, transposeA, transposeB }) => onTile(name, () => ops.matmul(a!, b!, { transposeA: transposeA!, transposeB: transposeB! })),
  reference: ([a, b], { options }) => matmulRef(a!, b!, options),
  backward: ([a, b], dy, { options }) => matmulGradRef(a!, b!, dy, options),
  limit: 1e-11, exact: 'integers', nonfinite: 'not finite',
  rows: ({ options: o }) => {
    if (o.lead.length) return { inputs: [0, o.shared ? undefined : 0], outputs: [0] };
    return { inputs: [o.transposeA ? 1 : 0, undefined], outputs: [0] };
  },
  heavy: [
    { name: '65,537 rows', gradients: true, case: { inputs: [float([65_537, 5]), float([5, 3])], options: { batch: 1, m: 65_537, n: 3, k: 5, transposeA: false, transposeB: false, shared: true, lead: [], tile: undefined } } },
    { name: '65,537 columns', case: { inputs: [float([3, 8]), float([8, 65_537])], options: { batch: 1, m: 3, n: 65_537, k: 8, transposeA: false, transposeB: false, shared: true, lead: [], tile: undefined } } },
    { name: 'a sum of 70,000 terms', gradients: true, case: { inputs: [float([3, 70_000]), float([5, 70_000])], options: { batch: 1, m: 3, n: 5, k: 70_000, transposeA: false, transposeB: true, shared: true, lead: [], tile: undefined } } },
    { name: '66,000 matrices, more than 65,535 workgroups', case: { inputs: [float([66_000, 2, 3]), float([66_000, 3, 2])], options: { batch: 66_000, m: 2, n: 2, k: 3, transposeA: false, transposeB: false, shared: false, lead: [66_000], tile: undefined } } },
  ],
});

interface Affine { readonly lead: readonly number[]; readonly m: number; readonly n: number; readonly k: number; readonly bias: boolean; readonly residual: boolean; readonly activation: 'none' | 'gelu' | 'gelu_tanh' | 'silu'; readonly tile: TileName }

function linear(name: string, activations: readonly Affine['activation'][], exact: boolean): Proof {
  return proof<Affine>({
    name, ops: ['linear'],
    draw: r => {
      const { m, n, k } = sizes(r);
      const lead = r.pick([[m], [1, m], ...(m % 2 ? [] : [[2, m / 2]])]);
      const [bias, residual] = [r.chance(0.5), r.chance(0.3)];
      const activation = r.pick(activations);
      const [most, scale] = exact ? [MULTIPLIABLE, 1] : [1e3, 0.3];
      return {
        inputs: [half([...lead, k], { most, scale, grad: !r.chance(0.2) }), weight([n, k], { most, scale, grad: !r.chance(0.2) }), ...(bias ? [half([n], { most, grad: !r.chance(0.2) })] : []), ...(residual ? [float([...lead, n], { most, grad: !r.chance(0.2) })] : [])],
        options: { lead, m, n, k, bias, residual, activation, tile: tile(r) },
      };
    },
    run: ([x, w, ...more], { tile: forced, activation, bias, residual }) => onTile(forced, () => ops.linear(x!, w!, bias ? more[0] : undefined, { activation, residual: residual ? more.at(-1) : undefined })),
    reference: ([x, w, ...more], { options }, round) => linearRef(x!, w!, options.bias ? more[0] : undefined, options, options.residual ? more.at(-1) : undefined, round),
    backward: ([x, w, ...more], dy, { options }, round) => [...linearGradRef(x!, w!, options.bias ? more[0] : undefined, dy, options, round).slice(0, options.bias ? 3 : 2), ...(options.residual ? [dy] : [])],
    limit: 1e-11, ...(exact && { exact: 'integers' as const, heavy: HEAVY }), nonfinite: 'not finite',
    rows: c => ({ inputs: c.inputs.map((_, i) => (i && !(c.options.residual && i === c.inputs.length - 1) ? undefined : 0)), outputs: [0] }),
  });
}

interface Gated { readonly m: number; readonly n: number; readonly k: number; readonly activation: 'silu' | 'gelu_tanh'; readonly tile: TileName }

const gatedLinear = proof<Gated>({
  name: 'gatedLinear', ops: ['gatedLinear'],
  draw: r => {
    const { m, n, k } = sizes(r);
    const lead = r.pick([[m], [1, m], ...(m % 2 ? [] : [[2, m / 2]])]);
    const grown = { most: 1e3, scale: 0.3 };
    const frozen = r.chance(0.25); // nothing kept for a backward
    const learns = (): { grad: boolean } => ({ grad: !frozen && !r.chance(0.2) });
    return {
      inputs: [half([...lead, k], { ...grown, ...learns() }), weight([n, k], { ...grown, ...learns() }), weight([n, k], { ...grown, ...learns() })],
      options: { m, n, k, activation: r.pick(['silu', 'gelu_tanh']), tile: tile(r) },
    };
  },
  run: ([x, gate, up], { tile: forced, activation }) => onTile(forced, () => ops.gatedLinear(x!, gate!, up!, { activation })),
  reference: ([x, gate, up], { options }, round) => gatedLinearRef(x!, gate!, up!, options, round),
  backward: ([x, gate, up], dy, { options }, round) => gatedLinearGradRef(x!, gate!, up!, dy, options, round),
  limit: 1e-11, nonfinite: 'not finite',
  rows: () => ({ inputs: [0, undefined, undefined], outputs: [0] }),
  heavy: [{ name: 'sides that are no multiples of 4, one lane a tile', gradients: true, fast: true, case: { inputs: [float([37, 11]), float([35, 11]), float([35, 11])], options: { m: 37, n: 35, k: 11, activation: 'silu', tile: 'single' } } }],
});

const HEAVY = [{
  name: 'a training step of 16,384 tokens', case: {
    inputs: [float([16_384, 96]), float([64, 96]), float([64])], options: { lead: [16_384], m: 16_384, n: 64, k: 96, bias: true, residual: false, activation: 'none', tile: undefined } as Affine,
  }, gradients: true,
}];

interface Patches extends PatchSizes { readonly bias: boolean }

const patchEmbed = proof<Patches>({
  name: 'patchEmbed', ops: ['patchEmbed'],
  draw: r => {
    const tubelet = r.int(1, Math.min(3, r.cap)), patch = r.cap < 8 ? r.int(1, 2) : r.pick([1, 2, 3, 4, 4, 5, 8]);
    const fits = r.chance(0.5); // whole patches only, for the vector loads; otherwise some pixels are left over
    const side = (most: number): number => (fits ? patch * r.int(1, most) : r.int(1, patch * most + patch - 1));
    const [batch, frames, channels, height, width, dim] = [r.int(1, 2), r.int(0, 5), r.int(1, 3), side(3), side(3), r.size(0, 33)];
    const bias = r.chance(0.6);
    return {
      inputs: [half([batch, frames, channels, height, width], { most: MULTIPLIABLE }), half([dim, channels, tubelet, patch, patch], { most: MULTIPLIABLE }), ...(bias ? [half([dim], { most: MULTIPLIABLE })] : [])],
      options: { batch, frames, channels, height, width, dim, tubelet, patch, bias },
    };
  },
  run: ([pixels, w, b], { tubelet, patch }) => ops.patchEmbed(pixels!, w!, b, { tubelet, patch }),
  reference: ([pixels, w, b], { options }) => patchEmbedRef(pixels!, w!, b ?? new Float64Array(options.dim), options),
  backward: ([pixels, w, b], dy, { options }) => patchEmbedGradRef(pixels!, w!, dy, options).slice(0, b ? 3 : 2),
  limit: 1e-11, exact: 'integers', nonfinite: 'not finite',
  rows: c => ({ inputs: c.inputs.map((_, i) => (i ? undefined : 0)), outputs: [0] }),
});

/** Entries of this group. */
export const PROOFS: readonly Proof[] = [matmul, linear('linear', ['none'], true), linear('linear with an activation', ['gelu', 'gelu_tanh', 'silu'], false), gatedLinear, patchEmbed];
