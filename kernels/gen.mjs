// Embeds kernels/*.wgsl into kernels/wgsl.gen.ts with what wgsl_reflect found: bindings per entry point, uniform layout, overrides.
// node kernels/gen.mjs writes; node kernels/gen.mjs --check only says whether the file is fresh.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DECODERS, aliasOf, loadsOf } from './storage_loads.mjs';
import { WgslReflect } from 'wgsl_reflect/wgsl_reflect.module.js';

const folder = dirname(fileURLToPath(import.meta.url));
const target = join(folder, 'wgsl.gen.ts');

// Bindings declared as array<NameStored> are read through load_name(i), which storage_loads.mjs writes; lanes by the last character of the name.
function storedBindings(name, code) {
  const stored = {};
  const elem = /\bElem\b/.test(code);
  const bare = code.replace(/\/\/.*$/gm, '');
  for (const [, binding, alias] of code.matchAll(/var<storage, read> (\w+): array<(\w+Stored)>/g)) {
    const wanted = aliasOf(binding);
    if (alias !== wanted) throw new Error(`${name}.wgsl: ${binding} has elements ${alias}, expected ${wanted}`);
    if (new RegExp(`(?<![\\w.])${binding}\\[`).test(bare)) throw new Error(`${name}.wgsl: ${binding}[...] is read directly, expected load_${binding}(...)`);
    stored[binding] = /[124]$/.test(binding) ? Number(binding.at(-1)) : elem ? 'elem' : 1;
  }
  return stored;
}

function reflect(name, code) {
  const stored = storedBindings(name, code);
  // Names that are defined only where the shader is put together get a stand-in, so that the file parses alone.
  const header = /\bElem\b/.test(code) && !/alias\s+Elem\b/.test(code) ? 'alias Elem = f32;\nalias ElemU = u32;\nalias ElemI = i32;\n' : '';
  const numbers = Object.fromEntries([...code.matchAll(/@binding\((\d+)\) var<storage, read> (\w+)/g)].map(([, n, b]) => [b, Number(n)]));
  const loads = Object.fromEntries(Object.entries(stored).map(([b, lanes]) => [b, loadsOf(b, lanes, numbers[b])]));
  const plain = code.replace(/(subgroupMatrix\w+)<.*?>\(/g, '$1(').replace(/\bsubgroup_matrix_\w+<[^<>]*>/g, 'f32').replace(/^enable .*$/gm, ''); // the parser knows none of these
  const r = new WgslReflect(header + plain + Object.values(loads).map(byLanes => Object.values(byLanes)[0].words).join(''));
  const bindings = {};
  const uniform = r.uniforms[0];
  if (uniform && (uniform.name !== 'params' || uniform.binding !== 0 || uniform.group !== 0)) throw new Error(`${name}.wgsl: the uniform is ${uniform.name} at ${uniform.group}/${uniform.binding}, expected params at 0/0`);
  for (const b of r.storage) {
    if (b.group !== 0) throw new Error(`${name}.wgsl: ${b.name} is in group ${b.group}, expected 0`);
    bindings[b.name] = { binding: b.binding, write: b.access === 'read_write' };
  }
  const params = {};
  for (const m of uniform?.type.members ?? []) {
    if (!['f32', 'u32', 'i32'].includes(m.type.name)) throw new Error(`${name}.wgsl: params.${m.name} is ${m.type.name}, expected a scalar f32, u32 or i32`);
    params[m.name] = { offset: m.offset, type: m.type.name };
  }
  const entries = {};
  for (const e of r.entry.compute) {
    const used = e.resources.filter(x => x.name !== 'params').sort((a, b) => a.binding - b.binding).map(x => x.name);
    if (used.length > 8) throw new Error(`${name}.wgsl: entry ${e.name} uses ${used.length} storage bindings, expected at most 8 (the default limit)`);
    entries[e.name] = { tensors: used, params: e.resources.some(x => x.name === 'params') };
  }
  return {
    name, bindings, params, paramsBytes: uniform ? Math.max(16, Math.ceil(uniform.type.size / 16) * 16) : 0, entries,
    overrides: r.overrides.map(o => o.name), stored, loads,
  };
}

// A line `// uses: exp4, log_of` asks for functions of special.wgsl: they and what they need go behind the text. WGSL has no generics, so `name_elem` is
// name4 with Elem, ElemU and ElemI in place of vec4f, vec4u and vec4i.
const special = readFileSync(join(folder, 'special.wgsl'), 'utf8');
const pieces = new Map([...special.matchAll(/^(?:const (\w+).*|(?:fn|struct) (\w+)(?:.*\}|[^]*?^\}))$/gm)].map(([text, constant, name]) => [constant ?? name, text]));

function withNeeds(names, found = new Set()) {
  for (const name of names) {
    if (!pieces.has(name)) throw new Error(`it uses ${name}, which special.wgsl does not have`);
    if (!found.has(name)) withNeeds(pieces.get(name).match(/\w+/g).filter(word => word !== name && pieces.has(word)), found.add(name));
  }
  return found;
}

function withSpecials(code) {
  const names = [...code.matchAll(/^\/\/ uses: (.+)$/gm)].flatMap(([, list]) => list.split(',').map(n => n.trim()));
  const plain = withNeeds(names.filter(n => !n.endsWith('_elem')));
  const generic = withNeeds(names.filter(n => n.endsWith('_elem')).map(n => n.replace(/_elem$/, '4')));
  const elem = text => text.replace(/\bvec4([fui])\b/g, (_, type) => `Elem${type === 'f' ? '' : type.toUpperCase()}`).replace(/\b(\w+)4\b/g, (word, name) => (generic.has(word) ? `${name}_elem` : word));
  let text = '';
  for (const [name, piece] of pieces) {
    const typed = /vec4|4\b/.test(piece);
    if (plain.has(name) || (generic.has(name) && !typed)) text += `${piece}\n`;
    if (generic.has(name) && typed) text += `${elem(piece)}\n`;
  }
  return text ? `${code}\n// From special.wgsl.\n${text}` : code;
}

const files = readdirSync(folder).filter(f => f.endsWith('.wgsl') && f !== 'special.wgsl' && f !== 'storage.wgsl').sort();
const names = [];
let out = `// Generated by kernels/gen.mjs from the .wgsl files. Do not edit.\n\nconst DECODERS = ${JSON.stringify(DECODERS)} as string;\n`;
for (const file of files) {
  const name = file.slice(0, -5);
  let code = readFileSync(join(folder, file), 'utf8');
  let info;
  try {
    code = withSpecials(code);
    info = reflect(name, code);
  } catch (error) {
    console.error(`${file}: ${error.message ?? error} (left out)`);
    process.exitCode = 1;
    continue;
  }
  names.push(name);
  const decoders = Object.keys(info.stored).length ? ',"decoders":DECODERS' : '';
  out += `\nexport const ${name} = ${JSON.stringify(info).slice(0, -1)}${decoders},"code":${JSON.stringify(code)} as string} as const;\n`;
}
out += `\n/** All of special.wgsl, for those who measure it. */\nexport const SPECIAL = ${JSON.stringify(special)} as string;\n`;
out += `\nexport const KERNELS = [\n${names.map(n => `  ${n},\n`).join('')}] as const;\n`;
if (process.argv.includes('--check')) {
  let old = '';
  try { old = readFileSync(target, 'utf8'); } catch { /* missing is stale */ }
  if (old !== out) {
    console.error('kernels/wgsl.gen.ts is stale: run npm run gen');
    process.exit(1);
  }
} else writeFileSync(target, out);
