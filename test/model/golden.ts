// Values of the official implementations (test/golden), and comparisons that name the first wrong layer.
import { Tensor } from '../../engine/tensor.ts';
import type { Device } from '../../engine/device.ts';
import { folderSource } from '../../weights/folder.ts';
import type { FolderSource } from '../../weights/folder.ts';
import { openSafetensors } from '../../weights/safetensors.ts';
import { nmse } from '../harness.ts';

export interface Stored {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}
export type StoredTensors = Map<string, Stored>;

/** Compiled tests lie in <root>/<outDir>/test/model, the values in <root>/test/golden. */
const ROOT = new URL('../../../test/golden/', import.meta.url);

/** @returns one case's folder, for example `vision/tiny-a`. */
export const goldenFolder = (name: string): FolderSource => folderSource(new URL(`${name}/`, ROOT));

/** @returns all tensors of one file of a case; integers as numbers. */
export async function goldenTensors(name: string, file: string): Promise<StoredTensors> {
  const source = await goldenFolder(name).open(`${file}.safetensors`);
  if (!source) throw new Error(`test/golden/${name}/${file}.safetensors is missing`);
  const checkpoint = await openSafetensors(source);
  const tensors: StoredTensors = new Map();
  for (const key of checkpoint.names()) {
    const { shape, dtype } = checkpoint.info(key);
    const values = dtype.startsWith('I') ? Float32Array.from(await checkpoint.readNumbers(key)) : await checkpoint.readF32(key);
    tensors.set(key, { shape, values });
  }
  await checkpoint.close();
  return tensors;
}

/** @returns the named tensor. */
export function pick(tensors: StoredTensors, name: string): Stored {
  const found = tensors.get(name);
  if (!found) throw new Error(`golden values have no ${name}, only ${[...tensors.keys()].join(', ')}`);
  return found;
}

/** Uploads an f32 tensor. */
export const upload = (device: Device, { values, shape }: Stored): Tensor => Tensor.from(device, values, shape);

/** Uploads ids or a mask. */
export const uploadU32 = (device: Device, { values, shape }: Stored): Tensor => Tensor.from(device, Uint32Array.from(values), shape);

/** Values with the rows of padding set to 0: what stands there is not defined. */
function masked(values: Float32Array, mask: Float32Array | undefined): Float32Array {
  if (!mask || values.length % mask.length) return values;
  const width = values.length / mask.length;
  return values.map((value, i) => (mask[Math.floor(i / width)] ? value : 0));
}

/**
 * Compares results in the order of the network: `embeddings`, `layers.i`, then the rest. Fails at the first one above the limit.
 *
 * @returns the largest NMSE
 */
export async function compareLayers(actual: ReadonlyMap<string, Tensor>, expected: StoredTensors, limit: number, mask?: Float32Array): Promise<number> {
  const rank = (name: string) => (name === 'embeddings' ? -1 : name.startsWith('layers.') ? Number(name.slice(7)) : 1e6);
  let worst = 0;
  for (const name of [...expected.keys()].filter((key) => actual.has(key)).sort((a, b) => rank(a) - rank(b))) {
    const want = pick(expected, name);
    const got = actual.get(name)!;
    if (got.shape.join() !== want.shape.join()) throw new Error(`${name}: shape [${got.shape.join(', ')}], expected [${want.shape.join(', ')}]`);
    const error = nmse(masked(await got.read(), mask), masked(want.values, mask));
    if (!(error <= limit)) throw new Error(`first wrong layer: ${name}, NMSE ${error.toExponential(2)}, limit ${limit}`);
    worst = Math.max(worst, error);
  }
  return worst;
}

/**
 * Relative L2 distance |a - b| / |b| of every gradient; fails naming all that are above the limit.
 *
 * @returns the largest distance
 */
export async function compareGradients(actual: ReadonlyMap<string, Tensor>, expected: StoredTensors, limit: number): Promise<number> {
  let worst = 0;
  const bad: string[] = [];
  for (const [name, want] of expected) {
    const got = actual.get(name);
    if (!got) throw new Error(`gradient of ${name} is missing`);
    const distance = Math.sqrt(nmse(await got.read(), want.values));
    if (!(distance <= limit)) bad.push(`${name} ${distance.toExponential(2)}`);
    worst = Math.max(worst, distance);
  }
  if (bad.length > 0) throw new Error(`${bad.length} of ${expected.size} gradients are off by more than ${limit}: ${bad.slice(0, 8).join(', ')}`);
  return worst;
}
