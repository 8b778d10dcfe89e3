// Files that are whole or not there (Node only): temporary file in the same folder, every byte written and counted, fsync, read back and
// compared, rename, fsync of the folder. A plain write leaves torn files when the process is killed; a rename without fsync
// survives a kill but not a power cut. Whatever fails before the rename, the old file stays as it was.

import { quote, reason, WeightError } from './error.ts';
import { byteLength } from './dtype.ts';
import { checkBytes, layoutFile, type LazyTensorEntry, type Metadata } from './encode.ts';
import { isMissing, isNode } from './source.ts';

export { encodeSafetensors, safetensorsBytes, type LazyTensorEntry, type Metadata, type TensorEntry } from './encode.ts';

const CHUNK_BYTES = 64 * 1024 * 1024;
const STALE_AFTER_MS = 24 * 60 * 60 * 1000;

/** The part of an open file that writing needs; Node's FileHandle has it. */
export interface WriterHandle {
  write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>;
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  stat(): Promise<{ size: number }>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** The part of a file system that writing needs; `node:fs/promises` has it, tests inject faults through it. */
export interface WriterFs {
  open(path: string, flags: string): Promise<WriterHandle>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  readdir(path: string): Promise<string[]>;
  stat(path: string): Promise<{ mtimeMs: number; isFile(): boolean }>;
}

/** How to write. */
export interface WriteOptions {
  /** In place of `node:fs/promises`. */
  readonly fs?: WriterFs;
}

/** A file that is on disk, whole and verified. */
export interface WrittenFile {
  readonly path: string;
  /** Size of the file. */
  readonly bytes: number;
  /** SHA-256 of the whole file, lower-case hexadecimal. */
  readonly sha256: string;
}

type Pieces = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

const liveTemporaries = new Set<string>(); // base names this process is writing now

/**
 * Writes a safetensors file atomically. Node only.
 *
 * @param path where; an existing file is replaced in one step or stays
 * @param entries tensors in any order; bytes given as functions are called one after the other, in file order, and may come in pieces
 * @param metadata strings by key
 * @param options file system to use
 * @returns path, size, checksum
 * @throws WeightError `write-entry` before anything is touched (of a function's bytes: while writing, the old file stays), `write-failed`, `write-verify`, `node-only`
 */
export async function writeSafetensors(path: string, entries: Iterable<LazyTensorEntry>, metadata: Metadata = {}, options: WriteOptions = {}): Promise<WrittenFile> {
  const layout = layoutFile(entries, metadata);
  async function* pieces(): AsyncGenerator<Uint8Array> {
    yield layout.header;
    for (const { name, dtype, shape, bytes } of layout.entries) {
      const made = typeof bytes === 'function' ? await bytes() : bytes;
      const size = byteLength(dtype, shape);
      if (typeof made !== 'object' || !(Symbol.asyncIterator in made)) {
        checkBytes(name, made, size);
        yield made;
        continue;
      }
      let left = size;
      for await (const piece of made) {
        left -= piece.length;
        if (left < 0) break;
        yield piece;
      }
      if (left !== 0) throw new WeightError('write-entry', `writeSafetensors: tensor ${quote(name)} came in ${left < 0 ? `more than ${size}` : size - left} bytes, its dtype and shape take ${size}`);
    }
  }
  return writeAtomic('writeSafetensors', path, pieces(), options);
}

/**
 * Writes any file atomically. Node only.
 *
 * @param path where; an existing file is replaced in one step or stays
 * @param bytes content; text is written as UTF-8
 * @param options file system to use
 * @returns path, size, checksum
 * @throws WeightError `write-failed`, `write-verify`, `node-only`
 */
export async function writeFileAtomic(path: string, bytes: Uint8Array | string, options: WriteOptions = {}): Promise<WrittenFile> {
  return writeAtomic('writeFileAtomic', path, [typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes], options);
}

/**
 * Deletes temporary files that killed processes left behind. Node only.
 *
 * @param dir folder
 * @param options file system to use
 * @returns names deleted; files that a living process may still be writing are kept, up to the age of a day
 * @throws WeightError `io`, `node-only`
 */
export async function removeStaleTemporaries(dir: string, options: WriteOptions = {}): Promise<string[]> {
  const fs = options.fs ?? await nodeFs('removeStaleTemporaries');
  const { join } = await import('node:path');
  const removed: string[] = [];
  try {
    for (const name of await fs.readdir(dir)) {
      const match = /^\.tmp-([0-9]{1,10})-[0-9a-f]{16}$/.exec(name);
      if (match === null || liveTemporaries.has(name)) continue;
      const path = join(dir, name);
      try {
        const pid = Number(match[1]);
        const owned = pid !== process.pid && isAlive(pid);
        if (owned && Date.now() - (await fs.stat(path)).mtimeMs < STALE_AFTER_MS) continue; // older: the number belongs to another process by now
        await fs.unlink(path);
        removed.push(name);
      } catch (error) {
        if (!isMissing(error)) throw error; // its process finished meanwhile
      }
    }
  } catch (error) {
    throw new WeightError('io', `removeStaleTemporaries: ${dir}: ${reason(error)}`, error);
  }
  return removed;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0); // signal 0 only asks
    return true;
  } catch (error) {
    return (error as { code?: unknown }).code === 'EPERM'; // alive, another user's
  }
}

