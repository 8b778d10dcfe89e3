// Runs a special function on the GPU over a run of f32 bit patterns and counts how far the results are from float64. Shared by bench/precision.ts and
// test/kernels/special.test.ts, which runs in pages too.
import type { Device } from '../engine/device.ts';
import { dispatch } from '../engine/dispatch.ts';
import type { Kernel } from '../engine/dispatch.ts';
import { Tensor } from '../engine/tensor.ts';
import { erf, gelu, geluTanh, sigmoid, silu, softplus } from '../kernels/special.ref.ts';
import { SPECIAL } from '../kernels/wgsl.gen.ts';

/** Inputs of one dispatch; results are 16 MiB. */
export const SLICE = 2 ** 22;

/** A function under test. */
export interface Probe {
  name: string;
  /** Expression of `x: vec4f` (and `u`, its bits). */
  wgsl: string;
  reference: (x: number, bits: number) => number;
  /** Largest error on results of at least 2^-126, in units in the last place; undefined: measured only. */
  ulp?: number;
  /** Or this times |x|, whichever is larger. */
  ofInput?: number;
  /** Bits of inputs, both ends included, whose results rounded to f32 are this pattern, or the input (SAME): compared without computing the reference. */
  flat?: readonly (readonly [from: number, to: number, bits: number])[];
  /** Bits of inputs, both ends included, for which the function promises nothing. */
  outside?: readonly [from: number, to: number];
  /** Subnormal inputs keep to the limit too, also on adapters that take them for 0 in arithmetic. */
  subnormals?: boolean;
  builtin?: boolean;
}

const NAN = 0x7fc00000, ONE = 0x3f800000, HALF = 0x3f000000, INF = 0x7f800000, MINUS_INF = 0xff800000, MINUS_ONE = 0xbf800000;
/** In a flat part: the result is the input. */
const SAME = -2;
const identity = (below: number): readonly (readonly [number, number, number])[] => [[0, below, SAME], [0x80000000, below + 0x80000000, SAME]];
const GELU = 2 ** -24;
/** A divisor in [1, 2) that hangs on the bits of x. */
const divisor = (bits: number): number => 1 + (Math.imul(bits, 0x9e3779b1) >>> 9) * 2 ** -23;
const EXP_FLAT = [[0, 0x32ffffff, ONE], [0x80000000, 0x32ffffff + 0x80000000, ONE], [0x42b17218, INF, INF], [0xc2cff1b5, MINUS_INF, 0]] as const;
const LOG_FLAT = [[0, 0, MINUS_INF], [0x80000000, 0x80000000, MINUS_INF], [0x80000001, 0xffffffff, NAN]] as const;
const ODD_FLAT = (from: number): readonly (readonly [number, number, number])[] => [[from, INF, ONE], [from + 0x80000000, MINUS_INF, MINUS_ONE]];
const ROOT_FLAT = [[0x80000001, 0xffffffff, NAN]] as const;

/** Our functions, then the language's own. */
export const PROBES: readonly Probe[] = [
  { name: 'exp', wgsl: 'exp4(x)', reference: Math.exp, ulp: 2, flat: EXP_FLAT, subnormals: true },
  { name: 'exp of x ≤ 88', wgsl: 'exp_neg4(x)', reference: Math.exp, ulp: 2, flat: EXP_FLAT, outside: [0x42b00001, INF], subnormals: true },
  { name: 'log', wgsl: 'log4(x)', reference: Math.log, ulp: 2, flat: LOG_FLAT, subnormals: true },
  { name: 'log1p', wgsl: 'log1p4(x)', reference: Math.log1p, ulp: 2, flat: [...identity(0x327fffff), [0xbf800001, 0xffffffff, NAN]], subnormals: true },
  { name: 'sigmoid', wgsl: 'sigmoid4(x)', reference: sigmoid, ulp: 4, flat: [[0, 0x32ffffff, HALF], [0x80000000, 0xb2ffffff, HALF], [0x41b00000, INF, ONE], [0xc2cff1b5, MINUS_INF, 0]], subnormals: true },
  { name: 'softplus', wgsl: 'softplus4(x)', reference: softplus, ulp: 4, flat: [[0xc2cff1b5, MINUS_INF, 0]], subnormals: true },
  { name: 'tanh', wgsl: 'tanh4(x)', reference: Math.tanh, ulp: 4, flat: [...identity(0x38ffffff), ...ODD_FLAT(0x41200000)], subnormals: true },
  { name: 'erf', wgsl: 'erf4(x)', reference: erf, ulp: 4, flat: ODD_FLAT(0x40c00000) },
  { name: 'rsqrt', wgsl: 'rsqrt4(x)', reference: x => 1 / Math.sqrt(x), ulp: 2, flat: ROOT_FLAT, subnormals: true },
  { name: 'gelu', wgsl: 'gelu4(x)', reference: gelu, ulp: 8, ofInput: GELU },
  { name: 'gelu tanh', wgsl: 'gelu_tanh4(x)', reference: geluTanh, ulp: 8, ofInput: GELU },
  { name: 'silu', wgsl: 'silu4(x)', reference: silu, ulp: 8, ofInput: GELU },
  { name: 'built-in exp', wgsl: 'exp(x)', reference: Math.exp, flat: EXP_FLAT, builtin: true },
  { name: 'built-in log', wgsl: 'log(x)', reference: Math.log, flat: LOG_FLAT, builtin: true },
  { name: 'built-in tanh', wgsl: 'tanh(x)', reference: Math.tanh, flat: [...identity(0x38ffffff), ...ODD_FLAT(0x41200000)], builtin: true },
  { name: 'built-in inverseSqrt', wgsl: 'inverseSqrt(x)', reference: x => 1 / Math.sqrt(x), flat: ROOT_FLAT, builtin: true },
  { name: 'built-in sqrt', wgsl: 'sqrt(x)', reference: Math.sqrt, flat: ROOT_FLAT, builtin: true },
  { name: 'built-in 1 / x', wgsl: '1.0 / x', reference: x => 1 / x, builtin: true },
  { name: 'built-in x / y', wgsl: 'x / bitcast<vec4f>(((u * 0x9e3779b1u) >> vec4u(9u)) | vec4u(0x3f800000u))', reference: (x, bits) => x / divisor(bits), builtin: true },
];

