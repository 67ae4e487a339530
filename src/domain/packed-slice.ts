import type { PackedSlice, PackedSliceTrigger, SliceInput, SliceTrigger } from '../contract/slice.ts';

/** Makes a slice small by repeating nothing. */
export function packSlice(slice: SliceInput): PackedSlice {
  const places = new Map(slice.audiences.map(({ id }, place) => [id, place]));
  let before = '';
  const triggers = slice.triggers.map(({ user, audience, event, at, ...rest }): PackedSliceTrigger => {
    const place = places.get(audience);
    const what = 2 * (place ?? places.size) + (event === 'enter' ? 1 : 0);
    const when = at === before ? '' : at;
    before = at;
    const more = place === undefined ? { ...rest, audience } : rest;
    return Object.keys(more).length === 0 ? [user, what, when] : [user, what, when, more];
  });
  return { ...slice, triggers };
}

/** @throws RangeError for what `packSlice` did not pack. */
export function unpackSlice(packed: PackedSlice): SliceInput {
  const { audiences, sliceId } = packed;
  let before = '';
  const triggers = packed.triggers.map(([user, what, when, more]): SliceTrigger => {
    const place = Math.floor(what / 2);
    const audience = more?.audience ?? audiences[place]?.id;
    if (audience === undefined)
      throw new RangeError(`Slice ${sliceId} names an audience ${place} that it does not list.`);
    const at = when === '' ? before : when;
    before = at;
    return { user, event: what % 2 === 1 ? 'enter' : 'exit', at, ...more, audience };
  });
  return { ...packed, triggers };
}
