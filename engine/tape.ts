// The tape: who made a tensor, and how a gradient goes back through it. It knows no op; the sum of gradients comes in as an argument.
import { ShapeError, showShape } from './check.ts';
import { keep, scope } from './memory.ts';
import { newestTensor } from './tensor.ts';
import type { Tensor } from './tensor.ts';

/** Gradient of the output in, gradient of one input out (same shape as that input; may be `dy` itself). */
export type Pullback = (dy: Tensor) => Tensor;
/** Like `Pullback`, for inputs whose gradients share work; `needs[i]` says whether input i wants one. */
export type JointPullback = (dy: Tensor, needs: readonly boolean[]) => readonly (Tensor | undefined)[];

interface Node {
  readonly order: number;
  readonly inputs: readonly (Tensor | undefined)[];
  readonly pullback: JointPullback;
}

let enabled = true;
let order = 0;

/** Whether ops record gradients now. @returns true inside normal code, false inside `noGrad` */
export const gradEnabled = (): boolean => enabled;

function withGrad<T>(value: boolean, fn: () => T): T {
  const before = enabled;
  enabled = value;
  try {
    return fn();
  } finally {
    enabled = before;
  }
}

/** Runs `fn` without recording. @param fn synchronous work @returns what `fn` returns */
export const noGrad = <T>(fn: () => T): T => withGrad(false, fn);

/**
 * Records how gradients flow from `out` to its inputs, one pullback per input. Inputs that need no gradient are dropped, so a frozen weight costs nothing.
 * @param out [any] a fresh result @param pairs input and its pullback @returns `out`
 */
export function record(out: Tensor, pairs: readonly (readonly [Tensor | undefined, Pullback])[]): Tensor {
  if (!enabled || !pairs.some(([input]) => input?.needsGrad)) return out;
  return recordJoint(out, pairs.map(([input]) => input), (dy, needs) => pairs.map(([, pullback], i) => (needs[i] ? pullback(dy) : undefined)));
}

/**
 * Like `record`, for gradients that share work.
 * @param out [any] a fresh result @param inputs the inputs @param pullback one gradient per input that needs one @returns `out`
 */
export function recordJoint(out: Tensor, inputs: readonly (Tensor | undefined)[], pullback: JointPullback): Tensor {
  if (!enabled || !inputs.some(t => t?.needsGrad)) return out;
  out.needsGrad = true;
  out.node = { order: ++order, inputs, pullback } satisfies Node;
  return out;
}

/**
 * Recomputation: keeps only the inputs of `fn` and runs it again in the backward pass (Chen et al. 2016, arXiv 1604.06174).
 * @param fn a deterministic function of its inputs (and of weights it closes over) @param inputs [any] its tensors @param weights [any] the tensors it closes over that want gradients
 * @returns [any] what `fn` returns @throws ShapeError in the backward pass when `fn` uses a tensor that wants a gradient and was not named
 */
export function checkpoint(fn: (...inputs: Tensor[]) => Tensor, inputs: Tensor[], weights: readonly Tensor[] = []): Tensor {
  const all = [...inputs, ...weights];
  const result = scope(() => noGrad(() => fn(...inputs)));
  const out = all.includes(result) ? result.view(result.shape) : result; // a fresh tensor carries the history
  return recordJoint(out, all, (dy, needs) => {
    const leaves = inputs.map(t => {
      const leaf = t.view(t.shape);
      leaf.needsGrad = t.needsGrad;
      return leaf;
    });
    const again = withGrad(true, () => fn(...leaves));
    const known = [...leaves, ...weights];
    const unnamed = leavesOf(again, new Set(known)).find(t => !known.includes(t));
    if (unnamed) throw new ShapeError(`checkpoint: the function uses a tensor ${showShape(unnamed.shape)} that wants a gradient and is no input, expected it among the weights`);
    const grads = gradients(again, dy, known, true);
    return all.map((_, i) => (needs[i] ? grads[i] : undefined));
  });
}

let sumOf: ((a: Tensor, b: Tensor) => Tensor) | undefined;

/** Gives the tape the op that sums two gradients of equal shape. Called once by the kernels. @param add a + b @returns nothing */
export function setAccumulate(add: (a: Tensor, b: Tensor) => Tensor): void {
  sumOf = add;
}

/** A scope that ended too early cuts the history, and what lies behind the cut would silently get no gradient. */
function checkLive(tensor: Tensor): void {
  if (tensor.released) throw new ShapeError(`backward: tensor ${tensor.id} ${showShape(tensor.shape)} of the history was released, expected it to live until the backward pass (call backward inside the scope that made it)`);
}

