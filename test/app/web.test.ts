// The page in real Chromium: what people do with it, with a camera that Chromium makes up, without a network, and without WebGPU.
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { assert, isNode, suite } from '../harness.ts';
import type { WebServer } from '../../app/web/server.ts';

const test = suite('app: the page');
const here = isNode && process.platform === 'linux' && process.arch === 'x64';
const inBrowser = (name: string, handler: () => Promise<void>): void => test.when(here, 'drives Chromium from Node, Linux x64 only', name, handler);

/** Longest wait for one thing, ms: a software driver compiles its pipelines first. */
const PATIENCE_MS = 150_000;

interface Visit {
  web: WebServer;
  browser: Browser;
  context: BrowserContext;
  page: Page;
  /** Console messages, errors, refused requests, breaches of the policy. */
  trouble: string[];
}

let visit: Visit | undefined;

function watch(page: Page, trouble: string[]): void {
  page.on('console', message => { if (['error', 'warning'].includes(message.type())) trouble.push(`${message.type()}: ${message.text()}`); });
  page.on('pageerror', error => trouble.push(`thrown: ${error.message}`));
  page.on('requestfailed', request => { if (!request.url().startsWith('blob:')) trouble.push(`${request.url()} ${request.failure()?.errorText}`); });
  page.setDefaultTimeout(PATIENCE_MS);
}

