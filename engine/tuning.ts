// What was measured on an adapter, kept between processes: Node reads it from the user's cache folder, a page gets it from its caller. The engine carries the table;
// kernels/matmul_table.ts knows what it says.

/** Measured choices of one adapter and driver. */
export interface TuningTable {
  /** Hash of the kernels that were measured; others make the table stale. */
  readonly kernels: string;
  /** By `m x n x k`: tile and parts of k. */
  readonly shapes: Readonly<Record<string, { readonly tile: string; readonly splits: number }>>;
  /** By class of shape: tile, and workgroups until which k is cut. */
  readonly classes: Readonly<Record<string, { readonly tile: string; readonly groups: number }>>;
}

/** The file: a table per adapter and driver. */
export interface TuningFile { readonly format: 1; readonly adapters: Readonly<Record<string, TuningTable>> }

/** A tuning file that cannot be used. Never thrown by openDevice: it warns, and the shipped table is used. */
export class TuningWarning extends Error {
  override readonly name = 'TuningWarning';
}

/** Whom a measurement belongs to. @param info of the adapter @returns vendor, architecture, device, description and driver in one text */
export function tuningKey(info: GPUAdapterInfo): string {
  return [info.vendor, info.architecture, info.device, info.description, (info as { driver?: string }).driver].filter(Boolean).join(' | ') || 'unnamed adapter';
}

/** Where the file lies: $XDG_CACHE_HOME or ~/.cache, vl-jepa/tuning.json (Node only). @returns path */
export async function tuningPath(): Promise<string> {
  const [{ join }, { homedir }] = [await import('node:path'), await import('node:os')];
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'vl-jepa', 'tuning.json');
}

const plain = (x: unknown): x is Record<string, unknown> => typeof x === 'object' && x !== null && !Array.isArray(x);
const entries = (x: unknown, count: string): boolean => plain(x) && Object.values(x).every(e => plain(e) && typeof e.tile === 'string' && Number.isInteger(e[count]) && (e[count] as number) >= 1);

/** Reads a table that somebody gave. @param x anything @param where for the message @returns the table @throws TuningWarning when it is none */
export function checkTuning(x: unknown, where: string): TuningTable {
  if (!plain(x) || typeof x.kernels !== 'string' || !entries(x.shapes, 'splits') || !entries(x.classes, 'groups')) {
    throw new TuningWarning(`${where}: it is no tuning table, expected {kernels, shapes: {"MxNxK": {tile, splits}}, classes: {NAME: {tile, groups}}}`);
  }
  return x as unknown as TuningTable;
}

/**
 * Parses a tuning file.
 * @param text JSON @param path for the message @returns the file @throws TuningWarning when it is none
 */
export function parseTuning(text: string, path: string): TuningFile {
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch (cause) {
    throw new TuningWarning(`${path}: it is no JSON (${(cause as Error).message}), expected a tuning file; run vl-jepa bench tune again, or delete it`);
  }
  if (!plain(file) || file.format !== 1 || !plain(file.adapters)) throw new TuningWarning(`${path}: it is no tuning file, expected {format: 1, adapters}; run vl-jepa bench tune again, or delete it`);
  for (const [name, table] of Object.entries(file.adapters)) checkTuning(table, `${path}: adapter ${name}`);
  return file as unknown as TuningFile;
}

/**
 * The table of an adapter from the user's cache folder, in Node; `VL_JEPA_TUNING=off` ignores it. A broken file is a warning on stderr.
 * @param info of the adapter @returns the table, or undefined where there is none
 */
export async function loadTuning(info: GPUAdapterInfo): Promise<TuningTable | undefined> {
  if (typeof process === 'undefined' || !process.versions?.node || process.env.VL_JEPA_TUNING === 'off') return undefined;
  const path = await tuningPath();
  const { readFile } = await import('node:fs/promises');
  try {
    return parseTuning(await readFile(path, 'utf8'), path).adapters[tuningKey(info)];
  } catch (cause) {
    if ((cause as { code?: string }).code === 'ENOENT') return undefined;
    process.emitWarning(cause instanceof TuningWarning ? cause : new TuningWarning(`${path}: it could not be read (${(cause as Error).message})`));
    return undefined;
  }
}

/**
 * Keeps a table for an adapter, beside those of others; a broken file is replaced.
 * @param key from tuningKey @param table what was measured @returns the path that was written
 */
export async function storeTuning(key: string, table: TuningTable): Promise<string> {
  const path = await tuningPath();
  const [{ mkdir, readFile, rename, writeFile }, { dirname }] = [await import('node:fs/promises'), await import('node:path')];
  let adapters: Readonly<Record<string, TuningTable>> = {};
  try {
    ({ adapters } = parseTuning(await readFile(path, 'utf8'), path));
  } catch (cause) {
    if (!(cause instanceof TuningWarning) && (cause as { code?: string }).code !== 'ENOENT') throw cause;
  }
  await mkdir(dirname(path), { recursive: true });
  const file: TuningFile = { format: 1, adapters: { ...adapters, [key]: table } };
  await writeFile(`${path}.new`, `${JSON.stringify(file, null, 1)}\n`);
  await rename(`${path}.new`, path); // whole or not at all
  return path;
}
