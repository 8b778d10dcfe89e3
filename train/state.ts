// Training state on disk: one file per save holds weights, moments, averages, step and settings, so that nothing can disagree; the newest whole file wins.
import { openSafetensors } from '../weights/safetensors.ts';
import { removeStaleTemporaries, writeSafetensors } from '../weights/writer.ts';
import type { TensorEntry, WriteOptions } from '../weights/writer.ts';

/** A saved state cannot be used. */
export class StateError extends Error {
  override readonly name = 'StateError';
}

export interface TrainingState {
  step: number;
  /** Fingerprint of the settings: a run resumes only with the settings it began with. */
  settings: string;
  /** Weights, `m.<name>`, `v.<name>`, `rest.<name>`, `ema.<name>`: by name, with shape. */
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
 * Writes a state: temporary file, fsync, re-read, rename, fsync of the folder; then removes all but this one and the one before it. A failed save leaves the
 * older ones as they were. States of later steps go too: they are damaged ones that were passed over, and would outlive every good one.
 * Node only.
 * @param folder of the run @param state what to store @param options file system to write with @returns path of the file @throws WeightError when the disk refuses
 */
export async function saveState(folder: string, state: TrainingState, options: WriteOptions = {}): Promise<string> {
  const { join } = await import('node:path');
  const { mkdir, unlink } = await import('node:fs/promises');
  await mkdir(folder, { recursive: true });
  const entries: TensorEntry[] = [...state.tensors].map(([name, { shape, data }]) => ({ name, dtype: 'F32', shape, bytes: bytesOf(data) }));
  const name = `state-${String(state.step).padStart(8, '0')}.safetensors`;
  const path = join(folder, name);
  await writeSafetensors(path, entries, { step: String(state.step), settings: state.settings, sha256: await fingerprint(state) }, options);
  const names = await savedStates(folder);
  const kept = names.slice(names.indexOf(name)).slice(0, KEEP);
  for (const other of names) if (!kept.includes(other)) await unlink(join(folder, other));
  return path;
}

/** Names of the saved states of a run, newest first. Node only. @param folder of the run @returns file names; none when the folder is missing */
export async function savedStates(folder: string): Promise<string[]> {
  const { readdir } = await import('node:fs/promises');
  return (await readdir(folder).catch(() => [] as string[])).filter(f => NAME.test(f)).sort().reverse();
}

/** The fields in which two fingerprints differ, for people. */
function changes(then: string, now: string): string {
  const [before, after] = [then, now].map(text => JSON.parse(text || '{}') as Record<string, unknown>) as [Record<string, unknown>, Record<string, unknown>];
  const show = (value: unknown): string => {
    const text = JSON.stringify(value) ?? 'nothing';
    return text.length > 60 ? `${text.slice(0, 57)}...` : text;
  };
  const fields = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(f => JSON.stringify(before[f]) !== JSON.stringify(after[f]));
  return fields.map(f => `${f} was ${show(before[f])} and is ${show(after[f])}`).join(', ') || 'another order of fields';
}

/** Removes every saved state and what killed saves left behind: the run begins again. Node only. @param folder of the run @returns nothing */
export async function clearStates(folder: string): Promise<void> {
  const { join } = await import('node:path');
  const { unlink } = await import('node:fs/promises');
  for (const name of await savedStates(folder)) await unlink(join(folder, name));
  await removeLeftovers(folder);
}

async function removeLeftovers(folder: string): Promise<void> {
  const { access } = await import('node:fs/promises');
  if (await access(folder).then(() => true, () => false)) await removeStaleTemporaries(folder);
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
  await removeLeftovers(folder);
  for (const name of await savedStates(folder)) {
    const path = join(folder, name);
    const state = await readState(path).catch((error: Error) => {
      warn(`${error.message}; the state before it is used`);
      return undefined;
    });
    if (!state) continue;
    if (state.settings !== settings) throw new StateError(`resume: ${path} was made with other settings (${changes(state.settings, settings)}), expected those of this run; choose another --out or the old settings`);
    return state;
  }
  return undefined;
}
