// Every shader file, entry point and variant that the ops ask for compiles, builds a pipeline and keeps the default limits. Dawn's null backend checks everything and computes nothing.
import { openDevice } from '../engine/device.ts';
import type { Device } from '../engine/device.ts';
import { createPipeline } from '../engine/dispatch.ts';
import type { DispatchOptions, Kernel } from '../engine/dispatch.ts';
import { scope } from '../engine/memory.ts';
import { KERNELS, fill } from '../kernels/wgsl.gen.ts';
import { assert, isNode, suite } from './harness.ts';
import { OP_CASES } from './op_cases.ts';

const test = suite('shaders');

/** Needs features that a device does not have unasked; kernels/matmul_subgroup.test.ts compiles it in all its variants. */
const ON_UNITS = 'matmul_subgroup';

interface Variant { kernel: Kernel; entry: string; options: DispatchOptions }

const open = (): Promise<Device> => openDevice({ adapter: 'null', limits: 'default' });

/** What is wrong with a variant on a device, or undefined. */
async function fault({ gpu }: Device, { kernel, entry, options }: Variant): Promise<string | undefined> {
  gpu.pushErrorScope('validation');
  gpu.pushErrorScope('internal');
  createPipeline(gpu, kernel, entry, options);
  const errors = [await gpu.popErrorScope(), await gpu.popErrorScope()];
  const error = errors.find(e => e !== null);
  return error ? `${kernel.name}:${entry} ${JSON.stringify(options)}: ${error.message}` : undefined;
}

let collected: Promise<{ device: Device; variants: Variant[] }> | undefined;

/** The variants that all ops ask for, from the pipeline cache of a device on which they ran. */
function variantsInUse(): Promise<{ device: Device; variants: Variant[] }> {
  return (collected ??= open().then(device => {
    Object.defineProperty(device, 'subgroupSize', { value: 8 }); // it says 4 itself, which would leave the files for 8 lanes out
    for (const { run } of OP_CASES) scope(() => { run(device); });
    device.flush();
    return { device, variants: device.recorder.variants() };
  }));
}

const only = (name: string, fn: () => Promise<void>): void => test.when(isNode, 'a null backend exists in Node only', name, fn);

only('all variants in use build a pipeline at default limits', async () => {
  const { device, variants } = await variantsInUse();
  const faults: string[] = [];
  for (const v of variants) {
    const text = await fault(device, v);
    if (text) faults.push(text);
  }
  assert.is(faults.join('\n'), '');
  await device.sync(); // nor did a dispatch of the ops: bindings, sizes and grids passed validation too
});

/** More workgroup memory than the null backend has, which stops at the default limits. */
const LARGER = new Set(['attention_tiled64']);

only('kernels for larger devices have no other fault at default limits than their workgroup memory', async () => {
  const { device } = await variantsInUse();
  for (const kernel of (KERNELS as readonly Kernel[]).filter(k => LARGER.has(k.name))) {
    for (const entry of Object.keys(kernel.entries)) assert.match(await fault(device, { kernel, entry, options: {} }) ?? 'no fault was found', /workgroup.*(storage|memory).*16384/is);
  }
});

only('every file and entry point is in use', async () => {
  const { variants } = await variantsInUse();
  const used = new Set(variants.map(v => `${v.kernel.name}:${v.entry}`));
  const idle = KERNELS.filter(k => k.name !== ON_UNITS).flatMap(k => Object.keys(k.entries).map(e => `${k.name}:${e}`)).filter(name => !used.has(name) && !LARGER.has(name.split(':')[0]!));
  assert.equal(idle, []);
});

