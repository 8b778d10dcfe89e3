// Files of URLs, downloaded once: kept in the page's private file system (OPFS), continued by range after an interruption, started again when
// the server has another version. A file that is there whole is used without asking the server, so a page works offline.

import type { ByteSource, DownloadProgress, SourceOptions, UrlFence, UrlStore } from './byte_source.ts';
import { reason, WeightError } from './error.ts';
import { SegmentFiles, storageError, type SegmentWriter } from './segment_files.ts';
import { isNode } from './source.ts';
import { discard, openUrl, request, validatorOf } from './url_source.ts';

/** A kept file. */
export interface CachedFile {
  readonly url: string;
  /** Bytes that are there. */
  readonly bytes: number;
  /** Bytes of the whole; undefined when the server did not say. */
  readonly total: number | undefined;
  readonly complete: boolean;
}

/** How a cache works. */
export interface UrlCacheOptions {
  /** Folder in the page's private file system; 'vl-jepa' unless given. */
  readonly name?: string;
  /** Where that folder is, in place of `navigator.storage.getDirectory()`. */
  readonly root?: FileSystemDirectoryHandle;
  /** Ask the server before a whole file is used, and download it again when it has another version. */
  readonly revalidate?: boolean;
  /** Bytes that an interruption can lose at most; 32 MiB unless given. Fixed once a folder has files. */
  readonly segmentBytes?: number;
}

/** Files of URLs that are kept. Give it to `folderSource(url, { cache })`, `openCheckpoint` or `openSource`. */
export interface UrlCache extends UrlStore {
  /** @param url @returns whether the whole file is there */
  isCached(url: string | URL): Promise<boolean>;
  /** @returns all files, whole or in part */
  list(): Promise<CachedFile[]>;
  /** @param url of a file, or ending in / for all below it @returns how many files were removed */
  delete(url: string | URL): Promise<number>;
}

/**
 * Opens the cache. In Node it keeps nothing: files are read by ranges.
 *
 * @param options name and place
 * @returns the cache
 * @throws WeightError `storage` in a page without a private file system (not https or localhost, or a private window)
 */
export async function openUrlCache(options: UrlCacheOptions = {}): Promise<UrlCache> {
  if (isNode && options.root === undefined) return NOTHING_KEPT;
  try {
    if (options.root === undefined && typeof navigator.storage?.getDirectory !== 'function') throw new WeightError('storage', 'openUrlCache: this page has no private file system, expected https or localhost');
    const root = options.root ?? (await navigator.storage.getDirectory());
    const folder = await root.getDirectoryHandle(options.name ?? 'vl-jepa', { create: true });
    return new OpfsCache(new SegmentFiles(folder, options.segmentBytes ?? 32 * 1024 * 1024), options.revalidate ?? false);
  } catch (error) {
    throw storageError('openUrlCache', error);
  }
}

const NOTHING_KEPT: UrlCache = {
  open: (url, { cache: _, ...options }, fence) => openUrl(url, options, fence),
  isCached: async () => false,
  list: async () => [],
  delete: async () => 0,
};

/** What is known about a file, beside its segments. */
interface Note {
  readonly url: string;
  readonly total: number | null;
  readonly validator: string | null;
  readonly complete: boolean;
  /** The server said that there is no such file; believed only while it cannot be asked. */
  readonly missing?: boolean;
}

class OpfsCache implements UrlCache {
  private readonly files: SegmentFiles;
  private readonly revalidate: boolean;

  constructor(files: SegmentFiles, revalidate: boolean) {
    this.files = files;
    this.revalidate = revalidate;
  }

  async open(url: URL, options: SourceOptions, fence: UrlFence): Promise<ByteSource | undefined> {
    const key = await keyOf(url);
    return alone(`vl-jepa ${key}`, options.signal, async () => {
      const note = await this.note(key);
      if (note?.complete && (await this.files.length(key)) === note.total && !(this.revalidate && (await this.changed(url, options, fence, note)))) return this.files.source(key, url.href, note.total!);
      const size = await new Download(this.files, key, url, options, fence).run(note);
      return size === undefined ? undefined : this.files.source(key, url.href, size);
    });
  }

  /** Whether the server has another version; a server that cannot be reached has none. */
  private async changed(url: URL, options: SourceOptions, fence: UrlFence, note: Note): Promise<boolean> {
    let response: Response;
    try {
      response = await request(url, options, fence, { range: 'bytes=0-0' });
    } catch (error) {
      options.signal?.throwIfAborted();
      if (error instanceof WeightError && error.code === 'io') return false;
      throw error;
    }
    await discard(response);
    if (!response.ok) return false;
    return validatorOf(response) !== note.validator || (totalOf(response) ?? note.total) !== note.total;
  }

