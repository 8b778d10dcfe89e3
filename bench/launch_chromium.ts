// Headless Chromium out of npm package @sparticuz/chromium (Linux x64): `bench peers`, the tests of the page, and all test files once more.
import { access, chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';
import { unpackTar } from 'modern-tar';
import { cacheFolder } from '../engine/swiftshader.ts';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

const exists = (path: string): Promise<boolean> => access(path).then(() => true, () => false);

/** Unpacks Chromium, its software GPU and the libraries that a bare system lacks, once. @returns folder with `chromium` and `lib` */
async function unpackChromium(): Promise<string> {
  const packageFile = join(ROOT, 'node_modules', '@sparticuz', 'chromium', 'package.json');
  const { version } = JSON.parse(await readFile(packageFile, 'utf8')) as { version: string };
  const bin = join(dirname(packageFile), 'bin');
  const folder = join(await cacheFolder(), `chromium-${version}`);
  if (await exists(join(folder, 'complete'))) return folder;
  const fresh = `${folder}.tmp-${process.pid}`;
  await mkdir(join(fresh, 'lib'), { recursive: true });
  await writeFile(join(fresh, 'chromium'), brotliDecompressSync(await readFile(join(bin, 'chromium.br'))));
  await chmod(join(fresh, 'chromium'), 0o755);
  for (const [archive, target] of [['swiftshader.tar.br', fresh], ['al2023.tar.br', join(fresh, 'lib')]] as const) {
    for (const { header, data } of await unpackTar(brotliDecompressSync(await readFile(join(bin, archive))))) {
      const name = header.name.split('/').pop()!;
      if (data && name) await writeFile(join(target, name), data);
    }
  }
  await writeFile(join(fresh, 'complete'), version);
  if (await exists(join(folder, 'complete'))) await rm(fresh, { recursive: true }); // another process was faster
  else {
    await rm(folder, { recursive: true, force: true });
    await rename(fresh, folder);
  }
  return folder;
}

/** Starts headless Chromium with WebGPU on SwiftShader. @param flags more of them @returns the browser, to be closed */
export async function launchChromium(flags: readonly string[] = []): Promise<import('playwright-core').Browser> {
  const folder = await unpackChromium();
  const { chromium } = createRequire(import.meta.url)('playwright-core') as typeof import('playwright-core');
  const { VK_DRIVER_FILES: _driver, VK_ICD_FILENAMES: _manifest, ...environment } = process.env as Record<string, string>; // Chromium brings its own driver
  return chromium.launch({
    executablePath: join(folder, 'chromium'),
    env: { ...environment, LD_LIBRARY_PATH: [join(folder, 'lib'), process.env.LD_LIBRARY_PATH].filter(Boolean).join(':') },
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run', ...flags],
  });
}
