/** The joint checkpoint: its tensors, which of them are trained, and how it is written (one folder in the hub's layout). */
import { checkShape } from '../engine/check.ts';
import { scope } from '../engine/memory.ts';
import { noGrad } from '../engine/tape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { cast } from '../kernels/cast.ts';
import { fromF32 } from '../weights/dtype.ts';
import { safetensorsBytes, writeFileAtomic, writeSafetensors } from '../weights/writer.ts';
import { ConfigError } from './config.ts';
import type { VLJEPAConfig } from './config.ts';
import { Params } from './params.ts';
import type { TensorSpec } from './params.ts';
import { predictorTensors } from './predictor.ts';
import { denseTensors } from './sentence_folder.ts';
import { densePair, textTensors } from './text_encoder.ts';
import { visionTensors } from './vision_encoder.ts';
import { partName } from './weight_stream.ts';

/**
 * All tensors of the joint model: the networks' own names under `vision.`, `predictor.`, `text.`, the joins and the temperature (spec sections 1.3-1.5).
 *
 * @param config sizes
 */
export function jointTensors(config: VLJEPAConfig): TensorSpec[] {
  const { vision, predictor, text } = config;
  const under = (prefix: string, specs: TensorSpec[]) => specs.map((spec) => ({ ...spec, name: prefix + spec.name }));
  return [
    ...under('vision.', visionTensors(vision)),
    ...under('predictor.', predictorTensors(predictor, { layers: config.predictorLayers })),
    ...under('text.', [...textTensors(text), ...denseTensors(densePair(text, config.dense))]),
    ...headTensors(config),
  ];
}

/**
 * The tensors that no network brings along: projections and temperature.
 *
 * @param config sizes
 */
export function headTensors({ vision, predictor, text, embeddingDim }: VLJEPAConfig): TensorSpec[] {
  const head = (name: string, out: number, inner: number): TensorSpec[] => [
    { name: `${name}.weight`, shape: [out, inner], kind: 'linear' },
    { name: `${name}.bias`, shape: [out], kind: 'bias' },
  ];
  return [
    ...head('visual_projection', predictor.hiddenSize, vision.hiddenSize),
    ...head('predictor_head', embeddingDim, predictor.hiddenSize),
    ...head('text_head', embeddingDim, text.hiddenSize),
    { name: 'log_scale', shape: [1], kind: 'log_scale' },
  ];
}

/** Which parts learn. Token tables are parts of their own: the paper's 490M trainable predictor parameters leave the table out. */
export interface TrainParts {
  readonly vision: boolean;
  readonly predictor: boolean;
  readonly predictorTokens: boolean;
  readonly text: boolean;
  readonly textTokens: boolean;
  readonly heads: boolean;
  readonly logScale: boolean;
}

const parts = (on: boolean): TrainParts => ({ vision: on, predictor: on, predictorTokens: on, text: on, textTokens: on, heads: on, logScale: on });
export const TRAIN_NONE: TrainParts = Object.freeze(parts(false));
export const TRAIN_ALL: TrainParts = Object.freeze(parts(true));
/** The paper's choice for pretrained parts: visual encoder and Llama token table frozen (spec section 1.15). */
export const TRAIN_PAPER: TrainParts = Object.freeze({ ...parts(true), vision: false, predictorTokens: false });

/**
 * @param name full name of a tensor of the joint checkpoint
 * @returns the part it belongs to
 */