const SHADER = new URL('../../bench/special_probe.wgsl', import.meta.url);

async function shader(): Promise<string> {
  if (typeof process !== 'undefined' && process.versions?.node) return (await import('node:fs/promises')).readFile(SHADER, 'utf8');
  const answer = await fetch(SHADER);
  if (!answer.ok) throw new Error(`special probe: ${SHADER.href} gave ${answer.status}, expected the shader`);
  return answer.text();
}

const kernelOf = ({ name, wgsl }: Probe, text: string): Kernel => ({
  name: `probe ${name}`, bindings: { y: { binding: 1, write: true } }, params: { first: { offset: 0, type: 'u32' }, stride: { offset: 4, type: 'u32' }, count: { offset: 8, type: 'u32' } },
  paramsBytes: 16, entries: { forward: { tensors: ['y'], params: true } }, overrides: [], code: `${SPECIAL}\nfn probed(x: vec4f, u: vec4u) -> vec4f { return ${wgsl}; }\n${text}`,
});

const kernels = new Map<string, Kernel>();

/**
 * Bits of f(x) for x = first, first + stride, … as u32 patterns, modulo 2^32.
 * @param device where @param probe the function @param first pattern @param stride step @param count a multiple of 4, at most SLICE @returns [count] patterns
 */
export async function evaluate(device: Device, probe: Probe, first: number, stride: number, count: number): Promise<Uint32Array> {
  let kernel = kernels.get(probe.name);
  if (!kernel) kernels.set(probe.name, kernel = kernelOf(probe, await shader()));
  const y = Tensor.empty(device, [count], 'u32');
  dispatch(device, kernel, 'forward', { y }, { first, stride, count }, Math.ceil(count / 256));
  try {
    return await y.readU32();
  } finally {
    y.dispose();
  }
}

/** Upper ends of the classes of error, in units in the last place; the last class has none. 0.5 is the float64 result rounded to f32. */
export const CLASSES = [0.5, 1, 2, 4, 8] as const;

/** Counts of one kind of inputs. */
export class Tally {
  readonly counts = new Array<number>(CLASSES.length + 1).fill(0);
  worst = 0;
  worstBits = 0;
  worstGot = 0;

  /** Takes one error in. @param ulp its size @param bits the input @param got the pattern that came @returns nothing */
  add(ulp: number, bits: number, got: number): void {
    let c = 0;
    while (c < CLASSES.length && !(ulp <= CLASSES[c]!)) c++;
    this.counts[c]!++;
    if (!(ulp <= this.worst)) {
      this.worst = ulp;
      this.worstBits = bits;
      this.worstGot = got;
    }
  }
}

const word = new Uint32Array(1);
const single = new Float32Array(word.buffer);
/** The number of a pattern. @param bits u32 @returns f32 */
export const numberOf = (bits: number): number => { word[0] = bits; return single[0]!; };
/** The pattern of a number. @param x rounded to f32 @returns u32 */
export const bitsOf = (x: number): number => { single[0] = x; return word[0]!; };

