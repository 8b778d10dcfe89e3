/** Index of [b, position + t, w] in rows [B, L, W], for every element of [B, T, W] in order. */
function places(batch: number, length: number, tokens: number, width: number, position: number): number[] {
  const out: number[] = [];
  for (let b = 0; b < batch; b++) for (let t = 0; t < tokens; t++) for (let w = 0; w < width; w++) out.push((b * length + position + t) * width + w);
  return out;
}

/** The formula of `writeRows`. @param cache [B, L, W] @param x [B, T, W] @param shape B, L, T, W @param position first row @returns [B, L, W] */
export function writeRowsRef(cache: Float64Array, x: Float64Array, [batch, length, tokens, width]: readonly [number, number, number, number], position: number): Float64Array {
  const out = cache.slice();
  places(batch, length, tokens, width, position).forEach((at, i) => { out[at] = x[i]!; });
  return out;
}

/** The formula of `readRows`. @param rows [B, L, W] @param shape B, L, T, W @param position first row @returns [B, T, W] */
export function readRowsRef(rows: Float64Array, [batch, length, tokens, width]: readonly [number, number, number, number], position: number): Float64Array {
  return Float64Array.from(places(batch, length, tokens, width, position), at => rows[at]!);
}
