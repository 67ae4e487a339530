import { createContext, type ComponentChildren, type JSX } from 'preact';
import { useCallback, useContext, useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { type ApiFailure, ask, whenRefused, asFailure, useAction } from './api.ts';
import { Failure, Loading } from './parts.tsx';

export type Right = 'read' | 'trigger' | 'operate';

/** The signed-in person, and their rights. */
export interface Session {
  /** The API has no keys, and nobody can sign out. */
  readonly isOpen: boolean;
  /** The name of the key; absent: there is none, or a link signed in. */
  readonly name?: string;
  readonly may: readonly Right[];
  /** Only these; absent: all. */
  readonly jobs?: readonly string[];
  readonly version: string;
  /** The URL of a workflow in the Temporal UI, without the workflow's id, which is appended; absent: unknown. */
  readonly temporalWorkflowsUrl?: string;
}

const Current = createContext<Session>({ isOpen: true, may: [], version: '' });

export function useSession(): Session & { readonly may: readonly Right[]; readonly mayOperate: boolean } {
  const session = useContext(Current);
  return { ...session, mayOperate: session.may.includes('operate') };
}

/** Shows its content to people who are signed in, and to others a place to sign in. */
export function Signed({ children }: { readonly children: ComponentChildren }): JSX.Element {
  const [session, setSession] = useState<Session>();
  const [isSignedOut, setSignedOut] = useState(false);
  const [failure, setFailure] = useState<ApiFailure>();
  const [refusedLink, setRefusedLink] = useState<ApiFailure>();
  const look = useCallback(async () => {
    setFailure(undefined);
    setRefusedLink(undefined);
    const link = takenLink();
    try {
      setSession(link === undefined ? await ask<Session>('/v1/session') : await withLink(link));
      setSignedOut(false);
    } catch (error) {
      const why = asFailure(error);
      if (link !== undefined) setRefusedLink(why);
      if (link !== undefined || why.status === 401) setSignedOut(true);
      else setFailure(why);
    }
  }, []);
  useEffect(() => {
    whenRefused((why) => {
      if (why === 'nobody') setSignedOut(true);
      // The key may have lost rights: the buttons adapt.
      else void ask<Session>('/v1/session', { isRepeated: true }).then(setSession, () => undefined);
    });
    void look();
    // A link that is pasted into a tab with the console changes only the part behind the `#`.
    const pasted = (): void => void (LINK.test(location.hash) && look());
    addEventListener('hashchange', pasted);
    return () => removeEventListener('hashchange', pasted);
  }, [look]);
  if (failure !== undefined)
    return (
      <main class="narrow">
        <Failure failure={failure} retry={() => void look()} />
      </main>
    );
  const signed = (one: Session): void => {
    setSession(one);
    setSignedOut(false);
    setRefusedLink(undefined);
  };
  if (session === undefined && isSignedOut) return <SignIn onSigned={signed} refused={refusedLink} />;
  if (session === undefined)
    return (
      <main class="narrow">
        <Loading what="who you are" />
      </main>
    );
  return (
    <>
      {/* Signing in again keeps everything typed, unless a different person signs in. */}
      <Current.Provider key={session.name ?? ''} value={session}>
        {children}
      </Current.Provider>
      {isSignedOut && <SignInAgain onSigned={signed} refused={refusedLink} isByLink={session.name === undefined} />}
    </>
  );
}

/** Covers the page, and a dialogue that may be open on it. */
function SignInAgain(props: SignInProps): JSX.Element {
  const ref = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const dialog = ref.current;
    const show = (): void => dialog?.showModal();
    show();
    dialog?.addEventListener('close', show);
    return () => {
      dialog?.removeEventListener('close', show);
      dialog?.close();
    };
  }, []);
  return (
    <dialog ref={ref} class="cover" aria-label="Sign in">
      <SignIn {...props} isAgain />
    </dialog>
  );
}

/** A link that the terminal printed signs in, once. The token is after the `#`, and therefore in no log. */
const LINK = /^#token=(.*)$/;

/** The token of the link that opened the page; it is removed from the address at once. */
function takenLink(): string | undefined {
  const [, link] = LINK.exec(location.hash) ?? [];
  if (link !== undefined) history.replaceState(null, '', location.pathname + location.search);
  return link;
}

/** @throws ApiFailure why the link does not sign in, unless a session continues: it needs none */
async function withLink(link: string): Promise<Session> {
  try {
    return await ask<Session>('/v1/session', { method: 'POST', body: { link } });
  } catch (error) {
    return await ask<Session>('/v1/session').catch(() => Promise.reject(asFailure(error)));
  }
}

interface SignInProps {
  readonly onSigned: (session: Session) => void;
  /** Why the link that opened the page did not sign in. */
  readonly refused: ApiFailure | undefined;
  readonly isAgain?: boolean;
  /** Whether the session that ended began with a link. */
  readonly isByLink?: boolean;
}

function SignIn({ onSigned, refused, isAgain = false, isByLink = false }: SignInProps): JSX.Element {
  const [key, setKey] = useState('');
  const { isBusy, failure, run } = useAction();
  const field = useRef<HTMLInputElement>(null);
  // This also runs after a wrong key: the next typed or pasted key replaces it.
  useLayoutEffect(() => {
    field.current?.focus();
    field.current?.select();
  }, [failure]);
  const sign = (): void => {
    void run(async () => onSigned(await ask<Session>('/v1/session', { method: 'POST', body: { key: key.trim() } })));
  };
  // A page with its main part is behind it.
  const Place = isAgain ? 'div' : 'main';
  return (
    <Place class="narrow sign-in">
      <h1>Audience triggers</h1>
      {isAgain && (
        <p>
          Your session has ended. {isByLink ? 'Open a new link here' : 'Sign in with the same key'} to continue where
          you were.
        </p>
      )}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          sign();
        }}
      >
        <label for="key">API key</label>
        <input
          ref={field}
          id="key"
          type="password"
          autocomplete="current-password"
          value={key}
          onInput={(event) => setKey(event.currentTarget.value)}
        />
        <p class="hint">
          The operator of the API makes a key with <code>triggers secrets new --api-key</code>. Or start{' '}
          <code>triggers up</code> again, and open the link that it prints. You stay signed in until you sign out or are
          idle for 30 minutes. Your key is not saved in the browser.
        </p>
        <Failure failure={failure ?? refused} />
        <button type="submit" class="primary" disabled={isBusy || key.trim() === ''}>
          Sign in
        </button>
      </form>
    </Place>
  );
}

/** Ends the session, here and in the API. */
export async function signOut(): Promise<void> {
  await ask('/v1/session', { method: 'DELETE' }).catch(() => undefined);
  sessionStorage.clear();
  location.assign('/');
}
