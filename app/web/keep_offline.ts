// Asks for the service worker that keeps the page for the time without a network.
import { ownScript } from './client.ts';
import { element } from './elements.ts';

/** Stores the page; a private window may refuse, which changes nothing else. @param version of the site @returns when it is stored or was refused */
export async function keepOffline(version: string): Promise<void> {
  const note = element('offline', HTMLElement);
  try {
    await navigator.serviceWorker.register(ownScript(`/offline.js?version=${version}`), { updateViaCache: 'none' });
    await navigator.serviceWorker.ready;
    note.textContent = 'The page is stored and works without a network.';
    document.body.dataset.offline = '';
  } catch {
    note.textContent = 'The page could not be stored here, so it needs its server.';
  }
}
