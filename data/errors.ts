/**
 * A picture, a list, a tokenizer or a package could not be used. The message is one sentence:
 * "where: what, expected, got (why)".
 */
export class DataError extends Error {
  override readonly name = 'DataError';

  /**
   * @param where function or file that refused
   * @param what one sentence, without the place
   * @param cause the error underneath, if there is one
   */
  constructor(where: string, what: string, cause?: unknown) {
    super(`${where}: ${what}`, cause === undefined ? undefined : { cause });
  }
}
