// Every op of the table, fast profile: the same few dozen seeded cases everywhere, and the heavy cases that take less than a second.
import { assert, device, suite } from '../harness.ts';
import { checkAll, command, describe, fastSpecs, shrink } from './harness.ts';
import type { Checked } from './harness.ts';
import { FAST_CASES, FAST_SHARES } from './profile.ts';
import { TABLE } from './table.ts';

const test = suite('proofs');

/** Fails with the smallest case of the first failure, and how many there are. */
async function refuse(failed: readonly Checked[]): Promise<void> {
  if (!failed.length) return;
  const d = await device();
  const { spec, judgement } = failed[0]!;
  const small = await shrink(d, TABLE, { spec, fault: judgement.fault! }, FAST_SHARES).catch(error => ({ spec, fault: `${judgement.fault} (and the device: ${(error as Error).message})`, about: describe(TABLE, spec) }));
  assert.unreachable(`${failed.length} cases failed; ${small.fault}\n    ${small.about}\n    ${command(small.spec)}`);
}

for (const proof of TABLE) {
  test(proof.name, async () => {
    const heavy = (proof.heavy ?? []).filter(h => h.fast).map(h => ({ op: proof.name, seed: 1, cap: 257, heavy: h.name }));
    const done = await checkAll(await device(), TABLE, [...fastSpecs(proof, FAST_CASES), ...heavy], FAST_SHARES);
    await refuse(done.filter(c => c.judgement.fault));
  });
}

test.run();
