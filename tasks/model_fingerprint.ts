// Which model made the vectors of an index: a hash over every number of it.
import { DTYPE_BITS, Tensor } from '../engine/tensor.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';

/** Bytes that are read back and hashed in one go, and how many such pieces at a time: reads of some wait for the device while others are hashed. */
const PIECE_BYTES = 2 ** 24;
const AT_ONCE = 4;

/** A run of whole words of a tensor, and how many of its bits belong to elements: of the last word of small types not all. */
interface Piece { readonly tensor: Tensor; readonly from: number; readonly bytes: number; readonly bits: number }

function piecesOf(tensor: Tensor, pieceBytes: number): Piece[] {
  const pieces: Piece[] = [];
  const { byteLength } = tensor;
  const all = tensor.size * DTYPE_BITS[tensor.dtype];
  for (let from = 0; from < all / 8; from += pieceBytes) pieces.push({ tensor, from, bytes: Math.min(pieceBytes, byteLength - from), bits: Math.min(8 * pieceBytes, all - 8 * from) });
  return pieces;
}

async function digest({ tensor: { device, storage, offsetBytes }, from, bytes, bits }: Piece): Promise<Uint8Array> {
  storage.refs++;
  const words = new Tensor(device, storage, [bytes / 4], 'u32', offsetBytes + from);
  try {
    const held = new Uint8Array(await device.readBytes(words), 0, Math.ceil(bits / 8));
    if (bits % 8) held[held.length - 1]! &= (1 << bits % 8) - 1;
    return new Uint8Array(await crypto.subtle.digest('SHA-256', held));
  } finally {
    words.dispose();
  }
}

/**
 * SHA-256 of tensors as they are held, scales included, in pieces.
 * @param tensors any @param pieceBytes bytes of a piece, a multiple of 4 @returns the digests, in order @throws DeviceError after a loss or error
 */
export async function digests(tensors: readonly Tensor[], pieceBytes: number = PIECE_BYTES): Promise<Uint8Array[]> {
  const pieces = tensors.flatMap(t => (t.scales ? [t, t.scales] : [t])).flatMap(t => piecesOf(t, pieceBytes));
  const out = new Array<Uint8Array>(pieces.length);
  let next = 0;
  const work = async (): Promise<void> => {
    for (let i = next++; i < pieces.length; i = next++) out[i] = await digest(pieces[i]!);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return out;
}

/**
 * A short text that two models share only when they give the same vectors: SHA-256 over the config and every number of every tensor as it is held. The same weights held in
 * another type count as another model. Reads all weights back: nothing is remembered, because training changes them in place.
 * @param model any @returns 32 hexadecimal digits @throws DeviceError after a loss or error
 */
export async function modelFingerprint(model: VLJEPA): Promise<string> {
  const tensors = [...model.tensors()];
  const text = JSON.stringify([model.config.json, tensors.map(([name, t]) => `${name} ${t.dtype} ${t.shape.join('x')}`)]);
  const parts = [new TextEncoder().encode(text), ...(await digests(tensors.map(([, t]) => t)))];
  const all = new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer());
  const whole = new Uint8Array(await crypto.subtle.digest('SHA-256', all));
  return Array.from(whole.subarray(0, 16), b => b.toString(16).padStart(2, '0')).join('');
}