export function partOf(name: string): keyof TrainParts {
  const whole = name.replace(/#\d+$/, ''); // a table in parts learns as one
  if (whole !== name) return partOf(whole);
  if (name.startsWith('vision.')) return 'vision';
  if (name === 'predictor.model.embed_tokens.weight') return 'predictorTokens';
  if (name.startsWith('predictor.')) return 'predictor';
  if (name === 'text.embed_tokens.weight') return 'textTokens';
  if (name.startsWith('text.')) return 'text';
  return name === 'log_scale' ? 'logScale' : 'heads';
}

/**
 * Puts given tensors into the order of the checkpoint.
 *
 * @param config sizes
 * @param map every tensor of {@link jointTensors} by its name, token tables whole or in parts
 * @returns the same tensors
 * @throws WeightError when one is missing, ShapeError when one has another shape
 */
export function orderedParams(config: VLJEPAConfig, map: ReadonlyMap<string, Tensor>): Params {
  const given = new Params(map);
  const ordered = new Map<string, Tensor>();
  for (const { name, shape } of jointTensors(config)) {
    const parts = given.table(name);
    const rows = parts.slice(1).reduce((n, part) => n + part.shape[0]!, 0);
    checkShape('VLJEPA.fromTensors', name, parts[0]!, shape.length ? [shape[0]! - rows, ...shape.slice(1)] : [], 'from the config');
    parts.forEach((part, i) => ordered.set(partName(name, i, parts.length), part));
  }
  return new Params(ordered);
}

/**
 * @param entries name and tensor
 * @param train which parts shall learn
 * @throws ConfigError when one of them is held in another type than f32
 */
export function checkTrainable(entries: readonly (readonly [string, Tensor])[], train: TrainParts): void {
  for (const [name, { dtype }] of entries) {
    if (train[partOf(name)] && dtype !== 'f32') throw new ConfigError(`setTrainable: ${name} is ${dtype}, expected f32 for what learns (load it with dtype f32, or freeze its part)`);
  }
}

/** What is written beside the tensors. */
export interface CheckpointFiles {
  readonly config: object;
  readonly tokenizer?: object | undefined;
  readonly queryTokenizer?: object | undefined;
}

export type StoredDtype = 'F32' | 'BF16' | 'F16';

/** Tensors as a checkpoint names them: the parts of a token table (`name#0`, `name#1`, …) as one. */
function wholeTensors(tensors: ReadonlyMap<string, Tensor>): { name: string; shape: readonly number[]; parts: readonly Tensor[] }[] {
  const whole = new Map<string, Tensor[]>();
  for (const [name, tensor] of tensors) {
    const base = name.replace(/#\d+$/, '');
    const parts = whole.get(base);
    if (parts) parts.push(tensor);
    else whole.set(base, [tensor]);
  }
  return [...whole].map(([name, parts]) => ({
    name, parts, shape: parts.length === 1 ? parts[0]!.shape : [parts.reduce((rows, part) => rows + part.shape[0]!, 0), ...parts[0]!.shape.slice(1)],
  }));
}

const PIECE = 4 * 1024 * 1024; // elements: whatever a tensor's size, 16 MiB of it are on the host

/** The values of one stored tensor piece by piece: packed ones as they are where the dtypes agree. */
async function* storedPieces(parts: readonly Tensor[], dtype: StoredDtype): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    const whole = part.scales ? scope(() => noGrad(() => cast(part, 'f32'))) : part; // quantised ones can only be seen whole
    try {
      for (let at = 0; at < whole.size; at += PIECE) {
        const piece = whole.view([Math.min(PIECE, whole.size - at)], at);
        try {
          yield await pieceBytes(piece, dtype);
        } finally {
          piece.dispose();
        }
      }
    } finally {
      if (whole !== part) whole.dispose();
    }
  }
}

async function pieceBytes(piece: Tensor, dtype: StoredDtype): Promise<Uint8Array> {
  if (piece.dtype === dtype.toLowerCase() && dtype !== 'F32') {
    const bits = await piece.readBits();
    return new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength);
  }
  if (piece.dtype === 'f32') return fromF32(await piece.read(), dtype);
  const values = scope(() => noGrad(() => cast(piece, 'f32')));
  try {
    return fromF32(await values.read(), dtype);
  } finally {
    values.dispose();
  }
}

/**
 * What a safetensors writer takes: each tensor is read from the GPU when its turn comes, in pieces.
 *
 * @param tensors by the name in the file; parts of a token table as `name#0`, `name#1`, …
 * @param dtype how values are stored
 */
export function storedEntries(tensors: ReadonlyMap<string, Tensor>, dtype: StoredDtype): { name: string; dtype: StoredDtype; shape: readonly number[]; bytes: () => AsyncIterable<Uint8Array> }[] {
  return wholeTensors(tensors).map(({ name, shape, parts }) => ({ name, dtype, shape, bytes: () => storedPieces(parts, dtype) }));
}

/**
 * Writes config.json, model.safetensors and, where known, tokenizer.json and query_tokenizer.json. Each file is replaced as a whole. Node only.
 *
 * @param folder made when it is missing
 * @param tensors by full name
 * @param files config and tokenizers
 * @param dtype how values are stored; BF16 and F16 round
 * @throws WeightError
 */
export async function writeJoint(folder: string, tensors: ReadonlyMap<string, Tensor>, files: CheckpointFiles, dtype: StoredDtype = 'F32'): Promise<void> {
  const { mkdir } = await import('node:fs/promises');
  await mkdir(folder, { recursive: true });
  await writeSafetensors(`${folder}/model.safetensors`, storedEntries(tensors, dtype), { format: 'pt' });
  const texts: [string, object | undefined][] = [['config.json', files.config], ['tokenizer.json', files.tokenizer], ['query_tokenizer.json', files.queryTokenizer]];
  for (const [name, json] of texts) if (json) await writeFileAtomic(`${folder}/${name}`, `${name === 'config.json' ? JSON.stringify(json, null, 2) : JSON.stringify(json)}\n`); // vocabularies compact
}

/**
 * The bytes of model.safetensors, for a download in a page.
 *
 * @param tensors by full name
 * @param dtype how values are stored
 */
export async function jointBytes(tensors: ReadonlyMap<string, Tensor>, dtype: StoredDtype = 'F32'): Promise<Uint8Array> {
  const entries = [];
  for (const { name, shape, parts } of wholeTensors(tensors)) {
    const pieces: Uint8Array[] = [];
    for await (const piece of storedPieces(parts, dtype)) pieces.push(piece);
    const bytes = new Uint8Array(pieces.reduce((n, piece) => n + piece.length, 0));
    let at = 0;
    for (const piece of pieces) { bytes.set(piece, at); at += piece.length; }
    entries.push({ name, dtype, shape, bytes });
  }
  return safetensorsBytes(entries, { format: 'pt' });
}
