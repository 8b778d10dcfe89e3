// Which weights a folder holds, in one or in many files: figures of other weights are not shown for these.
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkFileName } from '../weights/folder.ts';
import { CliError } from './errors.ts';

/** The weight files of a folder: those that its index names, in order of their names, else the one file; none where there is neither. */
async function weightFiles(folder: string): Promise<string[]> {
  const index = await readFile(join(folder, 'model.safetensors.index.json'), 'utf8').catch(() => undefined);
  if (index === undefined) return access(join(folder, 'model.safetensors')).then(() => ['model.safetensors'], () => []);
  const { weight_map: map } = JSON.parse(index) as { weight_map: Record<string, string> };
  const files = [...new Set(Object.values(map))].sort();
  for (const file of files) checkFileName(file, folder);
  return files;
}

async function addFolder(hash: Hash, folder: string): Promise<number> {
  const files = await weightFiles(folder);
  for (const file of files) for await (const bytes of createReadStream(join(folder, file))) hash.update(bytes as Buffer);
  return files.length;
}

/**
 * SHA-256 of a checkpoint's weights and, where it has one, of its decoder's: of all shards where they lie in many files.
 * @param folder of the checkpoint @returns 64 hexadecimal digits @throws CliError where there are no weights
 */
export async function weightsDigest(folder: string): Promise<string> {
  const hash = createHash('sha256');
  if ((await addFolder(hash, folder)) === 0) throw new CliError(`model: ${folder} has no weights, expected model.safetensors, or model.safetensors.index.json with its shards`);
  await addFolder(hash, join(folder, 'decoder'));
  return hash.digest('hex');
}
