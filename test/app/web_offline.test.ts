// What the page keeps for the time without a network, in real Chromium: whole versions of it, one at a time, and that it says when it cannot.
import type { Browser, Page } from 'playwright-core';
import type { WebServer } from '../../app/web/server.ts';
import { inFolder } from '../folder.ts';
import { assert, isNode, suite } from '../harness.ts';
import { tinyCheckpoint } from './process.ts';

const test = suite('app: the page without a network');
const here = isNode && process.platform === 'linux' && process.arch === 'x64';
const inBrowser = (name: string, handler: () => Promise<void>): void => test.when(here, 'drives Chromium from Node, Linux x64 only', name, handler);
const PATIENCE_MS = 150_000;

/** A browser and folders, which are gone afterwards. */
const visited = (work: (browser: Browser, folder: string) => Promise<void>): Promise<void> => inFolder(async folder => {
  const { launchChromium } = await import('../../bench/launch_chromium.ts');
  const browser = await launchChromium();
  try {
    await work(browser, folder);
  } finally {
    await browser.close();
  }
});

async function serve(model: string, port = 0): Promise<WebServer> {
  const { serveWeb } = await import('../../app/web/server.ts');
  return serveWeb({ port, host: '127.0.0.1', model });
}

/** What the page says of its storing, once it is through. */
async function told(page: Page, how: '' | 'failed'): Promise<string> {
  await page.waitForSelector('body[data-ready]', { timeout: PATIENCE_MS });
  await page.waitForSelector(`body[data-offline="${how}"]`, { timeout: PATIENCE_MS });
  return (await page.textContent('#offline')) ?? '';
}

/** What the page is given: the version of its list, a file of the model, and the caches that there are. */
const held = (page: Page): Promise<{ version: string; mark: string; caches: string[] }> => page.evaluate(async () => ({
  version: ((await (await fetch('/files.json')).json()) as { version: string }).version, mark: await (await fetch('/model/mark.json')).text(), caches: (await caches.keys()).sort(),
}));

inBrowser('a newer version takes the place of an older one as a whole, when all of it is stored', () => visited(async (browser, folder) => {
  const { cp, rm, writeFile } = await import('node:fs/promises');
  const models = ['one', 'two', 'three'].map(name => `${folder}/${name}`) as [string, string, string];
  await tinyCheckpoint(models[0]);
  for (const model of models) {
    if (model !== models[0]) await cp(models[0], model, { recursive: true });
    await writeFile(`${model}/mark.json`, `"${model}"`);
  }
  const page = await (await browser.newContext()).newPage();
  let web = await serve(models[0]);
  const { url } = web;
  const port = Number(new URL(url).port);
  await page.goto(url);
  assert.is(await told(page, ''), 'The page is stored and works without a network.');
  const first = await held(page);
  assert.equal([first.mark, first.caches], [`"${models[0]}"`, [`vl-jepa-${first.version}`]]);

  await web.close();
  web = await serve(models[1], port);
  await page.reload();
  assert.is(await told(page, ''), 'A newer version of the page is stored: it is there when the page is loaded again.');
  const between = await held(page);
  assert.equal([between.version, between.mark, between.caches.length], [first.version, first.mark, 2], 'this page is of the first version alone');

  await web.close();
  await page.reload();
  assert.is(await told(page, ''), 'The page is stored and works without a network.');
  const second = await held(page);
  assert.equal([second.mark, second.caches], [`"${models[1]}"`, [`vl-jepa-${second.version}`]]);
  assert.not.equal(second.version, first.version);

  web = await serve(models[2], port);
  await rm(`${models[2]}/mark.json`); // the server answers 500: not all of the third version is there
  await page.reload();
  assert.match(await told(page, 'failed'), /^This version of the page was stored before; the newer one of the server could not be stored/);
  assert.equal(await held(page), second);
  await web.close();
  await page.reload();
  await told(page, '');
  assert.equal(await held(page), second);
}));

inBrowser('a page that cannot be stored says so', () => visited(async (browser, folder) => {
  const { rm, writeFile } = await import('node:fs/promises');
  await tinyCheckpoint(`${folder}/model`);
  await writeFile(`${folder}/model/mark.json`, '1');
  const web = await serve(`${folder}/model`);
  await rm(`${folder}/model/mark.json`);
  const page = await (await browser.newContext()).newPage();
  await page.goto(web.url);
  assert.is(await told(page, 'failed'), 'The page could not be stored here, so it needs its server.');
  assert.is(await page.getAttribute('#offline', 'role'), 'status');
  assert.equal(await page.evaluate(() => caches.keys()), []);
  await web.close();
}));

test.run();
