// A file system in memory that counts its calls and can fail at any one of them, cut a write short, or lie when read back.

import type { WriterFs, WriterHandle } from '../../weights/writer.ts';

/** What happens at one call. */
export interface Fault {
  /** Which call, from 1. */
  readonly at: number;
  /** Error code to throw. */
  readonly code: string;
  /** Every call from there on fails, as on a dead disk, not only that one. */
  readonly forEver?: boolean;
}

/** The file system. `synced` files and folders survive a power cut. */
export class FaultFs implements WriterFs {
  readonly files = new Map<string, Uint8Array>();
  readonly log: string[] = [];
  calls = 0;
  /** Most bytes one write takes. */
  writeLimit = Infinity;
  /** Changes what is read back. */
  corrupt: ((bytes: Uint8Array) => void) | undefined;
  fault: Fault | undefined;

  private step(what: string): void {
    this.calls++;
    this.log.push(what);
    const { fault } = this;
    if (fault !== undefined && (this.calls === fault.at || (fault.forEver === true && this.calls > fault.at))) throw fail(fault.code, what);
  }

  async open(path: string, flags: string): Promise<WriterHandle> {
    this.step(`open ${flags}`);
    if (flags === 'r') return this.handle(path); // a folder
    if (this.files.has(path)) throw fail('EEXIST', path);
    this.files.set(path, new Uint8Array(0));
    return this.handle(path);
  }

  private handle(path: string): WriterHandle {
    const content = (): Uint8Array => this.files.get(path) ?? new Uint8Array(0);
    let open = true;
    return {
      write: async (buffer, offset, length, position) => {
        this.step('write');
        const taken = Math.min(length, this.writeLimit);
        const grown = new Uint8Array(Math.max(content().length, position + taken));
        grown.set(content());
        grown.set(buffer.subarray(offset, offset + taken), position);
        this.files.set(path, grown);
        return { bytesWritten: taken };
      },
      read: async (buffer, offset, length, position) => {
        this.step('read');
        const part = content().slice(position, position + length);
        this.corrupt?.(part);
        buffer.set(part, offset);
        return { bytesRead: part.length };
      },
      stat: async () => { this.step('fstat'); return { size: content().length }; },
      sync: async () => { this.step('sync'); },
      close: async () => { if (!open) throw fail('EBADF', 'close'); open = false; this.step('close'); },
    };
  }

  async rename(from: string, to: string): Promise<void> {
    this.step('rename');
    const content = this.files.get(from);
    if (content === undefined) throw fail('ENOENT', from);
    this.files.delete(from);
    this.files.set(to, content);
  }

  async unlink(path: string): Promise<void> {
    this.step('unlink');
    if (!this.files.delete(path)) throw fail('ENOENT', path);
  }

  async readdir(dir: string): Promise<string[]> {
    this.step('readdir');
    return [...this.files.keys()].filter((path) => path.startsWith(`${dir}/`)).map((path) => path.slice(dir.length + 1));
  }

  async stat(path: string): Promise<{ mtimeMs: number; isFile(): boolean }> {
    this.step('stat');
    if (!this.files.has(path)) throw fail('ENOENT', path);
    return { mtimeMs: Date.now(), isFile: () => true };
  }
}

function fail(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: injected, ${what}`), { code });
}
