// A page's private file system in memory, with a quota: what is written counts when the writer is closed, as in the real one.

const fault = (name: string): DOMException => new DOMException(name, name);

/** A folder of files. */
export class MemoryFolder {
  readonly files = new Map<string, Uint8Array<ArrayBuffer>>();
  private readonly folders = new Map<string, MemoryFolder>();
  private readonly shared: { quota: number };

  /** @param shared bytes that all files together may take */
  constructor(shared: { quota: number } = { quota: Infinity }) {
    this.shared = shared;
  }

  /** Changes how much fits. @param quota bytes */
  setQuota(quota: number): void {
    this.shared.quota = quota;
  }

  async getDirectoryHandle(name: string): Promise<MemoryFolder> {
    const folder = this.folders.get(name) ?? new MemoryFolder(this.shared);
    this.folders.set(name, folder);
    return folder;
  }

  async getFileHandle(name: string, { create = false } = {}): Promise<object> {
    if (!this.files.has(name)) {
      if (!create) throw fault('NotFoundError');
      this.files.set(name, new Uint8Array(0));
    }
    return { getFile: async () => new File([this.files.get(name)!], name), createWritable: async (options: { keepExistingData: boolean }) => this.writable(name, options.keepExistingData) };
  }

  private writable(name: string, keep: boolean): object {
    let bytes: number[] = keep ? [...this.files.get(name)!] : [];
    let at = 0;
    return {
      seek: async (to: number) => { at = to; },
      write: async (part: Uint8Array) => {
        if (this.used() + bytes.length + part.length > this.shared.quota) throw fault('QuotaExceededError');
        bytes = [...bytes.slice(0, at), ...part, ...bytes.slice(at + part.length)];
        at += part.length;
      },
      close: async () => { this.files.set(name, Uint8Array.from(bytes)); },
    };
  }

  private used(): number {
    let sum = 0;
    for (const bytes of this.files.values()) sum += bytes.length;
    return sum;
  }

  async removeEntry(name: string): Promise<void> {
    if (!this.files.delete(name)) throw fault('NotFoundError');
  }

  async *keys(): AsyncGenerator<string> {
    yield* [...this.files.keys()];
  }
}
