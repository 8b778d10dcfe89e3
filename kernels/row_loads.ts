// How the kernels that walk rows load them: four floats at once where the row length allows it.

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
