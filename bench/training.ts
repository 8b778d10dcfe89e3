// What a training step does beside its networks, at the size of the shipped model and of one Llama block; and the pictures' way in.
import { adamwStep } from '../kernels/adamw.ts';
import { adamwRef } from '../kernels/adamw.ref.ts';
import { full } from '../kernels/fill.ts';
import { fullRef } from '../kernels/fill.ref.ts';
import { clipFactor, gradNorm } from '../kernels/grad_norm.ts';
import { clipFactorRef, gradNormRef } from '../kernels/grad_norm.ref.ts';
import { lerpInPlace } from '../kernels/lerp.ts';
import { lerpRef } from '../kernels/lerp.ref.ts';
import { preprocess } from '../kernels/preprocess.ts';
import { preprocessLevels } from '../kernels/preprocess.ref.ts';
import { pair, whole, words } from './case.ts';
import type { Case, Check, Profile } from './case.ts';
import { FULL_SIZE, SHIPPED } from './sizes.ts';

const ADAMW = { beta1: 0.9, beta2: 0.98, eps: 1e-8, step: 10 };
const RATE = Math.fround(1e-3), DECAY = Math.fround(0.1);
/** Elements of a flat buffer that are compared. */
const SAMPLES = 65_536;

function update(use: string, profile: Profile, n: number): Case[] {
  const check: Check = ({ x: [param, grad, m, v, rest], expect, pick }) => {
    const at = pick(n, SAMPLES);
    const take = (values: ArrayLike<number>): Float64Array => Float64Array.from(at, i => values[i]!);
    const state = { p: take(param!), m: take(m!), v: take(v!) };
    const before = take(rest!);
    adamwRef(state, take(grad!), { lr: RATE, decay: DECAY, ...ADAMW });
    // What rounding cut off earlier is added to the update; together p and rest hold the float64 sum.
    at.forEach((i, k) => { expect(0, i, [state.p[k]! + before[k]!]); expect(1, i, [state.m[k]!]); expect(2, i, [state.v[k]!]); });
  };
  const flat = { shape: [n] };
  return pair({
    op: 'adamwStep', use, profile, shape: `[${n}]`, limit: 1e-12, bytes: [36 * n, 0],
    inputs: [flat, flat, flat, { ...flat, kind: 'positive' }, { ...flat, scale: 0 }, { shape: [n / 64], kind: 'ids', below: 1 }, { shape: [1, 2], kind: 'rates' }, { shape: [1], kind: 'ones' }],
    run: ([param, grad, m, v, rest, blockGroup, groups, clip], device) => {
      adamwStep(device, { param: param!, grad: grad!, m: m!, v: v!, rest: rest!, blockGroup: blockGroup!, groups: groups!, clip: clip! }, ADAMW);
      return [param!, m!, v!];
    },
    forward: check,
  });
}

const flatOps = (use: string, profile: Profile, n: number): Case[] => [
  ...update(use, profile, n),
  ...pair({ op: 'gradNorm', use, profile, shape: `[${n}]`, limit: 1e-12, bytes: [4 * n, 0], inputs: [{ shape: [n] }], run: ([x]) => gradNorm(x!), forward: ({ x, expect }) => expect(0, 0, [gradNormRef(x[0]!)]) }),
  ...pair({
    op: 'lerpInPlace', use: `${use}, average`, profile, shape: `[${n}]`, limit: 1e-12, bytes: [12 * n, 0], inputs: [{ shape: [n] }, { shape: [n] }],
    run: ([x, y]) => { lerpInPlace(x!, y!, 0.25); return x!; }, forward: whole(([x, y]) => lerpRef(x!, y!, 0.25)),
  }),
  ...pair({ op: 'full', use, profile, shape: `[${n}]`, limit: 0, bytes: [4 * n, 0], inputs: [], run: (_, device) => full(device, [n], 2), forward: whole(() => fullRef(n, 2)) }),
];

const MEAN = [0.485, 0.456, 0.406], STD = [0.229, 0.224, 0.225];

/** Decoded bytes to pixels of the encoder; the upload of the bytes is part of the time. */
function resized(use: string, profile: Profile, frames: number, width: number, height: number, crop: number): Case[] {
  const bytes = width * height * 3;
  const next = words(5);
  let data: Uint8Array | undefined; // made when the row runs
  const picture = (): Uint8Array => (data ??= Uint8Array.from({ length: frames * bytes }, () => next() >>> 24));
  return pair({
    op: 'preprocess', use, profile, shape: `${frames} of ${width} x ${height} -> ${crop}`, limit: 1e-12, bytes: [frames * (bytes + 12 * crop * crop), 0], inputs: [],
    run: (_, device) => preprocess(device, { width, height, data: picture() }, { crop }),
    forward: ({ expect, pick }) => {
      for (const t of pick(frames, 1)) expect(0, t * 3 * crop * crop, preprocessLevels(picture().subarray(t * bytes, (t + 1) * bytes), width, height, crop, false, MEAN, STD));
    },
  });
}

const { predictor: P, vision: V } = FULL_SIZE;
const kvSize = P.kvHeads * P.headDim;
/** Floats of one Llama block, padded to whole segments of 64. */
const BLOCK = Math.ceil((2 * P.hiddenSize * P.hiddenSize + 2 * P.hiddenSize * kvSize + 3 * P.hiddenSize * P.intermediateSize + 2 * P.hiddenSize) / 64) * 64;

/** Optimiser, averages and pictures. */
export const TRAINING: readonly Case[] = [
  ...flatOps('shipped parameters', 'quick', SHIPPED.parameters),
  ...pair({
    op: 'clipFactor', use: 'gradient norm', profile: 'quick', shape: '[1]', limit: 1e-12, bytes: [8, 0], inputs: [{ shape: [1], kind: 'positive' }],
    run: ([norm]) => clipFactor(norm!, 0.05), forward: whole(([norm]) => [clipFactorRef(norm![0]!, 0.05)]),
  }),
  ...resized('shipped picture', 'quick', 1, 128, 128, SHIPPED.vision.cropSize),
  ...resized('picture for ViT-L', 'model', 1, 640, 480, V.cropSize),
  ...flatOps('a quarter of a Llama block', 'model', Math.ceil(BLOCK / 256) * 64),
  ...flatOps('one Llama block', 'full', BLOCK),
  ...resized('16 frames for ViT-L', 'full', 16, 640, 480, V.cropSize),
];
