// Nothing is left out: every function that the library exports is proven by an entry or excused by a reason, and every entry says all it has to.
import * as kernels from '../../kernels/index.ts';
import { assert, suite } from '../harness.ts';
import { FULL_CAP } from './draw.ts';
import { FUZZ_SHARES, plan } from './plan.ts';
import type { Planned } from './plan.ts';
import { TABLE } from './table.ts';

const test = suite('proof table');

/** Exports that are no ops. */
const NO_OPS: Readonly<Record<string, string>> = {};

test('every exported op is proven, and every exception has a reason that still holds', () => {
  const exported = Object.entries(kernels).filter(([, v]) => typeof v === 'function').map(([name]) => name);
  const proven = new Set(TABLE.flatMap(p => p.ops));
  assert.ok(exported.length > 30);
  assert.equal(exported.filter(name => !proven.has(name) && !(name in NO_OPS)), []);
  assert.equal([...proven].filter(name => !exported.includes(name)), []);
  assert.equal(Object.keys(NO_OPS).filter(name => proven.has(name) || !exported.includes(name)), []);
});

test('names are unique, gradients are there or excused, heavy cases have names of their own', () => {
  const names = TABLE.map(p => p.name);
  assert.equal(names.filter((n, i) => names.indexOf(n) !== i), []);
  for (const p of TABLE) {
    assert.ok(p.ops.length > 0, `${p.name} proves nothing`);
    assert.ok(p.backward !== undefined || (p.noGradient?.length ?? 0) >= 8, `${p.name} has neither a gradient nor a reason`);
    for (const [kind, reason] of Object.entries(p.without ?? {})) assert.ok(reason.length > 10, `${p.name} leaves out ${kind} without a reason`);
    if (typeof p.nonfinite === 'object') assert.ok(Object.values(p.nonfinite).join().length > 10, `${p.name} leaves NaN open without a reason`);
    const heavies = (p.heavy ?? []).map(h => h.name);
    assert.equal(heavies.filter((n, i) => heavies.indexOf(n) !== i), []);
  }
});

test('limits are those of the profile: 1e-11 for products and attention, 1e-12 for the rest, 1e-11 for gradients', () => {
  const PRODUCTS = /matmul|linear|attention|patchEmbed|infoNCE|siglip|vicreg|sigreg|uniformity|quantize|cast/i;
  for (const p of TABLE) {
    assert.ok((p.limit ?? 1e-12) <= (PRODUCTS.test(p.name) ? 1e-11 : 1e-12) || p.ops.some(o => /^(cast|quantize)$/.test(o)), `${p.name}: the limit is ${p.limit}`);
    assert.ok((p.gradLimit ?? 1e-11) <= 1e-11, `${p.name}: the limit of the gradients is ${p.gradLimit}`);
    assert.ok((p.element ?? 2e-5) <= 1e-4, `${p.name}: ${p.element} per element hides errors`);
  }
});

test('the same seed draws the same case, whatever ran before', () => {
  const bits = (p: Planned): unknown => [p.kind, p.nativeF16, p.order, p.runs.map(r => [r.role, r.poison, r.inputs.map(s => [s.dtype, s.input.shape, [...s.words], [...s.scales ?? []]])])];
  for (const p of TABLE) {
    const [one, two] = [1, 2].map(() => plan(p, { op: p.name, seed: 17, cap: FULL_CAP }, FUZZ_SHARES));
    assert.is(JSON.stringify(one!.case.options), JSON.stringify(two!.case.options), p.name);
    assert.equal(bits(one!), bits(two!), p.name);
  }
});

test.run();
