const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A decoder of @huggingface/tokenizers, whose declarations do not resolve. */
export interface DecoderStage {
  readonly config?: { readonly type?: string };
  decoders?: DecoderStage[];
  decode_chain(tokens: string[]): string[];
}

/**
 * Runs of tokens `<0x00>` … `<0xFF>` as UTF-8; a run that is none gives U+FFFD per byte, and a byte order mark stays, as in the Rust package.
 * @param tokens as the vocabulary has them
 * @returns the tokens, each run of bytes one text
 */
export function joinBytes(tokens: readonly string[]): string[] {
  const out: string[] = [];
  let bytes: number[] = [];
  const flush = (): void => {
    if (bytes.length > 0) out.push(textOf(bytes));
    bytes = [];
  };
  for (const token of tokens) {
    const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1];
    if (byte !== undefined) bytes.push(parseInt(byte, 16));
    else {
      flush();
      out.push(token);
    }
  }
  flush();
  return out;
}

function textOf(bytes: readonly number[]): string {
  try {
    return UTF8.decode(Uint8Array.from(bytes));
  } catch {
    return '\ufffd'.repeat(bytes.length);
  }
}

/**
 * The package's own decoder of spelt bytes drops byte order marks and counts broken bytes another way.
 * @param decoder what the package made of a file
 * @returns nothing; the parts for spelt bytes are exchanged
 */
export function exchangeByteDecoder(decoder: DecoderStage | null): void {
  if (decoder?.decoders) decoder.decoders = decoder.decoders.map((part) => (part.config?.type === 'ByteFallback' ? { decode_chain: joinBytes } : part));
}
