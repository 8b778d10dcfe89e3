// jax-js on its WebGPU backend, on a device that it opens itself through navigator.gpu. Every work is one jitted function.
import type * as Jax from '@jax-js/jax';
import { wait } from '../../engine/polling.ts';
import { loadPeer, PeerError } from './library.ts';
import type { Arrays, Library, Runner } from './library.ts';
import { ADAM, EPS, LOG_SCALE, SGD_RATE, mlpWeights, transformerWeights } from './works.ts';
import type { BlockSizes, Spec, Work } from './works.ts';

type Arr = Jax.Array;
type Tree = Record<string, Arr>;

/**
 * The formulas of the works in ops of jax-js. An op consumes its arguments; `.ref` keeps one for another use.
 * A function reads an array that it is given once unless it says otherwise.
 */
function formulas({ nn, numpy: np }: typeof Jax) {
  const affine = (x: Arr, w: Arr, b?: Arr): Arr => (b ? np.matmul(x, w).add(b) : np.matmul(x, w));
  const gelu = (x: Arr): Arr => nn.gelu(x, { approximate: false });
  const layerNorm = (x: Arr, w: Arr, b: Arr): Arr => nn.standardize(x, -1, { epsilon: EPS }).mul(w).add(b);
  /** q, k, v [B, T, H, Dh]. A tenth faster than its dotProductAttention, which is an einsum. */
  const attention = (q: Arr, k: Arr, v: Arr): Arr => {
    const heads = (x: Arr): Arr => np.transpose(x, [0, 2, 1, 3]);
    const scores = np.matmul(heads(q.mul(1 / Math.sqrt(q.shape[3]!))), np.transpose(k, [0, 2, 3, 1]));
    return heads(np.matmul(nn.softmax(scores), heads(v)));
  };
  const block = (x: Arr, at: (name: string) => Arr, { batch, tokens, dim, heads }: BlockSizes): Arr => {
    const h = layerNorm(x.ref, at('norm1'), at('norm1b'));
    const project = (w: string, b: string): Arr => affine(h.ref, at(w), at(b)).reshape([batch, tokens, heads, dim / heads]);
    const mixed = attention(project('wq', 'bq'), project('wk', 'bk'), project('wv', 'bv')).reshape([batch * tokens, dim]);
    h.dispose();
    const x2 = x.add(affine(mixed, at('wo'), at('bo')));
    return x2.ref.add(affine(gelu(affine(layerNorm(x2, at('norm2'), at('norm2b')), at('w1'), at('b1'))), at('w2'), at('b2')));
  };
  const contrastive = (p: Arr, y: Arr, logScale: Arr): Arr => {
    const scaled = p.mul(np.exp(logScale));
    const diagonal = scaled.ref.mul(y.ref).sum();
    const logits = np.matmul(scaled, np.transpose(y));
    const n = logits.shape[0]!;
    const lse = nn.logsumexp(logits.ref, 1).sum().add(nn.logsumexp(logits, 0).sum());
    return lse.mul(0.5).sub(diagonal).div(n);
  };
  const mse = (y: Arr, target: Arr): Arr => np.square(y.sub(target)).mean();
  return { affine, gelu, layerNorm, attention, block, contrastive, mse };
}

/** Inputs in, results and new state out; state goes in again at the next run. */
interface Made { step: (inputs: Tree, state: Tree) => { results: Tree; state: Tree }; state: Tree }

const split = (t: Tree, names: readonly string[]): [Tree, Tree] => {
  const isState = (n: string): boolean => names.includes(n);
  return [Object.fromEntries(Object.entries(t).filter(([n]) => !isState(n))), Object.fromEntries(Object.entries(t).filter(([n]) => isState(n)))];
};

function mlpStep(jax: typeof Jax, spec: Extract<Spec, { kind: 'mlpStep' }>): Made['step'] {
  const f = formulas(jax);
  const names = Object.keys(mlpWeights(spec));
  const loss = (w: Tree, x: Arr, target: Arr): Arr => f.mse(f.affine(f.gelu(f.affine(x, w.w1!, w.b1)), w.w2!, w.b2), target);
  const step = jax.jit((w: Tree, x: Arr, target: Arr) => {
    const [value, grads] = jax.valueAndGrad(loss)(Object.fromEntries(names.map(n => [n, w[n]!.ref])), x, target) as unknown as [Arr, Tree];
    return { loss: value, w: Object.fromEntries(names.map(n => [n, w[n]!.sub(grads[n]!.mul(SGD_RATE))])) };
  });
  return ({ x, target }, state) => {
    const { loss: value, w } = step(state, x!.ref, target!.ref) as unknown as { loss: Arr; w: Tree };
    return { results: { loss: value }, state: w };
  };
}

