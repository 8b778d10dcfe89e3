import { ShapeError, checkDtype, checkFloat, checkSameDevice, checkShape, showShape } from '../engine/check.ts';
import type { Device } from '../engine/device.ts';
import { dispatch } from '../engine/dispatch.ts';
import { record, recordJoint } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { backwardByProducts } from './attention_backward.ts';
import { groupsFor, rowLoads, rowOptions } from './row_loads.ts';
import { attention as plain, attention_lanes4 as lanes4, attention_lanes8 as lanes8, attention_rows, attention_scalar as scalar, attention_tiled32 as tiled32, attention_tiled64 as tiled64 } from './wgsl.gen.ts';

export interface AttentionOptions {
  /** u32 [B, Tk], 1 marks a real key, 0 padding. */
  mask?: Tensor;
  /** Query i sees key j only when j ≤ i; positions start together at 0. */
  causal?: boolean;
  /** Query i sees key j only when |i − j| < window. */
  window?: number;
  /** Factor of the logits, default 1 / √Dh. */
  scale?: number;
  /** Which kernel file runs; tests and benchmarks name one, everyone else leaves the choice to the adapter. */
  variant?: AttentionVariant;
  /** How the backward runs: 'products' as matrix products over tiles in a bounded workspace, 'streaming' like the forward. Default by size; tests and benchmarks name one. */
  backward?: 'products' | 'streaming';
  /** Bytes of the tiles of the backward by products, default 16 MiB. */
  workspaceBytes?: number;
}

/**
 * plain: any adapter, Dh a multiple of 4. scalar: any adapter, any Dh. lanes4, lanes8: subgroups of at least that size, Dh a multiple of 4.
 * tiled32, tiled64: for GPUs, 16 or 32 KiB of workgroup memory, Dh a multiple of 4 up to 256; their backward is by products unless `backward` says otherwise.
 */
export type AttentionVariant = 'plain' | 'scalar' | 'lanes4' | 'lanes8' | 'tiled32' | 'tiled64';

interface Variant {
  readonly kernel: typeof plain | typeof lanes4 | typeof lanes8 | typeof scalar;
  /** Own rows per workgroup of the forward and of the backward: ROWS · WG and BACKWARD_ROWS · WG of the file. */
  readonly rows: number;
  readonly backwardRows: number;
  /** Workgroup size where it is an override; otherwise rows of a workgroup belong to one head and WG is fixed in the file. */
  readonly wg: number | undefined;
}

type Streaming = Exclude<AttentionVariant, keyof typeof TILED>;
const isTiled = (v: AttentionVariant): v is keyof typeof TILED => v in TILED;

const VARIANTS: Readonly<Record<Streaming, Variant>> = {
  plain: { kernel: plain, rows: 4, backwardRows: 2, wg: 32 },
  scalar: { kernel: scalar, rows: 4, backwardRows: 4, wg: 32 },
  lanes4: { kernel: lanes4, rows: 16, backwardRows: 16, wg: undefined },
  lanes8: { kernel: lanes8, rows: 16, backwardRows: 16, wg: undefined },
};
/**
 * Choice by profile. Forward of 16 heads × 256 tokens × 64 as GFLOP per CPU second × 2 cores (the machine was shared, so ±30 %):
 * lavapipe lanes8 18 to 21, plain with a 4×8 tile 5 to 10 at three times the compile time; SwiftShader lanes4 4.3, plain 2.3.
 */
const CHOICE: Readonly<Record<string, Streaming>> = { swiftshader: 'lanes4', lavapipe: 'lanes8' };
/** GPUs, from TILED_FROM queries on: below, most rows of a tile are empty. Not run on a GPU: proven on lavapipe, compiled on the null backend. */
const TILED = { tiled32: { kernel: tiled32, keys: 32 }, tiled64: { kernel: tiled64, keys: 64 } } as const;
const TILED_FROM = 16;
const TILE_QUERIES = 64;
const TILED_MOST = 256;
const LANES: Readonly<Partial<Record<AttentionVariant, number>>> = { lanes4: 4, lanes8: 8 };
const ROWS_WG = 32;
/** Tokens from which the backward runs as products: below, their launches cost more than they save. */
const PRODUCTS_FROM = 64;

