// CSV as RFC 4180 has it: quotes, doubled quotes, line breaks inside quotes, CRLF; every row knows its line.
import { DataError } from './errors.ts';

/** One row by column name. */
export interface CsvRow {
  /** Line of the file on which the row begins, from 1. */
  readonly line: number;
  readonly cells: Readonly<Record<string, string>>;
}

/** Fields of every record with the line on which it begins. */
function records(text: string, name: string): { line: number; fields: string[] }[] {
  const found: { line: number; fields: string[] }[] = [];
  let [line, begun, at] = [1, 1, 0];
  let fields: string[] = [];
  while (at < text.length) {
    let field = '';
    if (text[at] === '"') {
      const opened = line;
      for (at++; ; at++) {
        if (at >= text.length) throw new DataError(name, `line ${opened}: a quoted field never ends, expected a closing quote`);
        if (text[at] === '"' && text[++at] !== '"') break;
        if (text[at] === '\n') line++;
        field += text[at];
      }
      if (at < text.length && !',\r\n'.includes(text[at]!)) throw new DataError(name, `line ${line}: ${JSON.stringify(text[at])} follows a closing quote, expected a comma or the end of the line`);
    } else {
      const end = /[,\r\n]/g;
      end.lastIndex = at;
      const stop = end.exec(text)?.index ?? text.length;
      field = text.slice(at, stop);
      at = stop;
    }
    fields.push(field);
    if (text[at] === ',') {
      at++;
      if (at === text.length) fields.push('');
      else continue;
    }
    if (text[at] === '\r') at++;
    if (text[at] === '\n') at++;
    if (fields.length > 1 || fields[0] !== '') found.push({ line: begun, fields });
    fields = [];
    begun = ++line;
  }
  return found;
}

/**
 * Parses CSV whose first row names the columns.
 * @param text the file @param name of the file, for messages @returns rows in order, empty lines left out
 * @throws DataError with the line: a quote that never ends, a row with another number of fields, a column named twice or not at all
 */
export function parseCsv(text: string, name: string): CsvRow[] {
  const [head, ...rows] = records(text.replace(/^\uFEFF/, ''), name);
  if (!head) throw new DataError(name, 'is empty, expected a first line with the names of the columns');
  const columns = head.fields.map(f => f.trim());
  const twice = columns.find((c, i) => c === '' || columns.indexOf(c) !== i);
  if (twice !== undefined) throw new DataError(name, `line ${head.line}: ${twice === '' ? 'a column has no name' : `column ${twice} is there twice`}, expected different names`);
  return rows.map(({ line, fields }) => {
    if (fields.length !== columns.length) throw new DataError(name, `line ${line}: ${fields.length} fields, expected ${columns.length} (${columns.join(', ')})`);
    return { line, cells: Object.fromEntries(columns.map((c, i) => [c, fields[i]!])) };
  });
}
