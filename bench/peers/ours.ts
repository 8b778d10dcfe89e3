// Our side, by the public ops: eager, or recorded once as a plan and replayed.
import type { Device } from '../../engine/device.ts';
import { scope } from '../../engine/memory.ts';
import { plan } from '../../engine/plan.ts';
import { gradients } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import '../../kernels/backward.ts';
import { ADAMW_BLOCK, adamwStep, add, attention, full, infoNCE, l2Loss, layerNorm, linear, matmul, reshape, scale, sub } from '../../kernels/index.ts';
import { transposed } from './library.ts';
import type { Arrays, Library, Runner } from './library.ts';
import { ADAM, EPS, LOG_SCALE, SGD_RATE, mlpWeights, transformerWeights } from './works.ts';
import type { BlockSizes, Spec, Work } from './works.ts';

type Tensors = Readonly<Record<string, Tensor>>;

export const OURS = 'vl-jepa', PLANNED = 'vl-jepa, planned';

/** Matrices of weights lie [out, in] here, as checkpoints store them. */
const isWeight = (name: string, shape: readonly number[]): boolean => shape.length === 2 && /(^|\.)w[qkvo12]?$/.test(name);

function upload(device: Device, work: Work, values: Arrays): Tensors {
  return Object.fromEntries(Object.entries(work.inputs).map(([name, { shape }]) => {
    const [rows, cols] = shape as [number, number];
    return [name, isWeight(name, shape) ? Tensor.from(device, transposed(values[name]!, rows, cols), [cols, rows]) : Tensor.from(device, values[name]!, shape)];
  }));
}

/** x + proj(attention(norm1 x)), then + fc2(gelu(fc1(norm2 x))). */
function block(x: Tensor, at: (name: string) => Tensor, { batch, tokens, dim, heads }: BlockSizes): Tensor {
  const h = layerNorm(x, at('norm1'), at('norm1b'), { eps: EPS });
  const project = (w: string, b: string): Tensor => reshape(linear(h, at(w), at(b)), [batch, tokens, heads, dim / heads]);
  const mixed = reshape(attention(project('wq', 'bq'), project('wk', 'bk'), project('wv', 'bv')), x.shape);
  const x2 = add(x, linear(mixed, at('wo'), at('bo')));
  const wide = linear(layerNorm(x2, at('norm2'), at('norm2b'), { eps: EPS }), at('w1'), at('b1'), { activation: 'gelu' });
  return add(x2, linear(wide, at('w2'), at('b2')));
}

/** A work as ops, and the results that are not returned by them. */
interface Steps {
  /** Once per run, before the ops. */
  before?(): void;
  ops(): Record<string, Tensor>;
  /** Results beside those of `ops`: tensors, or parts of one. */
  state?: Readonly<Record<string, Tensor>>;
}

/** What a work's steps need: its inputs, and a place where further tensors are noted for release. */
interface Job<S = Spec> { device: Device; t: Tensors; spec: S; own: (tensor: Tensor) => Tensor }

const wanting = (t: Tensors, names: readonly string[]): Tensor[] => names.map(n => { const leaf = t[n]!; leaf.needsGrad = true; return leaf; });
const pick = (t: Tensors, names: readonly string[]): Record<string, Tensor> => Object.fromEntries(names.map(n => [n, t[n]!]));

function contrastive({ device, t, own }: Job): Steps {
  const one = own(full(device, [1], 1)), logScale = own(Tensor.from(device, [LOG_SCALE]));
  logScale.needsGrad = true;
  const leaves = [...wanting(t, ['p', 'y']), logScale];
  return {
    ops() {
      const { loss } = infoNCE(t.p!, t.y!, logScale);
      const [dp, dy, dLogScale] = gradients(loss, one, leaves);
      return { loss, dp: dp!, dy: dy!, dLogScale: dLogScale! };
    },
  };
}

function mlpStep({ device, t, own, spec }: Job<Extract<Spec, { kind: 'mlpStep' }>>): Steps {
  const names = Object.keys(mlpWeights(spec));
  const leaves = wanting(t, names), one = own(full(device, [1], 1));
  return {
    ops() {
      const loss = l2Loss(linear(linear(t.x!, t.w1!, t.b1!, { activation: 'gelu' }), t.w2!, t.b2!), t.target!);
      gradients(loss, one, leaves).forEach((g, i) => device.copy(sub(leaves[i]!.view(leaves[i]!.shape), scale(g!, SGD_RATE)), leaves[i]!));
      return { loss };
    },
    state: pick(t, names),
  };
}

