// Which software driver a child process runs on. Node only.
import { existsSync } from 'node:fs';

const LAVAPIPE = ['/usr/share/vulkan/icd.d/lvp_icd.json', '/usr/share/vulkan/icd.d/lvp_icd.x86_64.json', '/usr/share/vulkan/icd.d/lvp_icd.aarch64.json'];

/** 'lavapipe': Mesa's, where it is installed; 'swiftshader': the one that npm carries; 'auto': what the engine finds; 'best': lavapipe if there is one, else swiftshader. */
export type Driver = 'auto' | 'best' | 'lavapipe' | 'swiftshader';

/** Names a driver may have on the command line. */
export const DRIVERS: readonly Driver[] = ['auto', 'best', 'lavapipe', 'swiftshader'];

/**
 * Environment that makes the engine open a certain driver.
 * @param driver which @param env the environment of now @returns a changed copy @throws Error when lavapipe is asked for and not installed
 */
export function environmentFor(driver: Driver, env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const { VK_DRIVER_FILES: files, VK_ICD_FILENAMES: manifests, VL_JEPA_ADAPTER: chosen, ...rest } = env;
  const icd = [files, manifests].find(f => f !== undefined && /lvp_icd/.test(f) && existsSync(f)) ?? LAVAPIPE.find(f => existsSync(f));
  if (driver === 'auto') return { ...env };
  if (driver === 'lavapipe' && !icd) throw new Error(`lavapipe is not installed, expected one of ${LAVAPIPE.join(', ')}`);
  if (icd && driver !== 'swiftshader') return { ...rest, VK_DRIVER_FILES: icd, VK_ICD_FILENAMES: icd };
  return { ...rest, VL_JEPA_ADAPTER: 'swiftshader' };
}
