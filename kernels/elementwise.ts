import { checkFloat, checkSameDevice, ShapeError, showShape } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { record } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import type { Shape } from '../engine/tensor.ts';
import { groupsFor } from './row_loads.ts';
import { sumTo } from './sum.ts';
import { elementwise } from './wgsl.gen.ts';

export { mean, sum, sumAxis } from './sum.ts';

const WG = 256;
const OPS = { add: 0, sub: 1, mul: 2, div: 3 } as const;
const UNARY = { affine: 0, exp: 1 } as const;
/** Uniform fields of the entries that walk memory as it lies, or rows of it. Spelled out: a spread of as many fields costs half of a dispatch. */
const fields = (count: number, factor = 1, offset = 0, n4 = 1, a0 = 0, b0 = 0) =>
  ({ count, n1: 1, n2: 1, n3: 1, n4, a0, a1: 0, a2: 0, a3: 0, a4: 0, b0, b1: 0, b2: 0, b3: 0, b4: 0, factor, offset });

/** An axis of the result, with what one step along it moves in a and in b (0: broadcast). */
interface Axis {
  n: number;
  a: number;
  b: number;
}

/** NumPy's rule: shapes align at their ends; sizes are equal or one of them is 1. */
function broadcastShape(op: string, a: Tensor, b: Tensor): number[] {
  const rank = Math.max(a.shape.length, b.shape.length);
  return Array.from({ length: rank }, (_, i) => {
    const p = a.shape[i - rank + a.shape.length] ?? 1;
    const q = b.shape[i - rank + b.shape.length] ?? 1;
    if (p !== q && p !== 1 && q !== 1) throw new ShapeError(`${op}: a has shape ${showShape(a.shape)} and b ${showShape(b.shape)}, expected equal sizes or 1 on axis ${i} (aligned at the end)`);
    return p === 1 ? q : p;
  });
}

function sameShape(a: Shape, b: Shape): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Axes of the result from the first to the last, neighbours merged where both sides walk on without a jump. */
function axesOf(shape: Shape, a: Shape, b: Shape): Axis[] {
  const axes: Axis[] = [];
  let aStride = 1;
  let bStride = 1;
  for (let i = 1; i <= shape.length; i++) {
    const n = shape.at(-i)!;
    if (n === 1) continue;
    const axis = { n, a: (a.at(-i) ?? 1) === 1 ? 0 : aStride, b: (b.at(-i) ?? 1) === 1 ? 0 : bStride };
    if (axis.a) aStride *= n;
    if (axis.b) bStride *= n;
    const before = axes[0];
    if (before && axis.a === before.a * before.n && axis.b === before.b * before.n) before.n *= n;
    else axes.unshift(axis);
  }
  return axes.length ? axes : [{ n: 1, a: 1, b: 1 }];
}

function launch(op: keyof typeof OPS, a: Tensor, b: Tensor): Tensor {
  if (sameShape(a.shape, b.shape) && a.size % 4 === 0) {
    const out = Tensor.empty(a.device, a.shape);
    if (out.size) dispatch(a.device, elementwise, 'flat4', { a4: a, b4: b, out4: out }, fields(out.size / 4), groupsFor(out.size / 4, WG), { constants: { OP: OPS[op] } });
    return out;
  }
  const shape = broadcastShape(op, a, b);
  const axes = axesOf(shape, a.shape, b.shape);
  if (axes.length > 5) throw new ShapeError(`${op}: a ${showShape(a.shape)} and b ${showShape(b.shape)} alternate over ${axes.length} axes, expected at most 5`);
  const { device } = a;
  const out = Tensor.empty(device, shape);
  if (!out.size) return out;
  const options = { constants: { OP: OPS[op] } };
  const last = axes.at(-1)!;
  const outer = axes.at(-2) ?? { n: 1, a: 0, b: 0 };
  if (last.a && last.b && last.n % 4 === 0 && axes.length <= 2) {
    const count = out.size / 4;
    if (axes.length === 1) dispatch(device, elementwise, 'flat4', { a4: a, b4: b, out4: out }, fields(count), groupsFor(count, WG), options);
    else dispatch(device, elementwise, 'rows4', { a4: a, b4: b, out4: out }, fields(count, 1, 0, last.n / 4, outer.a / 4, outer.b / 4), groupsFor(count, WG), options);
    return out;
  }
  const at = (k: number): Axis => axes[axes.length - 5 + k] ?? { n: 1, a: 0, b: 0 };
  dispatch(device, elementwise, 'broadcast', { a, b, out }, {
    ...fields(out.size), n1: at(1).n, n2: at(2).n, n3: at(3).n, n4: at(4).n,
    a0: at(0).a, a1: at(1).a, a2: at(2).a, a3: at(3).a, a4: at(4).a, b0: at(0).b, b1: at(1).b, b2: at(2).b, b3: at(3).b, b4: at(4).b,
  }, groupsFor(out.size, WG), options);
  return out;
}

