// What decoding token by token needs beside networks: rows of caches, beams, draws.
import { beamStepMargin, beamStepRef } from '../../../kernels/beam_step.ref.ts';
import type { BeamStepCase } from '../../../kernels/beam_step.ref.ts';
import { readRowsRef, writeRowsRef } from '../../../kernels/cache_rows.ref.ts';
import * as ops from '../../../kernels/index.ts';
import { sampleTokenMargin, sampleTokenRef } from '../../../kernels/sample_token.ref.ts';
import type { SampleCase } from '../../../kernels/sample_token.ref.ts';
import { proof } from '../proof.ts';
import type { Draw, Input, Proof } from '../proof.ts';
import { float, large } from './inputs.ts';

interface Place { readonly shape: readonly [number, number, number, number]; readonly position: number; readonly asked: boolean }

/** [B, L, T, W] and a position. */
function place(r: Draw): Place {
  const [batch, length, width] = [r.size(0, 5), r.size(1, 33), r.size(0, 65)];
  const tokens = r.int(0, Math.max(1, length));
  return { shape: [batch, Math.max(1, length), tokens, width], position: r.int(0, Math.max(1, length) - tokens), asked: r.chance(0.3) };
}

const at = ({ position, asked }: Place): number | (() => number) => (asked ? () => position : position);
const words = (r: Draw, shape: readonly number[], whole: boolean): Input => (whole ? { shape, kind: 'ids', below: 2 ** 24 } : float(shape, { grad: false }));

const writeRows = proof<Place>({
  name: 'writeRows', ops: ['writeRows'],
  draw: r => {
    const o = place(r);
    const [b, l, t, w] = o.shape;
    const whole = r.chance(0.3);
    return { inputs: [words(r, [b, l, w], whole), words(r, [b, t, w], whole)], options: o };
  },
  run: ([cache, x], o) => {
    ops.writeRows(cache!, x!, at(o));
    return cache!;
  },
  reference: ([cache, x], { options: o }) => writeRowsRef(cache!, x!, o.shape, o.position),
  rows: () => ({ inputs: [0, 0], outputs: [0] }),
  noGradient: 'updates in place', exact: 'bits', nonfinite: 'propagates',
  heavy: [{ name: 'more than 65,535 workgroups', case: { inputs: [float([3, 2, 1_400_001]), float([3, 1, 1_400_001])], options: { shape: [3, 2, 1, 1_400_001], position: 1, asked: false } } }],
});

const readRows = proof<Place>({
  name: 'readRows', ops: ['readRows'],
  draw: r => {
    const o = place(r);
    const [b, l, , w] = o.shape;
    return { inputs: [words(r, [b, l, w], r.chance(0.3))], options: o };
  },
  run: ([rows], o) => ops.readRows(rows!, at(o), o.shape[2]),
  reference: ([rows], { options: o }) => readRowsRef(rows!, o.shape, o.position),
  rows: () => ({ inputs: [0], outputs: [0] }),
  noGradient: 'reads what nothing learns: tables and caches', exact: 'bits', nonfinite: 'propagates',
});

/** Rounding must not decide: cases are drawn until every decision is this far from another one. */
const CLEAR = 1e-3;

/** Logits with ties now and then, as one input; how large they are together with V decides how clear choices are. */
function logitsOf(r: Draw, rows: number, cols: number): number[] {
  const grid = r.chance(0.3) ? 0.5 : 0;
  return Array.from({ length: rows * cols }, () => {
    const v = r.real(-4, 4);
    return grid ? Math.round(v / grid) * grid : Math.fround(v);
  });
}

const given = (shape: readonly number[], data: readonly number[]): Input => ({ shape, kind: 'given', data, grad: false });
const OPEN = { open: 'a choice among what cannot be compared' } as const;

/** Before the first step one row of a group is alive; later some are finished. */
function beams(r: Draw, groups: number, width: number, penalty: number): number[] {
  if (r.chance(0.3)) return Array.from({ length: groups * width }, (_, i) => (i % width === 0 ? [0, 0, 0] : [-1e4, 0, -1e4])).flat();
  return Array.from({ length: groups * width }, () => {
    const score = Math.fround(r.real(-9, 0)), length = r.chance(0.3) ? r.int(1, 4) : 0;
    return [score, length, length ? Math.fround(score * length ** -penalty) : score];
  }).flat();
}

