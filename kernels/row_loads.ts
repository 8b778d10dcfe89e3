// How the kernels that walk rows load them: four floats at once where the row length allows it.

import type { Device } from '../engine/device.ts';
import type { DispatchOptions } from '../engine/dispatch.ts';

/** Options of a dispatch whose WGSL file declares `override WIDTH` and leaves `alias Elem` (floats; ElemU and ElemI: whole numbers) to the header. */
export interface RowLoads {
  readonly header: string;
  readonly constants: Record<string, number>;
  /** Floats per load. */
  readonly width: number;
}

const SCALAR: RowLoads = { header: 'alias Elem = f32;\nalias ElemU = u32;\nalias ElemI = i32;\n', constants: { WIDTH: 1 }, width: 1 };
const VECTOR: RowLoads = { header: 'alias Elem = vec4f;\nalias ElemU = vec4u;\nalias ElemI = vec4i;\n', constants: { WIDTH: 4 }, width: 4 };

/** Rows stay aligned to 16 bytes only when their length is a multiple of four floats. @param cols floats per row @returns header and constants for `dispatch` */
export const rowLoads = (cols: number): RowLoads => (cols % 4 === 0 ? VECTOR : SCALAR);

type RowOptions = Required<Pick<DispatchOptions, 'header' | 'constants'>>;
const MADE = new Map<RowLoads, Map<number, RowOptions>>([[SCALAR, new Map()], [VECTOR, new Map()]]);

/** The options of such a dispatch where WG is its only other override; one object for each, so that the dispatcher knows it again at a glance. @param loads of the rows @param wg invocations per workgroup @returns header and constants */
export function rowOptions(loads: RowLoads, wg: number): RowOptions {
  const made = MADE.get(loads)!;
  let found = made.get(wg);
  if (!found) made.set(wg, found = { header: loads.header, constants: { ...loads.constants, WG: wg } });
  return found;
}

/** Workgroups that cover a count of invocations. @param invocations how many @param groupSize invocations per workgroup @returns ⌈invocations / groupSize⌉ */
export const groupsFor = (invocations: number, groupSize: number): number => Math.ceil(invocations / groupSize);

/** How the rows of one op are shared out: a workgroup per row (files `…_group.wgsl`) or an invocation per row. */
export interface RowForm {
  readonly grouped: boolean;
  readonly options: RowOptions;
  /** Workgroups of a dispatch. */
  readonly groups: number;
}

/** What `forceRowGroup` asked for. */
let forced: number | undefined;

/**
 * For tests and measurements: invocations per row on whatever adapter. @param invocations a power of two up to 256, 0 for an invocation per row, nothing for the choice by adapter
 * @returns nothing
 */
export const forceRowGroup = (invocations?: number): void => { forced = invocations; };

/** Invocations that share a row: on a GPU two loads or more for each of them, none where a row is short; on software adapters barriers cost more than they bring. */
function rowGroup({ adapter }: Device, loads: number): number {
  if (forced !== undefined) return forced;
  return adapter.profile === 'default' && loads >= 32 ? Math.min(256, 2 ** Math.floor(Math.log2(loads / 2))) : 0;
}

/**
 * The form in which an op walks its rows.
 * @param device where @param loads of the rows @param rows how many @param cols floats per row @param wg invocations per workgroup where each has a row of its own
 * @returns form, options and workgroups for `dispatch`
 */
export function rowForm(device: Device, loads: RowLoads, rows: number, cols: number, wg: number): RowForm {
  const group = rowGroup(device, cols / loads.width);
  return group ? { grouped: true, options: rowOptions(loads, group), groups: rows } : { grouped: false, options: rowOptions(loads, wg), groups: groupsFor(rows, wg) };
}