/** Whether a variant can run here: a workgroup of the lane files has to be inside one subgroup, the tiles of the others in workgroup memory. @param device where @param variant name @param headDim Dh @returns yes or no */
export function attentionRuns(device: Device, variant: AttentionVariant, headDim: number): boolean {
  if (variant === 'scalar') return true;
  if (headDim % 4 !== 0) return false;
  if (isTiled(variant)) {
    const { keys } = TILED[variant];
    return headDim <= TILED_MOST && device.limits.maxComputeWorkgroupStorageSize >= 512 * keys && device.limits.maxComputeInvocationsPerWorkgroup >= 4 * keys;
  }
  const lanes = LANES[variant];
  return lanes === undefined || device.subgroupSize >= lanes;
}

function variantFor(device: Device, headDim: number, tq: number, wanted: AttentionVariant | undefined): AttentionVariant {
  if (wanted && !attentionRuns(device, wanted, headDim)) throw new ShapeError(`attention: variant is ${wanted}, expected one that runs on ${device.adapter.profile} with a head dimension of ${headDim}`);
  const tiles = device.adapter.profile === 'default' && tq >= TILED_FROM ? (['tiled64', 'tiled32'] as const) : [];
  const order = [wanted, ...tiles, CHOICE[device.adapter.profile], 'plain', 'scalar'] as const;
  return order.find(v => v !== undefined && attentionRuns(device, v, headDim)) ?? 'scalar';
}

/** Workgroups for `units` own rows in each of `heads` heads. */
const groupsOf = ({ wg }: Variant, units: number, rows: number, heads: number): number =>
  wg === undefined ? heads * Math.ceil(units / rows) : groupsFor(heads * Math.ceil(units / rows), wg);

function checkArguments(q: Tensor, k: Tensor, v: Tensor, { mask, window, scale }: AttentionOptions): void {
  checkShape('attention', 'q', q, [null, null, null, null], '[B, Tq, H, Dh]');
  const [batch, , heads, headDim] = q.shape as readonly [number, number, number, number];
  if (headDim < 1) throw new ShapeError(`attention: q has shape ${showShape(q.shape)}, expected a head dimension of at least 1`);
  checkShape('attention', 'k', k, [batch, null, null, headDim], '[B, Tk, Hkv, Dh] for q', q);
  checkShape('attention', 'v', v, k.shape, 'the shape of k');
  const kvHeads = k.shape[2]!;
  if (heads > 0 && (kvHeads < 1 || heads % kvHeads !== 0)) throw new ShapeError(`attention: q has ${heads} heads and k ${kvHeads}, expected a multiple (grouped queries)`);
  if (mask) {
    checkDtype('attention', 'mask', mask, 'u32');
    checkShape('attention', 'mask', mask, [batch, k.shape[1]!], '[B, Tk] of k', k);
  }
  if (window !== undefined && !(Number.isInteger(window) && window >= 1)) throw new ShapeError(`attention: window is ${window}, expected a whole number of at least 1`);
  if (scale !== undefined && !Number.isFinite(scale)) throw new ShapeError(`attention: scale is ${scale}, expected a finite number`);
  checkFloat('attention', 'q', q);
  checkFloat('attention', 'k', k);
  checkFloat('attention', 'v', v);
  checkSameDevice('attention', q, k, v, mask);
}

