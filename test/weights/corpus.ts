// Safetensors files, good and bad, each with its verdict: the code of the first fault, or none. Built here byte by byte, so the list is the
// documentation of what the reader refuses. `reference: 'accepts'` marks what the reference reader (0.8.0) takes and we refuse.

import { DTYPE_BITS, type Dtype } from '../../weights/dtype.ts';
import type { WeightErrorCode } from '../../weights/error.ts';

/** One bad file. */
export interface MalformedCase { readonly name: string; readonly code: WeightErrorCode; readonly bytes: Uint8Array; readonly reference?: 'accepts' }
/** One good file, with the names it holds. */
export interface ValidCase { readonly name: string; readonly bytes: Uint8Array; readonly names: readonly string[] }

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Joins bytes. @param parts in order @returns one array */
export function join(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { out.set(part, at); at += part.length; }
  return out;
}

/** A length prefix. @param length unsigned 64-bit @returns 8 bytes, little-endian */
export function prefix(length: bigint | number): Uint8Array {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(length)), true);
  return out;
}

/** A file of any header and data. @param header text or bytes @param data bytes, or how many zeros @returns the file */
export function file(header: string | Uint8Array, data: Uint8Array | number = 0): Uint8Array<ArrayBuffer> {
  const text = typeof header === 'string' ? utf8(header) : header;
  return join(prefix(text.length), text, typeof data === 'number' ? new Uint8Array(data) : data);
}

/** An entry's text. */
export function entry(dtype = '"F32"', shape = '[1]', offsets = '[0,4]'): string {
  return `{"dtype":${dtype},"shape":${shape},"data_offsets":${offsets}}`;
}

const ONE = `"a":${entry()}`;
const hex = (n: number): string => n.toString(16).padStart(4, '0');

