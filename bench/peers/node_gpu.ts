// What the peers need to run in Node on Dawn: they are written for pages.
import { register } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { findAdapter } from '../../engine/adapters.ts';
import type { AdapterChoice } from '../../engine/adapters.ts';

/**
 * Gives libraries for pages a `navigator.gpu` that hands out the adapter of this project, and what else they look for.
 * Call it after our own device is open: the engine takes `navigator.gpu` for a browser's.
 * @param choice the adapter @returns nothing
 */
export function installNavigator(choice: AdapterChoice): void {
  const gpu = {
    requestAdapter: async () => {
      const { navigator } = globalThis;
      set('navigator', undefined); // findAdapter looks at it before its first wait
      const found = findAdapter(choice);
      set('navigator', navigator);
      return (await found).adapter;
    },
    getPreferredCanvasFormat: () => 'bgra8unorm',
    wgslLanguageFeatures: new Set(),
  };
  set('navigator', { gpu, userAgent: `Node ${process.version}`, hardwareConcurrency: 2, platform: process.platform });
  set('document', { createElement: () => ({ getContext: () => null }) }); // tfjs asks for a canvas when it looks for its other backends
  // A process without a live handle would wait for V8's background compilation of onnxruntime before any awaited call returns.
  setInterval(() => {}, 1000);
  copySharedMemory();
  addIteratorHelpers();
  register('./tfjs_modules.js', import.meta.url);
}

function set(name: string, value: unknown): void {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}

/** jax-js parses einsum with iterator helpers, which Node has from version 22 on. */
function addIteratorHelpers(): void {
  const prototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())) as Record<string, unknown>;
  const helpers = {
    map: function* (this: Iterable<unknown>, fn: (v: unknown) => unknown) { for (const v of this) yield fn(v); },
    filter: function* (this: Iterable<unknown>, fn: (v: unknown) => unknown) { for (const v of this) if (fn(v)) yield v; },
  };
  for (const [name, value] of Object.entries(helpers)) if (!(name in prototype)) Object.defineProperty(prototype, name, { value, configurable: true, writable: true });
}

/** onnxruntime writes to buffers from its WebAssembly memory, which is shared, and Dawn's Node binding takes no shared memory. */
function copySharedMemory(): void {
  const { prototype } = globalThis.GPUQueue;
  const write = prototype.writeBuffer as (...args: unknown[]) => undefined;
  prototype.writeBuffer = function (this: GPUQueue, buffer: GPUBuffer, bufferOffset: number, data: ArrayBufferView | ArrayBufferLike, dataOffset = 0, size?: number): undefined {
    const view = ArrayBuffer.isView(data);
    const memory = view ? data.buffer : data;
    if (!(memory instanceof SharedArrayBuffer)) return write.call(this, buffer, bufferOffset, data, dataOffset, size);
    const unit = view ? (data as Uint8Array).BYTES_PER_ELEMENT ?? 1 : 1; // offsets and sizes of typed arrays count elements
    const start = (view ? data.byteOffset : 0) + dataOffset * unit;
    const bytes = size === undefined ? data.byteLength - dataOffset * unit : size * unit;
    return write.call(this, buffer, bufferOffset, new Uint8Array(memory, start, bytes).slice());
  } as typeof prototype.writeBuffer;
}

/**
 * Compiles WebAssembly when a function is first called, and puts off its second, optimised compilation: Node 20 would spend minutes of processor time on all of
 * onnxruntime (27 MB), on the cores that a software adapter needs, and would not exit before it is done. Its host code takes 1 % of the time there.
 * @returns nothing
 */
export function compileWasmLazily(): void {
  for (const flag of ['--wasm-lazy-compilation', '--wasm-tiering-budget=1000000000']) setFlagsFromString(flag);
}
