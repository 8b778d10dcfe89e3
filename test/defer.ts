// Imported before uvu: files queue their suites, the runner executes them.
declare global {
  var UVU_DEFER: number;
  var UVU_QUEUE: unknown[][];
  var UVU_INDEX: number;
}
globalThis.UVU_DEFER = 1;
export {};