/** The page, open and ready: the same for all tests but the last. */
async function opened(): Promise<Visit> {
  if (visit) return visit;
  const { serveWeb } = await import('../../app/web/server.ts');
  const { launchChromium } = await import('../../bench/launch_chromium.ts');
  const web = await serveWeb({ port: 0, host: '127.0.0.1' });
  const browser = await launchChromium(['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream']);
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, permissions: ['camera'] });
  const page = await context.newPage();
  const trouble: string[] = [];
  watch(page, trouble);
  await page.addInitScript(() => document.addEventListener('securitypolicyviolation', event => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`)));
  await page.goto(web.url);
  await page.waitForSelector('body[data-ready]');
  return (visit = { web, browser, context, page, trouble });
}

const windows = async (page: Page): Promise<number> => Number(await page.locator('#tally b').first().textContent());
const top = (page: Page, list = '#bars'): Promise<string | null> => page.locator(`${list} li:first-child .what`).textContent();

inBrowser('the server sends its own files and nothing else, under a strict policy', async () => {
  const { serveWeb } = await import('../../app/web/server.ts');
  const { request } = await import('node:http');
  const { url, close } = await serveWeb({ port: 0, host: '127.0.0.1' });
  const ask = (path: string, method = 'GET', headers: Record<string, string> = {}): Promise<{ status: number; headers: Record<string, unknown>; bytes: number }> => new Promise((done, fail) => {
    const sent = request({ host: '127.0.0.1', port: new URL(url).port, path, method, headers }, answer => {
      let bytes = 0;
      answer.on('data', (part: Buffer) => { bytes += part.length; }).on('end', () => done({ status: answer.statusCode!, headers: answer.headers, bytes }));
    });
    sent.once('error', fail).end();
  });
  const home = await ask('/');
  assert.is(home.status, 200);
  const policy = String(home.headers['content-security-policy']);
  for (const rule of ["default-src 'none'", "script-src 'self'", "require-trusted-types-for 'script'", "frame-ancestors 'none'"]) assert.ok(policy.includes(rule), rule);
  assert.not.match(policy, /unsafe|http|\*/);
  for (const path of ['/package.json', '/../package.json', '/%2e%2e/package.json', '/dist/app/web/server.js', '/model/../../../package.json', '/.git/config', '/index.html']) assert.is((await ask(path)).status, 404, path);
  assert.is((await ask('/', 'POST')).status, 405);
  assert.is((await ask('/', 'GET', { host: 'elsewhere.example' })).status, 421);
  const all = await ask('/model/model.safetensors', 'HEAD');
  const some = await ask('/model/model.safetensors', 'GET', { range: 'bytes=8-107' });
  assert.equal([all.status, all.bytes, some.status, some.bytes, some.headers['content-range']], [200, 0, 206, 100, `bytes 8-107/${all.headers['content-length']}`]);
  assert.is((await ask('/model/config.json', 'GET', { range: 'bytes=99999999-' })).status, 416);
  for (const path of ['/', '/style.css', '/model/config.json', '/files.json', '/dist/app/web/page.js']) {
    const { headers: { etag }, bytes } = await ask(path);
    const tag = String(etag);
    assert.match(tag, /^"[0-9a-f-]+"$/, path);
    assert.ok(bytes > 0);
    for (const known of [tag, `W/${tag}`, `"other", W/"a,b" ,${tag}`, '*']) {
      for (const method of ['GET', 'HEAD']) {
        const again = await ask(path, method, { 'if-none-match': known, range: 'bytes=1-2' });
        assert.equal([again.status, again.bytes, again.headers.etag, again.headers['cache-control'], again.headers['content-length']], [304, 0, etag, 'no-cache', undefined], `${method} ${path} ${known}`);
      }
    }
    for (const other of ['"other"', `"${tag}`, tag.slice(1, -1), `${tag.slice(0, -1)}0"`, '', '"*"']) assert.equal([(await ask(path, 'GET', { 'if-none-match': other })).status, (await ask(path, 'GET', { 'if-none-match': other })).bytes], [200, bytes], `${path} ${other}`);
  }
  assert.equal([(await ask('/package.json', 'GET', { 'if-none-match': '*' })).status, (await ask('/', 'POST', { 'if-none-match': '*' })).status], [404, 405]);
  assert.match(await serveWeb({ port: 0, host: '127.0.0.1', model: '/nowhere' }).then(() => '', (error: Error) => error.message), /\/nowhere has no config\.json/);
  await close();
});

inBrowser('a checkpoint that is written over while it is served gets another tag', async () => {
  const { serveWeb } = await import('../../app/web/server.ts');
  const { inFolder } = await import('../folder.ts');
  const { utimes, writeFile } = await import('node:fs/promises');
  await inFolder(async folder => {
    await writeFile(`${folder}/config.json`, '{"a": 1}');
    const { url, close } = await serveWeb({ port: 0, host: '127.0.0.1', model: folder });
    const ask = (known = ''): Promise<Response> => fetch(`${url}model/config.json`, { headers: { 'if-none-match': known } });
    const etag = (await ask()).headers.get('etag')!;
    assert.is((await ask(etag)).status, 304);
    await writeFile(`${folder}/config.json`, '{"a": 2}');
    await utimes(`${folder}/config.json`, 1e9, 1e9);
    const fresh = await ask(etag);
    assert.equal([fresh.status, await fresh.text(), fresh.headers.get('etag') === etag], [200, '{"a": 2}', false]);
    await close();
  });
});

inBrowser('drawings are named, labels are taken as they are typed', async () => {
  const { page, trouble } = await opened();
  let right = 0;
  for (const [i, name] of ['cat', 'red apple', 'sailboat', 'guitar'].entries()) {
    await page.locator('#samples button').nth(i).click();
    await page.waitForFunction(() => document.querySelector('#tally b')?.textContent === '1' && document.querySelector('#bars li'));
    await page.waitForTimeout(400);
    right += Number((await top(page)) === name);
  }
  assert.ok(right >= 3, `${right} of 4 drawings have the right label first`);
  await page.fill('#labels', 'guitar, bowl of soup');
  await page.waitForFunction(() => document.querySelectorAll('#bars li').length === 2);
  assert.is(await top(page), 'guitar');
  await page.fill('#answers', 'an animal, a musical instrument');
  await page.click('#ask-button');
  await page.waitForSelector('#ask-bars li');
  assert.is(await top(page, '#ask-bars'), 'a musical instrument');
  await page.fill('#question', ' ');
  await page.click('#ask-button');
  await page.waitForFunction(() => /^ask: the question is empty/.test(document.querySelector('#toast:not([hidden])')?.textContent ?? ''));
  await page.fill('#question', 'is it '.repeat(20_000));
  await page.click('#ask-button');
  await page.waitForFunction(() => /^ask: the question has more than \d+ tokens/.test(document.querySelector('#toast:not([hidden])')?.textContent ?? ''));
  await page.fill('#question', 'What is this?');
  await page.fill('#labels', ' , ');
  await page.waitForFunction(() => document.querySelectorAll('#bars li').length === 0);
  await page.locator('#samples button').nth(1).click();
  await page.waitForFunction(() => document.querySelector('#tally b')?.textContent === '1');
  await page.waitForTimeout(400);
  assert.is(await page.locator('#bars li').count(), 0, 'labels that were taken away do not come back');
  await page.fill('#labels', 'guitar, bowl of soup');
  await page.waitForFunction(() => document.querySelectorAll('#bars li').length === 2);
  await page.waitForSelector('input[value=names]:enabled');
  await page.check('input[value=names]', { force: true });
  await page.waitForFunction(() => document.querySelectorAll('#bars li').length === 8);
  await page.check('input[value=own]', { force: true });
  assert.equal(trouble, []);
});

inBrowser('a film leaves its trace; the keyboard moves through it; a text finds its moment', async () => {
  const { page, trouble } = await opened();
  const { fileURLToPath } = await import('node:url');
  await page.evaluate(() => { // one window per frame, whatever the checkpoint was trained on
    for (const [name, value] of [['framesPerSecond', '8'], ['framesPerWindow', '1'], ['strideFrames', '1']]) {
      const input = document.querySelector<HTMLInputElement>(`#settings [name=${name}]`)!;
      input.value = value!;
      input.dispatchEvent(new Event('change'));
    }
  });
  for (const name of ['square.mp4', 'square_vp9.webm', 'square.gif']) {
    await page.setInputFiles('#file', fileURLToPath(new URL(`../../../test/data/clips/${name}`, import.meta.url)));
    await page.waitForFunction(() => document.querySelector('#tally b')?.textContent === '13'); // 1.6 s at 8 frames per second
    await page.waitForFunction(() => Number(document.querySelectorAll('#tally b')[1]?.textContent) >= 1);
  }
  assert.ok(await page.locator('#plot .p-change').count() > 0);
  assert.ok(await page.locator('#captions tr').count() >= 1);
  await page.focus('#scrub');
  await page.keyboard.press('Home');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  await page.waitForFunction(() => document.querySelector('#scrub')?.getAttribute('aria-valuetext')?.startsWith('0:00.2'));
  await page.fill('#sought', 'a yellow square');
  await page.click('#find-button');
  await page.waitForSelector('#plot .p-find', { state: 'attached' }); // the square looks the same wherever it is, so the curve is flat
  assert.match((await page.textContent('#found')) ?? '', /^nearest at 0:0\d\.\d \(-?0\.\d\d\)$/);
  assert.equal(trouble, []);
});

