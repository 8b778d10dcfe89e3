// Files of a page's private file system (OPFS), kept in segments. What is written there counts only when the writer is closed, and opening a
// writer on a large file copies it first; so a download goes to one segment after another, and an interruption loses one at most.

import { CheckedSource, type ByteSource } from './byte_source.ts';
import { reason, WeightError } from './error.ts';

/** A place for segments: one folder, names without meaning. */
export class SegmentFiles {
  private readonly folder: FileSystemDirectoryHandle;
  /** Bytes of a segment. */
  readonly segmentBytes: number;

  /**
   * @param folder where the segments go
   * @param segmentBytes how large each is
   */
  constructor(folder: FileSystemDirectoryHandle, segmentBytes: number) {
    this.folder = folder;
    this.segmentBytes = segmentBytes;
  }

  /**
   * @param key of a file
   * @returns its bytes that can be relied on: whole segments and the one behind them
   */
  async length(key: string): Promise<number> {
    let length = 0;
    for (let i = 0; ; i++) {
      const size = (await this.segment(key, i))?.size ?? 0;
      length += size;
      if (size !== this.segmentBytes) return length;
    }
  }

  private async segment(key: string, index: number): Promise<File | undefined> {
    return this.readFile(`${key}.${index}`);
  }

  private async readFile(name: string): Promise<File | undefined> {
    try {
      return await (await this.folder.getFileHandle(name)).getFile();
    } catch (error) {
      if ((error as DOMException | undefined)?.name === 'NotFoundError') return undefined;
      throw storageError(name, error);
    }
  }

  /**
   * @param name of a small file
   * @returns its text, undefined when there is none
   */
  async readText(name: string): Promise<string | undefined> {
    return (await this.readFile(name))?.text();
  }

  /**
   * Replaces a small file.
   *
   * @param name of it
   * @param text its content
   */
  async writeText(name: string, text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    const writer = await this.writer(name, 0);
    await writer.write(bytes);
    await writer.close();
  }

  /**
   * @param key of a file
   * @param at where writing goes on; what was behind it is lost
   * @returns a writer that begins the next segment where one is full
   */
  async append(key: string, at: number): Promise<SegmentWriter> {
    const first = Math.floor(at / this.segmentBytes);
    await this.removeFrom(key, at % this.segmentBytes === 0 ? first : first + 1);
    return new SegmentWriter((index, offset) => this.writer(`${key}.${index}`, offset), this.segmentBytes, at);
  }

  private async writer(name: string, at: number): Promise<Writer> {
    try {
      const handle = await this.folder.getFileHandle(name, { create: true });
      if (typeof handle.createWritable === 'function') return await writableWriter(handle, name, at);
      if ('createSyncAccessHandle' in handle) return await syncWriter(handle, name, at);
    } catch (error) {
      throw storageError(name, error);
    }
    throw new WeightError('storage', `${name}: this page cannot write to its private file system, expected createWritable, or createSyncAccessHandle in a worker`);
  }

  /** Removes segments from `first` on. */
  private async removeFrom(key: string, first: number): Promise<void> {
    for (let i = first; await this.remove(`${key}.${i}`); i++);
  }

  /**
   * @param key of a file, all its segments
   */
  async removeAll(key: string): Promise<void> {
    await this.removeFrom(key, 0);
  }

  /**
   * @param name of one file
   * @returns whether it was there
   */
  async remove(name: string): Promise<boolean> {
    try {
      await this.folder.removeEntry(name);
      return true;
    } catch (error) {
      if ((error as DOMException | undefined)?.name === 'NotFoundError') return false;
      throw storageError(name, error);
    }
  }

  /** @returns all names in the folder */
  async names(): Promise<string[]> {
    const names: string[] = [];
    for await (const name of (this.folder as unknown as { keys(): AsyncIterable<string> }).keys()) names.push(name);
    return names;
  }

