// An index on disk: unit vectors with their names and the model that made them, in one safetensors file.
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

const FORMAT = 'vl-jepa index 2';
/** Of earlier versions, whose fingerprint saw the first 64 numbers of each tensor. */
const SAMPLED_FORMAT = 'vl-jepa index 1';

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
 * @returns the index; one of an earlier version only where no fingerprint is wanted @throws WeightError when it is no index, is damaged, or was made by another model
 */
export async function readIndex(input: SourceInput, wanted?: { fingerprint: string; name: string }): Promise<VectorIndex> {
  const file = await openSafetensors(input);
  try {
    const { metadata } = file;
    const name = [...file.tensors.values()][0]?.file ?? 'index';
    const refuse = (what: string): never => { throw new WeightError('checkpoint-missing', `index ${name}: ${what}`); };
    const format = metadata.get('format') ?? '';
    if (![FORMAT, SAMPLED_FORMAT].includes(format) || !file.has('vectors') || !file.has('names')) refuse(`it is no index, expected the format "${FORMAT}" with vectors and names (make one with \`vl-jepa index\`)`);
    const [model, modelName] = [metadata.get('model') ?? '', metadata.get('model_name') ?? ''];
    if (wanted && format === SAMPLED_FORMAT) refuse(`it was written by an earlier version ("${format}"), which did not look at every weight of its model, ${modelName || 'without a name'}, expected "${FORMAT}" (whether ${wanted.name} made it cannot be told: embed the files again)`);
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
