// Checkpoints, read lazily: only headers at first, then each tensor's bytes when it is asked for. One file or many shards look the same.
// `metadata` and `getTensor` are named as in the npm package `safetensors`; here `metadata` holds the file's `__metadata__`
// (which that package cannot open), the table of tensors is `tensors`, and reading is asynchronous.

import type { ByteSource, SourceOptions } from './byte_source.ts';
import { toF32, toNumbers, type Dtype } from './dtype.ts';
import { quote, reason, WeightError } from './error.ts';
import { folderSource, type FolderInput, type FolderSource } from './folder.ts';
import { HEADER_LIMIT, headerLength, parseHeader, type Header, type HeaderEntry } from './header.ts';
import { checkCoverage, extraShard, INDEX_LIMIT, parseIndex } from './index_file.ts';
import { joinedMap, LazyMap, type MapContent } from './lazy_map.ts';
import { isMissing, isNode, openSource, resolvePlace, type SourceInput } from './source.ts';

const SINGLE_FILE = 'model.safetensors';
const WARNING_LIMIT = 100;
const INDEX_FILE = 'model.safetensors.index.json';

/** Where and how one tensor is stored. */
export interface TensorInfo extends HeaderEntry {
  /** Name of the file that holds it. */
  readonly file: string;
}

/** One tensor, read. */
export interface RawTensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Little-endian elements, row-major. */
  readonly bytes: Uint8Array;
}

/** How to open a checkpoint. */
export interface OpenOptions extends SourceOptions {
  /** Most bytes of headers accepted, of all shards together; the 100,000,000 of the reference reader unless given. */
  readonly headerLimit?: number;
}

/** A file of a checkpoint, its header read. */
interface Shard {
  readonly source: ByteSource;
  readonly header: Header;
  readonly dataStart: number;
}

function headerBytes(shards: ReadonlyMap<string, Shard>): number {
  let sum = 0;
  for (const { dataStart } of shards.values()) sum += dataStart - 8;
  return sum;
}

/** A header's tensors, with the name of their file. */
function withFile(tensors: Header['tensors'], file: string): MapContent<TensorInfo> {
  return { size: tensors.size, keyAt: (i) => tensors.keyAt(i), valueAt: (i) => infoOf(tensors.valueAt(i), file), find: (name) => tensors.find(name) };
}

/** Spelt out: a spread takes longer than all the rest of listing a million. */
function infoOf({ dtype, shape, begin, end }: HeaderEntry, file: string): TensorInfo {
  return { dtype, shape, begin, end, file };
}

/** All shards' `__metadata__`; the first shard that has a key keeps it. */
function mergeMetadata(shards: ReadonlyMap<string, Shard>, warnings: string[]): ReadonlyMap<string, string> {
  const headers = [...shards.values()].map(({ header }) => header.metadata);
  if (headers.length === 1) return new LazyMap(headers[0]!);
  const merged = new Map<string, string>();
  for (const [file, { header: { metadata } }] of shards) {
    for (let i = 0; i < metadata.size; i++) {
      const key = metadata.keyAt(i);
      const before = merged.get(key);
      if (before === undefined) merged.set(key, metadata.valueAt(i));
      else if (before !== metadata.valueAt(i) && warnings.length < WARNING_LIMIT) warnings.push(`${file}: __metadata__ ${quote(key)} differs from an earlier shard's, which is kept`);
    }
  }
  return merged;
}

/** An open checkpoint: one file, or shards behind an index. */
export class Safetensors {
  /** The file's `__metadata__`; of shards, all of theirs together. */
  readonly metadata: ReadonlyMap<string, string>;
  /** All tensors by name, in the order of the headers. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** What is odd but harmless, e.g. a wrong `total_size` in an index. */
  readonly warnings: readonly string[];
  /** Bytes of the headers, all shards together. */
  readonly headerBytes: number;
  private readonly shards: ReadonlyMap<string, Shard>;

  /** Use {@link openSafetensors} or {@link openCheckpoint}. */
  constructor(shards: ReadonlyMap<string, Shard>, warnings: string[]) {
    this.metadata = mergeMetadata(shards, warnings);
    this.tensors = joinedMap([...shards].map(([file, { header }]) => withFile(header.tensors, file)));
    this.warnings = warnings;
    this.shards = shards;
    this.headerBytes = headerBytes(shards);
  }

  /** @returns the names of its files, in the order of the index */
  get files(): string[] {
    return [...this.shards.keys()];
  }

  /** @returns all tensor names, in the order of the headers */
  names(): string[] {
    return [...this.tensors.keys()];
  }

  /**
   * @param name tensor name
   * @returns whether the checkpoint holds it
   */
  has(name: string): boolean {
    return this.tensors.has(name);
  }

