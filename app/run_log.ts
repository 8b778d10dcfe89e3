// log.jsonl of a run: one JSON object per step, appended. After a resume, lines of steps that will be done again are cut away first.
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../weights/writer.ts';

export interface RunLog {
  write(row: object): Promise<void>;
  close(): Promise<void>;
}

/** Rows of a run's log in order. @param folder of the run @returns parsed rows; a torn last line is left out */
export async function readRunLog(folder: string): Promise<Record<string, number>[]> {
  const text = await readFile(join(folder, 'log.jsonl'), 'utf8').catch(() => '');
  const rows: Record<string, number>[] = [];
  for (const line of text.split('\n')) {
    try {
      if (line) rows.push(JSON.parse(line) as Record<string, number>);
    } catch {
      break; // a kill tore this line, and it was the last
    }
  }
  return rows;
}

/** Opens the log for appending. @param folder of the run @param step the next step to be done @returns the log */
export async function openRunLog(folder: string, step: number): Promise<RunLog> {
  await mkdir(folder, { recursive: true });
  const kept = (await readRunLog(folder)).filter(row => row.step! < step);
  await writeFileAtomic(join(folder, 'log.jsonl'), kept.map(row => `${JSON.stringify(row)}\n`).join(''));
  const file = await open(join(folder, 'log.jsonl'), 'a');
  return { write: async row => { await file.appendFile(`${JSON.stringify(row)}\n`); }, close: () => file.close() };
}
