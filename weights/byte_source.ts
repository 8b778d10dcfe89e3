// The one interface through which bytes are read, and the part that every kind of source shares.

import { reason, WeightError } from './error.ts';

/** Random access to a fixed number of bytes. */
export interface ByteSource {
  /** What is read, for messages. */
  readonly name: string;
  /** Total bytes. */
  readonly size: number;
  /**
   * @param start first byte
   * @param end one past the last
   * @param into filled when given, exactly `end − start` bytes (it may be mapped GPU memory)
   * @returns `into`, or fresh bytes at byteOffset 0 that the caller owns
   */
  read(start: number, end: number, into?: Uint8Array): Promise<Uint8Array>;
  /** Releases what the source holds; reading afterwards is an error. */
  close(): Promise<void>;
}

/** Where replies may come from: the same origin, and a path below this one. */
export interface UrlFence {
  readonly origin: string;
  readonly prefix: string;
}

/** How far a download is, bytes. */
export interface DownloadProgress {
  readonly status: 'download';
  /** The URL. */
  readonly file: string;
  readonly loaded: number;
  /** Undefined while the server does not say it. */
  readonly total: number | undefined;
  /** What was there before this download began: it continues an interrupted one. */
  readonly resumed: number;
  readonly bytesPerSecond: number;
  /** Infinity before the first bytes and without a total. */
  readonly secondsLeft: number;
}

/** Keeps files that were downloaded; see `openUrlCache`. */
export interface UrlStore {
  /**
   * @param url http or https
   * @param options fetch, signal, progress
   * @param fence where the reply may come from after redirects
   * @returns the file, downloaded when it is not kept yet; undefined when there is no such file
   * @throws WeightError `http-…`, `io`, `storage`, `storage-full`, or the signal's reason
   */
  open(url: URL, options: SourceOptions, fence: UrlFence): Promise<ByteSource | undefined>;
}

/** How to reach bytes. */
export interface SourceOptions {
  /** In place of the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** Cancels requests. */
  readonly signal?: AbortSignal;
  /** Where files of URLs are kept; without it they are read by ranges each time. */
  readonly cache?: UrlStore;
  /** Told about downloads into the cache. */
  readonly progress?: (event: DownloadProgress) => void;
}

/** Range checks, allocation, closing and error classes: the same for every kind of source. */
export class CheckedSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  private readonly fill: (start: number, target: Uint8Array) => Promise<void>;
  private readonly release: () => Promise<void>;
  private closed = false;

  /**
   * @param name for messages
   * @param size total bytes
   * @param fill fills the whole target from `start` on
   * @param release frees what is held
   */
  constructor(name: string, size: number, fill: (start: number, target: Uint8Array) => Promise<void>, release: () => Promise<void> = async () => {}) {
    this.name = name;
    this.size = size;
    this.fill = fill;
    this.release = release;
  }

  async read(start: number, end: number, into?: Uint8Array): Promise<Uint8Array> {
    if (this.closed) throw new WeightError('source-closed', `${this.name}: read after close`);
    if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end < start || end > this.size) {
      throw new WeightError('source-range', `${this.name}: range ${start} to ${end}, expected within 0 to ${this.size}`);
    }
    if (into !== undefined && into.length !== end - start) throw new WeightError('target-size', `${this.name}: the target has ${into.length} bytes, expected ${end - start}`);
    try {
      const target = into ?? new Uint8Array(end - start);
      if (target.length > 0) await this.fill(start, target);
      return target;
    } catch (error) {
      if (error instanceof WeightError) throw error;
      throw new WeightError('io', `${this.name}: reading ${end - start} bytes at ${start}: ${reason(error)}`, error);
    }
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.release();
  }
}