  /**
   * @param name tensor name
   * @returns dtype, shape and place
   * @throws WeightError `tensor-missing`
   */
  info(name: string): TensorInfo {
    const info = this.tensors.get(name);
    if (info === undefined) throw new WeightError('tensor-missing', `${[...this.shards.keys()][0] ?? 'checkpoint'}: no tensor ${quote(name)} among its ${this.tensors.size}`);
    return info;
  }

  /**
   * The raw bytes of one tensor.
   *
   * @param name tensor name
   * @returns little-endian elements, row-major; fresh, at byteOffset 0, the caller's own
   * @throws WeightError `tensor-missing`, and the source's faults
   */
  async getTensor(name: string): Promise<Uint8Array> {
    return this.fetchBytes(this.info(name));
  }

  /**
   * One tensor with what is needed to understand it.
   *
   * @param name tensor name
   * @returns dtype, shape and bytes
   * @throws WeightError `tensor-missing`, and the source's faults
   */
  async read(name: string): Promise<RawTensor> {
    const info = this.info(name);
    return { dtype: info.dtype, shape: info.shape, bytes: await this.fetchBytes(info) };
  }

  /**
   * Reads the raw bytes straight to where they are wanted, e.g. a mapped GPU buffer.
   *
   * @param name tensor name
   * @param target exactly the tensor's bytes long
   * @throws WeightError `tensor-missing`, `target-size`, and the source's faults
   */
  async readInto(name: string, target: Uint8Array): Promise<void> {
    await this.fetchBytes(this.info(name), target);
  }

  /**
   * Reads some of a tensor's raw bytes, so that a large one passes through little memory.
   *
   * @param name tensor name
   * @param start first byte within the tensor
   * @param target filled from there on
   * @throws WeightError `tensor-missing`, `source-range` beyond the tensor, and the source's faults
   */
  async readPart(name: string, start: number, target: Uint8Array): Promise<void> {
    const info = this.info(name);
    if (start < 0 || info.begin + start + target.length > info.end) throw new WeightError('source-range', `${info.file}: bytes ${start} to ${start + target.length} of ${quote(name)}, expected within its ${info.end - info.begin}`);
    const shard = this.shards.get(info.file)!;
    const from = shard.dataStart + info.begin + start;
    await shard.source.read(from, from + target.length, target);
  }

  /**
   * One tensor as f32, exact.
   *
   * @param name tensor name
   * @returns [elements], row-major
   * @throws WeightError `tensor-missing`, `dtype-unsupported` (see {@link toF32}), and the source's faults
   */
  async readF32(name: string): Promise<Float32Array> {
    const info = this.info(name);
    return toF32(await this.fetchBytes(info), info.dtype);
  }

  /**
   * One tensor as JavaScript numbers, exact: token ids, masks, counts.
   *
   * @param name tensor name
   * @returns [elements], row-major
   * @throws WeightError `tensor-missing`, `number-range`, `dtype-unsupported`, and the source's faults
   */
  async readNumbers(name: string): Promise<number[]> {
    const info = this.info(name);
    return toNumbers(await this.fetchBytes(info), info.dtype);
  }

  /** Releases files and buffers; reading afterwards is an error. */
  async close(): Promise<void> {
    for (const { source } of this.shards.values()) await source.close();
  }

  private async fetchBytes(info: TensorInfo, into?: Uint8Array): Promise<Uint8Array> {
    const shard = this.shards.get(info.file)!; // every info was made from a shard
    return shard.source.read(shard.dataStart + info.begin, shard.dataStart + info.end, into);
  }
}

/**
 * Opens one safetensors file. Reads and checks its header, and no byte of its data.
 *
 * @param input path, URL, Blob, bytes or source
 * @param options limits, and how to reach it
 * @returns the open file; close it after use
 * @throws WeightError with the code of the first fault
 */
export async function openSafetensors(input: SourceInput, options: OpenOptions = {}): Promise<Safetensors> {
  const source = await openSource(input, options);
  const shard = await readShard(source, options);
  return new Safetensors(new Map([[source.name, shard]]), []);
}

/** Reads a header; closes the source when that fails. */
async function readShard(source: ByteSource, options: OpenOptions): Promise<Shard> {
  try {
    const prefix = await source.read(0, Math.min(8, source.size));
    const length = headerLength(prefix, source.size, options.headerLimit ?? HEADER_LIMIT, source.name);
    const dataStart = 8 + length;
    const header = parseHeader(await source.read(8, dataStart), source.size - dataStart, source.name);
    return { source, header, dataStart };
  } catch (error) {
    await source.close();
    throw error;
  }
}

/**
 * Opens a checkpoint: a folder with `model.safetensors`, or with `model.safetensors.index.json` and its shards, or one file. A folder that can be listed (no URL) and says two
 * things is refused: both are there and the index names other files, or a shard of its series is not in the index.
 *
 * @param input folder (path, base URL, map, directory handle, {@link FolderSource}) or file (path, URL ending in .safetensors, Blob, bytes, source)
 * @param options limits, and how to reach it
 * @returns the open checkpoint; close it after use
 * @throws WeightError `checkpoint-missing`, `index-…`, and with the code of the first fault of any header
 */
