// Small pieces of the self-contained HTML reports. Every text goes through `escape`.

/** Text for HTML content and attributes. @param text any text @returns escaped text */
export const escape = (text: string): string => text.replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);

const STYLE = `
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6672; --line: #d9dee4; --card: #fff; --page: #f5f7f9; --good: #1a7f4b; --near: #9a6700; --bad: #c0392b; --bar: #3b6fd4; --base: #9fb0c3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #9aa6b2; --line: #333b44; --card: #1d2329; --page: #14181c; --good: #4cc38a; --near: #e0b341; --bad: #f07167; --bar: #7aa2f7; --base: #56657a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 28px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 36px 0 10px; } p { margin: 6px 0; } .soft { color: var(--soft); }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); gap: 12px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 12px; display: flex; gap: 12px; min-width: 0; }
.card img { width: 72px; height: 72px; object-fit: contain; background: #fff; border-radius: 8px; flex: none; }
.card div { min-width: 0; flex: 1; } .name { font-weight: 600; overflow-wrap: anywhere; } .good { color: var(--good); } .near { color: var(--near); } .bad { color: var(--bad); }
ol { margin: 4px 0 0; padding-left: 18px; font-size: 13px; color: var(--soft); } li.true { color: var(--good); font-weight: 600; }
.row { display: grid; grid-template-columns: 220px 1fr 64px; gap: 10px; align-items: center; margin: 5px 0; font-size: 14px; }
.track { background: var(--line); border-radius: 6px; height: 16px; overflow: hidden; } .fill { height: 100%; background: var(--base); border-radius: 6px; } .fill.own { background: var(--bar); }
.num { text-align: right; font-variant-numeric: tabular-nums; }
.hits { display: flex; flex-wrap: wrap; gap: 10px; } figure { margin: 0; width: 104px; font-size: 12px; text-align: center; color: var(--soft); } figure img { width: 64px; height: 64px; background: #fff; border-radius: 8px; border: 1px solid var(--line); }
table { border-collapse: collapse; font-size: 14px; } td, th { padding: 4px 12px 4px 0; text-align: left; } td.num, th.num { text-align: right; }
`;

/**
 * A whole page with nothing fetched from anywhere.
 * @param title shown in the tab @param body HTML @param options extra style and script text @returns the document
 */
export const page = (title: string, body: string, { style = '', script = '' } = {}): string =>
  `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escape(title)}</title>` +
  `<style>${STYLE}${style}</style></head><body><main>${body}</main>${script && `<script>${script}</script>`}</body></html>\n`;

/**
 * One horizontal bar of a chart, 0 to 100 per cent, readable as text too.
 * @param label what @param percent value @param own whether it is this model's @param shown text of the value, where it is no percentage @returns HTML
 */
export const bar = (label: string, percent: number, own = false, shown?: string): string =>
  `<div class="row"><span>${escape(label)}</span><div class="track" role="img" aria-label="${escape(label)} ${shown ?? `${percent.toFixed(1)} per cent`}"><div class="fill${own ? ' own' : ''}" style="width:${Math.min(100, Math.max(0, percent)).toFixed(2)}%"></div></div><span class="num">${shown ?? percent.toFixed(1)}</span></div>`;
