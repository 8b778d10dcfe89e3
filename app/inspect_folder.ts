/** Which checkpoint a path means, for `vl-jepa inspect`: one file, an index with its shards, a folder of the hub, or a folder of safetensors files (Node only). */
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { reason, WeightError } from '../weights/error.ts';
import { checkFileName, folderSource } from '../weights/folder.ts';
import { HEADER_LIMIT } from '../weights/header.ts';
import { openCheckpoint, openIndex, openSafetensors } from '../weights/safetensors.ts';
import type { Safetensors } from '../weights/safetensors.ts';

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
const INDEX_ENDING = '.safetensors.index.json';

/** What lies at a path. */
export interface Place {
  readonly kind: 'file' | 'index' | 'folder';
  /** Names in the folder; of a file, none. */
  readonly names: ReadonlySet<string>;
}

/**
 * @param path untrusted
 * @returns what is there
 * @throws WeightError when there is nothing, or neither a file nor a folder
 */
export async function placeOf(path: string): Promise<Place> {
  try {
    const what = await stat(path);
    if (what.isDirectory()) return { kind: 'folder', names: new Set(await readdir(path)) };
    if (what.isFile()) return { kind: path.endsWith(INDEX_ENDING) ? 'index' : 'file', names: new Set() };
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') throw new WeightError('source-missing', `${path}: there is no such file or folder`);
    throw new WeightError('io', `${path}: ${reason(error)}`, error);
  }
  throw new WeightError('source-type', `${path}: this is no regular file and no folder`);
}

/**
 * Opens one file, or the shards of an index file, as loading does.
 *
 * @param path of the file
 * @param kind as {@link placeOf} says
 */
export async function openFileOrIndex(path: string, kind: 'file' | 'index'): Promise<Safetensors> {
  return kind === 'file' ? openSafetensors(path) : openIndex(dirname(path), basename(path));
}

/**
 * Opens a folder without a config.json: a checkpoint under the usual names, indexes under other names, or every safetensors file.
 *
 * @param path of the folder
 * @param names in it
 * @returns each checkpoint; close them after use
 * @throws WeightError `checkpoint-missing` when there is none
 */
export async function openLooseFolder(path: string, names: ReadonlySet<string>): Promise<Safetensors[]> {
  if (names.has(SINGLE) || names.has(INDEX)) return [await openCheckpoint(folderSource(path))];
  const sorted = [...names].sort();
  const opened: Safetensors[] = [];
  try {
    const taken = new Set<string>();
    let left = HEADER_LIMIT;
    const keep = (checkpoint: Safetensors): void => {
      opened.push(checkpoint);
      left -= checkpoint.headerBytes;
      for (const file of checkpoint.files) taken.add(basename(file));
    };
    for (const name of sorted.filter((n) => n.endsWith(INDEX_ENDING))) keep(await openIndex(path, name, { headerLimit: left }));
    for (const name of sorted.filter((n) => n.endsWith('.safetensors'))) {
      if (!taken.has(name)) keep(await openNamed(path, name, left));
    }
  } catch (error) {
    for (const checkpoint of opened) await checkpoint.close();
    throw error;
  }
  if (opened.length === 0) throw new WeightError('checkpoint-missing', `${path}: the folder has neither config.json nor a .safetensors file, expected a checkpoint`);
  return opened;
}

/** A file of the folder itself: the name was listed, not read from a file, so it may have any characters. */
async function openNamed(path: string, name: string, headerLimit: number): Promise<Safetensors> {
  if (!isPlain(name)) return openSafetensors(join(path, name), { headerLimit });
  const source = await folderSource(path).open(name);
  if (source === undefined) throw new WeightError('source-missing', `${path}/${name}: the file is gone, or a link to nothing`);
  return openSafetensors(source, { headerLimit });
}

function isPlain(name: string): boolean {
  try {
    return checkFileName(name).length === 1;
  } catch {
    return false; // only its characters are judged here
  }
}