/**
 * Scaled dot-product attention: y_i = Σ_j softmax_j(scale · q_i · k_j) v_j over the allowed keys j. Streaming softmax with a recomputing backward
 * (Dao et al. 2022, arXiv 2205.14135): memory O(T·Dh), never T×T. Key head h·Hkv/H serves query head h without being repeated (Ainslie et al. 2023, arXiv 2305.13245).
 * One query on one key without a mask gives v as it is, and q and k get no gradient (it is zero). Causal positions start together, so query i sees keys j ≤ i also where Tq ≠ Tk. A row with no allowed key gives 0, and hidden keys get a gradient of exactly 0.
 * NaN or Inf in a visible q, k or v makes what depends on it not finite; in a hidden key it may show in rows of the same block of keys, since 0 · NaN is NaN. A logit of −Inf hides its key.
 * @param q [B, Tq, H, Dh] float
 * @param k [B, Tk, Hkv, Dh] f32, Hkv divides H
 * @param v [B, Tk, Hkv, Dh] float
 * @param options mask u32 [B, Tk], causal, window in tokens, scale
 * @returns [B, Tq, H, Dh]
 * @throws ShapeError when shapes, dtypes, window or scale do not fit
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  checkArguments(q, k, v, options);
  const { mask, causal = false, window = 0, scale } = options;
  const { device } = q;
  const [batch, tq, heads, headDim] = q.shape as readonly [number, number, number, number];
  const [, tk, kvHeads] = k.shape as readonly [number, number, number, number];
  if (q.size === 0 || k.size === 0) {
    const y = Tensor.zeros(device, q.shape);
    return recordJoint(y, [q, k, v], (_, needs) => [q, k, v].map((t, i) => (needs[i] ? Tensor.zeros(device, t.shape) : undefined)));
  }
  if (tq === 1 && tk === 1 && heads === kvHeads && !mask && !options.variant) {
    return record(v.view(q.shape), [[v, dy => dy]]); // the weight of a single key is 1 whatever the score: y is v, and q and k take no part
  }
  const chosen = variantFor(device, headDim, tq, options.variant);
  const variant = VARIANTS[isTiled(chosen) ? 'plain' : chosen];
  const { kernel } = variant;
  const pipeline = variant.wg === undefined ? {} : { constants: { WG: variant.wg } };
  const params = {
    batch, heads, kv_heads: kvHeads, tq, tk, width: kernel === scalar ? headDim : headDim / 4,
    masked: mask ? 1 : 0, causal: causal ? 1 : 0, window: Math.min(window, tq + tk), scale: scale ?? 1 / Math.sqrt(headDim),
  };
  const keyMask = mask ?? Tensor.placeholder(device, 'read');
  const y = Tensor.empty(device, q.shape);
  const sums = Tensor.empty(device, [batch, heads, tq, 2]);
  const operands = { q, k, v, key_mask: keyMask, y, sums };
  if (isTiled(chosen)) dispatch(device, TILED[chosen].kernel, headDim <= 64 ? 'forward_64' : headDim <= 128 ? 'forward_128' : 'forward_256', operands, params, batch * heads * Math.ceil(tq / TILE_QUERIES));
  else dispatch(device, kernel, 'forward', operands, params, groupsOf(variant, tq, variant.rows, batch * heads), pipeline);

  return recordJoint(y, [q, k, v], (dy, needs) => {
    if ((options.backward ?? (isTiled(chosen) || Math.min(tq, tk) >= PRODUCTS_FROM ? 'products' : 'streaming')) === 'products') {
      const job = { q, k, v, dy, sums, keyMask, masked: mask !== undefined, causal, window: params.window, scale: params.scale, ...(options.workspaceBytes && { workspaceBytes: options.workspaceBytes }) };
      return backwardByProducts(device, job, needs);
    }
    const loads = rowLoads(headDim);
    const stats = Tensor.empty(device, [batch, heads, tq, 4]);
    dispatch(device, attention_rows, 'forward', { y, dy, sums, stats }, { batch, heads, tq, width: headDim / loads.width },
      groupsFor(batch * heads * tq, ROWS_WG), rowOptions(loads, ROWS_WG));
    const shared = { q, k, v, key_mask: keyMask, stats, dy };
    let dq: Tensor | undefined, dk: Tensor | undefined, dv: Tensor | undefined;
    if (needs[0]) {
      dq = Tensor.empty(device, q.shape);
      dispatch(device, kernel, 'backward_q', { ...shared, dq }, params, groupsOf(variant, tq, variant.backwardRows, batch * heads), pipeline);
    }
    if (needs[1] || needs[2]) {
      dk = Tensor.empty(device, k.shape);
      dv = Tensor.empty(device, v.shape);
      dispatch(device, kernel, 'backward_kv', { ...shared, dk, dv }, params, groupsOf(variant, tk, variant.backwardRows, batch * kvHeads), pipeline);
    }
    return [dq, needs[1] ? dk : undefined, needs[2] ? dv : undefined];
  });
}
