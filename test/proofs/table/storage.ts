// Conversions between storage types.
import { size } from '../../../engine/tensor.ts';
import { castRef } from '../../../kernels/cast.ref.ts';
import * as ops from '../../../kernels/index.ts';
import { quantizeRef } from '../../../kernels/quantize.ref.ts';
import { proof } from '../proof.ts';
import type { Proof } from '../proof.ts';
import { float } from './inputs.ts';

const cast = proof<{ dtype: 'f32' | 'f16' | 'bf16' }>({
  name: 'cast', ops: ['cast'],
  draw: r => ({ inputs: [float(r.shape(r.int(1, 3)))], options: { dtype: r.pick(['f32', 'f16', 'bf16'] as const) } }),
  run: ([x], { dtype }) => ops.cast(ops.cast(x!, dtype), 'f32'),
  reference: ([x], { options }) => castRef(x!, options.dtype),
  noGradient: 'it passes straight through by definition, while the true slope is that of a staircase: test/kernels/storage.test.ts has it',
  rows: c => (c.inputs[0]!.shape.length > 1 ? { inputs: [0], outputs: [0] } : undefined),
  exact: 'bits', nonfinite: 'propagates',
});

/** Values whose scales are powers of two: a division by them is exact, so that every tie is one. */
const quantize = proof<{ bits: 8 | 4; block: number; whole: boolean }>({
  name: 'quantize', ops: ['quantize'],
  draw: r => {
    const bits = r.pick([8, 4] as const);
    const whole = r.chance(0.5);
    const block = whole ? r.pick([1, 2, 3, 12, 33, 127, 128].filter(n => n <= Math.max(1, r.cap))) : r.pick([8, 16, 24, 32]);
    const shape = [r.size(0, 33), whole ? block : block * r.int(1, 4)];
    const top = 2 ** (bits - 1) - 1;
    const data = new Float64Array(size(shape));
    for (let start = 0; start < data.length; start += block) {
      const scale = 2 ** r.int(-6, 6);
      const most = r.int(0, block - 1);
      const empty = r.chance(0.1);
      for (let i = 0; i < block; i++) data[start + i] = empty ? 0 : scale * (i === most ? r.pick([top, -top]) : Math.max(-top, Math.min(top, r.int(-4 * top, 4 * top) / 4)));
    }
    return { inputs: [{ shape, kind: 'given', data, dtype: 'f32', grad: false }], options: { bits, block, whole } };
  },
  run: ([x], { bits, block, whole }) => ops.cast(ops.quantize(x!, { bits, ...(whole ? {} : { block }) }), 'f32'),
  reference: ([x], { options: { bits, block } }) => quantizeRef(x!, block, bits),
  noGradient: 'quantised weights are frozen',
  exact: 'bits', nonfinite: 'propagates',
});

export const PROOFS: readonly Proof[] = [cast, quantize];
