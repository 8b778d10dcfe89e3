// A folder of named files, wherever it lives: a directory, a base URL, files picked in a page, a map of bytes. Names may come from a file
// (a shard index, a modules list), so every name is checked first, and what it resolves to is checked again.

import type { ByteSource, SourceOptions } from './byte_source.ts';
import { quote, reason, WeightError } from './error.ts';
import { isDeviceName } from './index_file.ts';
import { blobSource, isMissing, isNode, memorySource, openFile, resolvePlace } from './source.ts';
import { fetchWhole, openUrl } from './url_source.ts';
import { decodeText } from './utf8.ts';

const TEXT_LIMIT = 64 * 1024 * 1024; // the largest tokenizer.json in use has about 33 MB

/** A folder of named files. Names are relative, `/`-separated, of letters, digits, `.`, `_`, `-`. */
export interface FolderSource {
  /** Where it is, for messages. */
  readonly name: string;
  /**
   * @param name file name, perhaps in a subfolder
   * @returns the bytes, undefined when there is no such file
   * @throws WeightError `name-unsafe`, `outside-folder`, `io`, `http-…`
   */
  open(name: string): Promise<ByteSource | undefined>;
  /**
   * @param name file name, perhaps in a subfolder
   * @returns the whole file as strict UTF-8, undefined when there is no such file
   * @throws WeightError as `open`, and `utf8`, `bom`, `text-too-large`
   */
  readText(name: string): Promise<string | undefined>;
  /**
   * @returns the names in the folder, undefined where it cannot be listed (a URL)
   * @throws WeightError `io`
   */
  names?(): Promise<readonly string[] | undefined>;
  /**
   * @param name subfolder
   * @returns the folder below; escaping it is refused exactly as for this one
   */
  sub(name: string): FolderSource;
}

/** A file of a folder that is in memory or was picked in a page. */
export type FileContent = Blob | ArrayBuffer | Uint8Array;

/** What {@link folderSource} takes: a directory path or base URL, a map or record of name → content, the files that a page's picker gave, a directory handle of a page, or a folder. */
export type FolderInput = string | URL | readonly File[] | ReadonlyMap<string, FileContent> | Readonly<Record<string, FileContent>> | FileSystemDirectoryHandle | FolderSource;

/** Opens checked names; the rest of a {@link FolderSource} is the same for all kinds. */
interface Place {
  readonly name: string;
  open(name: string): Promise<ByteSource | undefined>;
  readWhole?(name: string): Promise<Uint8Array | undefined>;
  /** Names in a subfolder, '' or ending in `/`; none where it is not there. */
  list?(prefix: string): Promise<readonly string[] | undefined>;
}

/**
 * Makes a folder of what holds files. Nothing is touched before the first `open` or `readText`.
 *
 * @param input directory path, base URL, map or record, picked files, directory handle, or a folder, which is returned as it is
 * @param options how to reach it
 * @returns the folder
 * @throws WeightError `source-type`
 */
export function folderSource(input: FolderInput, options: SourceOptions = {}): FolderSource {
  if (typeof input === 'string' || input instanceof URL) {
    const place = resolvePlace(input);
    return new CheckedFolder(typeof place === 'string' ? directory(place) : baseUrl(place, options), '');
  }
  if (typeof input !== 'object' || input === null) throw new WeightError('source-type', 'folderSource: expected a path, URL, Map, record, directory handle or FolderSource');
  if (Array.isArray(input)) return new CheckedFolder(files(pickedFiles(input as readonly File[])), '');
  if (input instanceof Map) return new CheckedFolder(files(input as ReadonlyMap<string, FileContent>), '');
  if ('getFileHandle' in input && typeof input.getFileHandle === 'function') return new CheckedFolder(handleFolder(input as FileSystemDirectoryHandle), '');
  if ('readText' in input && typeof input.readText === 'function') return input as FolderSource;
  return new CheckedFolder(files(new Map(Object.entries(input as Readonly<Record<string, FileContent>>))), '');
}