  private async note(key: string): Promise<Note | undefined> {
    const text = await this.files.readText(`${key}.json`);
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text) as Note;
    } catch {
      return undefined; // torn by a crash: the file is downloaded again
    }
  }

  async isCached(url: string | URL): Promise<boolean> {
    const key = await keyOf(new URL(url));
    const note = await this.note(key);
    return note?.complete === true && (await this.files.length(key)) === note.total;
  }

  async list(): Promise<CachedFile[]> {
    const found: CachedFile[] = [];
    for (const name of await this.files.names()) {
      if (!name.endsWith('.json')) continue;
      const key = name.slice(0, -5);
      const note = await this.note(key);
      if (note === undefined || note.missing) continue;
      const bytes = await this.files.length(key);
      found.push({ url: note.url, bytes, total: note.total ?? undefined, complete: note.complete && bytes === note.total });
    }
    return found.sort((a, b) => (a.url < b.url ? -1 : 1));
  }

  async delete(url: string | URL): Promise<number> {
    const { href } = new URL(url);
    let removed = 0;
    for (const name of await this.files.names()) {
      if (!name.endsWith('.json')) continue;
      const key = name.slice(0, -5);
      const note = await this.note(key);
      if (note !== undefined && note.url !== href && !(href.endsWith('/') && note.url.startsWith(href))) continue;
      await alone(`vl-jepa ${key}`, undefined, async () => {
        await this.files.remove(name);
        await this.files.removeAll(key);
      });
      if (note !== undefined && !note.missing) removed++;
    }
    return removed;
  }
}

/** Brings one file here. */
class Download {
  private readonly files: SegmentFiles;
  private readonly key: string;
  private readonly url: URL;
  private readonly options: SourceOptions;
  private readonly fence: UrlFence;
  private readonly began = performance.now();

  constructor(files: SegmentFiles, key: string, url: URL, options: SourceOptions, fence: UrlFence) {
    this.files = files;
    this.key = key;
    this.url = url;
    this.options = options;
    this.fence = fence;
  }

  /** @returns the file's bytes, undefined when there is no such file */
  async run(note: Note | undefined): Promise<number | undefined> {
    const { options, files, key } = this;
    options.signal?.throwIfAborted();
    const kept = note !== undefined && !note.complete && note.total !== null ? await files.length(key) : 0; // without a total nothing tells whether what is there fits
    if (kept > 0 && kept === note!.total) { // interrupted between the last byte and the note
      await this.write({ ...note!, complete: true });
      return kept;
    }
    const have = kept < (note?.total ?? 0) ? kept : 0;
    let response = await this.ask(have, note);
    if (response === undefined) return undefined;
    let from = have;
    if (have > 0 && !continues(response, have, note!)) {
      if (response.status !== 200) { // another version: its beginning is wanted
        await discard(response);
        response = await this.ask(0, note);
        if (response === undefined) return undefined;
      }
      from = 0;
    }
    if (response.status !== (from > 0 ? 206 : 200)) {
      await discard(response);
      throw new WeightError('http-status', `${this.url.href}: status ${response.status}, expected ${from > 0 ? 206 : 200}`);
    }
    return this.store(response, from);
  }

  private async ask(from: number, note: Note | undefined): Promise<Response | undefined> {
    let response: Response;
    try {
      response = await request(this.url, this.options, this.fence, from > 0 ? { range: `bytes=${from}-` } : {});
    } catch (error) {
      this.options.signal?.throwIfAborted();
      if (note?.missing) return undefined;
      throw error;
    }
    if (response.status !== 404 && response.status !== 410) return response;
    await discard(response);
    await this.files.removeAll(this.key);
    await this.write({ url: this.url.href, total: null, validator: null, complete: false, missing: true });
    return undefined;
  }

  private write(note: Note): Promise<void> {
    return this.files.writeText(`${this.key}.json`, JSON.stringify(note));
  }

