import { ShapeError, checkFloat, checkSameDevice, checkShape, showShape } from '../engine/check.ts';
import type { Device } from '../engine/device.ts';
import { dispatch } from '../engine/dispatch.ts';
import { gradEnabled, recordJoint } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { add } from './elementwise.ts';
import { gatedGradient, geglu, swiglu } from './gated.ts';
import { linear } from './linear.ts';
import { multiply, uncutTile } from './matmul.ts';
import { gated_linear_lanes4 as lanes4, gated_linear_lanes8 as lanes8, gated_linear_single as single } from './wgsl.gen.ts';

/** f of the gate by name: the number that the kernels know it by, and the op that does the same on two finished products. */
const FORMS = { silu: { form: 0, unfused: swiglu }, gelu_tanh: { form: 1, unfused: geglu } } as const;

/** By the file of the tile that one product would take: its twin, and the rows and columns of y per workgroup. */
const TWINS: Readonly<Record<string, { readonly kernel: typeof lanes4 | typeof lanes8 | typeof single; readonly rows: number; readonly cols: number; readonly tileRows: number }>> = {
  matmul_lanes8: { kernel: lanes8, rows: 32, cols: 32, tileRows: 32 },
  matmul_lanes4: { kernel: lanes4, rows: 32, cols: 16, tileRows: 32 },
  matmul_single: { kernel: single, rows: 32, cols: 32, tileRows: 4 },
};

/** Where the second product begins in what is kept: views start at multiples of 64 elements. */
const secondOf = (count: number): number => Math.ceil(count / 64) * 64;

interface Job { readonly x: Tensor; readonly gate: Tensor; readonly up: Tensor; readonly m: number; readonly n: number; readonly k: number; readonly form: 0 | 1; readonly keep: boolean }

/** Both products and their epilogue in one dispatch; undefined where the tile has no such form, the sums are cut into parts, or what is kept is too large for one binding. */
function fused(device: Device, { x, gate, up, m, n, k, form, keep }: Job, shape: readonly number[]): { y: Tensor; pre: Tensor | undefined } | undefined {
  const second = secondOf(m * n);
  const name = m * n * k > 0 ? uncutTile(device, x, gate, { m, n, k, batch: 1 }) : undefined;
  const twin = name === undefined ? undefined : TWINS[name];
  if (!twin || (keep && 4 * (second + m * n) > device.pool.limit)) return undefined;
  const y = Tensor.empty(device, shape);
  const pre = keep ? Tensor.empty(device, [second + m * n]) : undefined;
  const { kernel, rows, cols, tileRows } = twin;
  const [tiles_m, tiles_n] = [Math.ceil(m / rows), Math.ceil(n / cols)];
  const params = { m, n, k, tiles_m, tiles_n, tile_rows: tileRows, up_first: second };
  const options = { constants: { FORM: form, KEEP: keep ? 1 : 0 } };
  const kept = pre ?? Tensor.placeholder(device, 'written');
  if (n % 4 === 0 && k % 4 === 0) dispatch(device, kernel, 'forward', { x4: x, gate4: gate, up4: up, y4: y, pre4: kept }, params, tiles_m * tiles_n, options);
  else dispatch(device, kernel, 'forward_ragged', { x1: x, gate1: gate, up1: up, y1: y, pre1: kept }, params, tiles_m * tiles_n, options);
  return { y, pre };
}

/**
 * The first half of a gated MLP: y = f(x gateᵀ) ⊙ (x upᵀ), f = silu (SwiGLU, Llama) or gelu_tanh (GEGLU, Gemma). Source: Shazeer 2020, arXiv 2002.05202.
 * Both products run in one kernel that reads x once and both weights as checkpoints store them, and multiplies in its epilogue, so neither product is written and read
 * again: what an epilogue over one weight with interleaved gate and up rows does, without laying weights out anew. Sums are added as `linear` adds them and the formula
 * is that of `swiglu` and `geglu`, so bits are theirs; where the sums are cut into parts, or the tile has no such form, those three ops run.
 * Gradients: dgate = dy ⊙ up ⊙ f'(gate) and dup = dy ⊙ f(gate) of the products, which are kept for it, then as in `linear`.
 * NaN or Inf in x or a weight makes what depends on it not finite (an infinity may become NaN).
 * @param x [..., K] float
 * @param gate [N, K] float
 * @param up [N, K] float
 * @param options activation f: 'silu' or 'gelu_tanh'
 * @returns [..., N]
 * @throws ShapeError when the last axis of x is not that of the weights, or the weights differ in shape
 */
export function gatedLinear(x: Tensor, gate: Tensor, up: Tensor, { activation }: { activation: keyof typeof FORMS }): Tensor {
  if (x.shape.length < 1) throw new ShapeError(`gatedLinear: x has shape ${showShape(x.shape)}, expected [..., K]`);
  const k = x.shape.at(-1)!;
  checkShape('gatedLinear', 'gate', gate, [null, k], 'the last axis of x', x);
  checkShape('gatedLinear', 'up', up, gate.shape, 'the shape of gate');
  checkFloat('gatedLinear', 'x', x);
  checkFloat('gatedLinear', 'gate', gate);
  checkFloat('gatedLinear', 'up', up);
  checkSameDevice('gatedLinear', x, gate, up);
  const known = FORMS[activation];
  if (!known) throw new ShapeError(`gatedLinear: activation is ${String(activation)}, expected silu or gelu_tanh`);
  const { device } = x;
  const n = gate.shape[0]!;
  const lead = x.shape.slice(0, -1);
  const m = lead.reduce((p, s) => p * s, 1);
  const keep = gradEnabled() && (x.needsGrad || gate.needsGrad || up.needsGrad);
  const made = fused(device, { x, gate, up, m, n, k, form: known.form, keep }, [...lead, n]);
  if (!made) return known.unfused(linear(x, gate), linear(x, up));
  const { y, pre } = made;
  return recordJoint(y, [x, gate, up], (dy, [forX, forGate, forUp]) => {
    const [dgate, dup] = gatedGradient(known.form, pre!.view([m, n]), pre!.view([m, n], secondOf(m * n)), dy);
    const through = (d: Tensor, weight: Tensor): Tensor => multiply(device, { a: d, b: weight, m, n: k, k: n }, x.shape).y;
    const weightGradient = (d: Tensor, weight: Tensor): Tensor => multiply(device, { a: d, b: x, m: n, n: k, k: m, transposeA: true }, weight.shape).y;
    return [forX ? add(through(dup, up), through(dgate, gate)) : undefined, forGate ? weightGradient(dgate, gate) : undefined, forUp ? weightGradient(dup, up) : undefined];
  });
}