inBrowser('a film that begins again announces its texts no more, until it is paused', async () => {
  const { page, trouble } = await opened();
  const { fileURLToPath } = await import('node:url');
  await page.setInputFiles('#file', fileURLToPath(new URL('../../../test/data/clips/square_vp9.webm', import.meta.url)));
  const spoken = (how: string): Promise<unknown> => page.waitForSelector(`#caption-now[aria-live=${how}]`, { state: 'attached' });
  await spoken('polite');
  await page.waitForFunction(() => document.querySelector('#play')?.textContent === 'Pause');
  await spoken('off');
  await page.click('#play');
  await spoken('polite');
  await page.click('#play');
  assert.is(await page.getAttribute('#caption-now', 'aria-live'), 'polite', 'its first pass');
  await spoken('off');
  await page.click('#play');
  assert.equal(trouble, []);
});

inBrowser('a file that is none is told in one sentence', async () => {
  const { page, trouble } = await opened();
  await page.setInputFiles('#file', { name: 'letter.mp4', mimeType: 'video/mp4', buffer: Buffer.from('this is a letter, not a film') });
  await page.waitForSelector('#toast:not([hidden])');
  assert.match((await page.textContent('#toast')) ?? '', /letter\.mp4/);
  trouble.length = 0; // the video element complains too
});