/**
 * Refuses every name that could mean anything but a file below the folder, on any system.
 *
 * @param name untrusted
 * @param where the folder, for messages
 * @returns the segments
 * @throws WeightError `name-unsafe`
 */
export function checkFileName(name: string, where = 'folder'): string[] {
  const segments = name.split('/');
  for (const segment of segments) {
    const plain = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}$/.test(segment) && !segment.endsWith('.'); // Windows drops a final dot
    if (!plain || isDeviceName(segment)) throw new WeightError('name-unsafe', `${where}: ${quote(name)} is no plain relative file name`);
  }
  return segments;
}

class CheckedFolder implements FolderSource {
  readonly name: string;
  private readonly place: Place;
  private readonly prefix: string;

  constructor(place: Place, prefix: string) {
    this.place = place;
    this.prefix = prefix;
    this.name = prefix === '' ? place.name : `${place.name.replace(/\/$/, '')}/${prefix.slice(0, -1)}`;
  }

  async open(name: string): Promise<ByteSource | undefined> {
    checkFileName(name, this.name);
    return this.place.open(this.prefix + name);
  }

  async readText(name: string): Promise<string | undefined> {
    checkFileName(name, this.name);
    const where = `${this.name}/${name}`;
    const bytes = this.place.readWhole === undefined ? await this.readAll(name, where) : await this.place.readWhole(this.prefix + name);
    return bytes === undefined ? undefined : decodeText(bytes, where);
  }

  private async readAll(name: string, where: string): Promise<Uint8Array | undefined> {
    const source = await this.place.open(this.prefix + name);
    if (source === undefined) return undefined;
    try {
      if (source.size > TEXT_LIMIT) throw new WeightError('text-too-large', `${where}: ${source.size} bytes, limit ${TEXT_LIMIT}`);
      return await source.read(0, source.size);
    } finally {
      await source.close();
    }
  }

  async names(): Promise<readonly string[] | undefined> {
    return this.place.list?.(this.prefix);
  }

  sub(name: string): FolderSource {
    checkFileName(name, this.name);
    return new CheckedFolder(this.place, `${this.prefix}${name}/`);
  }
}

/** A directory. The real path, after all symbolic links, must stay inside it, or be a blob of the same hub cache entry. */
function directory(path: string): Place {
  if (!isNode) throw new WeightError('node-only', `folder: ${quote(path)} is a directory path, and a page has no directories`);
  return {
    name: path,
    async open(name) {
      const [{ realpath }, { join, sep }] = await Promise.all([import('node:fs/promises'), import('node:path')]);
      let root: string;
      let real: string;
      try {
        root = await realpath(path);
        real = await realpath(join(root, name));
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw new WeightError('io', `folder: ${path}/${name}: ${reason(error)}`, error);
      }
      const inside = real.startsWith(root.endsWith(sep) ? root : root + sep);
      if (!inside && !isHubBlob(root, real)) throw new WeightError('outside-folder', `folder: ${path}/${name} is a link that leads out of the folder`);
      return openFile(real); // the path that was checked, not the one that was asked for
    },
    async list(prefix) {
      const { readdir } = await import('node:fs/promises');
      try {
        return await readdir(`${path}/${prefix}`);
      } catch (error) {
        if (isMissing(error)) return [];
        throw new WeightError('io', `folder: ${path}/${prefix}: ${reason(error)}`, error);
      }
    },
  };
}

/** The hub cache links `<repository>/snapshots/<revision>/<name>` to `<repository>/blobs/<hash>`. */
function isHubBlob(root: string, real: string): boolean {
  const snapshot = /^(.*)\/snapshots\/[^/]+(?:\/.*)?$/s.exec(root.replaceAll('\\', '/'));
  const blob = /^(.*)\/blobs\/[0-9a-fA-F]{40,64}$/s.exec(real.replaceAll('\\', '/'));
  return snapshot !== null && blob !== null && snapshot[1] === blob[1];
}

