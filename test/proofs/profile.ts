// How much the fast profile does. The fuzz does thousands of times as much with the same checks.
import type { Device } from '../../engine/device.ts';
import type { Shares } from './plan.ts';

/** Dearer checks: as the fuzz, but the twins of gradients more often, since they need no device. */
export const FAST_SHARES: Shares = { again: 0.25, permuted: 0.2, nonfinite: 0.12, differences: 0.25 };

/** Cases of every op: SwiftShader takes three times as long, and a page on it is there to show the same bits. @param device where @param page whether this is one @returns count */
export const fastCases = (device: Device, page: boolean): number => (device.adapter.profile !== 'swiftshader' ? 80 : page ? 6 : 20);
