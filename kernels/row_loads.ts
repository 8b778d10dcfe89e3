// How the kernels that walk rows load them: four floats at once where the row length allows it.

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

/** Workgroups that cover a count of invocations. @param invocations how many @param groupSize invocations per workgroup @returns ⌈invocations / groupSize⌉ */
export const groupsFor = (invocations: number, groupSize: number): number => Math.ceil(invocations / groupSize);
