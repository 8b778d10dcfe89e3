import { DataError } from './errors.ts';
import type { MediaFile } from './frame_source.ts';

/** A decoder that says nothing for so long while it is waited for counts as hanging, ms. */
export const STALL_MS = 60_000;

/**
 * Waits for a decoder, but not for ever.
 * @param work what is waited for @param file name and signal
 * @returns its result @throws DataError after `STALL_MS`; the signal's reason when cancelled
 */
export function withinTime<T>(work: Promise<T>, file: Pick<MediaFile, 'name' | 'signal'>): Promise<T> {
  return new Promise((done, fail) => {
    const { name, signal } = file;
    if (signal?.aborted) {
      work.catch(() => {});
      fail(signal.reason as Error);
      return;
    }
    const timer = setTimeout(() => fail(new DataError('FrameSource.frames', `${name} gave nothing for ${STALL_MS / 1000} s (the decoder hangs; is the file damaged?)`)), STALL_MS);
    const stop = (): void => fail(signal!.reason as Error);
    signal?.addEventListener('abort', stop, { once: true });
    work.then(done, fail).finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
    });
  });
}
