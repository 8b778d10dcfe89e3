// The special functions against float64: a sample of all f32 inputs, every input about the places where their formulas change, and the values at the ends. bench/precision.ts
// goes over all inputs.
import { erf, tail } from '../../kernels/special.ref.ts';
import { normalTail } from '../../kernels/activation.ref.ts';
import { Count, PROBES, bitsOf, evaluate, numberOf } from '../../bench/special_probe.ts';
import type { Probe } from '../../bench/special_probe.ts';
import { assert, close, device, suite } from '../harness.ts';

const test = suite('special functions');
const OURS = PROBES.filter(p => !p.builtin);

test('the references have the published values', () => {
  close([erf(0.1), erf(0.5), erf(1), erf(-2), erf(3.5)], [0.1124629160182849, 0.5204998778130465, 0.8427007929497149, -0.9953222650189527, 0.9999992569016276], { rel: 1e-15 });
  const at = Array.from({ length: 500 }, (_, i) => i * 0.0279);
  close(at.map(tail), at.map(normalTail), { rel: 1e-12 });
});

/** Where a formula, a binade or the class of the result changes. */
const EDGES = [2 ** -126, 2 ** -25, 2 ** -24, 2 ** -13, Math.SQRT2 - 1, 1 - Math.SQRT1_2, 0.5, 0.55, Math.SQRT1_2, 1, Math.SQRT2, 2, 4, 8, 10, 14, 22, 30, 87.3365, 88, 88.7228, 103.97, 2 ** 24, 2 ** 31, 2 ** 127];
const EDGE_RUN = 512;
const STRIDE = 16_381; // odd, so that the run meets all low bits

for (const probe of OURS) {
  test(`${probe.name} is within ${probe.ulp} units in the last place${probe.ofInput ? ' or 2^-24 of |x|' : ''}`, async () => {
    const d = await device();
    const count = new Count();
    const n = Math.floor(2 ** 32 / STRIDE / 4) * 4;
    count.take(probe, await evaluate(d, probe, 3, STRIDE, n), 3, STRIDE);
    for (const edge of EDGES) {
      for (const first of [bitsOf(edge) - EDGE_RUN / 2, bitsOf(-edge) - EDGE_RUN / 2]) count.take(probe, await evaluate(d, probe, first, 1, EDGE_RUN), first, 1);
    }
    const { normal, beyond, beyondBits, small, special } = count;
    assert.ok(normal.counts.reduce((a, c) => a + c, 0) > 20_000);
    assert.is(beyond, 0, `${beyond} of ${count.inputs} are beyond the limit, the first at ${numberOf(beyondBits)}; worst ${normal.worst} at ${numberOf(normal.worstBits)}, which gave ${numberOf(normal.worstGot)}`);
    assert.is(special.wrong, 0, `${special.wrong} ends are wrong, the first at ${numberOf(special.wrongBits)}, which gave ${numberOf(special.wrongGot)}`);
    assert.is(small.wrong, 0, `${small.wrong} subnormal results are wrong, the first at ${numberOf(small.wrongBits)}`);
  });
}

const INF = Infinity;
/** Values at ±0, ±Inf, ±1, ±1e30 and at NaN of either sign, by name. */
const ENDS: Readonly<Record<string, readonly number[]>> = {
  'x':               [0, -0, INF, -INF, 1e30, -1e30, -1],
  'exp':             [1, 1, INF, 0, INF, 0, Math.fround(Math.exp(-1))],
  'log':             [-INF, -INF, INF, NaN, Math.fround(Math.log(1e30)), NaN, NaN],
  'log1p':           [0, -0, INF, NaN, Math.fround(Math.log(1e30)), NaN, -INF],
  'sigmoid':         [0.5, 0.5, 1, 0, 1, 0, 0.2689414],
  'softplus':        [Math.LN2, Math.LN2, INF, 0, 1e30, 0, 0.3132617],
  'tanh':            [0, -0, 1, -1, 1, -1, -0.7615942],
  'erf':             [0, -0, 1, -1, 1, -1, -0.8427008],
  'rsqrt':           [INF, -INF, 0, NaN, 1e-15, NaN, NaN],
  'gelu':            [0, -0, INF, NaN, 1e30, -0, -0.15865525],
  'gelu tanh':       [0, -0, INF, NaN, 1e30, -0, -0.15880801],
  'silu':            [0, -0, INF, NaN, 1e30, -0, -0.2689414],
};

test('ends: zeros of either sign, infinities, huge arguments, NaN of either sign and any payload', async () => {
  const d = await device();
  const nans = [0x7fc00000, 0xffc00000, 0x7f800001, 0xff800001, 0x7fc0dead, 0xffffffff];
  for (const name in ENDS) {
    const probe = OURS.find(p => p.name === name);
    if (!probe) { assert.is(name, 'x'); continue; }
    for (const [i, x] of ENDS['x']!.entries()) {
      const got = numberOf((await evaluate(d, probe, bitsOf(x), 0, 4))[0]!);
      const want = ENDS[name]![i]!;
      const right = want === 0 || !Number.isFinite(want) ? Object.is(got, want) : Math.abs(got / want - 1) < 5e-7;
      assert.ok(right, `${name}(${x}) is ${got}, expected ${want}`);
    }
    for (const bits of nans) assert.ok(Number.isNaN(numberOf((await evaluate(d, probe, bits, 0, 4))[0]!)), `${name} of the NaN ${bits.toString(16)} is a number`);
  }
});

test('subnormal arguments count in full', async () => {
  const d = await device();
  const at = async (name: string, bits: number): Promise<number> => numberOf((await evaluate(d, OURS.find(p => p.name === name)!, bits, 0, 4))[0]!);
  close([await at('log', 1), await at('log', 0x7fffff), await at('rsqrt', 1), await at('rsqrt', 0x7fffff)].map(v => v), [-149 * Math.LN2, Math.log(2 ** -126), 2 ** 74.5, 2 ** 63], { rel: 1.2e-7 });
  for (const name of ['log1p', 'tanh']) assert.is(await at(name, 0x80000123), numberOf(0x80000123));
});

test('the check sees an error of three units and a lost NaN', async () => {
  const d = await device();
  const wrong = (wgsl: string): Probe => ({ ...OURS.find(p => p.name === 'exp')!, name: wgsl, wgsl });
  const count = async (wgsl: string, first: number): Promise<Count> => {
    const c = new Count();
    const probe = wrong(wgsl);
    c.take(probe, await evaluate(d, probe, first, 1, 512), first, 1);
    return c;
  };
  assert.ok((await count('exp4(x) * 1.0000004', bitsOf(1))).beyond > 400);
  assert.is((await count('exp4(x)', bitsOf(1))).beyond, 0);
  assert.is((await count('exp4(bitcast<vec4f>(bitcast<vec4u>(x) & vec4u(0x7f7fffffu)))', 0x7f800001)).special.wrong, 512);
  assert.is((await count('exp4(x)', 0x7f800001)).special.wrong, 0);
});

test.run();
