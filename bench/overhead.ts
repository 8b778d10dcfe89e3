// What one dispatch costs the host: Dawn's null backend takes every command and computes nothing, so time is the library's, the binding's and Dawn's own.
import { readFileSync } from 'node:fs';
import { openDevice } from '../engine/device.ts';
import type { Device } from '../engine/device.ts';
import { GPUBufferUsageBits, scope } from '../engine/memory.ts';
import { plan } from '../engine/plan.ts';
import { Tensor } from '../engine/tensor.ts';
import { add, layerNorm, lerpInPlace, linear, scale } from '../kernels/index.ts';

/** Microseconds of processor time per dispatch, the least over the rounds. On a busy machine all of them grow: compare them with `floor`. */
export interface Overhead {
  /** Dispatches per sample. */
  readonly dispatches: number;
  /** The three calls of WebGPU that a dispatch with fields takes (pipeline, group of three tensors with an offset, workgroups), in a bare loop. */
  readonly floor: number;
  /** A recorded chain of four kinds of kernel, another pipeline at each dispatch. */
  readonly replay: number;
  /** One kernel again and again by `dispatch`, groups from the cache, uniforms written. */
  readonly dispatch: number;
  /** The chain by its ops: shapes checked, tensors made and released. */
  readonly ops: number;
}

const DISPATCHES = 2000;

/** The bare loop: four pipelines in turn, forty groups, offsets made beforehand. */
function bareLoop({ gpu }: Device): () => void {
  const layout = gpu.createBindGroupLayout({ entries: [
    { binding: 0, visibility: 4, buffer: { type: 'uniform', hasDynamicOffset: true, minBindingSize: 16 } },
    ...(['read-only-storage', 'read-only-storage', 'storage'] as const).map((type, i) => ({ binding: i + 1, visibility: 4, buffer: { type } })),
  ] });
  const module = gpu.createShaderModule({ code: readFileSync(new URL('../../bench/overhead.wgsl', import.meta.url), 'utf8') });
  const pipelines = Array.from({ length: 4 }, () => gpu.createComputePipeline({ layout: gpu.createPipelineLayout({ bindGroupLayouts: [layout] }), compute: { module, entryPoint: 'forward' } }));
  const uniforms = gpu.createBuffer({ size: 256 * DISPATCHES, usage: GPUBufferUsageBits.UNIFORM | GPUBufferUsageBits.COPY_DST });
  const buffers = Array.from({ length: 30 }, () => gpu.createBuffer({ size: 65_536, usage: GPUBufferUsageBits.STORAGE }));
  const groups = Array.from({ length: 40 }, (_, i) => gpu.createBindGroup({ layout, entries: [
    { binding: 0, resource: { buffer: uniforms, offset: 0, size: 16 } }, ...[1, 2, 3].map(binding => ({ binding, resource: { buffer: buffers[(i + binding) % 30]! } })),
  ] }));
  const offsets = Array.from({ length: DISPATCHES }, (_, i) => [256 * i]);
  return () => {
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let i = 0; i < DISPATCHES; i++) {
      pass.setPipeline(pipelines[i % 4]!);
      pass.setBindGroup(0, groups[i % 40]!, offsets[i]!);
      pass.dispatchWorkgroups(16, 1, 1);
    }
    pass.end();
    gpu.queue.submit([encoder.finish()]);
  };
}

/**
 * Measures the host's share.
 * @param rounds samples of each kind, in turn @returns the least of each
 */
export async function measureOverhead(rounds = 15): Promise<Overhead> {
  const device = await openDevice({ adapter: 'null' });
  const [x, y, w, gain] = [[64, 64], [64, 64], [64, 64], [64]].map(shape => Tensor.empty(device, shape)) as [Tensor, Tensor, Tensor, Tensor];
  const chain = (): Tensor => {
    let h = x;
    for (let i = 0; i < DISPATCHES / 4; i++) h = scope(() => scale(add(h, linear(layerNorm(h, gain, gain), w, gain, { activation: 'gelu' })), 0.5 + (i % 7)));
    return h;
  };
  const recorded = await plan(device, () => scope(chain));
  const kinds = {
    floor: bareLoop(device),
    replay: () => { recorded.run(); },
    dispatch: () => { for (let i = 0; i < DISPATCHES; i++) lerpInPlace(x, y, 0.5); device.flush(); },
    ops: () => { scope(() => { chain(); }); device.flush(); },
  };
  const best = { floor: Infinity, replay: Infinity, dispatch: Infinity, ops: Infinity };
  for (let round = 0; round <= rounds; round++) {
    for (const kind of ['floor', 'replay', 'dispatch', 'ops'] as const) {
      const before = process.cpuUsage();
      kinds[kind]();
      const { user, system } = process.cpuUsage(before);
      await device.sync();
      if (round > 0) best[kind] = Math.min(best[kind], (user + system) / DISPATCHES); // the first round makes pipelines and groups
    }
  }
  recorded.dispose();
  device.destroy();
  return { dispatches: DISPATCHES, ...best };
}
