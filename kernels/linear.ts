import { ShapeError, checkFloat, checkSameDevice, checkShape, showShape } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { gradEnabled, recordJoint } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { columnSum } from './column_sum.ts';
import { multiply } from './matmul.ts';
import type { Activation } from './matmul.ts';
import { linearInt8 } from './matmul_dot8.ts';
import { activation as activation_kernel } from './wgsl.gen.ts';

const FORMS = { gelu: 0, gelu_tanh: 1, silu: 2 } as const;

/** dy ⊙ act'(pre) */
function activationGradient(activation: Exclude<Activation, 'none'>, pre: Tensor, dy: Tensor): Tensor {
  const { device } = pre;
  const dx = Tensor.empty(device, pre.shape);
  const options = { constants: { FORM: FORMS[activation] } };
  const quad = pre.size % 4 === 0;
  const count = quad ? pre.size / 4 : pre.size;
  if (count === 0) return dx;
  const groups = Math.ceil(count / 256);
  if (quad) dispatch(device, activation_kernel, 'backward_x', { x4: pre, dy4: dy, out4: dx }, { count }, groups, options);
  else dispatch(device, activation_kernel, 'backward_x_odd', { x1: pre, dy1: dy, out1: dx }, { count }, groups, options);
  return dx;
}

/** What follows the product of `linear`. */
export interface LinearOptions {
  activation?: Activation;
  int8?: boolean;
  residual?: Tensor | undefined;
}

/**
 * Affine map along the last axis: y = act(x Wᵀ + bias) + residual, all of it in the epilogue of the product. The weight lies as checkpoints store it.
 * Gradients: dpre = dy ⊙ act'(pre), dx = dpre W, dW = dpreᵀ x (long sums cut and added in order), dbias = column sums of dpre, dresidual = dy.
 * NaN or Inf in x, weight or bias makes what depends on it not finite (an infinity may become NaN).
 * @param x [..., K] float
 * @param weight [N, K] float
 * @param bias [N] f32, or none
 * @param options activation: 'none' (default), 'gelu' (exact), 'gelu_tanh' or 'silu', as in activation.ts; int8: x is rounded to bytes and multiplied with an i8 weight in whole numbers, for inference (matmul_dot8.ts); residual: [..., N] f32, added last, not with int8
 * @returns [..., N]
 * @throws ShapeError when the last axis of x is not that of weight, bias is not [N], or residual is not [..., N] of f32, or comes with int8
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor, { activation = 'none', int8 = false, residual }: LinearOptions = {}): Tensor {
  if (x.shape.length < 1) throw new ShapeError(`linear: x has shape ${showShape(x.shape)}, expected [..., K]`);
  const k = x.shape.at(-1)!;
  checkShape('linear', 'weight', weight, [null, k], 'the last axis of x', x);
  const n = weight.shape[0]!;
  if (bias) checkShape('linear', 'bias', bias, [n], 'the rows of weight', weight);
  checkFloat('linear', 'x', x);
  checkFloat('linear', 'weight', weight);
  if (bias) checkFloat('linear', 'bias', bias);
  const lead = x.shape.slice(0, -1);
  if (residual) {
    checkShape('linear', 'residual', residual, [...lead, n], `x ${showShape(x.shape)} and weight ${showShape(weight.shape)}`);
    if (residual.dtype !== 'f32' || int8) throw new ShapeError(`linear: residual is ${residual.dtype}${int8 ? ' beside int8' : ''}, expected f32 and no int8`);
  }
  checkSameDevice('linear', x, weight, bias, residual);
  if (int8) return linearInt8(x, weight, bias, activation);
  const { device } = x;
  const m = lead.reduce((p, s) => p * s, 1);
  const wanted = gradEnabled() && (x.needsGrad || weight.needsGrad || bias?.needsGrad === true);
  const { y, pre } = multiply(device, { a: x, b: weight, m, n, k, transposeB: true, bias, activation, residual, keep: wanted && activation !== 'none' }, [...lead, n]);
  return recordJoint(y, [x, weight, bias, residual], (dy, [forX, forWeight, forBias, forResidual]) => {
    const dpre = activation === 'none' || !pre ? dy : activationGradient(activation, pre, dy);
    return [
      forX ? multiply(device, { a: dpre, b: weight, m, n: k, k: n }, x.shape).y : undefined,
      forWeight ? multiply(device, { a: dpre, b: x, m: n, n: k, k: m, transposeA: true }, weight.shape).y : undefined,
      forBias ? columnSum(dpre.view([m, n])) : undefined,
      forResidual ? dy : undefined,
    ];
  });
}
