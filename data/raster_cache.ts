// Node only: a cache of drawn pictures on disk. A file is a line of JSON and then the bytes.

interface CacheHeader {
  keys: string[];
  /** SHA-256 of the bytes after the line, hexadecimal */
  sha256: string;
}

/**
 * Where pictures are kept: `.cache/e4` of the repository, or `$XDG_CACHE_HOME/vl-jepa/e4` (`~/.cache` when unset) when the
 * module lies in a `node_modules` folder.
 * @returns absolute path of the folder
 */
export async function cacheFolder(): Promise<string> {
  const { fileURLToPath } = await import('node:url');
  const { existsSync } = await import('node:fs');
  const { dirname, join } = await import('node:path');
  let folder = dirname(fileURLToPath(import.meta.url));
  if (!folder.includes('node_modules')) {
    for (; dirname(folder) !== folder; folder = dirname(folder)) {
      if (existsSync(join(folder, 'package.json'))) return join(folder, '.cache', 'e4');
    }
  }
  const { homedir } = await import('node:os');
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'vl-jepa', 'e4');
}

async function digest(bytes: Uint8Array): Promise<string> {
  const { createHash } = await import('node:crypto');
  return createHash('sha256').update(bytes).digest('hex');
}

/**
 * Reads cached pictures. A file that is damaged or belongs to another list is reported as a warning and not used: the
 * pictures are drawn again, which gives the same bytes.
 * @param name of the cache entry
 * @param keys [n] concepts expected in it, in order
 * @param length bytes expected
 * @returns the bytes, or undefined when there is no good file
 */
export async function readCache(name: string, keys: readonly string[], length: number): Promise<Uint8Array | undefined> {
  const { readFile } = await import('node:fs/promises');
  const { join } = await import('node:path');
  const path = join(await cacheFolder(), `${name}.bin`);
  const file = await readFile(path).catch(() => undefined);
  if (file === undefined) return undefined;
  const line = file.indexOf(10);
  const bytes = new Uint8Array(file.buffer, file.byteOffset + line + 1, file.byteLength - line - 1);
  const header = parseHeader(file.toString('utf8', 0, Math.max(line, 0)));
  if (header && header.keys.join() === keys.join() && bytes.length === length && header.sha256 === (await digest(bytes))) {
    return bytes;
  }
  process.emitWarning(`loadArtist: ${path} is damaged or of another list; the pictures are drawn again`);
  return undefined;
}

function parseHeader(text: string): CacheHeader | undefined {
  try {
    const header = JSON.parse(text) as CacheHeader;
    return Array.isArray(header?.keys) ? header : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Writes pictures to the cache: to a file of its own first, then renamed, so that no reader sees half a file. A folder
 * that cannot be written costs a warning, not the pictures.
 * @param name of the cache entry
 * @param keys [n] concepts in it
 * @param bytes the pictures
 */
export async function writeCache(name: string, keys: readonly string[], bytes: Uint8Array): Promise<void> {
  const { mkdir, rename, rm, writeFile } = await import('node:fs/promises');
  const { join } = await import('node:path');
  const { randomUUID } = await import('node:crypto');
  const folder = await cacheFolder();
  const part = join(folder, `${name}.${randomUUID()}.part`);
  try {
    await mkdir(folder, { recursive: true });
    const header: CacheHeader = { keys: [...keys], sha256: await digest(bytes) };
    await writeFile(part, [new TextEncoder().encode(`${JSON.stringify(header)}\n`), bytes]);
    await rename(part, join(folder, `${name}.bin`));
  } catch (cause) {
    await rm(part, { force: true }).catch(() => undefined);
    process.emitWarning(`loadArtist: the pictures could not be kept in ${folder} (${String(cause)}); they will be drawn again next time`);
  }
}