const beamStep = proof<BeamStepCase & { readonly cols: number; readonly asked: boolean }>({
  name: 'beamStep', ops: ['beamStep'],
  draw: r => {
    for (;;) {
      const cols = large(r, 0.1) ? r.pick([511, 512, 513, 1030]) : Math.max(1, r.size(1, 65));
      const [width, groups] = [Math.min(r.pick([1, 2, 3, 5, 16]), cols), r.int(0, 4)];
      const o = { cols, width, eos: r.int(0, cols - 1), pad: 7, step: r.int(1, 9), lengthPenalty: r.pick([0, 0, 1, 0.6]), asked: r.chance(0.3) };
      const [x, state] = [logitsOf(r, groups * width, cols), beams(r, groups, width, o.lengthPenalty)];
      if (beamStepMargin(Float64Array.from(x), Float64Array.from(state), cols, o) < CLEAR) continue;
      return { inputs: [given([groups * width, cols], x), given([groups * width, 3], state)], options: o };
    }
  },
  run: ([x, state], { asked, step, lengthPenalty, ...o }) => {
    const y = ops.beamStep(x!, state!, asked ? { ...o, step: () => step, lengthPenalty: () => lengthPenalty } : { ...o, step, lengthPenalty });
    return [y.tokens, y.parents, y.state];
  },
  reference: ([x, state], { options: o }) => beamStepRef(x!, state!, o.cols, o),
  element: 1e-6, noGradient: 'a choice', nonfinite: OPEN,
  heavy: [{ name: '65,537 rows', case: { inputs: [given([65_537, 3], Array.from({ length: 65_537 * 3 }, (_, i) => (i * 7) % 5)), given([65_537, 3], Array<number>(65_537 * 3).fill(0))], options: { cols: 3, width: 1, eos: 1, pad: 0, step: 2, lengthPenalty: 0, asked: false } } }],
});

const sampleToken = proof<SampleCase & { readonly cols: number; readonly asked: boolean }>({
  name: 'sampleToken', ops: ['sampleToken'],
  draw: r => {
    for (;;) {
      const cols = large(r, 0.1) ? r.pick([63, 64, 65, 300]) : Math.max(1, r.size(1, 33));
      const rows = r.size(0, 9);
      const o = {
        cols, temperature: Math.fround(r.pick([1, 0.5, 2])), topK: r.pick([0, 0, 1, 2, 5, 40]), topP: r.pick([1, 1, 0.5, 0.9]), seed: r.pick([0, r.int(0, 1e6), 2 ** 52 + r.int(0, 1e6)]), step: r.int(1, 9),
        firstRow: r.pick([0, 32]), eos: r.int(0, cols - 1), pad: 7, asked: r.chance(0.3),
      };
      const state = Array.from({ length: rows }, () => (r.chance(0.2) ? [-2.5, 3, -2.5] : [-1.25, 0, -1.25])).flat();
      const x = logitsOf(r, rows, cols);
      if (sampleTokenMargin(Float64Array.from(x), Float64Array.from(state), cols, o) < 1e-4) continue;
      return { inputs: [given([rows, cols], x), given([rows, 3], state)], options: o };
    }
  },
  run: ([x, state], { asked, ...o }) => {
    const { temperature, topK, topP, seed, step, firstRow } = o;
    const y = ops.sampleToken(x!, state!, asked ? { ...o, temperature: () => temperature, topK: () => topK, topP: () => topP, seed: () => seed, step: () => step, firstRow: () => firstRow } : o);
    return [y.tokens, y.state];
  },
  reference: ([x, state], { options: o }) => sampleTokenRef(x!, state!, o.cols, o),
  element: 1e-6, noGradient: 'a choice', nonfinite: OPEN,
});

/** Entries of this group. */
export const PROOFS: readonly Proof[] = [writeRows, readRows, beamStep, sampleToken];