/** Adam as optax computes it: its package is not needed for ten lines. */
function transformerStep(jax: typeof Jax, spec: Extract<Spec, { kind: 'transformerStep' }>): Made['step'] {
  const { numpy: np } = jax;
  const f = formulas(jax);
  const names = Object.keys(transformerWeights(spec));
  const loss = (w: Tree, x: Arr, target: Arr): Arr => {
    let y = x;
    for (let i = 0; i < spec.layers; i++) y = f.block(y, name => w[`${i}.${name}`]!, spec);
    return f.mse(y, target);
  };
  const step = jax.jit((s: Tree, x: Arr, target: Arr, bias1: Arr, bias2: Arr) => {
    const [value, grads] = jax.valueAndGrad(loss)(Object.fromEntries(names.map(n => [n, s[n]!.ref])), x, target) as unknown as [Arr, Tree];
    const next: Tree = {};
    for (const n of names) {
      const g = grads[n]!;
      const m = s[`m.${n}`]!.mul(ADAM.beta1).add(g.ref.mul(1 - ADAM.beta1));
      const v = s[`v.${n}`]!.mul(ADAM.beta2).add(np.square(g).mul(1 - ADAM.beta2));
      next[n] = s[n]!.sub(m.ref.div(bias1.ref).mul(ADAM.rate).div(np.sqrt(v.ref.div(bias2.ref)).add(ADAM.eps)));
      next[`m.${n}`] = m;
      next[`v.${n}`] = v;
    }
    bias1.dispose();
    bias2.dispose();
    return { loss: value, next };
  });
  let count = 0;
  return ({ x, target }, state) => {
    count++;
    const { loss: value, next } = step(state, x!.ref, target!.ref, np.array(1 - ADAM.beta1 ** count), np.array(1 - ADAM.beta2 ** count)) as unknown as { loss: Arr; next: Tree };
    return { results: { loss: value }, state: next };
  };
}

function made(jax: typeof Jax, work: Work, t: Tree): [Tree, Made] {
  const { spec } = work;
  const { numpy: np } = jax;
  const f = formulas(jax);
  const pure = (fn: (t: Tree) => Tree): [Tree, Made] => {
    const jitted = jax.jit(fn) as unknown as (t: Tree) => Tree;
    return [t, { step: inputs => ({ results: jitted(Object.fromEntries(Object.entries(inputs).map(([n, x]) => [n, x.ref]))), state: {} }), state: {} }];
  };
  switch (spec.kind) {
    case 'matmul': return pure(({ a, b }) => ({ y: np.matmul(a!, b!) }));
    case 'linear': return pure(({ x, w, b }) => ({ y: f.affine(x!, w!, b) }));
    case 'attention': return pure(({ q, k, v }) => ({ y: f.attention(...[q!, k!, v!].map(x => np.expandDims(x, 0)) as [Arr, Arr, Arr]) }));
    case 'layerNorm': return pure(({ x, w, b }) => ({ y: f.layerNorm(x!, w!, b!) }));
    case 'block': return pure(({ x, ...w }) => ({ y: f.block(x!, name => w[name]!, spec) }));
    case 'contrastive': {
      const vg = jax.valueAndGrad(f.contrastive, { argnums: [0, 1, 2] });
      t.logScale = np.array(LOG_SCALE);
      return pure(({ p, y, logScale }) => {
        const [loss, [dp, dy, dLogScale]] = vg(p!, y!, logScale!) as unknown as [Arr, [Arr, Arr, Arr]];
        return { loss, dp, dy, dLogScale };
      });
    }
    case 'mlpStep': {
      const [inputs, state] = split(t, Object.keys(mlpWeights(spec)));
      return [inputs, { step: mlpStep(jax, spec), state }];
    }
    case 'transformerStep': {
      const names = Object.keys(transformerWeights(spec));
      const [inputs, state] = split(t, names);
      for (const n of names) for (const kind of ['m', 'v']) state[`${kind}.${n}`] = np.zeros(work.inputs[n]!.shape as number[]);
      return [inputs, { step: transformerStep(jax, spec), state }];
    }
  }
}

function prepare(jax: typeof Jax, device: GPUDevice, work: Work, values: Arrays): Runner {
  const t: Tree = Object.fromEntries(Object.entries(work.inputs).map(([name, { shape }]) => [name, jax.numpy.array(values[name]! as Float32Array<ArrayBuffer>, { shape: [...shape] })]));
  const [inputs, { step, state: first }] = made(jax, work, t);
  let state = first, last: Tree = {};
  const drop = (tree: Tree): void => { for (const x of Object.values(tree)) x.dispose(); };
  return {
    run() {
      drop(last);
      ({ results: last, state } = step(inputs, state)); // the old state was consumed
    },
    async sync() {
      await jax.blockUntilReady([...Object.values(last), ...Object.values(state)]); // also dispatches what waits
      await device.queue.onSubmittedWorkDone();
    },
    async results() {
      const out: Record<string, Float32Array> = {};
      for (const [name, x] of Object.entries({ ...last, ...state })) out[name] = await wait(x.ref.data()) as Float32Array;
      return out;
    },
    dispose() {
      for (const tree of [last, state, inputs]) drop(tree);
    },
  };
}

/**
 * jax-js. Node needs `navigator.gpu` beforehand (node_gpu.ts).
 * @param version of the installed package @returns the library @throws PeerError when it is not installed or has no WebGPU
 */
export async function jaxLibrary(version: string): Promise<Library> {
  const jax = await loadPeer('@jax-js/jax', () => import('@jax-js/jax'));
  if (!(await wait(jax.init('webgpu'))).includes('webgpu')) throw new PeerError('bench peers: jax-js found no WebGPU, expected its backend webgpu to start');
  jax.defaultDevice('webgpu');
  const device = jax.getWebGPUDevice();
  return { name: 'jax-js', version, prepare: async (work, values) => prepare(jax, device, work, values) };
}