/** Nodes reachable from `root` through tensors, latest first: a valid order, since inputs are made before outputs. The search does not go behind `stops`. */
function reachable(root: Tensor, stops?: ReadonlySet<Tensor>): { tensor: Tensor; node: Node }[] {
  const found = new Map<Tensor, Node>();
  const stack = [root];
  checkLive(root);
  while (stack.length) {
    const t = stack.pop()!;
    const node = t.node as Node | undefined;
    if (!node || found.has(t) || stops?.has(t)) continue;
    found.set(t, node);
    for (const input of node.inputs) {
      if (!input?.needsGrad) continue;
      checkLive(input);
      stack.push(input);
    }
  }
  return [...found].map(([tensor, node]) => ({ tensor, node })).sort((a, b) => b.node.order - a.node.order);
}

/** Gradients that the tape may release: a pullback may return `dy`, a saved tensor, or one tensor twice, and those are shared, not new. */
function owned(grads: readonly (Tensor | undefined)[], newest: number): (Tensor | undefined)[] {
  const seen = new Set<Tensor>();
  return grads.map(g => {
    if (!g) return g;
    if (g.id > newest && !seen.has(g)) {
      seen.add(g);
      return g;
    }
    return g.view(g.shape);
  });
}

/**
 * Vector-Jacobian product: gradients of sum(seed * root) with respect to `wanted`.
 * @param root [any] an output with a history @param seed [any] gradient of root, same shape @param wanted tensors of its history @param stop whether the search ends at `wanted` and leaves their own history alone
 * @returns one gradient each, undefined where there is no path @throws ShapeError when a tensor of the history was released or a pullback returns another shape
 */
export function gradients(root: Tensor, seed: Tensor, wanted: readonly Tensor[], stop = false): (Tensor | undefined)[] {
  if (!sumOf) throw new ShapeError('backward: no op to sum gradients was set, expected kernels/backward.ts to be imported');
  const add = sumOf;
  const pending = new Map<Tensor, Tensor>([[root, seed.view(seed.shape)]]);
  const wants = new Set(wanted);
  for (const { tensor, node } of reachable(root, stop ? wants : undefined)) {
    const dy = pending.get(tensor);
    if (!dy) continue;
    const needs = node.inputs.map(t => t?.needsGrad === true);
    const newest = newestTensor();
    const grads = scope(() => noGrad(() => owned(node.pullback(dy, needs), newest)));
    node.inputs.forEach((input, i) => {
      const grad = grads[i];
      if (!input || !grad) return;
      if (!needs[i]) {
        grad.dispose();
        return;
      }
      if (grad.shape.length !== input.shape.length || grad.shape.some((n, k) => n !== input.shape[k])) {
        throw new ShapeError(`backward: a pullback returned shape ${showShape(grad.shape)}, expected ${showShape(input.shape)}, the shape of its input ${i}`);
      }
      const before = pending.get(input);
      if (!before) {
        pending.set(input, grad);
        return;
      }
      pending.set(input, noGrad(() => add(before, grad)));
      before.dispose();
      grad.dispose();
    });
    if (!wants.has(tensor)) {
      dy.dispose();
      pending.delete(tensor);
    }
  }
  return wanted.map(t => pending.get(t));
}

function leavesOf(root: Tensor, stops?: ReadonlySet<Tensor>): Tensor[] {
  const leaves = new Set<Tensor>();
  if (!root.node) return root.needsGrad ? [root] : [];
  for (const { node } of reachable(root, stops)) for (const t of node.inputs) if (t?.needsGrad && (!t.node || stops?.has(t))) leaves.add(t);
  return [...leaves];
}

/**
 * Reverse-mode differentiation: adds d loss / d leaf to `grad` of every leaf that needs one.
 * @param loss [1] or [] the scalar @param seed [1] gradient of the loss itself, usually 1 @returns nothing @throws ShapeError unless the loss has one element and a history
 */
export function runBackward(loss: Tensor, seed: Tensor): void {
  if (loss.size !== 1) throw new ShapeError(`backward: loss has shape ${showShape(loss.shape)}, expected one element`);
  if (!loss.needsGrad) throw new ShapeError('backward: the loss does not depend on a tensor that needs a gradient (needsGrad is false everywhere, or it was computed inside noGrad)');
  const leaves = leavesOf(loss);
  const grads = gradients(loss, seed, leaves);
  leaves.forEach((leaf, i) => {
    const grad = grads[i];
    if (!grad) return;
    if (leaf.grad && !leaf.grad.released) {
      const before = leaf.grad;
      leaf.grad = noGrad(() => sumOf!(before, grad));
      before.dispose();
      grad.dispose();
    } else leaf.grad = grad;
  });
}

/** Keeps the gradients of these leaves alive beyond the open scopes. @param leaves [any] tensors with `grad` @returns nothing */
export function keepGradients(leaves: readonly Tensor[]): void {
  for (const t of leaves) if (t.grad) keep(t.grad);
}
