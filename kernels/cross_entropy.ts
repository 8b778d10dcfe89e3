import { checkDtype, checkFloat, checkSameDevice, checkShape, ShapeError } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { record } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { groupsFor } from './row_loads.ts';
import { cross_entropy } from './wgsl.gen.ts';

const WG = 32;
const QUIET_NAN = 0x7fc00000;
/** Invocations that sum the rows' losses before one adds them up. */
const LANES = 128;

/**
 * Mean cross entropy: loss = mean over rows r with target ≠ ignoreIndex of log Σ_c exp(x[r, c]) − x[r, target]; 0 when no row counts.
 * A target ≥ C other than ignoreIndex makes the loss NaN, since the GPU cannot throw; its row still gets the softmax as gradient.
 * NaN or +Inf in a row that counts makes the loss NaN or infinite.
 * @param logits [N, C] float
 * @param targets [N] u32 class numbers
 * @param options ignoreIndex, the target of rows that do not count, default 0xffffffff
 * @returns [1]
 * @throws ShapeError unless logits is [N, C] with C ≥ 1 and targets [N] u32
 */
export function crossEntropy(logits: Tensor, targets: Tensor, { ignoreIndex = 0xffffffff }: { ignoreIndex?: number } = {}): Tensor {
  checkShape('crossEntropy', 'logits', logits, [null, null]);
  const [rows, cols] = logits.shape as [number, number];
  if (cols < 1) throw new ShapeError('crossEntropy: logits has 0 classes, expected at least 1');
  checkShape('crossEntropy', 'targets', targets, [rows], 'the rows of logits');
  checkFloat('crossEntropy', 'logits', logits);
  checkDtype('crossEntropy', 'targets', targets, 'u32');
  checkSameDevice('crossEntropy', logits, targets);

  const { device } = logits;
  if (!rows) return record(Tensor.zeros(device, [1]), [[logits, () => Tensor.empty(device, [0, cols])]]);
  const lanes = Math.min(LANES, rows);
  const params = { rows, cols, ignore: ignoreIndex, lanes, nan: QUIET_NAN };
  const options = { constants: { WG } };
  const stats = Tensor.empty(device, [rows, 4]);
  const partials = Tensor.empty(device, [lanes, 2]);
  const loss = Tensor.empty(device, [1]);
  const share = Tensor.empty(device, [1]);
  dispatch(device, cross_entropy, 'forward', { x: logits, targets, rows_out: stats }, params, groupsFor(rows, WG), options);
  dispatch(device, cross_entropy, 'sum_rows', { rows_in: stats, partials }, params, groupsFor(lanes, WG), options);
  dispatch(device, cross_entropy, 'mean_rows', { partials_in: partials, loss, share }, params, 1);
  partials.dispose();
  return record(loss, [[logits, dy => {
    const dx = Tensor.empty(device, [rows, cols]);
    dispatch(device, cross_entropy, 'backward', { x: logits, targets, rows_in: stats, saved: share, dy, dx }, params, groupsFor(dx.size, WG), options);
    return dx;
  }]]);
}
