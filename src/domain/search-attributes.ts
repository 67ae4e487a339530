import { SEARCH_ATTRIBUTES } from './names.ts';

type NamesOfType<T> = {
  [Name in keyof typeof SEARCH_ATTRIBUTES]: (typeof SEARCH_ATTRIBUTES)[Name] extends T ? Name : never;
}[keyof typeof SEARCH_ATTRIBUTES];

/** A search attribute and its value, as the SDK takes them when it starts a workflow. */
export type SearchAttribute =
  | { readonly key: { readonly name: string; readonly type: 'KEYWORD' }; readonly value: string }
  | { readonly key: { readonly name: string; readonly type: 'KEYWORD_LIST' }; readonly value: string[] };

export function keyword(name: NamesOfType<'KEYWORD'>, value: string): SearchAttribute {
  return { key: { name, type: SEARCH_ATTRIBUTES[name] }, value };
}

export function keywordList(name: NamesOfType<'KEYWORD_LIST'>, value: string[]): SearchAttribute {
  return { key: { name, type: SEARCH_ATTRIBUTES[name] }, value };
}
