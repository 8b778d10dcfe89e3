// Node on Linux x64 without a GPU: the SwiftShader Vulkan driver out of npm package @sparticuz/chromium, unpacked once into the user's cache.
import { DeviceError } from './check.ts';

const FILES = ['libvk_swiftshader.so', 'libvulkan.so.1', 'vk_swiftshader_icd.json'];
/** RTLD_NODELETE | RTLD_GLOBAL | RTLD_NOW of Linux: the library stays, and Dawn's later dlopen finds it by its name. */
const DLOPEN_FLAGS = 0x1000 | 0x100 | 0x2;

let loaded = false;

/**
 * Whether this system has a Vulkan loader. Dawn would complain at length on stderr when there is none.
 * @returns false on a Linux without libvulkan.so.1, true elsewhere
 */
export function hasVulkanLoader(): boolean {
  if (process.platform !== 'linux') return true;
  try {
    process.dlopen({ exports: {} } as NodeJS.Module, 'libvulkan.so.1', DLOPEN_FLAGS);
  } catch (error) {
    return /self-register/.test((error as Error).message); // no add-on, but there
  }
  return true;
}

async function packageFile(): Promise<{ archive: string; version: string }> {
  const { createRequire } = await import('node:module');
  const { readFile } = await import('node:fs/promises');
  const { dirname, join } = await import('node:path');
  const require = createRequire(import.meta.url);
  let root: string;
  try {
    root = dirname(require.resolve('@sparticuz/chromium'));
    while (!(await readFile(join(root, 'package.json'), 'utf8').catch(() => '')).includes('"@sparticuz/chromium"')) {
      if (dirname(root) === root) throw new Error('its package.json was not found');
      root = dirname(root);
    }
  } catch (cause) {
    throw new DeviceError(`openDevice: no GPU was found, and the software driver needs npm package @sparticuz/chromium, which is not installed (${(cause as Error).message.split('\n')[0]})`, 'unavailable');
  }
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
  return { archive: join(root, 'bin', 'swiftshader.tar.br'), version };
}

/** Folder for things that can be made again. @returns absolute path, not yet created */
export async function cacheFolder(): Promise<string> {
  const { homedir, tmpdir } = await import('node:os');
  const { join } = await import('node:path');
  const base = process.env.XDG_CACHE_HOME ?? (homedir() ? join(homedir(), '.cache') : tmpdir());
  return join(base, 'vl-jepa');
}

async function unpack(): Promise<string> {
  const { archive, version } = await packageFile();
  const { mkdir, readFile, rename, rm, writeFile, access } = await import('node:fs/promises');
  const { join } = await import('node:path');
  const folder = join(await cacheFolder(), `swiftshader-${version}`);
  if (await access(join(folder, 'complete')).then(() => true, () => false)) return folder;
  const { brotliDecompressSync } = await import('node:zlib');
  const { unpackTar } = await import('modern-tar');
  const fresh = `${folder}.tmp-${process.pid}-${Date.now()}`;
  await mkdir(fresh, { recursive: true });
  try {
    for (const { header, data } of await unpackTar(brotliDecompressSync(await readFile(archive)))) {
      const name = header.name.replace(/^\.\//, '');
      if (FILES.includes(name) && data) await writeFile(join(fresh, name), data);
    }
    for (const name of FILES) await access(join(fresh, name));
    await writeFile(join(fresh, 'complete'), version);
    if (!(await access(join(folder, 'complete')).then(() => true, () => false))) await rm(folder, { recursive: true, force: true }); // else another process uses it by now
    await rename(fresh, folder);
  } catch (cause) {
    await rm(fresh, { recursive: true, force: true });
    // another process may have finished first
    if (await access(join(folder, 'complete')).then(() => true, () => false)) return folder;
    throw new DeviceError(`openDevice: the software driver could not be unpacked into ${folder} (${(cause as Error).message})`, 'unavailable');
  }
  return folder;
}

/**
 * Makes SwiftShader the Vulkan driver of this process. Linux x64 only; a second call does nothing.
 * @returns nothing @throws DeviceError when the platform or the package does not allow it
 */
export async function loadSwiftShader(): Promise<void> {
  if (loaded) return;
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new DeviceError(`openDevice: no adapter was found, and the bundled software driver exists for linux x64 only (this is ${process.platform} ${process.arch})`, 'unavailable');
  }
  const { join } = await import('node:path');
  const folder = await unpack();
  process.env.VK_DRIVER_FILES = process.env.VK_ICD_FILENAMES = join(folder, 'vk_swiftshader_icd.json');
  try {
    process.dlopen({ exports: {} } as NodeJS.Module, join(folder, 'libvulkan.so.1'), DLOPEN_FLAGS);
  } catch (error) {
    // Not an add-on, so Node complains after the library is in place; any other complaint is a failure.
    if (!/self-register/.test((error as Error).message)) throw new DeviceError(`openDevice: the Vulkan loader of the software driver does not load (${(error as Error).message})`, 'unavailable');
  }
  loaded = true;
}
