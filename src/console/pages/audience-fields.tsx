import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { AudienceList } from '../../contract/audience.ts';
import { hasWords } from '../../domain/search.ts';
import { printable, shownCount } from '../../domain/shown.ts';
import type { Draft } from '../form.ts';
import { Check, Field, type JobFormProps } from './fields.tsx';

/** With more of them than this there is a search. */
const SEARCHED_FROM = 8;
const MOST_SHOWN = 100;

export function Audiences(props: JobFormProps & { readonly list: AudienceList | undefined }): JSX.Element {
  const { draft, change, list } = props;
  const [search, setSearch] = useState('');
  const all = list?.audiences ?? [];
  const found = all.filter(({ slug, name }) => hasWords(`${slug}\n${name}`, search));
  const isChosen = ({ id, slug }: { id: string; slug: string }): boolean =>
    draft.audiences.includes(slug) || draft.audiences.includes(id);
  const choose = (names: readonly string[], name: string, isWanted: boolean): void => {
    const rest = draft.audiences.filter((one) => !names.includes(one));
    change({ audiences: isWanted ? [...rest, name] : rest });
  };
  const narrow = all.filter((one) => isChosen(one) && (one.windowMinutes ?? Infinity) < 30);
  const isSearched = all.length >= SEARCHED_FROM;
  // Of a list that is not whole, somebody may know a name that is missing.
  const isPart = list !== undefined && all.length < list.total;
  const typed = search.trim();
  return (
    <Field {...props} field="audiences" legend="Audiences">
      <Chosen {...{ draft, all, isSearched, choose }} />
      {isSearched && (
        <input
          type="search"
          aria-label="Search audiences"
          placeholder={`Search ${shownCount(all.length)} audiences`}
          value={search}
          onInput={(event) => setSearch(event.currentTarget.value)}
          // It searches as it is typed; Enter would start the export.
          onKeyDown={(event) => {
            if (event.key === 'Enter') event.preventDefault();
          }}
        />
      )}
      <div class="options">
        {list === undefined && <span class="quiet">Reading audiences …</span>}
        {list !== undefined && all.length === 0 && <span class="quiet">The source has no audience.</span>}
        {found.slice(0, MOST_SHOWN).map((one) => (
          <label key={one.id} class="option">
            <input
              type="checkbox"
              checked={isChosen(one)}
              onChange={(event) => choose([one.id, one.slug], one.slug, event.currentTarget.checked)}
            />
            <span>
              <bdi>{printable(one.name)}</bdi> <span class="quiet">{printable(one.slug)}</span>
            </span>
            <span class="quiet number">{one.size === undefined ? '' : shownCount(one.size)}</span>
          </label>
        ))}
        {found.length > MOST_SHOWN && (
          <span class="quiet">and {shownCount(found.length - MOST_SHOWN)} more: search</span>
        )}
        {typed !== '' && found.length === 0 && <span class="quiet">No audience is called like that.</span>}
        {isPart && typed !== '' && found.length < MOST_SHOWN && !draft.audiences.includes(typed) && (
          <button type="button" class="plain" onClick={() => choose([], typed, true)}>
            Use “{printable(typed)}” as it is typed
          </button>
        )}
      </div>
      {isPart && (
        <p class="hint">
          These are {shownCount(all.length)} of {shownCount(list.total)}. Another one can be typed above, by its slug or
          id.
        </p>
      )}
      {narrow.length > 0 && (
        <p class="hint caution">
          {narrow.map(({ slug }) => printable(slug)).join(', ')}: the window of time is shorter than 30 minutes, and may
          not be reliable.
        </p>
      )}
    </Field>
  );
}

interface ChosenProps {
  readonly draft: Draft;
  readonly all: AudienceList['audiences'];
  readonly isSearched: boolean;
  readonly choose: (names: readonly string[], name: string, isWanted: boolean) => void;
}

/** What was chosen stays in sight, whatever is searched for; also what the source does not list: by id, or a slug that it has no more. */
function Chosen({ draft, all, isSearched, choose }: ChosenProps): JSX.Element | null {
  const listed = new Map(all.flatMap((one) => [[one.id, one] as const, [one.slug, one] as const]));
  const shown = draft.audiences.filter((one) => isSearched || !listed.has(one));
  if (shown.length === 0) return null;
  return (
    <p class="chosen">
      {shown.map((one) => (
        <span key={one} class="tag">
          <bdi>{printable(listed.get(one)?.name ?? one)}</bdi>{' '}
          <button type="button" class="plain" aria-label={`Without ${one}`} onClick={() => choose([one], one, false)}>
            ×
          </button>
        </span>
      ))}
    </p>
  );
}

/** How many members the chosen audiences have, as far as the source says. */
export function membersOf(list: AudienceList | undefined, chosen: readonly string[]): number | undefined {
  const sizes = chosen.map((name) => list?.audiences.find(({ id, slug }) => slug === name || id === name)?.size);
  if (sizes.length === 0 || sizes.includes(undefined)) return undefined;
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
}

export function ExistingUsers(props: JobFormProps & { readonly list: AudienceList | undefined }): JSX.Element {
  const members = membersOf(props.list, props.draft.audiences);
  const who =
    members === undefined
      ? 'everybody who is already part of the audience'
      : members === 1
        ? 'the 1 user who is already part of the audience'
        : `the ${shownCount(members)} users who are already part of the audience`;
  return (
    <Field {...props} field="existingUsers" legend="Existing Users (optional)">
      <Check {...props} input="existingUsers" text={`First send ${who}, as entered`} />
    </Field>
  );
}
