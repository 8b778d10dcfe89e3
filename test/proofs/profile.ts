// How much the fast profile does. The fuzz does thousands of times as much with the same checks.
import type { Device } from '../../engine/device.ts';
import type { Shares } from './plan.ts';

/** Dearer checks: as the fuzz, but the twins of gradients more often, since they need no device. */
export const FAST_SHARES: Shares = { again: 0.25, permuted: 0.2, nonfinite: 0.12, differences: 0.25 };

/** Cases of every op: SwiftShader takes three times as long, in Node and in Chromium. @param device where @returns count */
export const fastCases = (device: Device): number => (device.adapter.profile === 'swiftshader' ? 20 : 80);
