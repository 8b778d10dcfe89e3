/** How the three networks of a joint model are named, apart from the code that loads them. */
import type { FolderInput } from '../weights/folder.ts';

/** The folders of the three networks, in the hub's layout. */
export interface Backbones {
  readonly vision: FolderInput;
  readonly predictor: FolderInput;
  readonly text: FolderInput;
}

/**
 * Fields of our config.json beside the three networks' own. Without them: the paper's 1536 dimensions, the last 8 layers of the predictor (all of a smaller one), and the Dense pair of
 * the text folder where it has one.
 */
export type JointFields = Readonly<Record<string, unknown>>;

/** @param source what `VLJEPA.fromPretrained` was given @returns whether it names three folders, and is no folder itself */
export function isThreeFolders(source: unknown): source is Backbones {
  if (typeof source !== 'object' || source === null || source instanceof Map || Array.isArray(source)) return false;
  const names = Object.keys(source).sort();
  return names.join() === 'predictor,text,vision';
}
