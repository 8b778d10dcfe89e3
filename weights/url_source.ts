// Byte ranges over HTTP. A server that ignores Range answers 200 with the whole file, a proxy may answer another range, a redirect
// may leave the site: each is an error here, because silently wrong bytes are weights too.

import { CheckedSource, type ByteSource, type SourceOptions, type UrlFence } from './byte_source.ts';
import { quote, reason, WeightError } from './error.ts';

/**
 * Opens a URL for range reading, or from the cache of the options. Without one the first request asks for the 8 bytes every safetensors file begins with, and learns the size.
 *
 * @param url http or https
 * @param options fetch and signal
 * @param fence where the reply may come from after redirects; the URL's own origin unless given
 * @returns the source, undefined for 404 and 410
 * @throws WeightError `http-…`, `io`
 */
export async function openUrl(url: URL, options: SourceOptions, fence: UrlFence = { origin: url.origin, prefix: '/' }): Promise<ByteSource | undefined> {
  if (options.cache !== undefined) return options.cache.open(url, options, fence);
  const response = await request(url, options, fence, { range: 'bytes=0-7' });
  if (response.status === 404 || response.status === 410) { await discard(response); return undefined; }
  if (response.status === 416) { // an empty file has no byte 0
    const empty = /^bytes \*\/0$/.test(response.headers.get('content-range') ?? '');
    await discard(response);
    if (empty) return new CheckedSource(url.href, 0, async () => {});
  }
  const { total } = checkPartial(response, 0, 8, undefined, url);
  await readBody(response, new Uint8Array(Math.min(8, total)), url);
  const version = validatorOf(response);
  return new CheckedSource(url.href, total, async (start, target) => {
    const end = start + target.length;
    const part = await request(url, options, fence, { range: `bytes=${start}-${end - 1}` });
    checkPartial(part, start, end, total, url);
    if (validatorOf(part) !== version) { await discard(part); throw new WeightError('source-changed', `${url.href}: the file changed on the server while it was read`); }
    await readBody(part, target, url);
  });
}

/**
 * Reads a whole small file.
 *
 * @param url http or https
 * @param options fetch and signal
 * @param fence where the reply may come from after redirects
 * @param limit most bytes accepted
 * @returns its bytes, undefined for 404 and 410
 * @throws WeightError `http-…`, `text-too-large`, `io`
 */
export async function fetchWhole(url: URL, options: SourceOptions, fence: UrlFence, limit: number): Promise<Uint8Array | undefined> {
  const response = await request(url, options, fence, {});
  if (response.status === 404 || response.status === 410) { await discard(response); return undefined; }
  if (response.status !== 200) { await discard(response); throw new WeightError('http-status', `${url.href}: status ${response.status}, expected 200`); }
  const parts: Uint8Array[] = [];
  let total = 0;
  await eachPart(response, url, (part) => {
    total += part.length;
    if (total > limit) throw new WeightError('text-too-large', `${url.href}: more than ${limit} bytes`);
    parts.push(part);
  });
  const bytes = new Uint8Array(total);
  let at = 0;
  for (const part of parts) { bytes.set(part, at); at += part.length; }
  return bytes;
}

/** @param response a reply @returns what tells one version of a file from another, null when the server does not say */
export const validatorOf = (response: Response): string | null => response.headers.get('etag') ?? response.headers.get('last-modified');

/**
 * Asks for a URL and holds the place of the answer against the fence.
 *
 * @param url http or https
 * @param options fetch and signal
 * @param fence where the reply may come from after redirects
 * @param headers of the request
 * @returns the reply, its body unread
 * @throws WeightError `io` (also when cancelled), `http-origin`
 */
export async function request(url: URL, options: SourceOptions, fence: UrlFence, headers: Record<string, string>): Promise<Response> {
  let response: Response;
  try {
    response = await (options.fetch ?? fetch)(url.href, { headers, ...(options.signal === undefined ? {} : { signal: options.signal }) });
  } catch (error) {
    throw new WeightError('io', `${url.href}: ${reason(error)}`, error);
  }
  if (response.url !== '') { // empty for replies made by hand
    const final = new URL(response.url);
    if (final.origin !== fence.origin || !final.pathname.startsWith(fence.prefix)) {
      await discard(response);
      throw new WeightError('http-origin', `${url.href}: redirected to ${quote(final.href)}, expected to stay below ${fence.origin}${fence.prefix}`);
    }
  }
  return response;
}

/** Holds a reply against the range that was asked for; `end` may pass the end of the file only while the total is unknown. */
function checkPartial(response: Response, start: number, end: number, expectedTotal: number | undefined, url: URL): { total: number } {
  const fault = (code: 'http-no-range' | 'http-status' | 'http-content-range' | 'http-length', what: string): never => {
    void discard(response);
    throw new WeightError(code, `${url.href}: ${what}`);
  };
  if (response.status === 200) fault('http-no-range', 'the server ignored the Range header (status 200, expected 206)');
  if (response.status !== 206) fault('http-status', `status ${response.status}, expected 206`);
  const text = response.headers.get('content-range');
  const match = /^bytes ([0-9]{1,15})-([0-9]{1,15})\/([0-9]{1,15})$/.exec(text ?? '');
  if (match === null) return fault('http-content-range', `Content-Range is ${text === null ? 'missing (a server of another origin must expose it)' : quote(text)}, expected bytes ${start}-${end - 1}/total`);
  const total = Number(match[3]);
  const last = Math.min(end, expectedTotal ?? total) - 1;
  if (Number(match[1]) !== start || Number(match[2]) !== last) fault('http-content-range', `Content-Range is ${quote(match[0])}, expected bytes ${start}-${last}`);
  if (expectedTotal !== undefined && total !== expectedTotal) fault('http-length', `the file has ${total} bytes now, ${expectedTotal} when it was opened`);
  return { total };
}

/** Fills the target from a reply's body, which must have exactly that length: it is counted while it streams. */
async function readBody(response: Response, target: Uint8Array, url: URL): Promise<void> {
  let done = 0;
  await eachPart(response, url, (part) => {
    if (done + part.length > target.length) throw new WeightError('http-length', `${url.href}: the body passes the ${target.length} bytes asked for`);
    target.set(part, done);
    done += part.length;
  });
  if (done !== target.length) throw new WeightError('http-length', `${url.href}: the body has ${done} bytes, expected ${target.length}`);
}

async function eachPart(response: Response, url: URL, use: (part: Uint8Array) => void): Promise<void> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      use(value);
    }
  } catch (error) {
    await reader.cancel().catch(() => {}); // the first error is the one to report
    if (error instanceof WeightError) throw error;
    throw new WeightError('io', `${url.href}: ${reason(error)}`, error);
  }
}

/** Lets go of a reply that is not read. @param response any reply */
export async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => {}); // nothing depends on it
}
