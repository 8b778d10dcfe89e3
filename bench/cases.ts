// All rows of `vl-jepa bench kernels`, and the ops that have none because they run no kernel.
import { ATTENTIONS } from './attentions.ts';
import { PROFILES } from './case.ts';
import type { Case, Profile } from './case.ts';
import { DECODING } from './decoding.ts';
import { LOSSES } from './losses.ts';
import { MOVES } from './moves.ts';
import { PRODUCTS } from './products.ts';
import { ROWS } from './rows.ts';
import { STORED } from './stored.ts';
import { TRAINING } from './training.ts';

export const CASES: readonly Case[] = [...PRODUCTS, ...ATTENTIONS, ...ROWS, ...MOVES, ...LOSSES, ...TRAINING, ...DECODING, ...STORED];

/** Exports of kernels/index.ts without a row, with the reason. */
export const NO_ROW: Readonly<Record<string, string>> = {
  ADAMW_BLOCK: 'a number', NO_BEAM: 'a number', backward: 'runs the gradients that have their own rows', reshape: 'shares the storage, no kernel runs',
  ropeTable1d: 'computed on the CPU in float64', ropeTable3d: 'computed on the CPU in float64', resizeCropNormalize: 'another name of preprocess',
};

/** Rows of a profile, those of the smaller ones included. @param profile name @param only part of an op's name or of its use @returns the rows */
export const casesOf = (profile: Profile, only = ''): Case[] =>
  CASES.filter(c => PROFILES.indexOf(c.profile) <= PROFILES.indexOf(profile) && `${c.op} ${c.pass}, ${c.use}`.toLowerCase().includes(only.toLowerCase()));
