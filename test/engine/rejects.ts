// Typed failures of the engine, for its tests.
import { assert } from '../harness.ts';

/**
 * Fails unless the work throws or rejects with an error of this class, whose message fits and whose reason, if one is wanted, is this.
 * @param work what has to fail @param type class of the error @param message expected text @param reason `DeviceError.reason` @returns nothing
 */
export async function rejects(work: () => unknown, type: new (...args: never[]) => Error, message: RegExp, reason?: string): Promise<void> {
  let result: unknown;
  try {
    result = await work();
  } catch (error) {
    assert.instance(error, type);
    assert.match((error as Error).message, message);
    if (reason !== undefined) assert.is((error as { reason?: string }).reason, reason, (error as Error).message);
    return;
  }
  assert.unreachable(`expected ${type.name} ${message}, got a result: ${String(result)}`);
}
