import { parser } from '@prometheus-io/lezer-promql';

/** A metric that a query reads, and what it asks of its labels. */
export interface Selector {
  readonly metric: string;
  readonly matchers: readonly { readonly label: string; readonly operator: string; readonly value: string }[];
}

export interface ReadQuery {
  readonly selectors: readonly Selector[];
  /** Labels that it groups or joins by. */
  readonly grouped: readonly string[];
}

/** Takes a query apart with Prometheus' own grammar. @throws when it is no PromQL. */
export function readQuery(query: string): ReadQuery {
  // Grafana puts an interval there; what else begins with a dollar stands in quotes.
  const text = query.replaceAll('$__rate_interval', '5m');
  const selectors: Selector[] = [];
  const grouped: string[] = [];
  parser.parse(text).iterate({
    enter: (node) => {
      if (node.type.isError) throw new Error(`No PromQL, at ${node.from}: ${text}`);
      if (node.name === 'VectorSelector') selectors.push(selectorOf(text.slice(node.from, node.to)));
      if (node.name === 'GroupingLabels')
        grouped.push(...Array.from(text.slice(node.from, node.to).matchAll(/\w+/g), ([label]) => label));
    },
  });
  return { selectors, grouped };
}

function selectorOf(text: string): Selector {
  const [, metric = '', inside = ''] = /^([\w:]+)(?:\s*\{(.*)\})?$/s.exec(text) ?? [];
  const matchers = Array.from(inside.matchAll(/(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g));
  return {
    metric,
    matchers: matchers.map(([, label = '', operator = '', value = '']) => ({ label, operator, value })),
  };
}
