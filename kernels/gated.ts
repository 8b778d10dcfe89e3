import { checkFloat, checkSameDevice, checkShape, showShape } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { recordJoint } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { groupsFor } from './row_loads.ts';
import { gated } from './wgsl.gen.ts';

const WG = 256;

function gate2(op: string, form: 0 | 1, gate: Tensor, up: Tensor): Tensor {
  checkFloat(op, 'gate', gate);
  checkFloat(op, 'up', up);
  checkShape(op, 'up', up, gate.shape, 'that of gate', gate);
  checkSameDevice(op, gate, up);
  const { device } = gate;
  const options = { constants: { FORM: form } };
  const quad = gate.size % 4 === 0;
  const count = quad ? gate.size / 4 : gate.size;
  const groups = groupsFor(count, WG);
  const y = Tensor.empty(device, gate.shape);
  if (count && quad) dispatch(device, gated, 'forward', { gate4: gate, up4: up, y4: y }, { count }, groups, options);
  else if (count) dispatch(device, gated, 'forward_odd', { gate, up, y }, { count }, groups, options);
  return recordJoint(y, [gate, up], dy => gatedGradient(form, gate, up, dy));
}

/**
 * The gradients of `swiglu` and `geglu`: dy ⊙ up ⊙ f'(gate) and dy ⊙ f(gate). Checks nothing and records no gradient.
 * @param form 0 swiglu, 1 geglu @param gate [...] @param up [...] @param dy [...] @returns dgate, dup [...] as gate
 */
export function gatedGradient(form: 0 | 1, gate: Tensor, up: Tensor, dy: Tensor): [Tensor, Tensor] {
  const { device } = gate;
  const options = { constants: { FORM: form } };
  const quad = gate.size % 4 === 0;
  const count = quad ? gate.size / 4 : gate.size;
  const dgate = Tensor.empty(device, gate.shape);
  const dup = Tensor.empty(device, gate.shape);
  if (count && quad) dispatch(device, gated, 'backward', { gate4: gate, up4: up, dy4: dy, dgate4: dgate, dup4: dup }, { count }, groupsFor(count, WG), options);
  else if (count) dispatch(device, gated, 'backward_odd', { gate, up, dy, dgate, dup }, { count }, groupsFor(count, WG), options);
  return [dgate, dup];
}

/**
 * SwiGLU: y = silu(gate) · up, the middle of Llama's MLP. Source: Shazeer 2020, arXiv 2002.05202.
 * NaN or Inf in gate or up does not come out finite.
 * @param gate [...] float
 * @param up [...] float
 * @returns [...] as gate
 * @throws ShapeError unless both have one shape and are f32
 */
export function swiglu(gate: Tensor, up: Tensor): Tensor {
  return gate2('swiglu', 0, gate, up);
}

/**
 * GEGLU: y = gelu_tanh(gate) · up, the middle of Gemma's MLP. Source: Shazeer 2020, arXiv 2002.05202.
 * NaN or Inf in gate or up does not come out finite.
 * @param gate [...] float
 * @param up [...] float
 * @returns [...] as gate
 * @throws ShapeError unless both have one shape and are f32
 */
export function geglu(gate: Tensor, up: Tensor): Tensor {
  return gate2('geglu', 1, gate, up);
}