inBrowser('the camera is watched and let go', async () => {
  const { page, trouble } = await opened();
  await page.evaluate(() => {
    const asked: MediaStream[] = ((globalThis as { asked?: MediaStream[] }).asked = []);
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async wish => {
      const stream = await ask(wish);
      asked.push(stream);
      return stream;
    };
    for (let n = 0; n < 2; n++) document.querySelector<HTMLButtonElement>('#camera')!.click(); // pressed twice
  });
  await page.waitForFunction(() => Number(document.querySelector('#tally b')?.textContent) >= 5);
  assert.is(await page.getAttribute('#camera', 'aria-pressed'), 'true');
  assert.ok(await page.evaluate(() => (document.querySelector('#video') as HTMLVideoElement).srcObject !== null));
  await page.click('#camera');
  await page.waitForFunction(() => document.querySelector('#camera')?.textContent === 'Use the camera');
  assert.not.ok(await page.evaluate(() => (document.querySelector('#video') as HTMLVideoElement).srcObject !== null));
  const seen = await windows(page);
  await page.waitForTimeout(600);
  assert.is(await windows(page), seen);
  assert.ok(seen >= 5, 'what the camera saw stays');
  await page.fill('#sought', 'a green circle');
  await page.click('#find-button');
  await page.waitForSelector('#plot .p-find', { state: 'attached' });
  await page.waitForFunction(() => /^nearest at 0:\d\d\.\d/.test(document.querySelector('#found')?.textContent ?? ''));
  assert.is(await windows(page), seen);
  const live = (): Promise<number> => page.evaluate(() => (globalThis as { asked?: MediaStream[] }).asked!.flatMap(s => s.getTracks()).filter(t => t.readyState === 'live').length);
  assert.is(await live(), 0, 'no camera stays on');
  await page.click('#camera');
  await page.waitForSelector('#camera[aria-pressed=true]');
  assert.is(await page.textContent('#found'), '', 'another stream begins anew');
  await page.waitForFunction(() => Number(document.querySelector('#tally b')?.textContent) >= 1);
  assert.is(await live(), 1);
  await page.evaluate(() => ((document.querySelector('#video') as HTMLVideoElement).srcObject as MediaStream).getTracks().forEach(t => t.stop())); // as if it were unplugged
  await page.waitForFunction(() => /unplugged or switched off/.test(document.querySelector('#toast:not([hidden])')?.textContent ?? ''));
  await page.waitForFunction(() => document.querySelector('#camera')?.textContent === 'Use the camera');
  await page.evaluate(() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError')); });
  await page.click('#camera');
  await page.waitForFunction(() => document.querySelector('#toast:not([hidden])')?.textContent === 'The camera cannot be used: it was not allowed.');
  assert.equal([await page.textContent('#camera'), await page.getAttribute('#camera', 'aria-pressed')], ['Use the camera', 'false']);
  assert.equal(trouble, []);
});

inBrowser('everything has a name and a role, nothing is wider than a telephone', async () => {
  const { page } = await opened();
  const nameless = await page.evaluate(() => [...document.querySelectorAll('button, input, textarea, select, progress, svg[role], section')].filter(node => {
    const labelled = node.getAttribute('aria-label') ?? node.getAttribute('aria-labelledby') ?? node.closest('label')?.textContent ?? (node.id ? document.querySelector(`label[for=${node.id}]`)?.textContent : '') ?? '';
    return !(labelled || node.textContent?.trim());
  }).map(node => node.outerHTML.slice(0, 80)));
  assert.equal(nameless, []);
  await page.setViewportSize({ width: 360, height: 740 });
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the page scrolls sideways on a narrow screen');
  await page.setViewportSize({ width: 1200, height: 900 });
});

inBrowser('a worker or a model that does not load, or stops, is told and stays told', async () => {
  const { browser, web } = await opened();
  const broken = async (pattern: string): Promise<Page> => {
    const page = await (await browser.newContext({ serviceWorkers: 'block' })).newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await page.route(pattern, route => route.abort());
    await page.goto(web.url);
    return page;
  };
  for (const [pattern, said] of [['**/worker.js', /the worker did not start.*Load the page again/], ['**/model/model.safetensors', /model\.safetensors/]] as const) {
    const page = await broken(pattern);
    await page.waitForFunction(() => document.querySelector('#state-text')?.textContent === 'It did not start' || document.querySelector('#state-text')?.textContent === 'It stopped');
    await page.waitForSelector('#toast:not([hidden])');
    assert.match((await page.textContent('#toast')) ?? '', said);
    assert.is(await page.getAttribute('#state', 'data-kind'), 'bad');
    await page.context().close();
  }
});

inBrowser('after the first load it works without a network and without its server', async () => {
  const { page, context, web, trouble } = await opened();
  await page.waitForSelector('body[data-offline]');
  await web.close();
  await context.setOffline(true);
  trouble.length = 0;
  await page.reload();
  await page.waitForSelector('body[data-ready]');
  await page.locator('#samples button').nth(3).click();
  await page.waitForFunction(() => document.querySelector('#tally b')?.textContent === '1');
  assert.equal(trouble.filter(t => !t.includes('/files.json')), []); // the list is asked of the network first
});

inBrowser('without WebGPU it says what is missing', async () => {
  const { browser } = await opened();
  const { serveWeb } = await import('../../app/web/server.ts');
  const web = await serveWeb({ port: 0, host: '127.0.0.1' });
  const page = await browser.newPage();
  const trouble: string[] = [];
  watch(page, trouble);
  await page.addInitScript(() => Object.defineProperty(Navigator.prototype, 'gpu', { get: () => undefined }));
  await page.goto(web.url);
  await page.waitForSelector('#missing:not([hidden])');
  assert.match((await page.textContent('#missing')) ?? '', /There is no WebGPU here.*switched off.*Chrome and Edge/s);
  assert.is(await page.textContent('#state-text'), 'No WebGPU');
  assert.equal(await page.evaluate(() => [...document.querySelectorAll<HTMLButtonElement>('.stage button')].every(b => b.disabled)), true);
  assert.equal(trouble, []);
  await browser.close();
  await web.close();
});

test.run();
