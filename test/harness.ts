// What every test file uses: suites with time limits, one shared device with poisoned memory, comparisons that show where and how much, gradient checks.
import { suite as uvuSuite } from 'uvu';
import * as assert from 'uvu/assert';
import { openDevice } from '../engine/device.ts';
import type { Device } from '../engine/device.ts';
import { scope } from '../engine/memory.ts';
import { gradients } from '../engine/tape.ts';
import { Tensor, size } from '../engine/tensor.ts';
import type { Shape } from '../engine/tensor.ts';
import { poison } from '../kernels/fill.ts';
import '../kernels/backward.ts';

export { assert };

/** What ran so far; the runners print it and fail on files that ran nothing. */
export const counts = { passed: 0, failed: 0, skipped: 0, failures: [] as string[] };

/** SHA-256 of results that must be the same to the bit wherever the same adapter computes them; test/run.ts compares Node with Chromium. */
export const fingerprints: Record<string, string> = {};

/**
 * Records the bits of a result for the comparison between places.
 * @param name of the result @param values the result @returns nothing
 */
export async function fingerprint(name: string, values: Float32Array): Promise<void> {
  const digest = await crypto.subtle.digest('SHA-256', Uint8Array.from(new Uint8Array(values.buffer, values.byteOffset, values.byteLength)));
  fingerprints[name] = Array.from(new Uint8Array(digest), b => b.toString(16).padStart(2, '0')).join('');
}

export const isNode = typeof process !== 'undefined' && Boolean(process.versions?.node);

const LIMIT_MS = 180_000;

export interface Suite {
  (name: string, handler: () => void | Promise<void>): void;
  /** Registers a test that runs only where `condition` holds; elsewhere it counts as skipped under a name that ends with the reason. */
  when(condition: boolean, reason: string, name: string, handler: () => void | Promise<void>): void;
  run(): void;
}

/**
 * A named group of tests. @param name shown before each failure @returns a function that registers tests, with `when` and `run`
 */
export function suite(name: string): Suite {
  const inner = uvuSuite(name);
  const add = (title: string, handler: () => void | Promise<void>): void => {
    inner(title, async () => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<never>((_, fail) => { timer = setTimeout(() => fail(new Error(`no result after ${LIMIT_MS / 1000} s`)), LIMIT_MS); });
      try {
        await Promise.race([Promise.resolve().then(handler), late]);
        counts.passed++;
      } catch (error) {
        counts.failed++;
        counts.failures.push(`${name}: ${title}: ${(error as Error).message}`);
        throw error;
      } finally {
        clearTimeout(timer);
      }
    });
  };
  return Object.assign(add, {
    when(condition: boolean, reason: string, title: string, handler: () => void | Promise<void>) {
      if (condition) add(title, handler);
      else {
        counts.skipped++;
        console.log(`skipped: ${name}: ${title} (${reason})`);
      }
    },
    run: () => inner.run(),
  });
}

let shared: Promise<Device> | undefined;
let pattern = 0x7fc0dead; // a NaN: whatever reads memory that nobody wrote shows it

/** The device that all tests share: default limits, and every buffer handed out is filled with a pattern first. @returns the device */
export function device(): Promise<Device> {
  return (shared ??= openDevice({ limits: 'default' }).then(d => {
    d.pool.onAcquire = storage => poison(d, storage, pattern);
    return d;
  }));
}

/** Changes the poison pattern, for the two-poison test. @param bits one u32 @returns nothing */
export function setPoison(bits: number): void {
  pattern = bits;
}

