// The settings of a stream as numbers to fill in.
import { element } from './elements.ts';
import type { StreamSettings } from './protocol.ts';

/** Shows the settings and takes what people write; what is no number in range goes back to what was. @param get the settings that hold @param set takes those that hold for the next stream */
export function wireSettings(get: () => StreamSettings, set: (wanted: StreamSettings) => void): void {
  const form = element('settings', HTMLFormElement);
  for (const input of form.querySelectorAll('input')) {
    const name = input.name as keyof StreamSettings;
    input.value = String(get()[name]);
    input.addEventListener('change', () => {
      if (input.value !== '' && input.checkValidity()) set({ ...get(), [name]: Number(input.value) });
      else input.value = String(get()[name]);
    });
  }
  form.addEventListener('submit', event => event.preventDefault());
}