  /** Writes the body behind the first `from` bytes. What arrived before an interruption is kept. */
  private async store(response: Response, from: number): Promise<number> {
    const { options, url } = this;
    const total = totalOf(response);
    const note: Note = { url: url.href, total: total ?? null, validator: validatorOf(response), complete: false };
    const reader = response.body?.getReader();
    try {
      await checkRoom(url.href, total, from);
      await this.write(note);
      const writer = await this.files.append(this.key, from);
      try {
        if (reader !== undefined) await this.copy(reader, writer, total, from);
      } catch (error) {
        await writer.close().catch(() => {}); // keeps what can be kept; the first error is the one to report
        throw error;
      }
      await writer.close();
      if (total !== undefined && writer.length !== total) throw new WeightError('http-length', `${url.href}: the reply ended after ${writer.length} of ${total} bytes (opening it again goes on from there)`);
      await this.write({ ...note, total: writer.length, complete: true });
      return writer.length;
    } catch (error) {
      await reader?.cancel().catch(() => {}); // the first error is the one to report
      options.signal?.throwIfAborted();
      if (error instanceof WeightError) throw error.code === 'storage-full' ? await fullError(url.href, total, error) : error;
      throw new WeightError('io', `${url.href}: ${reason(error)} (opening it again goes on from where it stopped)`, error);
    }
  }

  private async copy(reader: ReadableStreamDefaultReader<Uint8Array>, writer: SegmentWriter, total: number | undefined, from: number): Promise<void> {
    for (;;) {
      const { done, value } = await reader.read();
      this.options.signal?.throwIfAborted();
      if (done) return;
      if (total !== undefined && writer.length + value.length > total) throw new WeightError('http-length', `${this.url.href}: the body passes the ${total} bytes that the server announced`);
      await writer.write(value);
      this.tell(writer.length, total, from);
    }
  }

  private tell(loaded: number, total: number | undefined, resumed: number): void {
    const seconds = (performance.now() - this.began) / 1000;
    const bytesPerSecond = seconds > 0 ? (loaded - resumed) / seconds : 0;
    const event: DownloadProgress = { status: 'download', file: this.url.href, loaded, total, resumed, bytesPerSecond, secondsLeft: total !== undefined && bytesPerSecond > 0 ? (total - loaded) / bytesPerSecond : Infinity };
    this.options.progress?.(event);
  }
}

/** Whether a reply is the rest of what is kept: the range asked for, of a file of the same length and version. */
function continues(response: Response, from: number, note: Note): boolean {
  if (response.status !== 206) return false;
  const match = /^bytes ([0-9]{1,15})-([0-9]{1,15})\/([0-9]{1,15})$/.exec(response.headers.get('content-range') ?? '');
  return match !== null && Number(match[1]) === from && Number(match[2]) === note.total! - 1 && Number(match[3]) === note.total && validatorOf(response) === note.validator;
}

/** Bytes of the whole file, when the reply says it. */
function totalOf(response: Response): number | undefined {
  if (response.status === 206) {
    const total = /^bytes [0-9]+-[0-9]+\/([0-9]{1,15})$/.exec(response.headers.get('content-range') ?? '')?.[1];
    return total === undefined ? undefined : Number(total);
  }
  const encoding = response.headers.get('content-encoding') ?? 'identity';
  const length = response.headers.get('content-length') ?? '';
  return encoding === 'identity' && /^[0-9]{1,15}$/.test(length) ? Number(length) : undefined; // the length of a packed body is not that of the file
}

async function estimate(): Promise<{ quota: number; usage: number } | undefined> {
  if (typeof navigator === 'undefined' || typeof navigator.storage?.estimate !== 'function') return undefined;
  const { quota, usage } = await navigator.storage.estimate();
  return quota === undefined || usage === undefined ? undefined : { quota, usage };
}

/** Refuses a download that cannot fit before it begins. */
async function checkRoom(where: string, total: number | undefined, from: number): Promise<void> {
  const room = await estimate();
  if (room === undefined || total === undefined || total - from <= room.quota - room.usage) return;
  throw await fullError(where, total);
}

async function fullError(where: string, total: number | undefined, cause?: WeightError): Promise<WeightError> {
  if (cause === undefined || !cause.message.startsWith(where)) {
    const room = await estimate();
    const figures = room === undefined ? '' : `: ${room.usage} of ${room.quota} bytes are used`;
    return new WeightError('storage-full', `${where}: the storage that the browser gives this page is full${figures}, ${total ?? 'more'} bytes are needed (delete other models, or pick the files from a disk)`, cause);
  }
  return cause;
}

async function keyOf(url: URL): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(url.href));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** One tab at a time writes a file. */
async function alone<T>(name: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  const locks = typeof navigator === 'undefined' ? undefined : navigator.locks;
  if (locks === undefined) return work();
  return (await locks.request(name, signal === undefined ? {} : { signal }, work)) as T;
}
