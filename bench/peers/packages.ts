// Which packages are compared, and whether they are there: before anything is opened.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { PeerError } from './library.ts';

/** Package of each peer, and what it stands on. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = { tfjs: ['@tensorflow/tfjs-backend-webgpu', '@tensorflow/tfjs-core'], 'onnxruntime-web': ['onnxruntime-web'], 'jax-js': ['@jax-js/jax'] };

/** Version of an installed package; its `exports` may hide package.json from require. */
function versionOf(name: string, folders: readonly string[]): string {
  const folder = folders.find(f => existsSync(join(f, name, 'package.json')));
  if (!folder) throw new PeerError(`bench peers: package ${name} is not installed, expected the development dependencies of this repository (npm install without --omit=dev)`);
  return (JSON.parse(readFileSync(join(folder, name, 'package.json'), 'utf8')) as { version: string }).version;
}

/**
 * Versions of what is compared.
 * @param folders where packages are looked for, default those of Node @returns version by library, this project's among them @throws PeerError when a package is not installed
 */
export function versionsOf(folders: readonly string[] = createRequire(import.meta.url).resolve.paths('x')!): Record<string, string> {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string };
  return { 'vl-jepa': version, ...Object.fromEntries(Object.entries(PACKAGES).map(([library, names]) => [library, names.map(n => versionOf(n, folders))[0]!])) };
}