const wide = new Float64Array(1);
const wideWords = new Uint32Array(wide.buffer);
/** 1 / (unit in the last place of f32) by the exponent of a float64. */
const PER_ULP = Float64Array.from({ length: 2048 }, (_, e) => 2 ** (1046 - e));
const MIN_NORMAL = 2 ** -126;
const OVERFLOW = (2 - 2 ** -24) * 2 ** 127;

/** What was counted of one function. */
export class Count {
  inputs = 0;
  /** Results of at least 2^-126 of inputs that are no subnormals. */
  readonly normal = new Tally();
  /** The same of subnormal inputs, which an adapter may take for 0. */
  readonly subnormalInput = new Tally();
  /** Errors above both limits of the probe. */
  beyond = 0;
  beyondBits = 0;
  /** Results below 2^-126: within 2^-149 (or the probe's share of |x|), 0, or neither. */
  readonly small = { kept: 0, zero: 0, wrong: 0, wrongBits: 0 };
  /** Results that are 0, infinite or NaN. */
  readonly special = { right: 0, wrong: 0, wrongBits: 0, wrongGot: 0 };

  private exact(ok: boolean, bits: number, got: number): void {
    if (ok) { this.special.right++; return; }
    if (this.special.wrong++ === 0) { this.special.wrongBits = bits; this.special.wrongGot = got; }
  }

  /** One result against its reference. */
  private compare(probe: Probe, bits: number, x: number, got: number, y: number): void {
    const want = probe.reference(x, bits);
    const size = Math.abs(want);
    if (!(size < OVERFLOW) || size === 0) {
      if (want !== want) this.exact((got & 0x7fffffff) > 0x7f800000, bits, got);
      else this.exact(size === 0 ? y === 0 : y === (want > 0 ? Infinity : -Infinity), bits, got);
      return;
    }
    if (size < MIN_NORMAL) {
      if (Math.abs(y - want) <= Math.max(2 ** -149, (probe.ofInput ?? 0) * Math.abs(x))) this.small.kept++;
      else if (y === 0) this.small.zero++;
      else if (this.small.wrong++ === 0) this.small.wrongBits = bits;
      return;
    }
    wide[0] = want;
    const error = Math.abs(y - want);
    const ulp = y === Math.fround(want) ? 0 : error * PER_ULP[(wideWords[1]! >>> 20) & 0x7ff]!;
    const tiny = (bits & 0x7fffffff) < 0x00800000;
    (tiny ? this.subnormalInput : this.normal).add(ulp === ulp ? ulp : Infinity, bits, got);
    if (tiny && !probe.subnormals) return;
    if (probe.ulp !== undefined && !(ulp <= probe.ulp) && !(probe.ofInput !== undefined && error <= probe.ofInput * Math.abs(x)) && this.beyond++ === 0) this.beyondBits = bits;
  }

  /**
   * Takes a run of results in.
   * @param probe the function @param results [count] patterns @param first pattern of the first input @param stride step @returns nothing
   */
  take(probe: Probe, results: Uint32Array, first: number, stride: number): void {
    const y = new Float32Array(results.buffer, results.byteOffset, results.length);
    const inputs = new Uint32Array(results.length);
    for (let i = 0, u = first; i < inputs.length; i++, u = (u + stride) >>> 0) inputs[i] = u;
    const x = new Float32Array(inputs.buffer);
    this.inputs += results.length;
    const { reference, flat = [], outside: [none, nor] = [1, 0] } = probe;
    let from = 1, to = 0, constant = 0; // the flat part that the last input was in
    let right = 0, rightOfSubnormals = 0;
    for (let i = 0; i < results.length; i++) {
      const bits = inputs[i]!, got = results[i]!;
      if (bits >= none && bits <= nor) continue;
      if (bits < from || bits > to) {
        const part = flat.find(([f, t]) => bits >= f && bits <= t);
        [from, to, constant] = part ?? [1, 0, 0];
        if (!part && flat.length) { // until the next part begins
          from = Math.max(0, ...flat.map(([, t]) => t + 1).filter(f => f <= bits));
          to = Math.min(2 ** 32, ...flat.map(([f]) => f - 1).filter(t => t >= bits));
          constant = -1;
        } else if (!part) [from, to, constant] = [0, 2 ** 32, -1];
      }
      const known = constant !== -1;
      const size = got & 0x7fffffff;
      if (known ? got === (constant === SAME ? bits : constant) : size >= 0x00800000 && size < INF && y[i] === Math.fround(reference(x[i]!, bits))) {
        if (size === 0 || size >= INF) this.special.right++;
        else if (size < 0x00800000) this.small.kept++;
        else if ((bits & 0x7fffffff) >= 0x00800000) right++;
        else rightOfSubnormals++;
      } else this.compare(probe, bits, x[i]!, got, y[i]!);
    }
    this.normal.counts[0]! += right;
    this.subnormalInput.counts[0]! += rightOfSubnormals;
  }
}
