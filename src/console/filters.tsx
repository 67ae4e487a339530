import type { JSX } from 'preact';
import { useLocation } from 'preact-iso';
import { useLayoutEffect, useRef } from 'preact/hooks';

/** The type of an input for a time. */
export const TIME = 'datetime-local';

/** A filter of a list: its name in the page's URL, its label, and the kind of its input, or what may be chosen. Default: a text. */
export type FilterField = readonly [name: string, label: string, input?: 'number' | typeof TIME | readonly string[]];

type Filter = Readonly<Record<string, string>>;

/** The filters of a page by its URL, and how to go to others. */
export function useFilter(fields: readonly FilterField[]): {
  readonly filter: Filter;
  readonly go: (search: Filter) => void;
} {
  const { path, query, route } = useLocation();
  return {
    filter: Object.fromEntries(fields.flatMap(([name]) => (query[name] ? [[name, query[name]]] : []))),
    go(search) {
      const text = new URLSearchParams(search).toString();
      route(text === '' ? path : `${path}?${text}`);
    },
  };
}

interface FiltersProps {
  readonly fields: readonly FilterField[];
  readonly filter: Filter;
  readonly find: (filter: Filter) => void;
}

/** The form of filters above a list. */
export function Filters({ fields, filter, find }: FiltersProps): JSX.Element {
  const { path } = useLocation();
  const form = useRef<HTMLFormElement>(null);
  // Each filter has one of its name.
  const inputOf = (name: string) => form.current?.elements.namedItem(name) as HTMLInputElement | HTMLSelectElement;
  const shown = JSON.stringify(filter);
  // The browser keeps the typed text until the page's URL changes.
  useLayoutEffect(() => {
    for (const [name, , input] of fields) {
      const value = filter[name] ?? '';
      inputOf(name).value = input === TIME ? localTime(value) : value;
    }
  }, [shown]);
  const submit = (event: Event): void => {
    event.preventDefault();
    const typed = fields.flatMap(([name, , input]) => {
      const value = inputOf(name).value.trim();
      return value === '' ? [] : [[name, input === TIME ? new Date(value).toISOString() : value]];
    });
    find(Object.fromEntries(typed));
  };
  return (
    <form ref={form} class="filters labelled" role="search" onSubmit={submit}>
      {fields.map(([name, label, input]) => (
        <label key={name}>
          {label}
          {typeof input !== 'object' ? (
            // Its type in JSX has a variant for each type of input.
            <input name={name} type={(input ?? 'search') as 'search'} />
          ) : (
            <select name={name}>
              <option value="">any</option>
              {input.map((one) => (
                <option key={one}>{one}</option>
              ))}
            </select>
          )}
        </label>
      ))}
      <div class="buttons">
        <button type="submit" class="primary">
          Find
        </button>
        <a class="button" href={path}>
          Clear
        </a>
      </div>
    </form>
  );
}

/** A time as its input shows it. */
function localTime(instant: string): string {
  const time = new Date(instant);
  const local = new Date(time.getTime() - time.getTimezoneOffset() * 60_000);
  return Number.isNaN(local.getTime()) ? '' : local.toISOString().slice(0, 16);
}
