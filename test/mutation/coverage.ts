// Which cases run which kernels: all cases of the fast profile, run once on the null backend, which validates and computes nothing.
import { openDevice } from '../../engine/device.ts';
import type { Device } from '../../engine/device.ts';
import type { DispatchOptions, Kernel } from '../../engine/dispatch.ts';
import { FULL_CAP } from '../proofs/draw.ts';
import { execute } from '../proofs/execute.ts';
import { fastSpecs, planAll } from '../proofs/harness.ts';
import { elementsOf } from '../proofs/plan.ts';
import type { Spec } from '../proofs/plan.ts';
import { FAST_SHARES, fastCases } from '../proofs/profile.ts';
import { TABLE } from '../proofs/table.ts';

/** Twins against central differences touch no kernel. */
export const SHARES = { ...FAST_SHARES, differences: 0 };

/** One case and what it runs. */
export interface Covered {
  readonly spec: Spec;
  /** Elements of all inputs. */
  readonly elements: number;
  /** Whether an input is stored smaller than f32. */
  readonly small: boolean;
  /** `file:entry#variant`: pipelines that it uses. */
  readonly uses: readonly string[];
}

/** A pipeline that some case uses. */
export interface Variant { readonly kernel: Kernel; readonly entry: string; readonly options: DispatchOptions }

interface Inner { pipelineFor(kernel: Kernel, entry: { readonly name: string }, ...rest: unknown[]): { readonly id: number } }

/** A null device that chooses kernels as another device would. @param like the other @returns the device */
export async function nullDevice(like: Device): Promise<Device> {
  const device = await openDevice({ adapter: 'null', limits: 'default' });
  Object.defineProperty(device.gpu, 'adapterInfo', { value: like.gpu.adapterInfo });
  Object.defineProperty(device, 'adapter', { value: like.adapter });
  Object.defineProperty(device, 'subgroupSize', { value: like.subgroupSize });
  return device;
}

/** Cases of the fast profile with the pipelines that each uses. @param device a null device @returns the cases */
export async function coverage(device: Device): Promise<Covered[]> {
  const recorder = device.recorder as unknown as Inner;
  const original = recorder.pipelineFor.bind(recorder);
  const uses = new Set<string>();
  let own = false;
  recorder.pipelineFor = (kernel, entry, ...rest) => {
    const pipeline = original(kernel, entry, ...rest);
    if (kernel.name !== 'fill' || own) uses.add(`${kernel.name}:${entry.name}#${pipeline.id}`); // fill also poisons every buffer of every case
    return pipeline;
  };
  const found: Covered[] = [];
  try {
    for (const proof of TABLE) {
      own = proof.ops.includes('full');
      const heavy = (proof.heavy ?? []).filter(h => h.fast && !h.fails).map(h => ({ op: proof.name, seed: 1, cap: FULL_CAP, heavy: h.name }));
      for (const spec of [...fastSpecs(proof, fastCases(device, false)), ...heavy]) {
        const { good } = planAll(TABLE, [spec], SHARES);
        if (!good[0]) continue;
        uses.clear();
        await execute(device, good);
        found.push({ spec, elements: elementsOf(good[0].case), small: good[0].runs[0]!.inputs.some(i => !/32$/.test(i.dtype)), uses: [...uses] });
      }
    }
  } finally {
    recorder.pipelineFor = original;
  }
  if (!found.some(f => f.uses.length)) throw new Error('mutate: no case of the proofs was seen to use any pipeline, so none could see a fault (has the dispatcher changed?)');
  return found;
}

/** Most new pipelines in one batch: a driver compiles each, and a batch has a time limit. */
const MOST_NEW = 6;
const MOST_CASES = 12;
/** Most pipelines compiled for one fault: a product has more than a hundred, for all storage types, and a fault that forty do not show counts as alive. */
const MOST_PIPELINES = 40;

/**
 * The cases that can see a fault, cheapest and most telling first: three of middling size on one variant, then one large case for every other variant, then all.
 * @param all from `coverage` @param changed `file:entry` of the kernels that hold the fault @returns batches
 */
export function order(all: readonly Covered[], changed: ReadonlySet<string>): Spec[][] {
  const of = (c: Covered): string[] => c.uses.filter(u => changed.has(u.split('#')[0]!));
  const drawn = all.filter(c => c.spec.heavy === undefined && of(c).length).sort((a, b) => a.elements - b.elements);
  const count = new Map<string, number>();
  for (const c of drawn) for (const u of of(c)) count.set(u, (count.get(u) ?? 0) + 1);
  const common = [...count].sort((a, b) => b[1] - a[1])[0]?.[0];
  const usual = drawn.filter(c => common !== undefined && of(c).includes(common)).sort((a, b) => of(a).length - of(b).length).slice(0, 12).sort((a, b) => a.elements - b.elements);
  const first = [0.9, 0.6, 0.4].map(share => usual[Math.floor(share * (usual.length - 1))]).filter((c, i, list): c is Covered => c !== undefined && list.indexOf(c) === i);
  const seen = new Set(first.flatMap(of));
  const second: Covered[] = [];
  const largest = [...drawn].reverse();
  const plainFirst = [...largest.filter(c => !c.small), ...largest.filter(c => c.small)];
  for (const c of plainFirst) {
    if (first.includes(c) || of(c).every(u => seen.has(u))) continue;
    second.push(c);
    for (const u of of(c)) seen.add(u);
  }
  const chosen = new Set([...first, ...second]);
  const rest = plainFirst.filter(c => !chosen.has(c));
  const heavy = all.filter(c => c.spec.heavy !== undefined && of(c).length);
  const batches: Spec[][] = first.length ? [first.map(c => c.spec)] : [];
  const compiled = new Set(first.flatMap(of));
  let open: Spec[] = [], fresh = 0;
  const close = (): void => { if (open.length) batches.push(open); open = []; fresh = 0; };
  for (const c of [...second, ...rest]) {
    const added = of(c).filter(u => !compiled.has(u));
    if (added.length && compiled.size + added.length > MOST_PIPELINES) continue;
    if (open.length && (open.length >= MOST_CASES || fresh + added.length > MOST_NEW)) close();
    for (const u of added) compiled.add(u);
    fresh += added.length;
    open.push(c.spec);
  }
  close();
  return [...batches, ...heavy.map(c => [c.spec])];
}