function framing(): MalformedCase[] {
  const list: MalformedCase[] = [];
  const add = (name: string, code: WeightErrorCode, bytes: Uint8Array): void => { list.push({ name, code, bytes }); };
  for (let n = 0; n < 8; n++) add(`${n} bytes`, 'header-short', new Uint8Array(n));
  add('N = 0', 'root-type', prefix(0));
  add('N = 1, {', 'json-syntax', file('{'));
  add('N = 1, space', 'root-type', file(' '));
  add('N one past the file', 'header-past-end', join(prefix(3), utf8('{}')));
  for (const n of [16 * 1024 * 1024, 16 * 1024 * 1024 + 1, 99_999_999, 100_000_000]) add(`N = ${n}, far past the file`, 'header-past-end', join(prefix(n), utf8('{}')));
  for (const n of [100_000_001, 100_000_002, 2 ** 31, 2 ** 32, 2 ** 53, 2n ** 63n, 2n ** 64n - 1n, 2n ** 64n - 8n, 2n ** 63n - 1n]) add(`N = ${n}`, 'header-too-large', join(prefix(n), utf8('{}')));
  add('N big-endian', 'header-too-large', join(prefix(2).reverse(), utf8('{}')));
  add('a byte after an empty header', 'data-trailing', file('{}', 1));
  add('data cut by one', 'data-truncated', file(`{${ONE}}`, 3));
  add('no data', 'data-truncated', file(`{${ONE}}`, 0));
  add('a byte after the data', 'data-trailing', file(`{${ONE}}`, 5));
  add('a zip behind the data', 'data-trailing', file(`{${ONE}}`, join(new Uint8Array(4), utf8('PK\x05\x06'), new Uint8Array(18))));
  add('Git LFS pointer', 'header-too-large', utf8('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n'));
  add('pickle', 'header-too-large', join(new Uint8Array([0x80, 2]), utf8('}q\x00X\x01\x00\x00\x00aq\x01.')));
  add('GGUF', 'header-too-large', join(utf8('GGUF'), new Uint8Array([3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])));
  add('HTML', 'header-too-large', utf8('<!DOCTYPE html><html><title>Not found</title></html>'));
  add('gzip', 'header-past-end', new Uint8Array([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
  add('zip', 'header-too-large', utf8('PK\x03\x04\x14\x00\x00\x00\x08\x00abcdef'));
  add('JSON without a prefix', 'header-too-large', utf8(`{${ONE}}`));
  add('only a prefix', 'header-past-end', prefix(100));
  return list;
}

function text(): MalformedCase[] {
  const list: MalformedCase[] = [];
  const add = (name: string, code: WeightErrorCode, header: string | Uint8Array, data = 4): void => { list.push({ name: `text: ${name}`, code, bytes: file(header, data) }); };
  const named = (...bytes: number[]): Uint8Array => join(utf8('{"'), new Uint8Array(bytes), utf8(`":${entry()}}`));
  add('lone continuation byte', 'utf8', named(0x80));
  add('lone lead byte', 'utf8', named(0xc3));
  add('0xff', 'utf8', named(0xff));
  add('overlong slash', 'utf8', named(0xc0, 0xaf));
  add('overlong of 3 bytes', 'utf8', named(0xe0, 0x80, 0xaf));
  add('encoded surrogate', 'utf8', named(0xed, 0xa0, 0x80));
  add('beyond U+10FFFF', 'utf8', named(0xf4, 0x90, 0x80, 0x80));
  add('bad UTF-8 behind good JSON', 'utf8', join(utf8(`{${ONE}}`), new Uint8Array([0xfe])));
  add('bad UTF-8 is told before bad JSON', 'utf8', join(utf8('nonsense'), new Uint8Array([0xfe])));
  add('UTF-16 with mark', 'utf8', new Uint8Array([0xff, 0xfe, 0x7b, 0, 0x7d, 0]), 0);
  add('UTF-16 without mark', 'json-syntax', new Uint8Array([0x7b, 0, 0x7d, 0]), 0);
  add('byte-order mark', 'bom', `\ufeff{${ONE}}`);
  add('NUL padding', 'json-trailing', `{${ONE}}\0\0`);
  add('NUL before', 'root-type', `\0{${ONE}}`);
  for (const [name, space] of [['no-break space', '\u00a0'], ['vertical tab', '\v'], ['form feed', '\f'], ['line separator', '\u2028'], ['ideographic space', '\u3000']]) {
    add(`${name} is no JSON whitespace, behind`, 'json-trailing', `{${ONE}}${space}`);
    add(`${name} is no JSON whitespace, before`, 'root-type', `${space}{${ONE}}`);
  }
  add('two objects', 'json-trailing', `{${ONE}}{}`);
  add('a comma behind', 'json-trailing', `{${ONE}},`);
  add('a bracket behind', 'json-trailing', `{${ONE}}}`);
  add('block comment', 'json-syntax', `{/* */${ONE}}`);
  add('line comment behind', 'json-trailing', `{${ONE}}// `);
  add('hash comment', 'json-syntax', `{# \n${ONE}}`);
  add('comma at the end', 'json-syntax', `{${ONE},}`);
  add('comma at the start', 'json-syntax', `{,${ONE}}`);
  add('two commas', 'json-syntax', `{${ONE},,"b":${entry()}}`);
  add('no comma', 'json-syntax', `{${ONE} "b":${entry()}}`);
  add('comma at the end of an entry', 'json-syntax', '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],}}');
  add('comma at the end of a shape', 'dim-invalid', `{"a":${entry('"F32"', '[1,]')}}`);
  add('single quotes', 'json-syntax', "{'a':{}}");
  add('bare key', 'json-syntax', `{a:${entry()}}`);
  add('number as key', 'json-syntax', `{1:${entry()}}`);
  add('no colon', 'json-syntax', `{"a"${entry()}}`);
  add('equals for colon', 'json-syntax', `{"a"=${entry()}}`);
  add('not closed', 'json-syntax', `{${ONE}`);
  add('closed by the wrong bracket', 'json-syntax', `{${ONE}]`);
  add('string not closed', 'json-syntax', '{"a');
  add('string not closed behind a backslash', 'json-escape', '{"a\\');
  for (let c = 0; c < 32; c++) add(`raw U+${hex(c)} in a name`, 'json-control', `{"x${String.fromCharCode(c)}":${entry()}}`);
  add('raw newline in a value', 'json-control', '{"a":{"dtype":"F\n32"}}');
  add('raw newline behind an escape', 'json-control', `{"\\u0061\n":${entry()}}`);
  for (const bad of ['\\x41', '\\a', '\\0', '\\u12', '\\u12g4', '\\U0041', "\\'", '\\u{41}', '\\u 041', '\\u+041']) add(`escape ${bad}`, 'json-escape', `{"${bad}":${entry()}}`);
  for (const bad of ['\\ud800', '\\udfff', '\\ud800\\ud800', '\\ud800x', '\\ud800\\n', '\\udc00\\ud800', '\\ud83d\\u0041']) add(`lone surrogate ${bad}`, 'json-surrogate', `{"${bad}":${entry()}}`);
  add('lone surrogate in metadata', 'json-surrogate', `{"__metadata__":{"a":"\\ud800"},${ONE}}`);
  for (const bad of ['NaN', 'Infinity', '-Infinity', 'nul', 'True', 'undefined', '+1', '.5', '0x1', '1_000']) add(`dim ${bad}`, /^[01]/.test(bad) ? 'json-syntax' : 'dim-invalid', `{"a":${entry('"F32"', `[${bad}]`)}}`);
  for (const root of ['null', '[]', '"x"', '3', 'true', '-1', '[{}]']) add(`header ${root}`, 'root-type', root, 0);
  for (const depth of [1, 200, 100_000]) {
    add(`${depth} arrays deep`, 'root-type', '['.repeat(depth), 0);
    add(`entry ${depth} arrays deep`, 'entry-type', `{"a":${'['.repeat(depth)}`, 0);
    add(`shape ${depth} arrays deep`, 'dim-invalid', `{"a":{"shape":[${'['.repeat(depth)}`, 0);
    add(`${depth} objects deep`, 'unknown-field', `{"a":{${'"b":{'.repeat(depth)}`, 0);
  }
  return list;
}

function entries(): MalformedCase[] {
  const list: MalformedCase[] = [];
  const add = (name: string, code: WeightErrorCode, header: string, reference?: 'accepts'): void => { list.push({ name: `entry: ${name}`, code, bytes: file(header, 4), ...(reference ? { reference } : {}) }); };
  const TWO = `"b":${entry('"F32"', '[0]', '[4,4]')}`;
  add('two __metadata__', 'duplicate-metadata', `{"__metadata__":{},"__metadata__":{},${ONE}}`);
  add('two __metadata__, one escaped', 'duplicate-metadata', `{"__metadata__":{},${ONE},"\\u005f_metadata__":{}}`);
  for (const [name, value] of [['a tensor', entry()], ['nested', '{"a":{}}'], ['number', '{"a":1}'], ['null value', '{"a":null}'], ['list value', '{"a":[]}'], ['true value', '{"a":true}']]) add(`__metadata__ with ${name}`, 'metadata-value', `{"__metadata__":${name === 'a tensor' ? '{"shape":[1]}' : value},${ONE}}`);
  for (const value of ['[]', '""', '1', 'true', '[["a","b"]]']) add(`__metadata__ ${value}`, 'metadata-type', `{"__metadata__":${value},${ONE}}`);
  add('__metadata__ null', 'metadata-type', `{"__metadata__":null,${ONE}}`, 'accepts');
  add('__metadata__ key twice', 'metadata-duplicate-key', `{"__metadata__":{"a":"1","a":"2"},${ONE}}`, 'accepts');
  add('__metadata__ key twice, one escaped', 'metadata-duplicate-key', `{"__metadata__":{"a":"1","\\u0061":"1"},${ONE}}`, 'accepts');
  add('tensor twice, the same', 'duplicate-tensor', `{${ONE},${ONE}}`, 'accepts');
  add('tensor twice, different', 'duplicate-tensor', `{${ONE},"a":${entry('"I32"')}}`, 'accepts');
  add('tensor twice, one escaped', 'duplicate-tensor', `{${ONE},"\\u0061":${entry()}}`, 'accepts');
  add('tensor twice, escaped pair', 'duplicate-tensor', `{"\ud83d\ude00":${entry()},"\\ud83d\\ude00":${entry()}}`, 'accepts');
  add('tensor twice, empty name', 'duplicate-tensor', `{"":${entry()},"":${entry()}}`, 'accepts');
  add('tensor twice, __proto__', 'duplicate-tensor', `{"__proto__":${entry()},"__proto__":${entry()}}`, 'accepts');
  add('tensor twice, far apart', 'duplicate-tensor', `{${ONE},${TWO},"a":${entry()}}`, 'accepts');
  for (const c of [...Array(32).keys(), 0x7f, 0x80, 0x85, 0x9f]) add(`escaped U+${hex(c)} in a name`, 'name-control', `{"x\\u${hex(c)}":${entry()}}`, 'accepts');
  add('name of 4097 bytes', 'name-too-long', `{"${'n'.repeat(4097)}":${entry()}}`, 'accepts');
  add('name of 1366 wide characters', 'name-too-long', `{"${'\u4e2d'.repeat(1366)}":${entry()}}`, 'accepts');
  add('name of 1 MB', 'name-too-long', `{"${'n'.repeat(1_000_000)}":${entry()}}`, 'accepts');
  for (const value of ['null', '"F32"', '1', 'true']) add(`value ${value}`, 'entry-type', `{"a":${value}}`);
  add('value as an array', 'entry-type', '{"a":["F32",[1],[0,4]]}', 'accepts');
  add('field name', 'unknown-field', '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"name":"x"}}', 'accepts');
  add('field Dtype', 'unknown-field', '{"a":{"Dtype":"F32","shape":[1],"data_offsets":[0,4]}}');
  add('field __proto__', 'unknown-field', '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"__proto__":{}}}', 'accepts');
  add('field strides', 'unknown-field', '{"a":{"strides":[1],"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 'accepts');
  add('empty field', 'unknown-field', '{"a":{"":0,"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 'accepts');
  add('dtype twice', 'duplicate-field', '{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}');
  add('dtype twice, one escaped', 'duplicate-field', '{"a":{"dtype":"F32","\\u0064type":"I32","shape":[1],"data_offsets":[0,4]}}');
  add('shape twice', 'duplicate-field', '{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}');
  add('empty shape twice', 'duplicate-field', '{"a":{"dtype":"F32","shape":[],"shape":[],"data_offsets":[0,4]}}');
  add('data_offsets twice', 'duplicate-field', '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"data_offsets":[0,4]}}');
  add('no dtype', 'missing-dtype', '{"a":{"shape":[1],"data_offsets":[0,4]}}');
  add('no shape', 'missing-shape', '{"a":{"dtype":"F32","data_offsets":[0,4]}}');
  add('no data_offsets', 'missing-offsets', '{"a":{"dtype":"F32","shape":[1]}}');
  add('nothing', 'missing-dtype', '{"a":{}}');
  for (const d of ['f32', 'F33', 'float32', '', 'F32 ', ' F32', 'BF_16', 'F4_E2M1', 'constructor', '__proto__', 'toString', 'F8', 'U4', 'Q4_0', 'F32\\u0000', '\uff26\uff13\uff12']) add(`dtype "${d}"`, 'dtype-unknown', `{"a":${entry(`"${d}"`)}}`);
  for (const d of ['1', 'null', '["F32"]', 'true', 'F32']) add(`dtype ${d}`, 'dtype-type', `{"a":${entry(d)}}`);
  add('dtype as {"F32":null}', 'dtype-type', `{"a":${entry('{"F32":null}')}}`, 'accepts');
  for (const s of ['"[1]"', 'null', '1', 'true', '{}', '{"0":1}']) add(`shape ${s}`, 'shape-type', `{"a":${entry('"F32"', s)}}`);
  for (const d of ['-1', '1.0', '1e0', '1E0', '"1"', 'null', 'true', '01', '00', '-0', '[1]', '{}', '', '1.', '4.5']) add(`dim ${d || 'missing'} of two`, 'dim-invalid', `{"a":${entry('"F32"', `[1,${d}]`)}}`);
  for (const d of ['9007199254740992', '9007199254740993', '9223372036854775808']) add(`dim ${d}`, 'dim-too-large', `{"a":${entry('"F32"', `[${d},0]`)}}`);
  for (const d of ['18446744073709551616', '1'.repeat(400)]) add(`dim ${d.slice(0, 24)}`, 'dim-too-large', `{"a":${entry('"F32"', `[${d}]`)}}`);
  add('33 dims', 'shape-rank', `{"a":${entry('"F32"', `[${Array(33).fill(1).join(',')}]`)}}`, 'accepts');
  add('1000 dims', 'shape-rank', `{"a":${entry('"F32"', `[${Array(1000).fill(1).join(',')}]`)}}`, 'accepts');
  for (const o of ['"0,4"', 'null', '4', '{}', 'false']) add(`data_offsets ${o}`, 'offsets-type', `{"a":${entry('"F32"', '[1]', o)}}`);
  for (const o of ['[]', '[0]', '[4]', '[0,4,8]', '[0,4,4,4]']) add(`data_offsets ${o}`, 'offsets-count', `{"a":${entry('"F32"', '[1]', o)}}`);
  for (const o of ['[-1,3]', '[0,4.0]', '[0,"4"]', '[0,4e0]', '[0,null]', '[-0,4]', '[0,04]', '[0,true]', '[[0],4]', '[0,]', '[,4]']) add(`data_offsets ${o}`, 'offset-invalid', `{"a":${entry('"F32"', '[1]', o)}}`);
  for (const o of ['[0,18446744073709551616]', '[0,9007199254740992]', '[9007199254740993,9007199254740997]']) add(`data_offsets ${o}`, 'offset-too-large', `{"a":${entry('"F32"', '[1]', o)}}`);
  return list;
}

function layout(): MalformedCase[] {
  const list: MalformedCase[] = [];
  const add = (name: string, code: WeightErrorCode, tensors: readonly (readonly [string, string, string])[], data: number, reference?: 'accepts'): void => {
    const members = tensors.map(([dtype, shape, offsets], i) => `"t${i}":${entry(`"${dtype}"`, shape, offsets)}`);
    list.push({ name: `layout: ${name}`, code, bytes: file(`{${members.join(',')}}`, data), ...(reference ? { reference } : {}) });
  };
  const f = (begin: number, end: number): readonly [string, string, string] => ['U8', `[${Math.max(0, end - begin)}]`, `[${begin},${end}]`];
  add('offsets reversed', 'offsets-reversed', [['U8', '[4]', '[4,0]']], 4);
  add('second reversed', 'offsets-reversed', [f(0, 4), ['U8', '[2]', '[4,2]']], 4);
  add('first not at 0', 'layout-start', [f(1, 5)], 5);
  add('first far beyond', 'layout-start', [f(2 ** 40, 2 ** 40 + 4)], 4);
  add('hole', 'layout-hole', [f(0, 4), f(5, 9)], 9);
  add('hole, entries unsorted', 'layout-hole', [f(5, 9), f(0, 4)], 9);
  add('hole at the end', 'data-trailing', [f(0, 4)], 6);
  add('full overlap', 'layout-overlap', [f(0, 4), f(0, 4)], 4);
  add('partial overlap', 'layout-overlap', [f(0, 4), f(2, 6)], 6);
  add('one inside another', 'layout-overlap', [f(0, 8), f(2, 4)], 8);
  add('one byte of overlap', 'layout-overlap', [f(0, 4), f(3, 8)], 8);
  add('empty one inside another', 'layout-overlap', [f(0, 8), ['F32', '[0]', '[4,4]']], 8);
  add('empty one past the end', 'layout-hole', [f(0, 4), ['F32', '[0]', '[8,8]']], 4);
  add('empty one past an empty section', 'layout-start', [['F32', '[0]', '[4,4]']], 4);
  add('empty one with bytes', 'size-mismatch', [['F32', '[0]', '[0,4]']], 4);
  add('scalar with 0 bytes', 'size-mismatch', [['F32', '[]', '[0,0]']], 0);
  add('scalar with 8 bytes', 'size-mismatch', [['F32', '[]', '[0,8]']], 8);
  add('all of 2^53 bytes claimed', 'data-truncated', [['U8', '[1125899906842623]', '[0,1125899906842623]']], 4);
  add('product overflows', 'size-overflow', [['F32', '[4294967296,4294967296]', '[0,4]']], 4);
  add('product wraps to 4', 'size-overflow', [['U8', '[4611686018427387,4611686018427387,4]', '[0,4]']], 4);
  add('product overflows, zero first', 'size-overflow', [['U8', '[0,9007199254740991,4]', '[0,0]']], 0, 'accepts'); // its verdict depends on the order of the dims, ours does not
  add('product overflows, zero last', 'size-overflow', [['U8', '[9007199254740991,4,0]', '[0,0]']], 0, 'accepts');
  add('bytes overflow, product does not', 'size-overflow', [['F64', '[9007199254740991]', '[0,4]']], 4);
  for (const odd of [1, 3, 7]) add(`${odd} elements of F4`, 'size-partial-byte', [['F4', `[${odd}]`, `[0,${(odd + 1) / 2}]`]], (odd + 1) / 2);
  for (const n of [1, 2, 3, 5]) for (const d of ['F6_E2M3', 'F6_E3M2']) add(`${n} elements of ${d}`, 'size-partial-byte', [[d, `[${n}]`, `[0,${n}]`]], n);
  for (const [dtype, bits] of Object.entries(DTYPE_BITS) as [Dtype, number][]) {
    const size = bits; // 8 elements
    add(`${dtype} one byte short`, 'size-mismatch', [[dtype, '[2,4]', `[0,${size - 1}]`]], size - 1);
    add(`${dtype} one byte long`, 'size-mismatch', [[dtype, '[8]', `[0,${size + 1}]`]], size + 1);
  }
  return list;
}

/** All bad files. @returns each with the expected code */
export function malformed(): MalformedCase[] {
  return [...framing(), ...text(), ...entries(), ...layout()];
}

/** All good files. @returns each with its tensor names in the order of the text */
export function valid(): ValidCase[] {
  const list: ValidCase[] = [];
  const add = (name: string, header: string, names: readonly string[], data: Uint8Array | number = 4): void => { list.push({ name, names, bytes: file(header, data) }); };
  add('nothing', '{}', [], 0);
  add('one tensor', `{${ONE}}`, ['a']);
  add('only metadata', '{"__metadata__":{"format":"pt"}}', [], 0);
  add('empty metadata', `{"__metadata__":{},${ONE}}`, ['a']);
  add('metadata last', `{${ONE},"__metadata__":{"a":"1","":"","__proto__":"x"}}`, ['a']);
  for (const [name, space] of [['space', ' '], ['tab', '\t'], ['newline', '\n'], ['return', '\r'], ['much', ' \r\n\t'.repeat(50)]] as const) {
    add(`${name} before`, `${space}{${ONE}}`, ['a']);
    add(`${name} behind`, `{${ONE}}${space}`, ['a']);
    add(`${name} everywhere`, ` { "a" : { "dtype" : "F32" , "shape" : [ 1 ] , "data_offsets" : [ 0 , 4 ] } } `.replaceAll(' ', space), ['a']);
  }
  add('unsorted entries', `{"b":${entry('"F32"', '[1]', '[4,8]')},${ONE}}`, ['b', 'a'], 8);
  add('unaligned start', `{"x":${entry('"U8"', '[1]', '[0,1]')},"y":${entry('"F32"', '[1]', '[1,5]')}}`, ['x', 'y'], 5);
  for (let pad = 0; pad < 8; pad++) add(`header of any length, ${pad}`, `{${ONE}}${' '.repeat(pad)}`, ['a']);
  add('empty tensor alone', `{"a":${entry('"F32"', '[0]', '[0,0]')}}`, ['a'], 0);
  add('empty tensor in front', `{"e":${entry('"F32"', '[0,5]', '[0,0]')},${ONE}}`, ['e', 'a']);
  add('empty tensor behind', `{${ONE},"e":${entry('"F32"', '[5,0]', '[4,4]')}}`, ['a', 'e']);
  add('empty tensors between', `{${ONE},"e":${entry('"F32"', '[0]', '[4,4]')},"f":${entry('"I64"', '[0]', '[4,4]')},"b":${entry('"F32"', '[1]', '[4,8]')}}`, ['a', 'e', 'f', 'b'], 8);
  add('scalar', `{"a":${entry('"F32"', '[]')}}`, ['a']);
  add('32 dims', `{"a":${entry('"F32"', `[${Array(32).fill(1).join(',')}]`)}}`, ['a']);
  add('largest dim beside a zero', `{"a":${entry('"U8"', '[9007199254740991,0]', '[0,0]')}}`, ['a'], 0);
  add('NaN payload', `{"a":${entry()}}`, ['a'], new Uint8Array([1, 2, 0xa0, 0x7f]));
  add('BOOL 2', `{"a":${entry('"BOOL"', '[2]', '[0,2]')}}`, ['a'], new Uint8Array([2, 255]));
  for (const [dtype, bits] of Object.entries(DTYPE_BITS)) add(`8 elements of ${dtype}`, `{"a":${entry(`"${dtype}"`, '[2,4]', `[0,${bits}]`)}}`, ['a'], bits);
  add('2 elements of F4', `{"a":${entry('"F4"', '[2]', '[0,1]')}}`, ['a'], 1);
  add('4 elements of F6', `{"a":${entry('"F6_E3M2"', '[4]', '[0,3]')}}`, ['a'], 3);
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', '../../x', '..\\x', '/etc/passwd', 'C:\\x', '', ' ', '.', '10', '2', 'a b', '\u00e9', '\u4e2d\u6587', '\ud83d\ude00', '\ufeffa', '\u00a0', '\uffff', "'", '/', 'x'.repeat(4096), '\u4e2d'.repeat(1365), '__metadata', 'metadata__']) {
    add(`name ${name.slice(0, 20)}`, `{${JSON.stringify(name)}:${entry()}}`, [name]);
  }
  for (const [escaped, name] of [['\\u0061', 'a'], ['\\"', '"'], ['\\\\', '\\'], ['\\/', '/'], ['\\ud83d\\ude00', '\ud83d\ude00'], ['a\\u4E2Db', 'a\u4e2db'], ['\\\\u0061', '\\u0061']] as const) add(`name ${escaped} escaped`, `{"${escaped}":${entry()}}`, [name]);
  add('fields in another order, escaped', '{"a":{"data_offsets":[0,4],"sh\\u0061pe":[1],"dtype":"F\\u00332"}}', ['a']);
  add('integer-like names keep their order', `{"10":${entry('"U8"', '[1]', '[0,1]')},"b":${entry('"U8"', '[1]', '[1,2]')},"2":${entry('"U8"', '[1]', '[2,3]')}}`, ['10', 'b', '2'], 3);
  add('a name that reads on like the text behind another', `{"a":${entry('"U8"', '[1]', '[0,1]')},"a\\":{\\"dtype":${entry('"U8"', '[1]', '[1,2]')},"a\\"":${entry('"U8"', '[1]', '[2,3]')},"\\"":${entry('"U8"', '[1]', '[3,4]')}}`, ['a', 'a":{"dtype', 'a"', '"']);
  add('5000 metadata keys', `{"__metadata__":{${Array.from({ length: 5000 }, (_, i) => `"${i % 3 ? '' : '\\u006b'}${i}":"${i}"`).join(',')}},${ONE}}`, ['a']);
  add('escaped metadata values', `{"__metadata__":{"k\\n":"\\u0000\\t\\ud83d\\ude00"},${ONE}}`, ['a']);
  add('300 tensors', `{${Array.from({ length: 300 }, (_, i) => `"t${i}":${entry('"U8"', '[1]', `[${i},${i + 1}]`)}`).join(',')}}`, Array.from({ length: 300 }, (_, i) => `t${i}`), 300);
  return list;
}