only('every element type, flag and form of a file is in use', async () => {
  const { variants } = await variantsInUse();
  const missing: string[] = [];
  for (const { name, code, entries } of KERNELS as readonly Kernel[]) {
    if (name === ON_UNITS) continue;
    const mine = variants.filter(v => v.kernel.name === name);
    if (/\bElem\b/.test(code) && !/\balias\s+Elem\b/.test(code)) {
      for (const entry of Object.keys(entries)) {
        const headers = new Set(mine.filter(v => v.entry === entry).map(v => /alias Elem = ([^;]+);/.exec(v.options.header ?? '')?.[1]));
        for (const kind of ['scalar', 'vector']) if (![...headers].some(h => (h?.startsWith('vec4') ? 'vector' : h ? 'scalar' : '') === kind)) missing.push(`${name}:${entry} with ${kind} elements`);
      }
    }
    for (const [, constant, type, remark] of code.matchAll(/^override\s+(\w+)\s*:\s*(\w+)[^;]*;\s*(?:\/\/(.*))?$/gm)) {
      const wanted = type === 'bool' ? [0, 1] : constant === 'WIDTH' ? [1, 4] : [...(remark ?? '').split(';')[0]!.matchAll(/(?:^|,)\s*(\d+) \w/g)].map(m => Number(m[1]));
      const seen = new Set(mine.map(v => v.options.constants?.[constant!] ?? 0));
      for (const value of wanted) if (!seen.has(value)) missing.push(`${name}: ${constant} = ${value}`);
    }
  }
  assert.equal(missing, []);
});

/** For GPUs alone: no software profile picks them. */
const WITH_WORKGROUP_MEMORY = /^(matmul_(tiled|subgroup)|attention_tiled|(layer_norm|rms_norm|softmax|l2_normalize)_group)/;

only('at most 8 storage bindings in any entry point, and no workgroup memory but in kernels for GPUs', async () => {
  for (const { name, code, entries } of KERNELS as readonly Kernel[]) {
    for (const [entry, { tensors }] of Object.entries(entries)) assert.ok(tensors.length <= 8, `${name}:${entry} has ${tensors.length} storage bindings`);
    if (!WITH_WORKGROUP_MEMORY.test(name)) assert.not.ok(/var<workgroup>|workgroupBarrier|storageBarrier/.test(code), `${name}.wgsl waits inside a workgroup, which software adapters pay dearly`);
  }
});

const broken = (from: string, to: string): Kernel => {
  assert.ok(fill.code.includes(from));
  return { ...fill, name: 'broken', code: fill.code.replace(from, to) };
};

only('the check fails for shaders that are wrong or above the limits', async () => {
  const device = await open();
  const roomy = broken('struct Params', 'var<workgroup> pad: array<u32, 4097>;\nstruct Params'); // four bytes above 16 KiB
  const bad: [Kernel, RegExp][] = [
    [broken('params.word;', 'params.wort;'), /wort/],
    [broken('x[i] = params.word', 'x[i] = f32(params.word)'), /cannot assign/],
    [broken('@workgroup_size(64)', '@workgroup_size(257)'), /257/],
    [{ ...roomy, code: roomy.code.replace('x[i] = params.word', 'pad[lane] = 1u; x[i] = params.word') }, /workgroup storage|16384/i],
    [broken('var<storage, read_write> x', 'var<storage, read> x'), /write|read/],
    [{ ...fill, bindings: { x: { binding: 2, write: true } } }, /binding/i],
  ];
  for (const [kernel, message] of bad) assert.match(await fault(device, { kernel, entry: 'forward', options: {} }) ?? 'no fault was found', message);
  const nine = Array.from({ length: 9 }, (_, i) => `x${i}`);
  const wide: Kernel = {
    ...fill, name: 'wide', bindings: Object.fromEntries(nine.map((n, i) => [n, { binding: i + 1, write: true }])), entries: { forward: { tensors: nine, params: true } },
    code: fill.code.replace(/@group\(0\) @binding\(1\).*\n/, nine.map((n, i) => `@group(0) @binding(${i + 1}) var<storage, read_write> ${n}: array<u32>;\n`).join('')).replace('x[i] =', nine.map(n => `${n}[i]`).join(' = 1u; ') + ' ='),
  };
  assert.match(await fault(device, { kernel: wide, entry: 'forward', options: {} }) ?? 'no fault was found', /storage buffers|maxStorageBuffers/);
  assert.is(await fault(device, { kernel: fill, entry: 'forward', options: {} }), undefined);
});

only('an unknown constant and an unknown entry point are refused by name', async () => {
  const { gpu } = await open();
  assert.throws(() => createPipeline(gpu, fill, 'forward', { constants: { WIDTH: 4 } }), /fill:forward: constant WIDTH is not an override of the file/);
  assert.throws(() => createPipeline(gpu, fill, 'backward', {}), /fill\.wgsl: entry point backward does not exist, expected one of forward/);
});

test.run();
