// What a training step does beside networks: optimiser, gradient norm, averages; and the pictures that go in.
import { adamwRef } from '../../../kernels/adamw.ref.ts';
import { clipFactorRef, gradNormRef } from '../../../kernels/grad_norm.ref.ts';
import * as ops from '../../../kernels/index.ts';
import { lerpRef } from '../../../kernels/lerp.ref.ts';
import { preprocessFrame, preprocessLevels } from '../../../kernels/preprocess.ref.ts';
import { proof } from '../proof.ts';
import type { Draw, Input, Proof } from '../proof.ts';
import { float, ids, large } from './inputs.ts';

interface Step { readonly beta1: number; readonly beta2: number; readonly eps: number; readonly step: number }

const given = (shape: readonly number[], data: readonly number[]): Input => ({ shape, kind: 'given', data, grad: false });

const adamwStep = proof<Step>({
  name: 'adamwStep', ops: ['adamwStep'],
  draw: r => {
    const blocks = large(r, 0.2) ? r.int(20, 80) : r.size(0, 9);
    const total = blocks * 64, groups = r.int(1, 3);
    const first = r.chance(0.3); // the state before the first step
    const state = (input: Input): Input => (first ? given([total], Array<number>(total).fill(0)) : input);
    const rates = Array.from({ length: groups }, () => [r.pick([1e-3, 3e-4, 0.1, 0]), r.pick([0, 0.01, 0.1])]).flat();
    const flat = (most: number, scale = 1): Input => float([total], { most, scale, grad: false });
    return {
      inputs: [
        flat(1e6), flat(1e12), state(flat(1e3)), state({ shape: [total], kind: 'positive', most: 1e20, grad: false }), state(flat(1e-6, 1e-8)),
        ids([blocks], groups), given([groups, 2], rates), given([1], [r.pick([1, 0.37, 0])]),
      ],
      options: { beta1: r.pick([0.9, 0.5]), beta2: r.pick([0.999, 0.95, 0]), eps: r.pick([1e-8, 1e-3]), step: first ? 1 : r.pick([2, 10, 1000]) },
    };
  },
  /** param, m, v, and how far param moved together with what it still owes. */
  run: ([param, grad, m, v, rest, blockGroup, groups, clip], options, device) => {
    const before = ops.addScalar(param!, 0);
    ops.adamwStep(device, { param: param!, grad: grad!, m: m!, v: v!, rest: rest!, blockGroup: blockGroup!, groups: groups!, clip: clip! }, options);
    return [param!, m!, v!, ops.add(ops.sub(param!, before), rest!)];
  },
  reference: ([param, grad, m, v, rest, blockGroup, groups, clip], { options }) => {
    const state = { p: param!.slice(), m: m!.slice(), v: v!.slice() };
    blockGroup!.forEach((g, b) => {
      const part = { p: state.p.subarray(b * 64, b * 64 + 64), m: state.m.subarray(b * 64, b * 64 + 64), v: state.v.subarray(b * 64, b * 64 + 64) };
      adamwRef(part, grad!.subarray(b * 64, b * 64 + 64).map(x => x * clip![0]!), { lr: groups![2 * g]!, decay: groups![2 * g + 1]!, ...options });
    });
    const after = state.p.map((x, i) => x + rest![i]!);
    return [after, state.m, state.v, after.map((x, i) => x - param![i]!)];
  },
  noGradient: 'updates in place', nonfinite: 'not finite',
  heavy: [{
    name: 'more than 65,535 workgroups', case: {
      inputs: [...[0, 1, 2].map(() => float([16_777_280])), { shape: [16_777_280], kind: 'positive' as const }, float([16_777_280], { scale: 1e-8 }), ids([262_145], 2), given([2, 2], [1e-3, 0.1, 0.1, 0]), given([1], [0.5])],
      options: { beta1: 0.9, beta2: 0.95, eps: 1e-8, step: 3 },
    },
  }],
});

const gradNorm = proof<null>({
  name: 'gradNorm', ops: ['gradNorm'],
  draw: r => ({ inputs: [float([4 * (large(r, 0.25) ? r.int(2000, 9000) : r.size())], { most: 1e36, scale: r.pick([1, 1e-25, 1e30]), grad: false })], options: null }),
  run: ([x]) => ops.gradNorm(x!),
  reference: ([x]) => Float64Array.of(gradNormRef(x!)),
  noGradient: 'a function of gradients', nonfinite: 'not finite',
  heavy: [{ name: '4,000,004 values', fast: true, case: { inputs: [float([4_000_004])], options: null } }],
});