/** A base URL. What a name resolves to must have the same origin and lie below the base's path, redirects included. */
function baseUrl(url: URL, options: SourceOptions): Place {
  if (url.search !== '' || url.hash !== '') throw new WeightError('source-type', `folder: ${quote(url.href)} has a query or fragment, expected a plain base URL`);
  const base = new URL(url.href.endsWith('/') ? url.href : `${url.href}/`);
  const fence = { origin: base.origin, prefix: base.pathname };
  const resolve = (name: string): URL => {
    const target = new URL(name, base);
    if (target.origin !== fence.origin || !target.pathname.startsWith(fence.prefix)) throw new WeightError('outside-folder', `folder: ${quote(name)} resolves to ${quote(target.href)}, outside ${base.href}`);
    return target;
  };
  return {
    name: base.href,
    open: async (name) => openUrl(resolve(name), options, fence),
    ...(options.cache === undefined ? { readWhole: async (name: string) => fetchWhole(resolve(name), options, fence, TEXT_LIMIT) } : {}), // plain GET: small files are often served without ranges
  };
}

/** Files of `<input type="file" multiple>` by name, of `<input webkitdirectory>` by their path below the folder that was picked. */
function pickedFiles(list: readonly File[]): ReadonlyMap<string, FileContent> {
  const map = new Map<string, FileContent>();
  for (const file of list) {
    if (!(file instanceof Blob)) throw new WeightError('source-type', 'folderSource: an item of the list is no File');
    const path = 'webkitRelativePath' in file ? file.webkitRelativePath : '';
    const name = path.includes('/') ? path.slice(path.indexOf('/') + 1) : file.name;
    if (map.has(name)) throw new WeightError('source-type', `folderSource: two files are called ${quote(name)}, expected names that differ (pick the folder instead of its files)`);
    map.set(name, file);
  }
  return map;
}

/** Files by name. */
function files(map: ReadonlyMap<string, FileContent>): Place {
  return {
    name: 'files',
    async open(name) {
      const content = map.get(name);
      if (content === undefined) return undefined;
      if (content instanceof Blob) return blobSource(content, name);
      if (content instanceof ArrayBuffer) return memorySource(new Uint8Array(content), name);
      if (content instanceof Uint8Array) return memorySource(content, name);
      throw new WeightError('source-type', `folder: ${quote(name)} is neither Blob, ArrayBuffer nor Uint8Array`);
    },
    list: async (prefix) => [...map.keys()].filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length)),
  };
}

/** A folder picked in a page, or of the origin's private file system. */
function handleFolder(handle: FileSystemDirectoryHandle): Place {
  return {
    name: handle.name === '' ? 'folder' : handle.name,
    async open(name) {
      const segments = name.split('/');
      const last = segments.pop() ?? '';
      try {
        let at = handle;
        for (const segment of segments) at = await at.getDirectoryHandle(segment);
        return blobSource(await (await at.getFileHandle(last)).getFile(), name);
      } catch (error) {
        const kind = (error as { name?: unknown } | undefined)?.name;
        if (kind === 'NotFoundError' || kind === 'TypeMismatchError') return undefined;
        throw new WeightError('io', `folder: ${quote(name)}: ${reason(error)}`, error);
      }
    },
    async list(prefix) {
      const names: string[] = [];
      try {
        let at = handle as FileSystemDirectoryHandle & { keys?(): AsyncIterable<string> }; // not in the DOM library of this compiler
        for (const segment of prefix.split('/').slice(0, -1)) at = await at.getDirectoryHandle(segment);
        if (at.keys === undefined) return undefined;
        for await (const name of at.keys()) names.push(name);
      } catch (error) {
        if ((error as { name?: unknown } | undefined)?.name !== 'NotFoundError') throw new WeightError('io', `folder: ${quote(prefix)}: ${reason(error)}`, error);
      }
      return names;
    },
  };
}
