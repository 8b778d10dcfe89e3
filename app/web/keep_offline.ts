// Asks for the service worker that keeps the page for the time without a network, and for the change to a newer version of it.
import { ownScript } from './client.ts';
import { element } from './elements.ts';

/** How long a waiting service worker may take to answer, ms. */
const PATIENCE_MS = 10_000;

/** Waits until a service worker has stored its files. @throws Error when it gave up */
const stored = (worker: ServiceWorker | null): Promise<void> => new Promise((done, fail) => {
  const look = (): void => {
    if (!worker || worker.state === 'redundant') fail(new Error('the service worker gave up'));
    else if (worker.state !== 'installing') done();
  };
  worker?.addEventListener('statechange', look);
  look();
});

/**
 * Stores the page, or the version of it that the server has by now; a private window or a full disk may refuse, which changes nothing else.
 * @param version of the page that is open @returns when it is stored or was refused
 */
export async function keepOffline(version: string): Promise<void> {
  const note = element('offline', HTMLElement);
  const say = (text: string, done: boolean): void => {
    note.textContent = text;
    document.body.dataset.offline = done ? '' : 'failed';
  };
  let newest = version;
  try {
    newest = ((await (await fetch('/files.json?latest')).json()) as { version: string }).version;
    if (newest === version && navigator.serviceWorker.controller?.scriptURL.endsWith(`?version=${version}`)) return say('The page is stored and works without a network.', true); // it comes from there
    const { installing, waiting, active } = await navigator.serviceWorker.register(ownScript(`/offline.js?version=${newest}`), { updateViaCache: 'none' });
    await stored(installing ?? waiting ?? active);
    if (newest === version) await navigator.serviceWorker.ready;
    say(newest === version ? 'The page is stored and works without a network.' : 'A newer version of the page is stored: it is there when the page is loaded again.', true);
  } catch {
    say(newest === version ? 'The page could not be stored here, so it needs its server.' : 'This version of the page was stored before; the newer one of the server could not be stored (Shift and reload shows it).', false);
  }
}

/**
 * Gives way to a newer version that is stored already, before anything of this one is loaded, so that no page holds files of two versions.
 * @returns whether this one goes on: nothing newer waits, or it is open in another tab too, which keeps its version
 */
export async function isNewest(): Promise<boolean> {
  const workers = navigator.serviceWorker as ServiceWorkerContainer | undefined;
  const waiting = workers?.controller && (await workers.getRegistration().catch(() => undefined))?.waiting;
  if (!waiting) return true;
  return new Promise(done => {
    const { port1, port2 } = new MessageChannel();
    workers.addEventListener('controllerchange', () => location.reload());
    port1.addEventListener('message', () => done(true)); // it refused
    port1.start();
    setTimeout(() => done(true), PATIENCE_MS);
    waiting.postMessage('take over', [port2]);
  });
}
