// TensorFlow.js with its WebGPU backend, on a device that it opens itself through navigator.gpu.
import type * as Tf from '@tensorflow/tfjs-core';
import { wait } from '../../engine/polling.ts';
import { loadPeer, PeerError } from './library.ts';
import type { Arrays, Library, Runner } from './library.ts';
import { ADAM, EPS, LOG_SCALE, SGD_RATE, mlpWeights, transformerWeights } from './works.ts';
import type { BlockSizes, Work } from './works.ts';

type Tensors = Readonly<Record<string, Tf.Tensor>>;
/** What is used of the backend. */
interface Backend { device: GPUDevice; commandEncoder: GPUCommandEncoder | null; submitQueue(): void; endComputePassEncoder(): void }
/** Enqueues once; tensors that it returns are kept until the next run. */
type Step = () => Record<string, Tf.Tensor>;
interface Made { step: Step; state?: () => Record<string, Tf.Tensor>; dispose?: () => void }

/** The formulas of the works in ops of TensorFlow.js. Its own fused ops where it has some. */
function formulas(tf: typeof Tf) {
  const affine = (x: Tf.Tensor, w: Tf.Tensor, b?: Tf.Tensor): Tf.Tensor =>
    (b ? tf.fused.matMul({ a: x as Tf.Tensor2D, b: w as Tf.Tensor2D, transposeA: false, transposeB: false, bias: b }) : tf.matMul(x, w));
  const gelu = (x: Tf.Tensor): Tf.Tensor => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));
  const layerNorm = (x: Tf.Tensor, w: Tf.Tensor, b: Tf.Tensor): Tf.Tensor => {
    const { mean, variance } = tf.moments(x, -1, true);
    return tf.add(tf.mul(tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, EPS))), w), b);
  };
  /** q, k, v [B·H, T, Dh] */
  const attention = (q: Tf.Tensor, k: Tf.Tensor, v: Tf.Tensor, headDim: number): Tf.Tensor =>
    tf.matMul(tf.softmax(tf.matMul(tf.mul(q, 1 / Math.sqrt(headDim)), k, false, true)), v);
  const block = (x: Tf.Tensor, at: (name: string) => Tf.Tensor, { batch, tokens, dim, heads }: BlockSizes): Tf.Tensor => {
    const h = layerNorm(x, at('norm1'), at('norm1b'));
    const headDim = dim / heads;
    const project = (w: string, b: string): Tf.Tensor => tf.transpose(tf.reshape(affine(h, at(w), at(b)), [batch, tokens, heads, headDim]), [0, 2, 1, 3]);
    const mixed = attention(project('wq', 'bq'), project('wk', 'bk'), project('wv', 'bv'), headDim);
    const rows = tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [batch * tokens, dim]);
    const x2 = tf.add(x, affine(rows, at('wo'), at('bo')));
    return tf.add(x2, affine(gelu(affine(layerNorm(x2, at('norm2'), at('norm2b')), at('w1'), at('b1'))), at('w2'), at('b2')));
  };
  /** Mean cross entropy of rows with the diagonal as target; TensorFlow.js has a gradient of its own for it. */
  const crossEntropy = (logits: Tf.Tensor, diagonal: Tf.Tensor): Tf.Tensor => tf.losses.softmaxCrossEntropy(diagonal, logits);
  const contrastive = (p: Tf.Tensor, y: Tf.Tensor, logScale: Tf.Tensor, diagonal: Tf.Tensor): Tf.Scalar => {
    const logits = tf.matMul(tf.mul(p, tf.exp(logScale)), y, false, true);
    return tf.mul(tf.add(crossEntropy(logits, diagonal), crossEntropy(tf.transpose(logits), diagonal)), 0.5) as Tf.Scalar;
  };
  const mse = (y: Tf.Tensor, target: Tf.Tensor): Tf.Scalar => tf.mean(tf.squaredDifference(y, target)) as Tf.Scalar;
  return { affine, gelu, layerNorm, attention, block, contrastive, mse };
}

/** Variables with the weights' values, and what they become. */
function variables(tf: typeof Tf, t: Tensors, names: readonly string[]): Record<string, Tf.Variable> {
  return Object.fromEntries(names.map(n => [n, tf.variable(t[n]!, true)]));
}

