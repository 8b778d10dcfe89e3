// All ops of the library with what proves them. A new op is one entry in one group; a new group is one line here.
import type { Proof } from './proof.ts';

/** Every entry, by group. */
export const TABLE: readonly Proof[] = [];
