// An index on disk: unit vectors with their names and the model that made them, in one safetensors file.
import { concat } from '../kernels/concat.ts';
import { cast } from '../kernels/cast.ts';
import { scope } from '../engine/memory.ts';
import { noGrad } from '../engine/tape.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';
import { WeightError } from '../weights/error.ts';
import { openSafetensors } from '../weights/safetensors.ts';
import type { SourceInput } from '../weights/source.ts';
import { safetensorsBytes } from '../weights/writer.ts';
import type { TensorEntry } from '../weights/writer.ts';

/** Vectors of one model with a name each. */
export interface VectorIndex {
  /** [N] file names, or texts. */
  readonly names: readonly string[];
  /** [N, dim] row-major unit rows. */
  readonly vectors: Float32Array;
  readonly dim: number;
  /** What `modelFingerprint` says of the model that made them. */
  readonly model: string;
  /** That model's name for people. */
  readonly modelName: string;
  /** What the names name. */
  readonly kind: 'pictures' | 'texts';
  /** Query that was asked of each picture; '' for none. */
  readonly query: string;
}

const FORMAT = 'vl-jepa index 1';
const SAMPLE = 64;

/**
 * A short text that two models share only when they give the same vectors: SHA-256 over the config, and the first numbers of every tensor as they are held. The same
 * weights held in another type count as another model.
 * @param model any @returns 32 hexadecimal digits
 */
export async function modelFingerprint(model: VLJEPA): Promise<string> {
  const sample = scope(() => noGrad(() => concat([...model.tensors().values()].filter(t => t.size > 0).map(t => {
    const held = t.scales ?? t;
    const head = held.view([Math.min(SAMPLE, held.size)]);
    return head.dtype === 'f32' ? head : cast(head, 'f32');
  }), 0)));
  const values = await sample.read();
  sample.dispose();
  const names = [...model.tensors()].map(([name, t]) => `${name} ${t.dtype} ${t.shape.join('x')}`);
  const text = new TextEncoder().encode(JSON.stringify([model.config.json, names]));
  const bytes = new Uint8Array(text.length + values.byteLength);
  bytes.set(text);
  bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), text.length);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest.subarray(0, 16), b => b.toString(16).padStart(2, '0')).join('');
}

const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/**
 * The tensors and metadata of an index file, for `writeSafetensors` or `safetensorsBytes`.
 * @param index any @returns entries and metadata @throws RangeError when names and vectors do not fit
 */
export function indexEntries({ names, vectors, dim, model, modelName, kind, query }: VectorIndex): { entries: TensorEntry[]; metadata: Record<string, string> } {
  if (vectors.length !== names.length * dim) throw new RangeError(`index: ${vectors.length} numbers, expected ${names.length} rows of ${dim}`);
  const text = new TextEncoder().encode(JSON.stringify(names));
  return {
    entries: [{ name: 'vectors', dtype: 'F32', shape: [names.length, dim], bytes: bytesOf(vectors) }, { name: 'names', dtype: 'U8', shape: [text.length], bytes: text }],
    metadata: { format: FORMAT, model, model_name: modelName, kind, query },
  };
}

/**
 * The file's bytes, for a download in a page.
 * @param index any @returns safetensors bytes
 */
export function encodeIndex(index: VectorIndex): Uint8Array {
  const { entries, metadata } = indexEntries(index);
  return safetensorsBytes(entries, metadata);
}

/**
 * Reads an index.
 * @param input path, URL, Blob or bytes @param wanted fingerprint that it has to have, and the name of that model, for the message
 * @returns the index @throws WeightError when it is no index, is damaged, or was made by another model
 */
export async function readIndex(input: SourceInput, wanted?: { fingerprint: string; name: string }): Promise<VectorIndex> {
  const file = await openSafetensors(input);
  try {
    const { metadata } = file;
    const name = [...file.tensors.values()][0]?.file ?? 'index';
    const refuse = (what: string): never => { throw new WeightError('checkpoint-missing', `index ${name}: ${what}`); };
    if (metadata.get('format') !== FORMAT || !file.has('vectors') || !file.has('names')) refuse(`it is no index, expected the format "${FORMAT}" with vectors and names (make one with \`vl-jepa index\`)`);
    const [model, modelName] = [metadata.get('model') ?? '', metadata.get('model_name') ?? ''];
    if (wanted && model !== wanted.fingerprint) refuse(`it was made by model ${modelName || 'without a name'} (${model.slice(0, 8)}), expected ${wanted.name} (${wanted.fingerprint.slice(0, 8)}): vectors of different models cannot be compared, embed the files again`);
    const { shape, dtype } = file.info('vectors');
    if (dtype !== 'F32' || shape.length !== 2) refuse(`vectors are ${dtype} [${shape.join(', ')}], expected F32 [N, dim]`);
    const names: unknown = parsed(new TextDecoder().decode(await file.getTensor('names')));
    if (!Array.isArray(names) || names.length !== shape[0] || !names.every(n => typeof n === 'string')) return refuse(`it does not name each of its ${shape[0]} vectors, expected a JSON list of as many texts`);
    return { names: names as string[], vectors: await file.readF32('vectors'), dim: shape[1]!, model, modelName, kind: metadata.get('kind') === 'texts' ? 'texts' : 'pictures', query: metadata.get('query') ?? '' };
  } finally {
    await file.close();
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