/** All weights lie in one flat buffer, so that one kernel updates them. */
function transformerStep({ device, t, own, spec }: Job<Extract<Spec, { kind: 'transformerStep' }>>): Steps {
  const names = Object.keys(transformerWeights(spec));
  const leaves = wanting(t, names), one = own(full(device, [1], 1));
  const offsets: number[] = [];
  let total = 0;
  for (const leaf of leaves) total = (offsets.push(total), total + Math.ceil(leaf.size / ADAMW_BLOCK) * ADAMW_BLOCK);
  const flat = (): Tensor => own(Tensor.zeros(device, [total]));
  const [param, grad, m, v, rest] = [flat(), flat(), flat(), flat(), flat()];
  const part = (whole: Tensor, i: number): Tensor => own(whole.view(leaves[i]!.shape, offsets[i]));
  leaves.forEach((leaf, i) => leaf.moveTo(part(param, i)));
  const places = leaves.map((_, i) => part(grad, i));
  const buffers = { param, grad, m, v, rest, blockGroup: own(Tensor.zeros(device, [total / ADAMW_BLOCK], 'u32')), groups: own(Tensor.from(device, [ADAM.rate, 0], [1, 2])), clip: one };
  let step = 0;
  return {
    before() { step++; },
    ops() {
      let x = t.x!;
      for (let i = 0; i < spec.layers; i++) x = block(x, name => t[`${i}.${name}`]!, spec);
      const loss = l2Loss(x, t.target!);
      gradients(loss, one, leaves).forEach((g, i) => device.copy(g!, places[i]!));
      adamwStep(device, buffers, { beta1: ADAM.beta1, beta2: ADAM.beta2, eps: ADAM.eps, step: () => Math.max(1, step) });
      return { loss };
    },
    state: { ...pick(t, names), ...Object.fromEntries(names.map((n, i) => [`m.${n}`, part(m, i)])) },
  };
}

function stepsOf(job: Job): Steps {
  const { t, spec } = job;
  switch (spec.kind) {
    case 'matmul': return { ops: () => ({ y: matmul(t.a!, t.b!) }) };
    case 'linear': return { ops: () => ({ y: linear(t.x!, t.w!, t.b) }) };
    case 'attention': {
      const [q, k, v] = [t.q!, t.k!, t.v!].map(x => job.own(x.view([1, ...x.shape]))) as [Tensor, Tensor, Tensor];
      return { ops: () => ({ y: attention(q, k, v) }) };
    }
    case 'layerNorm': return { ops: () => ({ y: layerNorm(t.x!, t.w!, t.b!, { eps: EPS }) }) };
    case 'block': return { ops: () => ({ y: block(t.x!, name => t[name]!, spec) }) };
    case 'contrastive': return contrastive(job);
    case 'mlpStep': return mlpStep({ ...job, spec });
    case 'transformerStep': return transformerStep({ ...job, spec });
  }
}

/** Values, weights as [in, out]. */
async function numbers(name: string, x: Tensor): Promise<Float32Array> {
  const values = await x.read();
  return isWeight(name.replace(/^m\./, ''), x.shape) ? transposed(values, x.shape[0]!, x.shape[1]!) : values;
}

async function prepare(device: Device, planned: boolean, work: Work, values: Arrays): Promise<Runner> {
  const extra: Tensor[] = [];
  const t = upload(device, work, values);
  const { before, ops, state = {} } = stepsOf({ device, t, spec: work.spec, own: x => (extra.push(x), x) });
  const recorded = planned ? await plan(device, ops) : undefined;
  let last: Record<string, Tensor> = {};
  const release = (): void => { for (const x of Object.values(last)) x.dispose(); };
  return {
    run() {
      before?.();
      if (recorded) last = recorded.run();
      else {
        release();
        last = scope(ops);
      }
    },
    sync: () => device.sync(),
    async results() {
      const out: Record<string, Float32Array> = {};
      for (const [name, x] of Object.entries({ ...last, ...state })) out[name] = await numbers(name, x);
      return out;
    },
    dispose() {
      if (recorded) recorded.dispose();
      else release();
      for (const x of [...Object.values(t), ...extra]) x.dispose();
      device.trim();
    },
  };
}

/** Works of one kernel have nothing to replay. */
const SINGLE: readonly Spec['kind'][] = ['matmul', 'linear', 'attention', 'layerNorm'];

/**
 * This project as a library of the comparison.
 * @param device where @param version of the package @returns the eager form and the planned one
 */
export function ourLibraries(device: Device, version: string): Library[] {
  return [
    { name: OURS, version, prepare: (work, values) => prepare(device, false, work, values) },
    { name: PLANNED, version, prepare: async (work, values) => (SINGLE.includes(work.spec.kind) ? undefined : prepare(device, true, work, values)) },
  ];
}
