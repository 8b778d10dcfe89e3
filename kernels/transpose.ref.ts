// Plain copy of what kernels/transpose.ts does. Imported by tests only.

/** x [A, N, B, M, C] → [A, M, B, N, C]. @param x values @param sizes [A, N, B, M, C] @returns values */
export function transpose5<T extends Float64Array | Uint32Array>(x: T, [A, N, B, M, C]: readonly [number, number, number, number, number]): T {
  const y = x.slice() as T;
  for (let a = 0; a < A; a++) for (let n = 0; n < N; n++) for (let b = 0; b < B; b++) for (let m = 0; m < M; m++) for (let c = 0; c < C; c++) {
    y[(((a * M + m) * B + b) * N + n) * C + c] = x[(((a * N + n) * B + b) * M + m) * C + c]!;
  }
  return y;
}

/** The gradient of `transpose5`: the swap back. @param dy [A, M, B, N, C] @param sizes [A, N, B, M, C] of x @returns [A, N, B, M, C] */
export const transposeGradRef = (dy: Float64Array, [A, N, B, M, C]: readonly [number, number, number, number, number]): Float64Array => transpose5(dy, [A, M, B, N, C]);
