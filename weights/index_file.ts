// `model.safetensors.index.json`: which shard holds which tensor. Nobody validates it, and joining its file names to a folder
// unchecked is a hole known from the big loaders; so names are matched against a list of allowed characters, and the map must agree with
// the shards' own headers in both directions.

import { quote, WeightError } from './error.ts';
import { checkTensorName, type Header } from './header.ts';
import { JsonScanner } from './json_scanner.ts';
import { checkUtf8 } from './utf8.ts';

/** Longest index accepted, bytes. */
export const INDEX_LIMIT = 16 * 1024 * 1024;
/** Most shards accepted. */
export const SHARD_LIMIT = 1024;

/** A parsed index. */
export interface CheckpointIndex {
  /** `metadata.total_size`, bytes of all tensors, when the index says it. */
  readonly totalSize: number | undefined;
  /** Tensor name → shard file name. */
  readonly weightMap: ReadonlyMap<string, string>;
  /** The distinct shard file names, in order of first use. */
  readonly shards: readonly string[];
}

/**
 * Refuses every shard name that is not a plain file name in the index's own folder. Nothing is decoded or normalised first.
 *
 * @param name untrusted file name
 * @returns true for `[A-Za-z0-9._-]{1,255}.safetensors` that neither begins with a dot nor names a device
 */
export function isShardName(name: string): boolean {
  return /^[A-Za-z0-9._-]{1,255}\.safetensors$/.test(name) && !name.startsWith('.') && !isDeviceName(name);
}

/**
 * Tells whether Windows would open a device under this name.
 *
 * @param name one path segment
 * @returns true for CON, PRN, AUX, NUL, COMn, LPTn, whatever extension follows
 */
export function isDeviceName(name: string): boolean {
  return /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)/i.test(name);
}

/**
 * A file that counts itself among the shards of an index (`-00003-of-00003`) and is not named by it: readers that take all files see another model.
 *
 * @param shards file names in the index
 * @param names what the folder holds
 * @returns its name, undefined when there is none
 */
export function extraShard(shards: readonly string[], names: Iterable<string>): string | undefined {
  const listed = new Set(shards);
  const series = new Set(shards.map(seriesOf));
  for (const name of names) if (!listed.has(name) && seriesOf(name) !== undefined && series.has(seriesOf(name))) return name;
  return undefined;
}

function seriesOf(name: string): string | undefined {
  const match = /^(.*)-[0-9]{5}-of-([0-9]{5})\.safetensors$/s.exec(name);
  return match === null ? undefined : `${match[1]}/${match[2]}`;
}

/**
 * Parses an index.
 *
 * @param bytes the file
 * @param where its name, for messages
 * @returns the map and the shard names, each safe to open in the index's folder
 * @throws WeightError `index-…`, and the text faults of the scanner
 */
export function parseIndex(bytes: Uint8Array, where: string): CheckpointIndex {
  if (bytes.length > INDEX_LIMIT) throw new WeightError('index-too-large', `${where}: the index has ${bytes.length} bytes, limit ${INDEX_LIMIT}`);
  checkUtf8(bytes, where);
  const scanner = new JsonScanner(bytes, where);
  const seen = new Set<string>();
  let totalSize: number | undefined;
  let weightMap: Map<string, string> | undefined;
  scanner.object('root-type', 'the index', (key) => {
    if (seen.has(key)) scanner.fail('duplicate-field', `the field ${quote(key)} appears twice`);
    seen.add(key);
    if (key === 'metadata') totalSize = readTotalSize(scanner);
    else if (key === 'weight_map') weightMap = readWeightMap(scanner);
    else scanner.skip();
  });
  scanner.end();
  if (weightMap === undefined) throw new WeightError('index-weight-map', `${where}: the index has no weight_map`);
  const shards = [...new Set(weightMap.values())];
  if (shards.length > SHARD_LIMIT) throw new WeightError('index-shard-count', `${where}: ${shards.length} shards, limit ${SHARD_LIMIT}`);
  return { totalSize, weightMap, shards };
}

function readTotalSize(scanner: JsonScanner): number | undefined {
  const seen = new Set<string>();
  let totalSize: number | undefined;
  scanner.object('index-metadata', 'metadata', (key) => {
    if (seen.has(key)) scanner.fail('duplicate-field', `metadata has the field ${quote(key)} twice`);
    seen.add(key);
    if (key === 'total_size') totalSize = scanner.integer('index-total-size', 'index-total-size', 'total_size');
    else scanner.skip(); // total_parameters and whatever else an exporter adds
  });
  return totalSize;
}

function readWeightMap(scanner: JsonScanner): Map<string, string> {
  const weightMap = new Map<string, string>();
  const names = new Map<string, string>(); // one string per shard, not one per tensor
  scanner.object('index-weight-map', 'weight_map', (tensor) => {
    checkTensorName(scanner, tensor);
    if (weightMap.has(tensor)) scanner.fail('duplicate-tensor', `weight_map has tensor ${quote(tensor)} twice`);
    if (scanner.peek() !== 0x22) scanner.fail('index-weight-map', `weight_map ${quote(tensor)}: ${scanner.found()}, expected a file name`);
    const shard = scanner.string();
    if (!names.has(shard)) {
      if (!isShardName(shard)) scanner.fail('index-shard-name', `weight_map ${quote(tensor)}: ${quote(shard)} is no plain *.safetensors file name`);
      names.set(shard, shard);
    }
    weightMap.set(tensor, names.get(shard)!);
  });
  return weightMap;
}

/**
 * Holds the map against the shards' headers: the same tensors, each exactly once and where the map says.
 *
 * @param index the parsed index
 * @param headers shard file name → its header
 * @param where the index's name, for messages
 * @throws WeightError `index-tensor-repeated`, `index-tensor-extra`, `index-tensor-misplaced`, `index-tensor-missing`
 */
export function checkCoverage(index: CheckpointIndex, headers: ReadonlyMap<string, Header>, where: string): void {
  const holder = new Map<string, string>();
  for (const [shard, { tensors }] of headers) {
    for (let i = 0; i < tensors.size; i++) {
      const name = tensors.keyAt(i);
      const other = holder.get(name);
      if (other !== undefined) throw new WeightError('index-tensor-repeated', `${where}: tensor ${quote(name)} is in ${other} and in ${shard}`);
      holder.set(name, shard);
    }
  }
  for (const [name, shard] of holder) {
    const mapped = index.weightMap.get(name);
    if (mapped === undefined) throw new WeightError('index-tensor-extra', `${where}: tensor ${quote(name)} of ${shard} is not in weight_map`);
    if (mapped !== shard) throw new WeightError('index-tensor-misplaced', `${where}: tensor ${quote(name)} is in ${shard}, weight_map says ${mapped}`);
  }
  for (const [name, shard] of index.weightMap) {
    if (!holder.has(name)) throw new WeightError('index-tensor-missing', `${where}: tensor ${quote(name)} is in no shard, weight_map says ${shard}`);
  }
}