  /**
   * @param key of a file that is complete
   * @param name for messages
   * @param size its bytes
   * @returns the file
   */
  async source(key: string, name: string, size: number): Promise<ByteSource> {
    const segments: File[] = [];
    for (let i = 0; i * this.segmentBytes < size; i++) {
      const segment = await this.segment(key, i);
      if (segment === undefined) throw new WeightError('storage', `${name}: segment ${i} is gone from the page's private file system`);
      segments.push(segment);
    }
    return new CheckedSource(name, size, async (start, target) => {
      for (let done = 0; done < target.length;) {
        const [index, offset] = [Math.floor((start + done) / this.segmentBytes), (start + done) % this.segmentBytes];
        const length = Math.min(this.segmentBytes - offset, target.length - done);
        const part = await segments[index]!.slice(offset, offset + length).arrayBuffer();
        if (part.byteLength !== length) throw new WeightError('source-truncated', `${name}: ${part.byteLength} bytes at ${start + done} of the kept file, expected ${length}`);
        target.set(new Uint8Array(part), done);
        done += length;
      }
    });
  }
}

/** Writes to one file. */
interface Writer {
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

async function writableWriter(handle: FileSystemFileHandle, name: string, at: number): Promise<Writer> {
  const stream = await handle.createWritable({ keepExistingData: at > 0 });
  if (at > 0) await stream.seek(at);
  return guarded(name, (bytes) => stream.write(bytes as Uint8Array<ArrayBuffer>), () => stream.close());
}

/** In a worker, in place: Safari before 26 has nothing else. */
async function syncWriter(handle: FileSystemFileHandle, name: string, at: number): Promise<Writer> {
  interface SyncHandle { truncate(size: number): void; write(bytes: Uint8Array, options: { at: number }): number; flush(): void; close(): void }
  const file = await (handle as unknown as { createSyncAccessHandle(): Promise<SyncHandle> }).createSyncAccessHandle();
  file.truncate(at);
  let place = at;
  return guarded(name, async (bytes) => { place += file.write(bytes, { at: place }); }, async () => { file.flush(); file.close(); });
}

function guarded(name: string, write: (bytes: Uint8Array) => Promise<void>, close: () => Promise<void>): Writer {
  const tell = (error: unknown): never => { throw storageError(name, error); };
  return { write: (bytes) => write(bytes).catch(tell), close: () => close().catch(tell) };
}

/** Cuts a stream of bytes into segments. */
export class SegmentWriter {
  private readonly open: (index: number, offset: number) => Promise<Writer>;
  private readonly segmentBytes: number;
  private writer: Writer | undefined;
  /** Bytes of the file so far. */
  length: number;

  /**
   * @param open begins or goes on with a segment
   * @param segmentBytes size of each
   * @param at where the first write goes
   */
  constructor(open: (index: number, offset: number) => Promise<Writer>, segmentBytes: number, at: number) {
    this.open = open;
    this.segmentBytes = segmentBytes;
    this.length = at;
  }

  /**
   * @param bytes what follows
   * @throws WeightError `storage`, `storage-full`
   */
  async write(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const offset = this.length % this.segmentBytes;
      this.writer ??= await this.open(Math.floor(this.length / this.segmentBytes), offset);
      const part = bytes.subarray(done, done + this.segmentBytes - offset);
      await this.writer.write(part);
      this.length += part.length;
      done += part.length;
      if (this.length % this.segmentBytes === 0) await this.close();
    }
  }

  /** Keeps what was written so far. */
  async close(): Promise<void> {
    const { writer } = this;
    this.writer = undefined;
    await writer?.close();
  }
}

/**
 * @param name what was being written or read
 * @param error what the platform threw
 * @returns the same as a typed error: `storage-full` for the quota, `storage` for anything else
 */
export function storageError(name: string, error: unknown): WeightError {
  if (error instanceof WeightError) return error;
  const full = (error as { name?: unknown } | undefined)?.name === 'QuotaExceededError';
  return new WeightError(full ? 'storage-full' : 'storage', `${name}: ${full ? 'the storage that the browser gives this page is full: ' : 'the private file system of this page failed: '}${reason(error)}`, error);
}
