/** The user's command cannot be done; the message is shown as one line and the exit code is 1. */
export class CliError extends Error {
  override readonly name = 'CliError';
}
