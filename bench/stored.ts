// Small storage types: decoding on the CPU, and the rows of the ops that make them.
import type { Tensor } from '../engine/tensor.ts';
import { cast } from '../kernels/cast.ts';
import { quantize } from '../kernels/quantize.ts';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../weights/dtype.ts';
import { bytesOf, pair } from './case.ts';
import type { Case, Check, Profile } from './case.ts';
import { FULL_SIZE, SHIPPED } from './sizes.ts';

/** The numbers that a tensor of any float type holds, decoded without a kernel. @param t any float tensor @returns [size] f32 */
export async function decoded(t: Tensor): Promise<Float32Array> {
  if (t.dtype === 'f32') return t.read();
  if (t.dtype === 'u32' || t.dtype === 'i32') return Float32Array.from(t.dtype === 'u32' ? new Uint32Array(await t.device.readBytes(t)) : new Int32Array(await t.device.readBytes(t)));
  if (t.dtype === 'f16') return f16ToF32(await t.readBits());
  if (t.dtype === 'bf16') return bf16ToF32(await t.readBits());
  const bits = t.dtype === 'i8' ? 8 : 4;
  const words = new Int32Array(await t.device.readBytes(t));
  const scales = await t.scales!.read();
  const perWord = 32 / bits;
  return Float32Array.from({ length: t.size }, (_, i) => ((words[Math.floor(i / perWord)]! << (32 - bits * (1 + (i % perWord)))) >> (32 - bits)) * scales[Math.floor(i / t.block)]!);
}

const BLOCK = 64;

function casts(use: string, profile: Profile, shape: readonly [number, number]): Case[] {
  const text = `[${shape.join(', ')}]`;
  const narrow = ([['f16', f32ToF16, f16ToF32], ['bf16', f32ToBf16, bf16ToF32]] as const).flatMap(([dtype, down, up]): Case[] => {
    const rounded: Check = ({ x, expect }) => expect(0, 0, up(down(x[0] as Float32Array)));
    return [
      ...pair({ op: 'cast', use, profile, shape: `${text} f32 to ${dtype}`, limit: 0, bytes: [1.5 * bytesOf(shape), 0], inputs: [{ shape }], run: ([x]) => cast(x!, dtype), forward: rounded }),
      ...pair({ op: 'cast', use, profile, shape: `${text} ${dtype} to f32`, limit: 0, bytes: [1.5 * bytesOf(shape), 0], inputs: [{ shape, storage: dtype }], run: ([x]) => cast(x!, 'f32'), forward: ({ x, expect }) => expect(0, 0, x[0]!) }),
    ];
  });
  const whole = ([8, 4] as const).flatMap(bits => pair({
    op: 'quantize', use, profile, shape: `${text} to i${bits}, blocks of ${BLOCK}`, bytes: [bytesOf(shape) * (1 + bits / 32 + 1 / BLOCK), 0], inputs: [{ shape }],
    run: ([x]) => quantize(x!, { bits, block: BLOCK }),
    limit: bits === 8 ? 1e-6 : 1e-4, // a value half way between two steps may go to either
    forward: ({ x: [x], expect }) => {
      const most = bits === 8 ? 127 : 7;
      for (let start = 0; start < x!.length; start += BLOCK) {
        const block = Array.from(x!.subarray(start, start + BLOCK));
        const scale = Math.fround(Math.max(...block.map(Math.abs)) / most);
        expect(0, start, block.map(v => Math.round(v / scale) * scale));
      }
    },
  }));
  return [...narrow, ...whole];
}

const { text: t } = SHIPPED;
const { predictor: P } = FULL_SIZE;

/** Conversions of weights of the model. */
export const STORED: readonly Case[] = [
  ...casts('shipped token table', 'quick', [2048, t.hiddenSize]),
  ...casts('Llama gate, up', 'model', [P.intermediateSize, P.hiddenSize]),
];
