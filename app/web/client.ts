// The page's side of the worker: calls as promises, news as events.
import type { CallName, Calls, Reply, Told } from './protocol.ts';

interface Policy {
  createScriptURL(text: string): unknown;
}

/** Addresses of our own scripts pass the page's rule for trusted types; nothing else does. */
const policy: Policy = (globalThis as { trustedTypes?: { createPolicy(name: string, rules: { createScriptURL(text: string): string }): Policy } }).trustedTypes?.createPolicy('vl-jepa', {
  createScriptURL(text) {
    const url = new URL(text, location.href);
    if (url.origin !== location.origin) throw new TypeError(`a script of ${url.origin} is refused`);
    return url.href;
  },
}) ?? { createScriptURL: (text: string) => text };

/** The address of one of the page's own scripts. @param relative beside this module @returns what Worker and register take */
export const ownScript = (relative: string): URL => policy.createScriptURL(new URL(relative, import.meta.url).href) as URL;

/** Everything that touches the model runs behind this. */
export class Client {
  private readonly worker = new Worker(ownScript('./worker.js'), { type: 'module' });
  private readonly waiting = new Map<number, { done: (value: never) => void; fail: (error: Error) => void }>();
  private next = 0;
  private ended: Error | undefined;

  constructor(heard: (news: Told) => void) {
    this.worker.addEventListener('message', ({ data }: MessageEvent<Reply | Told>) => {
      if ('tell' in data) return heard(data);
      const call = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if (data.error === undefined) call?.done(data.result as never);
      else call?.fail(new Error(data.error));
    });
    const end = (why: string): void => {
      if (this.ended) return;
      this.ended = new Error(`What computes has stopped (${why}). Load the page again.`);
      this.worker.terminate();
      for (const { fail } of this.waiting.values()) fail(this.ended); // else whoever waits waits for ever
      this.waiting.clear();
      heard({ tell: 'trouble', message: this.ended.message, fatal: true });
    };
    this.worker.addEventListener('error', event => end(event.message || 'the worker did not start'));
    this.worker.addEventListener('messageerror', () => end('an answer could not be read'));
  }

  call<K extends CallName>(call: K, args: Calls[K]['in'], transfer: Transferable[] = []): Promise<Calls[K]['out']> {
    if (this.ended) return Promise.reject(this.ended);
    const id = this.next++;
    return new Promise((done, fail) => {
      this.waiting.set(id, { done, fail });
      this.worker.postMessage({ id, call, args }, transfer);
    });
  }
}
