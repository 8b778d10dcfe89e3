// All ops of the library with what proves them. A new op is one entry in one group; a new group is one line here.
import type { Proof } from './proof.ts';
import { PROOFS as attention } from './table/attention.ts';
import { PROOFS as decoding } from './table/decoding.ts';
import { PROOFS as elementwise } from './table/elementwise.ts';
import { PROOFS as losses } from './table/losses.ts';
import { PROOFS as moves } from './table/moves.ts';
import { PROOFS as newLosses } from './table/new_losses.ts';
import { PROOFS as products } from './table/products.ts';
import { PROOFS as rowGroups } from './table/row_groups.ts';
import { PROOFS as rows } from './table/rows.ts';
import { PROOFS as selection } from './table/selection.ts';
import { PROOFS as storage } from './table/storage.ts';
import { PROOFS as sums } from './table/sums.ts';
import { PROOFS as training } from './table/training.ts';
import { PROOFS as variants } from './table/variants.ts';

/** Every entry, by group. */
export const TABLE: readonly Proof[] = [...elementwise, ...rows, ...rowGroups, ...moves, ...sums, ...products, ...attention, ...losses, ...newLosses, ...training, ...decoding, ...selection, ...storage, ...variants];
