// Just enough of the ONNX file format (protobuf, onnx.proto3 of ONNX 1.17) to build models in memory: nodes with attributes, f32 inputs, outputs and initializers.

type Attribute = number | string | readonly number[] | { readonly float: number };

/** One operator. Attributes: whole numbers, `{ float }`, texts, lists of whole numbers. */
export interface OnnxNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** Operator set; default that of ONNX itself. */
  readonly domain?: string;
}

export interface OnnxModel {
  readonly nodes: readonly OnnxNode[];
  /** Shapes of f32 inputs by name. */
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  readonly outputs: Readonly<Record<string, readonly number[]>>;
  /** Constants: f32, or i64 for shapes. */
  readonly initializers: Readonly<Record<string, { readonly shape: readonly number[]; readonly data: Float32Array | BigInt64Array }>>;
}

const FLOAT = 1, INT64 = 7;
/** Values of AttributeProto.AttributeType. */
const KIND = { float: 1, int: 2, string: 3, ints: 7 } as const;
const OPSET = 20, IR_VERSION = 9;
/** Operators beside ONNX that onnxruntime has. */
export const CONTRIB = 'com.microsoft';

/** Bytes of one message: fields are appended in order. */
class Message {
  private readonly parts: Uint8Array[] = [];
  length = 0;

  private push(bytes: Uint8Array): this {
    this.parts.push(bytes);
    this.length += bytes.length;
    return this;
  }

  private varint(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`onnx: ${value} cannot be written, expected a whole number of at least 0`);
    const out: number[] = [];
    let rest = value;
    do {
      out.push((rest % 128) + (rest >= 128 ? 128 : 0));
      rest = Math.floor(rest / 128);
    } while (rest > 0);
    return this.push(Uint8Array.from(out));
  }

  int(field: number, value: number): this {
    return this.varint(field * 8).varint(value);
  }

  float(field: number, value: number): this {
    return this.varint(field * 8 + 5).push(new Uint8Array(Float32Array.of(value).buffer));
  }

  bytes(field: number, value: Uint8Array): this {
    return this.varint(field * 8 + 2).varint(value.length).push(value);
  }

  text(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value));
  }

  message(field: number, value: Message): this {
    return this.bytes(field, value.done());
  }

  done(): Uint8Array {
    const out = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }
}

function attribute(name: string, value: Attribute): Message {
  const m = new Message().text(1, name);
  if (typeof value === 'number') return m.int(3, value).int(20, KIND.int);
  if (typeof value === 'string') return m.text(4, value).int(20, KIND.string);
  if ('float' in value) return m.float(2, value.float).int(20, KIND.float);
  for (const v of value) m.int(8, v);
  return m.int(20, KIND.ints);
}

function node({ op, inputs, outputs, attributes = {}, domain }: OnnxNode, index: number): Message {
  const m = new Message();
  for (const name of inputs) m.text(1, name);
  for (const name of outputs) m.text(2, name);
  m.text(3, `${op}_${index}`).text(4, op);
  for (const [name, value] of Object.entries(attributes)) m.message(5, attribute(name, value));
  return domain ? m.text(7, domain) : m;
}

function tensor(name: string, shape: readonly number[], data: Float32Array | BigInt64Array): Message {
  const m = new Message();
  for (const size of shape) m.int(1, size);
  return m.int(2, data instanceof Float32Array ? FLOAT : INT64).text(8, name).bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

function valueInfo(name: string, sizes: readonly number[]): Message {
  const shape = new Message();
  for (const size of sizes) shape.message(1, new Message().int(1, size));
  return new Message().text(1, name).message(2, new Message().message(1, new Message().int(1, FLOAT).message(2, shape)));
}

/**
 * Writes a model (ModelProto).
 * @param model nodes in an order in which they can run, inputs, outputs, constants @returns the bytes of an .onnx file
 */
export function writeOnnx({ nodes, inputs, outputs, initializers }: OnnxModel): Uint8Array {
  const graph = new Message();
  nodes.forEach((n, i) => graph.message(1, node(n, i)));
  graph.text(2, 'graph');
  for (const [name, { shape, data }] of Object.entries(initializers)) graph.message(5, tensor(name, shape, data));
  for (const [name, shape] of Object.entries(inputs)) graph.message(11, valueInfo(name, shape));
  for (const [name, shape] of Object.entries(outputs)) graph.message(12, valueInfo(name, shape));
  const model = new Message().int(1, IR_VERSION).text(2, 'vl-jepa bench').message(7, graph).message(8, new Message().text(1, '').int(2, OPSET));
  return model.message(8, new Message().text(1, CONTRIB).int(2, 1)).done();
}
