// Where the GPU comes from: the browser, Dawn on a real driver, or Dawn on the software driver that npm carries.
import { DeviceError } from './check.ts';

export type AdapterChoice = 'auto' | 'swiftshader' | 'null';

export interface FoundAdapter {
  adapter: GPUAdapter;
  /** true when a CPU does the work */
  software: boolean;
  /** One sentence for people: which adapter, and that it is slow if it is. */
  notice: string;
  /** Features of the shader language. */
  language: ReadonlySet<string>;
}

/** Dawn's instances: an instance without a reference is collected, and the process dies with it. */
const instances: GPU[] = [];

const ENABLED = ['vulkan_enable_f16_on_nvidia', 'use_vulkan_memory_model', 'allow_unsafe_apis'];
const DISABLED = ['timestamp_quantization'];

interface Dawn {
  create(flags: string[]): GPU;
  globals: Record<string, unknown>;
}

async function dawn(): Promise<Dawn> {
  try {
    const name = 'webgpu'; // a name in a variable keeps bundlers for pages from following it
    return (await import(name)) as Dawn;
  } catch (cause) {
    throw new DeviceError(`openDevice: npm package webgpu could not be loaded, expected it in Node (${(cause as Error).message.split('\n')[0]})`, 'unavailable');
  }
}

function describe(adapter: GPUAdapter): { software: boolean; text: string } {
  const { vendor, architecture, device, description } = adapter.info;
  const text = [description || device, vendor, architecture].filter(Boolean).join(', ');
  const software = /swiftshader|llvmpipe|software|lavapipe|microsoft basic render/i.test(`${text} ${device}`);
  return { software: software || adapter.info.isFallbackAdapter === true, text: text || 'unnamed adapter' };
}

interface Answer { adapter: GPUAdapter; language: ReadonlySet<string> }

async function request(gpu: GPU): Promise<Answer | null> {
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  return adapter && { adapter, language: new Set(gpu.wgslLanguageFeatures) };
}

function found({ adapter, language }: Answer): FoundAdapter {
  const { software, text } = describe(adapter);
  return { adapter, language, software, notice: software ? `${text}: no GPU, everything runs on the CPU and is slow` : text };
}

/**
 * Finds an adapter: `navigator.gpu`, else Dawn on the system's drivers, else Dawn on the software driver out of npm package @sparticuz/chromium.
 * `VL_JEPA_ADAPTER=swiftshader` in the environment is the same as `choice: 'swiftshader'`; `VL_JEPA_TOGGLES=disable_robustness,…` adds Dawn toggles in Node.
 * @param choice which @param toggles Dawn toggles to enable beside our own (Node only) @returns the adapter @throws DeviceError when there is none
 */
export async function findAdapter(choice: AdapterChoice, toggles: readonly string[] = []): Promise<FoundAdapter> {
  const browser = globalThis.navigator?.gpu;
  if (browser) {
    const answer = await request(browser);
    if (answer) return found(answer);
    throw new DeviceError('openDevice: the browser has WebGPU but no adapter, expected one (headless Chromium needs --enable-unsafe-webgpu)', 'unavailable');
  }
  if (typeof process === 'undefined' || !process.versions?.node) throw new DeviceError('openDevice: this browser has no WebGPU (navigator.gpu is missing)', 'unavailable');
  if (process.env.VL_JEPA_ADAPTER === 'swiftshader' && choice === 'auto') choice = 'swiftshader';
  const extra = (process.env.VL_JEPA_TOGGLES ?? '').split(',').filter(Boolean);
  const flags = [`enable-dawn-features=${[...ENABLED, ...toggles, ...extra].join(',')}`, `disable-dawn-features=${DISABLED.join(',')}`];
  if (choice === 'null') {
    const answer = await open([...flags, 'backend=null']);
    if (answer) return { ...answer, software: true, notice: 'Dawn null backend: validates, computes nothing' };
    throw new DeviceError('openDevice: Dawn has no null backend here', 'unavailable');
  }
  const { hasVulkanLoader, loadSwiftShader } = await import('./swiftshader.ts');
  const system = choice === 'auto' && hasVulkanLoader() ? await open(flags) : null;
  if (system) return found(system);
  await loadSwiftShader();
  const answer = await open(flags);
  if (answer) return found(answer);
  throw new DeviceError('openDevice: no adapter, neither a real one nor the software driver that was just loaded', 'unavailable');
}

async function open(flags: string[]): Promise<Answer | null> {
  const { create, globals } = await dawn();
  for (const [name, value] of Object.entries(globals)) if (!(name in globalThis)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  const gpu = create(flags);
  instances.push(gpu);
  return request(gpu);
}
