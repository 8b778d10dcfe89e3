// How much the fast profile does. The fuzz does thousands of times as much with the same checks.
import type { Shares } from './plan.ts';

/** Cases of every op. */
export const FAST_CASES = 48;

/** Dearer checks: as the fuzz, but the twins of gradients more often, since they need no device. */
export const FAST_SHARES: Shares = { again: 0.25, permuted: 0.2, nonfinite: 0.12, differences: 0.25 };
