// Error classes and the checks that public ops make before anything is enqueued.
import type { Device } from './device.ts';
import type { DType, Shape, Tensor } from './tensor.ts';

/** A shape, dtype or argument of an op is not what it has to be. Thrown before anything is enqueued. */
export class ShapeError extends Error {
  override readonly name: string = 'ShapeError';
}

/** The adapter, the device or its memory cannot do what was asked, or the device was lost. */
export class DeviceError extends Error {
  override readonly name: string = 'DeviceError';
  /** 'lost' | 'out-of-memory' | 'validation' | 'internal' | 'unavailable' | 'limit' */
  readonly reason: string;
  constructor(message: string, reason = 'internal') {
    super(message);
    this.reason = reason;
  }
}

/** Text of a shape for messages: `[2, 77, 2048]`. @param shape any shape @returns text */
export const showShape = (shape: readonly (number | null)[]): string => `[${shape.map(n => n ?? '*').join(', ')}]`;

/**
 * Checks a tensor's shape; `null` in `expected` matches any size.
 * @param op name of the public op, for the message @param name argument name @param tensor [any] the argument
 * @param expected wanted shape @param why short reason, for the message @param of tensor [any] that the reason speaks of: its shape ends the message
 * @returns nothing @throws ShapeError when rank or a size differs
 */
export function checkShape(op: string, name: string, tensor: Tensor, expected: readonly (number | null)[], why = '', of?: Tensor): void {
  const { shape } = tensor;
  let fits = shape.length === expected.length;
  for (let i = 0; fits && i < expected.length; i++) fits = expected[i] === null || expected[i] === shape[i];
  if (fits) return;
  throw new ShapeError(`${op}: ${name} has shape ${showShape(shape)}, expected ${showShape(expected)}${why && `, ${why}`}${of ? ` ${showShape(of.shape)}` : ''}`);
}

/**
 * Checks a tensor's element type.
 * @param op name of the public op @param name argument name @param tensor [any] the argument @param dtype wanted type
 * @returns nothing @throws ShapeError when it differs
 */
export function checkDtype(op: string, name: string, tensor: Tensor, dtype: DType): void {
  if (tensor.dtype !== dtype) throw new ShapeError(`${op}: ${name} is ${tensor.dtype}, expected ${dtype}`);
}

/**
 * Checks that a tensor holds numbers that kernels read as f32: f32, f16, bf16, or i8 and i4 with scales.
 * @param op name of the public op @param name argument name @param tensor [any] the argument
 * @returns nothing @throws ShapeError for integers, and for a quantised tensor that asks for a gradient
 */
export function checkFloat(op: string, name: string, tensor: Tensor): void {
  if (tensor.dtype === 'i32' || tensor.dtype === 'u32') throw new ShapeError(`${op}: ${name} is ${tensor.dtype}, expected f32, f16, bf16, i8 or i4`);
  if (tensor.scales && tensor.needsGrad) throw new ShapeError(`${op}: ${name} is ${tensor.dtype} and needs a gradient, expected a type that can be trained (quantised weights are frozen)`);
}

/**
 * Checks that all tensors live on one device.
 * @param op name of the public op @param tensors [any] the arguments @returns nothing @throws DeviceError when two devices are mixed
 */
export function checkSameDevice(op: string, ...tensors: readonly (Tensor | undefined)[]): void {
  let first: Device | undefined;
  for (let i = 0; i < tensors.length; i++) {
    const device = tensors[i]?.device;
    if (device && device !== (first ??= device)) throw new DeviceError(`${op}: its tensors live on different devices, expected one device for all`, 'validation');
  }
}

/**
 * Element count of a shape, checked.
 * @param op name of the caller @param shape sizes, each a whole number ≥ 0 @returns product of the sizes @throws ShapeError for a negative or broken size, or what is no array
 */
export function checkedSize(op: string, shape: Shape): number {
  if (!Array.isArray(shape)) throw new ShapeError(`${op}: shape is ${shape === null ? 'null' : typeof shape === 'number' ? shape : `a value of type ${typeof shape}`}, expected an array of whole numbers ≥ 0`);
  let n = 1;
  for (let i = 0; i < shape.length; i++) {
    const s = shape[i]!;
    if (!Number.isSafeInteger(s) || s < 0) throw new ShapeError(`${op}: shape ${showShape(shape)} has the size ${s}, expected whole numbers ≥ 0`);
    n *= s;
  }
  if (!Number.isSafeInteger(n)) throw new ShapeError(`${op}: shape ${showShape(shape)} has more than 2^53 elements`);
  return n;
}
