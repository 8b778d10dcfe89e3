// The first difference between the two frames' patch weights, where training begins with pictures: pictures never moved them apart.
import { CounterRandom } from '../data/random.ts';
import type { Tensor } from '../engine/tensor.ts';

/** Lowest cosines per axis. */
const WAVES = 6;
/** Stream of this file's draws. */
const STREAM = 97;

/**
 * One patch of slow waves per output: a random mixture of the 6 x 6 lowest cosines, the same for all colours, of norm near 1/3 for each colour.
 * Slow, because what moves leaves a dark and a bright rim, and a wave as long as the sprite tells which side is which. Without the difference, motion was still at chance after 250 steps of a search in PyTorch; with it, at 44 to 73 % (three sizes).
 * @param outputs rows @param side edge of the patch, pixels @param seed of the draws @returns [outputs, side, side]
 */
export function slowWaves(outputs: number, side: number, seed: number): Float32Array {
  const waves = Math.min(WAVES, side);
  const basis = Array.from({ length: waves }, (_, k) => {
    const wave = Float64Array.from({ length: side }, (_, t) => Math.cos((Math.PI * k * (t + 0.5)) / side));
    const norm = Math.hypot(...wave);
    return wave.map(v => v / norm);
  });
  const out = new Float32Array(outputs * side * side);
  for (let u = 0; u < outputs; u++) {
    const random = new CounterRandom(seed, 0, u, STREAM);
    for (let a = 0; a < waves; a++) {
      for (let b = 0; b < waves; b++) {
        const share = random.normal(a * waves + b) / waves / 3;
        for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) out[(u * side + y) * side + x]! += share * basis[a]![y]! * basis[b]![x]!;
      }
    }
  }
  return out;
}

/**
 * Moves the weights of the two frames of a tubelet apart by `size` slow waves: half is taken from the first and added to the second, so still pictures give what they gave.
 * @param weight [D, 3, 2, P, P] patch weights, changed @param size factor @param seed of the draws
 * @returns nothing @throws RangeError when a tubelet is not two frames
 */
export async function startTemporal(weight: Tensor, size: number, seed: number): Promise<void> {
  const [outputs, colours, frames, side] = weight.shape as [number, number, number, number];
  if (frames !== 2) throw new RangeError(`train: the patch weights have ${frames} frames, expected 2 for a temporal start`);
  const values = await weight.read();
  const waves = slowWaves(outputs, side, seed);
  const plane = side * side;
  for (let u = 0; u < outputs; u++) {
    for (let c = 0; c < colours; c++) {
      const at = (u * colours + c) * 2 * plane;
      for (let i = 0; i < plane; i++) {
        const half = (size / 2) * waves[u * plane + i]!;
        values[at + i]! -= half;
        values[at + plane + i]! += half;
      }
    }
  }
  weight.device.upload(weight, values);
}
