// Calm polling. Dawn's Node binding calls globalThis.setImmediate without pause while anything is awaited, which takes a whole core from a software adapter.

const SPIN_MS = 2;
const NAP_MS = 1;

let installed = false;
let waitingSince = 0;

/** Dawn's callbacks are native functions without a name; everybody else's setImmediate is left alone. */
const isDawnTick = (callback: unknown): boolean =>
  typeof callback === 'function' && callback.name === '' && Function.prototype.toString.call(callback).includes('[native code]');

/**
 * From now on Dawn's ticks spin for 2 ms after a wait began and then nap 1 ms each. Used with software adapters only (performance: about twice as fast on two cores).
 * Node only; a second call does nothing.
 * @returns nothing
 */
export function installCalmPolling(): void {
  if (installed || typeof globalThis.setImmediate !== 'function') return;
  installed = true;
  const immediate = globalThis.setImmediate;
  const calm = (callback: (...args: unknown[]) => void, ...args: unknown[]): unknown => {
    if (!isDawnTick(callback) || performance.now() - waitingSince < SPIN_MS) return immediate(callback, ...args);
    return setTimeout(callback, NAP_MS);
  };
  globalThis.setImmediate = Object.assign(calm, { __promisify__: immediate.__promisify__ }) as unknown as typeof setImmediate;
}

/**
 * Awaits GPU work. A timer lives as long as the wait: a process with no live handle would otherwise wait for V8's background compilation first, or exit.
 * @param work promise of the GPU @returns its value
 */
export async function wait<T>(work: Promise<T>): Promise<T> {
  waitingSince = performance.now();
  const alive = setInterval(() => {}, 1000);
  try {
    return await work;
  } finally {
    clearInterval(alive);
  }
}