const clipFactor = proof<{ maxNorm: number }>({
  name: 'clipFactor', ops: ['clipFactor'],
  draw: r => ({ inputs: [r.chance(0.5) ? { shape: [1], kind: 'positive', scale: r.pick([1, 100]), grad: false } : given([1], [r.pick([0, 1, 1e-3, 1e30])])], options: { maxNorm: r.pick([1, 0.25, 5]) } }),
  run: ([x], { maxNorm }) => ops.clipFactor(x!, maxNorm),
  reference: ([x], { options }) => Float64Array.of(clipFactorRef(x![0]!, options.maxNorm)),
  element: 4e-7, relative: { floor: 1.2e-38 }, noGradient: 'a function of gradients', nonfinite: 'propagates',
});

const lerpInPlace = proof<{ t: number }>({
  name: 'lerpInPlace', ops: ['lerpInPlace'],
  draw: r => {
    const shape = large(r, 0.3) ? [r.pick([4095, 4096, 4097, r.int(8000, 20_000)])] : r.shape(r.int(1, 3));
    return { inputs: [float(shape, { most: 1e37, grad: false }), float(shape, { most: 1e37, grad: false })], options: { t: r.pick([0, 1, 0.25, 1e-4, 0.999]) } };
  },
  run: ([x, y], { t }) => {
    ops.lerpInPlace(x!, y!, t);
    return x!;
  },
  reference: ([x, y], { options }, round) => lerpRef(x!, y!, Math.fround(options.t), round),
  noGradient: 'updates in place', nonfinite: 'propagates',
});

interface Pictures { readonly seed: number; readonly frames: number; readonly width: number; readonly height: number; readonly crop: number; readonly mode: 'official' | 'float' | 'direct'; readonly own: boolean; readonly list: boolean; readonly alias: boolean }

const MEAN = [0.485, 0.456, 0.406] as const;
const STD = [0.229, 0.224, 0.225] as const;
/** No mean that pictures can have: where levels are near the mean, the difference of the two has few digits left. */
const OWN = { mean: [-0.5, 0, -1], std: [0.5, 1, 0.25] } as const;

/** Frames of bytes that follow from the seed. */
const bytesOf = ({ seed, frames, width, height }: Pictures): Uint8Array[] =>
  Array.from({ length: frames }, (_, t) => Uint8Array.from({ length: width * height * 3 }, (__, i) => Math.imul(Math.imul(i + 1, 0x9e3779b1) ^ (seed + t), 0x85ebca6b) >>> 24));

const preprocess = proof<Pictures>({
  name: 'preprocess', ops: ['preprocess', 'resizeCropNormalize'],
  draw: (r: Draw) => {
    const mode = r.pick(['official', 'float', 'direct'] as const), crop = Math.max(1, r.size(1, 20));
    return {
      inputs: [],
      options: {
        seed: r.int(0, 1e6), frames: r.int(1, 3), width: Math.max(1, r.size(1, 41)), height: Math.max(1, r.size(1, 41)), crop, mode,
        own: r.chance(0.3) || mode === 'float' || crop < 4, list: r.chance(0.5), alias: r.chance(0.2),
      },
    };
  },
  run: (_, o, device) => {
    const frames = bytesOf(o);
    const { width, height } = o;
    const data = new Uint8Array(frames.length * width * height * 3);
    frames.forEach((f, t) => data.set(f, t * f.length));
    const op = o.alias ? ops.resizeCropNormalize : ops.preprocess;
    return op(device, o.list ? frames.map(f => ({ width, height, data: f })) : { width, height, data }, { crop: o.crop, mode: o.mode, ...(o.own && OWN) });
  },
  reference: (_, { options: o }) => {
    const formula = o.mode === 'float' ? preprocessFrame : preprocessLevels;
    const frames = bytesOf(o).map(f => formula(f, o.width, o.height, o.crop, o.mode === 'direct', o.own ? OWN.mean : MEAN, o.own ? OWN.std : STD));
    return Float64Array.from(frames.flatMap(f => [...f]));
  },
  noGradient: 'pictures are data', nonfinite: 'propagates',
});

/** Entries of this group. */
export const PROOFS: readonly Proof[] = [adamwStep, gradNorm, clipFactor, lerpInPlace, preprocess];