function training(tf: typeof Tf, work: Work, t: Tensors): Made {
  const { spec } = work;
  const f = formulas(tf);
  if (spec.kind === 'mlpStep') {
    const v = variables(tf, t, Object.keys(mlpWeights(spec)));
    const optimizer = tf.train.sgd(SGD_RATE);
    const dispose = (): void => { tf.dispose(v); optimizer.dispose(); };
    const loss = (): Tf.Scalar => f.mse(f.affine(f.gelu(f.affine(t.x!, v.w1!, v.b1)), v.w2!, v.b2), t.target!);
    return { step: () => ({ loss: optimizer.minimize(loss, true, Object.values(v))! }), state: () => v, dispose };
  }
  if (spec.kind !== 'transformerStep') throw new PeerError(`bench peers: ${work.name} is no training step`);
  const names = Object.keys(transformerWeights(spec));
  const v = variables(tf, t, names);
  const optimizer = tf.train.adam(ADAM.rate, ADAM.beta1, ADAM.beta2, ADAM.eps);
  const dispose = (): void => { tf.dispose(v); optimizer.dispose(); };
  const loss = (): Tf.Scalar => {
    let x = t.x!;
    for (let i = 0; i < spec.layers; i++) x = f.block(x, name => v[`${i}.${name}`]!, spec);
    return f.mse(x, t.target!);
  };
  const moments = (): Record<string, Tf.Tensor> => Object.fromEntries(((optimizer as unknown as { accumulatedFirstMoment: { variable: Tf.Variable }[] }).accumulatedFirstMoment).map(({ variable }, i) => [`m.${names[i]!}`, variable]));
  return { step: () => ({ loss: optimizer.minimize(loss, true, Object.values(v))! }), state: () => ({ ...v, ...moments() }), dispose };
}

function stepOf(tf: typeof Tf, work: Work, t: Tensors): Made {
  const { spec } = work;
  const f = formulas(tf);
  switch (spec.kind) {
    case 'matmul': return { step: () => ({ y: tf.matMul(t.a!, t.b!) }) };
    case 'linear': return { step: () => ({ y: f.affine(t.x!, t.w!, t.b) }) };
    case 'attention': {
      // Heads outermost, as its matMul wants them; results are turned back when they are checked.
      const [q, k, v] = [t.q!, t.k!, t.v!].map(x => tf.transpose(x, [1, 0, 2])) as [Tf.Tensor, Tf.Tensor, Tf.Tensor];
      let y: Tf.Tensor;
      return { step: () => ({ heads: (y = f.attention(q, k, v, spec.headDim)) }), state: () => ({ y: tf.transpose(y, [1, 0, 2]) }) };
    }
    case 'layerNorm': return { step: () => ({ y: f.layerNorm(t.x!, t.w!, t.b!) }) };
    case 'block': return { step: () => ({ y: f.block(t.x!, name => t[name]!, spec) }) };
    case 'contrastive': {
      const diagonal = tf.eye(spec.n), logScale = tf.scalar(LOG_SCALE);
      const gradients = tf.valueAndGrads((p, y, s) => f.contrastive(p!, y!, s!, diagonal));
      return { step() {
        const { value, grads: [dp, dy, dLogScale] } = gradients([t.p!, t.y!, logScale]);
        return { loss: value, dp: dp!, dy: dy!, dLogScale: dLogScale! };
      } };
    }
    case 'mlpStep':
    case 'transformerStep': return training(tf, work, t);
  }
}

function prepare(tf: typeof Tf, backend: Backend, work: Work, values: Arrays): Runner {
  tf.engine().startScope(); // ends in dispose
  const t = Object.fromEntries(Object.entries(work.inputs).map(([name, { shape }]) => [name, tf.tensor(values[name]!, [...shape])]));
  const { step, state, dispose } = stepOf(tf, work, t);
  let last: Record<string, Tf.Tensor> = {};
  return {
    run() {
      tf.dispose(Object.values(last));
      last = tf.tidy(step);
    },
    async sync() {
      if (backend.commandEncoder) {
        backend.endComputePassEncoder();
        backend.submitQueue();
      }
      await backend.device.queue.onSubmittedWorkDone();
    },
    async results() {
      const out: Record<string, Float32Array> = {};
      for (const [name, x] of Object.entries({ ...last, ...state?.() })) out[name] = await wait(x.data()) as Float32Array;
      return out;
    },
    dispose() {
      tf.dispose(Object.values(last));
      dispose?.();
      tf.engine().endScope();
    },
  };
}

/**
 * TensorFlow.js, `tfjs-backend-webgpu`. Node needs `navigator.gpu` beforehand (node_gpu.ts).
 * @returns the library @throws PeerError when it is not installed or does not start
 */
export async function tfjsLibrary(): Promise<Library> {
  const tf = await loadPeer('@tensorflow/tfjs-core', () => import('@tensorflow/tfjs-core'));
  const gradients = '@tensorflow/tfjs-core/dist/register_all_gradients'; // in a variable: its types say it is no module
  await loadPeer('@tensorflow/tfjs-core', () => import(gradients));
  await loadPeer('@tensorflow/tfjs-backend-webgpu', () => import('@tensorflow/tfjs-backend-webgpu'));
  if (!(await wait(tf.setBackend('webgpu'))) || tf.getBackend() !== 'webgpu') throw new PeerError(`bench peers: tfjs runs on its backend ${tf.getBackend()}, expected webgpu`);
  await tf.ready();
  const backend = tf.backend() as unknown as Backend;
  return { name: 'tfjs', version: tf.version_core, prepare: async (work, values) => prepare(tf, backend, work, values) };
}