async function nodeFs(where: string): Promise<WriterFs> {
  if (!isNode) throw new WeightError('node-only', `${where}: a page cannot write files, expected Node (encode to bytes and offer them as a download)`);
  return import('node:fs/promises');
}

async function writeAtomic(where: string, path: string, pieces: Pieces, options: WriteOptions): Promise<WrittenFile> {
  const fs = options.fs ?? await nodeFs(where);
  const [{ dirname, join }, { randomBytes }] = await Promise.all([import('node:path'), import('node:crypto')]);
  const dir = dirname(path);
  const name = `.tmp-${process.pid}-${randomBytes(8).toString('hex')}`;
  const temporary = join(dir, name);
  liveTemporaries.add(name);
  let step = 'looking at the old file';
  let renamed = false;
  try {
    await refuseSpecial(fs, path);
    step = 'creating the temporary file';
    const result = await fillTemporary(fs, temporary, pieces, (next) => { step = next; });
    step = 'renaming the temporary file';
    await fs.rename(temporary, path);
    renamed = true;
    step = 'syncing the folder';
    await syncFolder(fs, dir);
    return { path, ...result };
  } catch (error) {
    const left = renamed ? '; the new file is in place, but may not survive a power cut' : await removeTemporary(fs, temporary);
    if (error instanceof WeightError) throw new WeightError(error.code, `${error.message}, while writing ${path}${left}`, error.cause);
    throw new WeightError('write-failed', `${where}: ${path}: ${step}: ${reason(error)}${left}`, error);
  } finally {
    liveTemporaries.delete(name);
  }
}

/** A rename would replace a device or pipe for good. */
async function refuseSpecial(fs: WriterFs, path: string): Promise<void> {
  try {
    if (!(await fs.stat(path)).isFile()) throw new Error('it exists and is no regular file');
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

/** Writes, syncs, reads back and closes. */
async function fillTemporary(fs: WriterFs, temporary: string, pieces: Pieces, atStep: (step: string) => void): Promise<Omit<WrittenFile, 'path'>> {
  const { createHash } = await import('node:crypto');
  const handle = await fs.open(temporary, 'wx+'); // x: never follow or reuse what is there
  try {
    atStep('writing');
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const piece of pieces) {
      await writeAll(handle, piece, bytes);
      hash.update(piece);
      bytes += piece.length;
    }
    atStep('syncing the file');
    await handle.sync();
    atStep('reading back');
    const sha256 = hash.digest('hex');
    await verify(handle, bytes, sha256);
    atStep('closing');
    await handle.close();
    return { bytes, sha256 };
  } catch (error) {
    await handle.close().catch(() => {}); // closing again after a failed close is refused harmlessly; the first error counts
    throw error;
  }
}

/** A write may take fewer bytes than it was given, e.g. just before the disk is full. */
async function writeAll(handle: WriterHandle, piece: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < piece.length;) {
    const { bytesWritten } = await handle.write(piece, done, Math.min(CHUNK_BYTES, piece.length - done), position + done);
    if (!(bytesWritten > 0)) throw new Error(`the file system took ${bytesWritten} of ${piece.length - done} bytes`);
    done += bytesWritten;
  }
}

async function verify(handle: WriterHandle, bytes: number, sha256: string): Promise<void> {
  const { createHash } = await import('node:crypto');
  const { size } = await handle.stat();
  if (size !== bytes) throw new WeightError('write-verify', `read back ${size} bytes, wrote ${bytes}`);
  const hash = createHash('sha256');
  const buffer = new Uint8Array(Math.min(bytes, 4 * 1024 * 1024));
  for (let at = 0; at < bytes;) {
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, bytes - at), at);
    if (!(bytesRead > 0)) throw new WeightError('write-verify', `reading back ended at ${at} of ${bytes} bytes`);
    hash.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
  const found = hash.digest('hex');
  if (found !== sha256) throw new WeightError('write-verify', `read back SHA-256 ${found}, wrote ${sha256}`);
}

/** Makes the rename itself durable. Windows cannot open folders, and journals renames. */
async function syncFolder(fs: WriterFs, dir: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await fs.open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** @returns what to add to the message */
async function removeTemporary(fs: WriterFs, temporary: string): Promise<string> {
  try {
    await fs.unlink(temporary);
  } catch (error) {
    if (!isMissing(error)) return `; the old file stays, and so does ${temporary} (${reason(error)})`;
  }
  return '; the old file stays';
}
