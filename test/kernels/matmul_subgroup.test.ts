// Products on matrix units: compiled in every variant and dispatched on Dawn's null backend, which validates and computes nothing. No adapter of the tests has such
// units, so nothing here says that the numbers are right.
import { findAdapter } from '../../engine/adapters.ts';
import { DeviceError } from '../../engine/check.ts';
import { Device, openDevice } from '../../engine/device.ts';
import { createPipeline } from '../../engine/dispatch.ts';
import { scope } from '../../engine/memory.ts';
import { wait } from '../../engine/polling.ts';
import { Tensor } from '../../engine/tensor.ts';
import { linear } from '../../kernels/linear.ts';
import { matmul } from '../../kernels/matmul.ts';
import { matmul_subgroup } from '../../kernels/wgsl.gen.ts';
import { assert, isNode, suite } from '../harness.ts';

const test = suite('products on matrix units');
const only = (name: string, fn: () => Promise<void>): void => test.when(isNode, 'a null backend exists in Node only', name, fn);

const FEATURES = ['chromium-experimental-subgroup-matrix', 'subgroups', 'shader-f16'] as unknown as GPUFeatureName[];

async function nullDevice(): Promise<GPUDevice> {
  const { adapter } = await findAdapter('null');
  return wait(adapter.requestDevice({ requiredFeatures: FEATURES }));
}

const SUMMARY = { vendor: 'nvidia', architecture: 'hopper', description: 'null-backend', class: 'gpu', profile: 'default', notice: 'null' } as const;

only('every variant builds a pipeline, with steps of 16 k within the default limits (steps of 32 need 24 KiB of workgroup memory, which the null backend lacks)', async () => {
  const gpu = await nullDevice();
  const flags = ['TRANSPOSE_A', 'TRANSPOSE_B', 'HAS_BIAS', 'KEEP', 'ADD'];
  for (let bits = 0; bits < 32; bits++) {
    const constants = { ...Object.fromEntries(flags.map((name, i) => [name, (bits >> i) & 1])), ACTIVATION: bits % 4, DEPTH: 16 };
    gpu.pushErrorScope('validation');
    gpu.pushErrorScope('internal');
    createPipeline(gpu, matmul_subgroup, 'forward', { constants });
    const errors = [await gpu.popErrorScope(), await gpu.popErrorScope()];
    assert.equal(errors.map(e => e?.message), [undefined, undefined], JSON.stringify(constants));
  }
});

only('steps of 32 k ask for more workgroup memory than the null backend has, and for nothing else', async () => {
  const gpu = await nullDevice();
  gpu.pushErrorScope('validation');
  createPipeline(gpu, matmul_subgroup, 'forward', { constants: { DEPTH: 32 } });
  assert.match((await gpu.popErrorScope())?.message ?? 'no error', /workgroup storage.*24576|24576.*workgroup storage/i);
});

only('a device that was opened for it takes it for two f16 operands whose sides are multiples of four, and for nothing else', async () => {
  const used = async (run: (d: Device) => Tensor, matrixUnits = true): Promise<string[]> => {
    const d = new Device(await nullDevice(), SUMMARY, { matrixUnits });
    scope(() => { run(d); });
    await d.sync();
    return [...new Set(d.recorder.variants().map(v => v.kernel.name))].filter(name => name.startsWith('matmul_'));
  };
  const t = (d: Device, shape: number[], dtype: 'f16' | 'f32'): Tensor => Tensor.empty(d, shape, dtype);
  const product = (d: Device): Tensor => linear(t(d, [300, 64], 'f16'), t(d, [200, 64], 'f16'), t(d, [200], 'f32'), { activation: 'gelu' });
  assert.equal(await used(product), ['matmul_subgroup']);
  assert.equal(await used(d => matmul(t(d, [2, 64, 4096], 'f16'), t(d, [2, 4096, 64], 'f16'))), ['matmul_subgroup']); // and split_sum
  assert.equal(await used(product, false), ['matmul_tiled64']);
  assert.equal(await used(d => matmul(t(d, [300, 64], 'f32'), t(d, [64, 200], 'f16'))), ['matmul_tiled64']);
  assert.equal(await used(d => matmul(t(d, [300, 63], 'f16'), t(d, [63, 200], 'f16'))), ['matmul_tiled64']);
});

only('asking for matrix units where there are none is an error that says what is missing', async () => {
  for (const adapter of ['null', 'auto'] as const) {
    let refused: unknown;
    await openDevice({ adapter, matrixUnits: true }).catch((e: unknown) => { refused = e; });
    assert.ok(refused instanceof DeviceError && refused.reason === 'unavailable');
    assert.match((refused as Error).message, /openDevice: matrixUnits was asked for, expected an adapter that has .*matrices of 16 x 16 x 16/);
  }
});

test.run();