function checkPair(op: string, a: Tensor, b: Tensor): void {
  checkFloat(op, 'a', a);
  checkFloat(op, 'b', b);
  checkSameDevice(op, a, b);
}

function transform(form: keyof typeof UNARY, x: Tensor, factor = 1, offset = 0): Tensor {
  const out = Tensor.empty(x.device, x.shape);
  const options = { constants: { OP: UNARY[form] } };
  const quad = x.size % 4 === 0;
  const count = quad ? x.size / 4 : x.size;
  if (count && quad) dispatch(x.device, elementwise, 'unary4', { a4: x, out4: out }, fields(count, factor, offset), groupsFor(count, WG), options);
  else if (count) dispatch(x.device, elementwise, 'unary', { a: x, out }, fields(count, factor, offset), groupsFor(count, WG), options);
  return out;
}

/**
 * a + b with NumPy broadcasting; gradients are summed back over broadcast axes in a fixed order.
 * NaN and infinities as in IEEE arithmetic.
 * @param a [...] float
 * @param b [...] f32, shape equal to a's or broadcastable with it
 * @returns [the broadcast shape]
 * @throws ShapeError when the shapes do not broadcast or a dtype is not f32
 */
export function add(a: Tensor, b: Tensor): Tensor {
  checkPair('add', a, b);
  return record(launch('add', a, b), [[a, dy => sumTo(dy, a.shape)], [b, dy => sumTo(dy, b.shape)]]);
}

/**
 * a - b with NumPy broadcasting.
 * NaN and infinities as in IEEE arithmetic.
 * @param a [...] float
 * @param b [...] f32, broadcastable with a
 * @returns [the broadcast shape]
 * @throws ShapeError when the shapes do not broadcast or a dtype is not f32
 */
export function sub(a: Tensor, b: Tensor): Tensor {
  checkPair('sub', a, b);
  return record(launch('sub', a, b), [[a, dy => sumTo(dy, a.shape)], [b, dy => transform('affine', sumTo(dy, b.shape), -1)]]);
}

/**
 * a · b, element by element, with NumPy broadcasting.
 * NaN and infinities as in IEEE arithmetic.
 * @param a [...] float
 * @param b [...] f32, broadcastable with a
 * @returns [the broadcast shape]
 * @throws ShapeError when the shapes do not broadcast or a dtype is not f32
 */
export function mul(a: Tensor, b: Tensor): Tensor {
  checkPair('mul', a, b);
  return record(launch('mul', a, b), [[a, dy => sumTo(launch('mul', dy, b), a.shape)], [b, dy => sumTo(launch('mul', dy, a), b.shape)]]);
}

/**
 * a / b, element by element, with NumPy broadcasting; b must not hold zeros (WGSL leaves the quotient open). NaN and infinities as in IEEE arithmetic.
 * @param a [...] float
 * @param b [...] f32, broadcastable with a
 * @returns [the broadcast shape]
 * @throws ShapeError when the shapes do not broadcast or a dtype is not f32
 */
export function div(a: Tensor, b: Tensor): Tensor {
  checkPair('div', a, b);
  const y = launch('div', a, b);
  const dB = (dy: Tensor): Tensor => transform('affine', sumTo(launch('div', launch('mul', dy, y), b), b.shape), -1); // -dy a / b²
  return record(y, [[a, dy => sumTo(launch('div', dy, b), a.shape)], [b, dB]]);
}

/**
 * x · factor.
 * NaN and infinities as in IEEE arithmetic.
 * @param x [...] float
 * @param factor a number
 * @returns [...] as x
 * @throws ShapeError unless x is f32
 */
export function scale(x: Tensor, factor: number): Tensor {
  checkFloat('scale', 'x', x);
  return record(transform('affine', x, factor), [[x, dy => transform('affine', dy, factor)]]);
}

/**
 * x + value.
 * NaN and infinities as in IEEE arithmetic.
 * @param x [...] float
 * @param value a number
 * @returns [...] as x
 * @throws ShapeError unless x is f32
 */
export function addScalar(x: Tensor, value: number): Tensor {
  checkFloat('addScalar', 'x', x);
  return record(transform('affine', x, 1, value), [[x, dy => dy]]);
}

/**
 * e^x, to 1e-7 relative; x is clamped to [-87.3, 88.7], beyond which f32 has no normal number.
 * @param x [...] float
 * @returns [...] as x
 * @throws ShapeError unless x is f32
 */
export function exp(x: Tensor): Tensor {
  checkFloat('exp', 'x', x);
  const y = transform('exp', x);
  return record(y, [[x, dy => launch('mul', dy, y)]]);
}
