// Training state on disk: one file per save holds weights, moments, averages, step and settings, so that nothing can disagree; the newest whole file wins.
import { openSafetensors } from '../weights/safetensors.ts';
import { removeStaleTemporaries, writeSafetensors } from '../weights/writer.ts';
import type { TensorEntry } from '../weights/writer.ts';

/** A saved state cannot be used. */
export class StateError extends Error {
  override readonly name = 'StateError';
}

export interface TrainingState {
  step: number;
  /** Fingerprint of the settings: a run resumes only with the settings it began with. */
  settings: string;
  /** Weights, `m.<name>`, `v.<name>`, `ema.<name>`: by name, with shape. */
  tensors: ReadonlyMap<string, { shape: readonly number[]; data: Float32Array }>;
}

const KEEP = 2;
const NAME = /^state-(\d{8})\.safetensors$/;

const bytesOf = (data: Float32Array): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** SHA-256 over names, shapes and contents in name order, with step and settings: it travels inside the file. */
async function fingerprint({ step, settings, tensors }: TrainingState): Promise<string> {
  const { createHash } = await import('node:crypto');
  const hash = createHash('sha256').update(JSON.stringify([step, settings]));
  for (const name of [...tensors.keys()].sort()) {
    const { shape, data } = tensors.get(name)!;
    hash.update(JSON.stringify([name, shape])).update(bytesOf(data));
  }
  return hash.digest('hex');
}

/**
 * Writes a state: temporary file, fsync, re-read, rename, fsync of the folder; then removes all but the two newest. A failed save leaves the older ones as they were.
 * Node only.
 * @param folder of the run @param state what to store @returns path of the file @throws WeightError when the disk refuses
 */
export async function saveState(folder: string, state: TrainingState): Promise<string> {
  const { join } = await import('node:path');
  const { mkdir, unlink } = await import('node:fs/promises');
  await mkdir(folder, { recursive: true });
  const entries: TensorEntry[] = [...state.tensors].map(([name, { shape, data }]) => ({ name, dtype: 'F32', shape, bytes: bytesOf(data) }));
  const path = join(folder, `state-${String(state.step).padStart(8, '0')}.safetensors`);
  await writeSafetensors(path, entries, { step: String(state.step), settings: state.settings, sha256: await fingerprint(state) });
  for (const old of (await savedStates(folder)).slice(KEEP)) await unlink(join(folder, old));
  return path;
}

/** Names of the saved states of a run, newest first. Node only. @param folder of the run @returns file names; none when the folder is missing */
export async function savedStates(folder: string): Promise<string[]> {
  const { readdir } = await import('node:fs/promises');
  return (await readdir(folder).catch(() => [] as string[])).filter(f => NAME.test(f)).sort().reverse();
}

async function readState(path: string): Promise<TrainingState> {
  const file = await openSafetensors(path);
  try {
    const tensors = new Map<string, { shape: readonly number[]; data: Float32Array }>();
    for (const name of file.names()) tensors.set(name, { shape: file.info(name).shape, data: await file.readF32(name) });
    const state = { step: Number(file.metadata.get('step')), settings: file.metadata.get('settings') ?? '', tensors };
    if ((await fingerprint(state)) !== file.metadata.get('sha256')) throw new StateError(`resume: ${path} has another SHA-256 than it was written with, expected ${file.metadata.get('sha256')} (the file was damaged)`);
    return state;
  } finally {
    await file.close();
  }
}

/**
 * Reads the newest state that is whole. A damaged one is passed over with a warning; leftovers of a killed save are removed. Node only.
 * @param folder of the run @param settings fingerprint of this run's settings @param warn gets one sentence per damaged file
 * @returns the state, or undefined when there is none @throws StateError when the newest whole state was made with other settings
 */
export async function loadState(folder: string, settings: string, warn: (text: string) => void): Promise<TrainingState | undefined> {
  const { join } = await import('node:path');
  const names = await savedStates(folder);
  if (names.length) await removeStaleTemporaries(folder);
  for (const name of names) {
    const path = join(folder, name);
    const state = await readState(path).catch((error: Error) => warn(`${error.message}; the state before it is used`));
    if (!state) continue;
    if (state.settings !== settings) throw new StateError(`resume: ${path} was made with other settings, expected ${settings}, got ${state.settings}; choose another --out or the old settings`);
    return state;
  }
  return undefined;
}