/** Uniform generator in [0, 1), small and seeded (mulberry32). @param seed any whole number @returns the generator */
export function generator(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Seeded normal values whose scale drifts along the tensor, so that swapped strides show.
 * @param shape sizes @param seed number @param options scale, and outliers: share of values 30 times as large @returns [shape] f32 values
 */
export function random(shape: Shape, seed: number, { scale = 1, outliers = 0 } = {}): Float32Array {
  const next = generator(seed * 7919 + size(shape));
  const out = new Float32Array(size(shape));
  for (let i = 0; i < out.length; i++) {
    const normal = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
    out[i] = normal * scale * (0.5 + i / out.length) * (next() < outliers ? 30 : 1);
  }
  return out;
}

/** Normalised mean squared error Σ(a−b)² / Σb². @param actual values @param expected values @returns NMSE; 0 when both are zero */
export function nmse(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let error = 0, power = 0;
  for (let i = 0; i < expected.length; i++) {
    error += (actual[i]! - expected[i]!) ** 2;
    power += expected[i]! ** 2;
  }
  if (error === 0) return 0;
  return power === 0 ? error : error / power;
}

/**
 * Fails unless `actual` is close to `expected`, showing first and last bad index and the values around the first.
 * @param actual values @param expected values @param tolerance nmse over everything, and abs + rel·|expected| per element (at least one of the two kinds) @returns nothing
 */
export function close(actual: ArrayLike<number>, expected: ArrayLike<number>, { nmse: limit, abs, rel, name = 'result' }: { nmse?: number; abs?: number; rel?: number; name?: string }): void {
  if (actual.length !== expected.length) throw new Error(`${name}: has ${actual.length} values, expected ${expected.length}`);
  let first = -1, last = -1, count = 0;
  let worst = 0, worstAt = -1;
  const elementwise = abs !== undefined || rel !== undefined;
  for (let i = 0; i < expected.length; i++) {
    const e = expected[i]!, a = actual[i]!;
    const difference = Number.isFinite(a) && Number.isFinite(e) ? Math.abs(a - e) : Object.is(a, e) ? 0 : Infinity;
    if (difference > worst) { worst = difference; worstAt = i; }
    const bad = elementwise ? !(difference <= (abs ?? 0) + (rel ?? 0) * Math.abs(e)) : difference === Infinity;
    if (bad) { if (first < 0) first = i; last = i; count++; }
  }
  const total = nmse(actual, expected);
  if (first < 0 && (limit === undefined || total <= limit)) return;
  if (first < 0) first = last = Math.max(0, worstAt);
  const from = Math.max(0, first - 2), to = Math.min(expected.length, first + 4);
  const row = (v: ArrayLike<number>): string => Array.from({ length: to - from }, (_, k) => v[from + k]!.toPrecision(8)).join('  ');
  throw new Error(`${name}: NMSE ${total.toExponential(2)}${limit === undefined ? '' : ` (limit ${limit})`}, ${count} of ${expected.length} out of tolerance, first ${first}, last ${last}, worst ${worst.toExponential(3)} at ${worstAt}\n` +
    `    from ${from}  actual   ${row(actual)}\n    from ${from}  expected ${row(expected)}`);
}

/** Gradient of Σ c·ref(x) by five-point central differences in float64. */
function differences(ref: (...x: Float64Array[]) => Float64Array, inputs: readonly Float64Array[], which: number, c: Float64Array, eps: number): Float64Array {
  const x = inputs.map(v => v.slice());
  const target = x[which]!;
  const value = (): number => ref(...x).reduce((s, y, i) => s + y * c[i]!, 0);
  return target.map((original, i) => {
    const h = eps * Math.max(1, Math.abs(original));
    const at = (k: number): number => { target[i] = original + k * h; return value(); };
    const slope = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h);
    target[i] = original;
    return slope;
  });
}

/**
 * Compares the gradients of an op on the GPU with central differences of its float64 reference, for every input, with a random cotangent.
 * @param op the op @param ref float64 reference of the same inputs @param inputs shapes and optional data @param options nmse limit (1e-10), eps of the differences (1e-3)
 * @returns nothing
 */
export async function checkGradients(
  op: (...t: Tensor[]) => Tensor, ref: (...x: Float64Array[]) => Float64Array, inputs: readonly { shape: Shape; data?: Float32Array }[], { nmse: limit = 1e-10, eps = 1e-3 } = {},
): Promise<void> {
  const d = await device();
  const values = inputs.map(({ shape, data }, i) => data ?? random(shape, 100 + i));
  const { grads, cotangent } = scope(() => {
    const leaves = values.map((v, i) => Tensor.from(d, v, inputs[i]!.shape));
    for (const t of leaves) t.needsGrad = true;
    const y = op(...leaves);
    const cotangent = random(y.shape, 999);
    return { grads: gradients(y, Tensor.from(d, cotangent, y.shape), leaves), cotangent };
  });
  const wide = values.map(v => Float64Array.from(v));
  for (let i = 0; i < grads.length; i++) {
    const g = grads[i];
    assert.ok(g, `input ${i} got no gradient`);
    close(await g!.read(), differences(ref, wide, i, Float64Array.from(cotangent), eps), { nmse: limit, name: `gradient of input ${i}` });
    g!.dispose();
  }
}