export async function openCheckpoint(input: FolderInput | SourceInput, options: OpenOptions = {}): Promise<Safetensors> {
  if (await isFile(input)) return openSafetensors(input as SourceInput, options);
  const folder = folderSource(input as FolderInput, options);
  const names = await folder.names?.();
  const single = names?.includes(INDEX_FILE) ? undefined : await folder.open(SINGLE_FILE);
  if (single !== undefined) return openSafetensors(single, options);
  const index = await folder.open(INDEX_FILE);
  if (index === undefined) throw new WeightError('checkpoint-missing', `${folder.name}: neither ${SINGLE_FILE} nor ${INDEX_FILE} is there`);
  const checkpoint = await openShards(folder, index, options);
  if (!names?.includes(SINGLE_FILE) || checkpoint.files.every((file) => file === SINGLE_FILE)) return checkpoint;
  await checkpoint.close();
  throw new WeightError('index-shard-missing', `${folder.name}: ${SINGLE_FILE} lies beside ${INDEX_FILE}, which names other files, expected one checkpoint`);
}

/**
 * Opens the shards that an index names; a single file beside them is another matter.
 *
 * @param input the folder of the index
 * @param name the index's file name
 * @param options limits, and how to reach it
 * @returns the open checkpoint; close it after use
 * @throws WeightError as {@link openCheckpoint}
 */
export async function openIndex(input: FolderInput, name: string, options: OpenOptions = {}): Promise<Safetensors> {
  const folder = folderSource(input, options);
  const index = await folder.open(name);
  if (index === undefined) throw new WeightError('checkpoint-missing', `${folder.name}/${name}: there is no such index`);
  return openShards(folder, index, options);
}

/** Tells one file from a folder. */
async function isFile(input: FolderInput | SourceInput): Promise<boolean> {
  if (input instanceof Blob || input instanceof ArrayBuffer || ArrayBuffer.isView(input)) return true;
  if (typeof input === 'object' && !(input instanceof URL)) return 'size' in input && 'read' in input && typeof input.read === 'function'; // a ByteSource
  const place = resolvePlace(input);
  if (typeof place !== 'string') return place.pathname.endsWith('.safetensors');
  if (!isNode) return false; // folderSource refuses it with the reason
  const { stat } = await import('node:fs/promises');
  try {
    return !(await stat(place)).isDirectory();
  } catch (error) {
    if (isMissing(error)) throw new WeightError('checkpoint-missing', `${place}: there is no such file or folder`);
    throw new WeightError('io', `${place}: ${reason(error)}`, error);
  }
}

async function openShards(folder: FolderSource, indexSource: ByteSource, options: OpenOptions): Promise<Safetensors> {
  const where = indexSource.name;
  const shards = new Map<string, Shard>();
  try {
    if (indexSource.size > INDEX_LIMIT) throw new WeightError('index-too-large', `${where}: the index has ${indexSource.size} bytes, limit ${INDEX_LIMIT}`);
    const index = parseIndex(await indexSource.read(0, indexSource.size), where);
    const extra = extraShard(index.shards, (await folder.names?.()) ?? []);
    if (extra !== undefined) throw new WeightError('index-tensor-extra', `${where}: the shard ${quote(extra)} is there, but the index does not name it`);
    let tensors = 0;
    for (const name of index.shards) {
      const source = await folder.open(name);
      if (source === undefined) throw new WeightError('index-shard-missing', `${where}: the shard ${name} is not there`);
      const headerLimit = (options.headerLimit ?? HEADER_LIMIT) - headerBytes(shards); // 1,024 headers of the most would be memory enough to stop the process
      shards.set(name, await readShard(source, { ...options, headerLimit }));
      tensors += shards.get(name)!.header.tensors.size;
      if (tensors > index.weightMap.size) break; // at least one is not in the map: no more headers need to be in memory to say which
    }
    checkCoverage(index, new Map([...shards].map(([name, shard]) => [name, shard.header])), where);
    return new Safetensors(shards, totalSizeWarnings(index.totalSize, shards, where));
  } catch (error) {
    for (const { source } of shards.values()) await source.close();
    throw error;
  } finally {
    await indexSource.close();
  }
}

/** Published checkpoints carry wrong totals, so a wrong one is told and not refused. */
function totalSizeWarnings(totalSize: number | undefined, shards: ReadonlyMap<string, Shard>, where: string): string[] {
  let sum = 0;
  for (const { source, dataStart } of shards.values()) sum += source.size - dataStart;
  return totalSize === undefined || totalSize === sum ? [] : [`${where}: total_size is ${totalSize}, the shards hold ${sum} bytes`];
}
