import { checkFloat } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { record } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { groupsFor } from './row_loads.ts';
import { activation } from './wgsl.gen.ts';

const WG = 256;
const FORMS = { gelu: 0, geluTanh: 1, silu: 2 } as const;

function activate(op: string, form: keyof typeof FORMS, x: Tensor): Tensor {
  checkFloat(op, 'x', x);
  const options = { constants: { FORM: FORMS[form] } };
  const quad = x.size % 4 === 0;
  const count = quad ? x.size / 4 : x.size;
  const groups = groupsFor(count, WG);
  const y = Tensor.empty(x.device, x.shape);
  if (count && quad) dispatch(x.device, activation, 'forward', { x4: x, out4: y }, { count }, groups, options);
  else if (count) dispatch(x.device, activation, 'forward_odd', { x1: x, out1: y }, { count }, groups, options);
  return record(y, [[x, dy => {
    const dx = Tensor.empty(x.device, x.shape);
    if (count && quad) dispatch(x.device, activation, 'backward_x', { x4: x, dy4: dy, out4: dx }, { count }, groups, options);
    else if (count) dispatch(x.device, activation, 'backward_x_odd', { x1: x, dy1: dy, out1: dx }, { count }, groups, options);
    return dx;
  }]]);
}

/**
 * GELU. 'none': y = x Φ(x), Φ the normal distribution function (V-JEPA 2). 'tanh': y = 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))) (Gemma).
 * Source: Hendrycks & Gimpel 2016, arXiv 1606.08415.
 * NaN stays NaN, +Inf stays +Inf, and −Inf does not come out finite.
 * @param x [...] float
 * @param options approximate: 'none' (default) or 'tanh', the words of PyTorch
 * @returns [...] as x
 * @throws ShapeError unless x is f32
 */
export function gelu(x: Tensor, { approximate = 'none' }: { approximate?: 'none' | 'tanh' } = {}): Tensor {
  return activate('gelu', approximate === 'tanh' ? 'geluTanh' : 'gelu', x);
}

/**
 * SiLU (swish): y = x σ(x) = x / (1 + exp(-x)). Source: Hendrycks & Gimpel 2016, arXiv 1606.08415.
 * NaN stays NaN, +Inf stays +Inf, and −Inf does not come out finite.
 * @param x [...] float
 * @returns [...] as x
 * @throws ShapeError unless x is f32
 */
export function silu(x: Tensor): Tensor {
  return activate('silu', 'silu', x);
}
