// Finding and making elements. Text goes in as text, never as markup.

/** An element that index.html has. @param id its id @param kind its class @returns the element @throws TypeError when the page lacks it */
export function element<T extends Element>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new TypeError(`#${id} is missing from the page, expected a ${kind.name}`);
  return found;
}

/** A new element. @param tag its name @param options class, text, attributes @param children what is in it */
export function make<K extends keyof HTMLElementTagNameMap>(tag: K, { kind, text, ...attributes }: { kind?: string; text?: string; [attribute: string]: string | undefined } = {}, ...children: Node[]): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  if (kind) node.className = kind;
  if (text !== undefined) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** A new SVG element. @param tag its name @param attributes its attributes @param text its text */
export function makeSvg(tag: string, attributes: Readonly<Record<string, string | number>>, text?: string): SVGElement {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  if (text !== undefined) node.textContent = text;
  return node;
}

let hiding: ReturnType<typeof setTimeout>;

/** Tells what went wrong, long enough to be read. @param message one sentence @param stays whether it stays, because nothing goes on */
export function sayTrouble(message: string, stays = false): void {
  const toast = element('toast', HTMLDivElement);
  clearTimeout(hiding); // that of an earlier message would hide this one too soon
  toast.textContent = message;
  toast.hidden = false;
  if (!stays) hiding = setTimeout(() => { toast.hidden = true; }, Math.max(9000, message.length * 90));
}

/** @param s seconds @returns 0:07.5, 12:30 or 1:02:03 */
export function clock(s: number): string {
  if (!Number.isFinite(s)) return '–';
  const two = (n: number): string => String(Math.floor(n)).padStart(2, '0');
  const tenths = Math.round(s * 10) / 10;
  if (tenths < 60) return `0:${tenths.toFixed(1).padStart(4, '0')}`;
  return tenths < 3600 ? `${Math.floor(tenths / 60)}:${two(tenths % 60)}` : `${Math.floor(tenths / 3600)}:${two((tenths % 3600) / 60)}:${two(tenths % 60)}`;
}

/** Draws labels with bars, best first. @param list an ol @param scored labels with cosines @returns nothing */
export function showBars(list: HTMLOListElement, scored: readonly { label: string; score: number }[]): void {
  const rows = [...list.children] as HTMLLIElement[];
  scored.forEach(({ label, score }, i) => {
    let row = rows[i];
    if (!row) {
      row = make('li', {}, make('span', { kind: 'what' }), make('span', { kind: 'track', 'aria-hidden': 'true' }, make('span', { kind: 'fill' })), make('span', { kind: 'num' }));
      list.append(row);
    }
    const [what, track, num] = row.children as unknown as [HTMLElement, HTMLElement, HTMLElement];
    what.textContent = label;
    what.title = label;
    num.textContent = score.toFixed(2);
    (track.firstElementChild as HTMLElement).style.width = `${Math.max(0, Math.min(1, score)) * 100}%`;
  });
  for (const row of rows.slice(scored.length)) row.remove();
}
