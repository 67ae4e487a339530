/**
 * A job id made from a label: lower case, letters and digits, everything else a dash, at most 100 characters; undefined
 * when nothing of the label is left.
 */
export function jobIdFromLabel(label: string): string | undefined {
  const plain = label.normalize('NFKD').replaceAll(/\p{M}/gu, '').toLowerCase();
  const slug = plain
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 101)
    .replace(/^-/, '');
  return slug.slice(0, 100).replace(/-$/, '') || undefined;
}
