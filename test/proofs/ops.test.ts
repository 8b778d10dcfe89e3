// Every op of the table, fast profile: the same few dozen seeded cases everywhere, and the heavy cases that take less than a second.
import type { Device } from '../../engine/device.ts';
import type { Kernel } from '../../engine/dispatch.ts';
import { KERNELS } from '../../kernels/wgsl.gen.ts';
import { assert, device, isNode, suite } from '../harness.ts';
import { checkAll, command, describe, fastSpecs, shrink } from './harness.ts';
import type { Checked } from './harness.ts';
import { fastCases, FAST_SHARES } from './profile.ts';
import { TABLE } from './table.ts';

const test = suite('proofs');

/** Fails with the smallest case of the first failure, and how many there are. */
async function refuse(failed: readonly Checked[]): Promise<void> {
  if (!failed.length) return;
  const d = await device();
  const { spec, judgement } = failed[0]!;
  const small = await shrink(d, TABLE, { spec, fault: judgement.fault! }, FAST_SHARES).catch(error => ({ spec, fault: `${judgement.fault} (and the device: ${(error as Error).message})`, about: describe(TABLE, spec) }));
  assert.unreachable(`${failed.length} cases failed; ${small.fault}\n    ${small.about}\n    ${command(small.spec)}`);
}

for (const proof of TABLE) {
  test(proof.name, async () => {
    const d = await device();
    const heavy = (proof.heavy ?? []).filter(h => h.fast).map(h => ({ op: proof.name, seed: 1, cap: 257, heavy: h.name }));
    const done = await checkAll(d, TABLE, [...fastSpecs(proof, fastCases(d, !isNode)), ...heavy], FAST_SHARES);
    await refuse(done.filter(c => c.judgement.fault));
  });
}

/** Kernels that an adapter cannot run: their lanes have to lie in one subgroup. */
const tooWide = ({ gpu, features }: Device, name: string): boolean => {
  const lanes = Number(/_lanes(\d+)$/.exec(name)?.[1] ?? 0);
  return lanes > 0 && (!features.has('subgroups') || (gpu.adapterInfo?.subgroupMinSize ?? 0) < lanes);
};

/** Kernels with a file of their own beside the seeded cases: the shared device has default limits and no matrix units, and a pipeline of a tile for GPUs takes seconds on a processor. */
const ELSEWHERE = /^(matmul_subgroup|matmul_dot8|matmul_tiled\d+(_k8)?|attention_tiled\d+)$/; // kernels/matmul_subgroup, matmul_dot8, matmul_tiled and attention_tiled.test.ts

test.when(isNode, 'a page runs fewer cases', 'the cases above ran every shader file, entry point, flag and form that the adapter can run', async () => {
  const d = await device();
  const ran = d.recorder.variants();
  const idle: string[] = [];
  for (const { name, code, entries } of KERNELS as readonly Kernel[]) {
    if (tooWide(d, name) || ELSEWHERE.test(name)) continue;
    const mine = ran.filter(v => v.kernel.name === name);
    for (const entry of Object.keys(entries)) if (!mine.some(v => v.entry === entry)) idle.push(`${name}:${entry}`);
    if (d.adapter.profile === 'swiftshader') continue; // too few cases there for every flag on every tile
    for (const [, constant, type, remark] of code.matchAll(/^override\s+(\w+)\s*:\s*(\w+)[^;]*;\s*(?:\/\/(.*))?$/gm)) {
      const wanted = type === 'bool' ? [0, 1] : constant === 'WIDTH' ? [1, 4] : [...(remark ?? '').split(';')[0]!.matchAll(/(?:^|,)\s*(\d+) \w/g)].map(m => Number(m[1]));
      const seen = new Set(mine.map(v => v.options.constants?.[constant!] ?? 0));
      for (const value of wanted) if (!seen.has(value)) idle.push(`${name}: ${constant} = ${value}`);
    }
  }
  assert.is(idle.join(', '), '');
});

test.run();
