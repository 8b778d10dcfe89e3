// onnxruntime-web with its WebGPU provider, on a device that it opens itself through navigator.gpu.
import type * as Ort from 'onnxruntime-web/webgpu';
import { wait } from '../../engine/polling.ts';
import { loadPeer } from './library.ts';
import type { Arrays, Library, Runner } from './library.ts';
import { writeOnnx } from './onnx.ts';
import { onnxOf } from './ort_models.ts';
import type { Work } from './works.ts';

/** STORAGE | COPY_SRC | COPY_DST */
const USAGE = 0x80 | 0x4 | 0x8;

async function prepare(ort: typeof Ort, fused: boolean, work: Work, values: Arrays): Promise<Runner | string | undefined> {
  const built = onnxOf(work, values, fused);
  if (!built || typeof built === 'string') return built;
  // Inputs and results stay on the GPU.
  const session = await wait(ort.InferenceSession.create(writeOnnx(built.model), { executionProviders: ['webgpu'], preferredOutputLocation: 'gpu-buffer' }));
  const device = await ort.env.webgpu.device as GPUDevice;
  const buffers: GPUBuffer[] = [];
  const feeds: Record<string, Ort.Tensor> = {};
  for (const [name, dims] of Object.entries(built.feeds)) {
    const data = values[name]!;
    const buffer = device.createBuffer({ size: data.byteLength, usage: USAGE });
    device.queue.writeBuffer(buffer, 0, data as Float32Array<ArrayBuffer>);
    buffers.push(buffer);
    feeds[name] = ort.Tensor.fromGpuBuffer(buffer, { dataType: 'float32', dims });
  }
  let y: Ort.Tensor | undefined;
  return {
    async run() {
      y?.dispose();
      y = (await session.run(feeds)).y!;
    },
    sync: async () => { await device.queue.onSubmittedWorkDone(); },
    results: async () => ({ y: await wait(y!.getData()) as Float32Array }),
    dispose() {
      y?.dispose();
      for (const buffer of buffers) buffer.destroy();
      void session.release();
    },
  };
}

/**
 * onnxruntime-web. Node needs `navigator.gpu` and the patches of node_gpu.ts beforehand.
 * @param version of the installed package @param wasmFolder where a page finds its .wasm and .mjs files, default beside the module
 * @returns the library with attention of single operators, and with its fused one @throws PeerError when it is not installed
 */
export async function ortLibraries(version: string, wasmFolder?: string): Promise<Library[]> {
  const ort = await loadPeer('onnxruntime-web', () => import('onnxruntime-web/webgpu'));
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = 'error';
  if (wasmFolder) ort.env.wasm.wasmPaths = wasmFolder;
  return [
    { name: 'onnxruntime-web', version, prepare: (work, values) => prepare(ort, false, work, values) },
    { name: 'onnxruntime-web, fused', version, prepare: (work, values) => prepare(ort, true, work, values) },
  ];
}
