import { access } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CliError } from './errors.ts';

/** Folder of the package: two levels above the compiled file. */
export const PACKAGE_ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** Checkpoints that ship: after stage 1, which knows still pictures best, and after stage 2, which knows questions and clips and has a text decoder. */
export type Shipped = 'nano' | 'nano2';

/** The checkpoint folder that was asked for, or one that ships. @throws CliError when there is no config.json in it */
export async function checkpointFolder(folder: string | undefined, shipped: Shipped = 'nano'): Promise<string> {
  const path = folder ?? join(PACKAGE_ROOT, 'checkpoints', shipped);
  await access(join(path, 'config.json')).catch(() => {
    throw new CliError(`model: ${path} has no config.json, expected a VL-JEPA checkpoint folder`);
  });
  return path;
}

/** Short name of a path for people. */
export const shortPath = (path: string): string => {
  const short = relative(process.cwd(), path);
  return short && !short.startsWith('..') ? short : path;
};
