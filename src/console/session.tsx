import { createContext, type ComponentChildren, type JSX } from 'preact';
import { useCallback, useContext, useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { ApiFailure, ask, whenRefused } from './api.ts';
import { asFailure, useDeed } from './asked.ts';
import { Failure, Loading } from './parts.tsx';

export type Right = 'read' | 'trigger' | 'operate';

/** Who asks, and what they may. */
export interface Session {
  /** The name of the key; absent: the API has no keys, and is for whoever is on its machine. */
  readonly name?: string;
  readonly may: readonly Right[];
  /** Only these; absent: all. */
  readonly jobs?: readonly string[];
  readonly version: string;
  /** With a workflow's id behind it, its page in the Temporal UI; absent: not known. */
  readonly temporalWorkflowsUrl?: string;
}

const Current = createContext<Session>({ may: [], version: '' });

export function useSession(): Session & { readonly may: readonly Right[]; readonly mayOperate: boolean } {
  const session = useContext(Current);
  return { ...session, mayOperate: session.may.includes('operate') };
}

/** Shows what is in it to whoever is signed in, and else a place to sign in. */
export function Signed({ children }: { readonly children: ComponentChildren }): JSX.Element {
  const [session, setSession] = useState<Session>();
  const [isSignedOut, setSignedOut] = useState(false);
  const [failure, setFailure] = useState<ApiFailure>();
  const look = useCallback(async () => {
    setFailure(undefined);
    try {
      setSession(await withLink());
    } catch (error) {
      if (error instanceof ApiFailure && error.status === 401) setSignedOut(true);
      else setFailure(asFailure(error));
    }
  }, []);
  useEffect(() => {
    whenRefused((why) => {
      if (why === 'nobody') setSignedOut(true);
      // The key may do less than it could: the buttons follow.
      else void ask<Session>('/v1/session', { isRepeated: true }).then(setSession, () => undefined);
    });
    void look();
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
  };
  if (session === undefined && isSignedOut) return <SignIn onSigned={signed} />;
  if (session === undefined)
    return (
      <main class="narrow">
        <Loading what="who you are" />
      </main>
    );
  return (
    <>
      {/* Whatever was typed is still there afterwards, unless it is somebody else who signs in. */}
      <Current.Provider key={session.name ?? ''} value={session}>
        {children}
      </Current.Provider>
      {isSignedOut && <SignInAgain onSigned={signed} />}
    </>
  );
}

/** Covers the page, and a dialogue that may be open on it. */
function SignInAgain({ onSigned }: { readonly onSigned: (session: Session) => void }): JSX.Element {
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
      <SignIn onSigned={onSigned} isAgain />
    </dialog>
  );
}

/** A link that the terminal printed signs in, once. It stands after the `#`, so that it is in no log, and leaves the address at once. */
async function withLink(): Promise<Session> {
  const link = /^#token=([\w-]+)$/.exec(location.hash)?.[1];
  if (link === undefined) return await ask<Session>('/v1/session');
  history.replaceState(null, '', location.pathname + location.search);
  // Whoever is signed in already need not be signed in again by a link that was used.
  return await ask<Session>('/v1/session', { method: 'POST', body: { link } }).catch(() => ask<Session>('/v1/session'));
}

interface SignInProps {
  readonly onSigned: (session: Session) => void;
  readonly isAgain?: boolean;
}

function SignIn({ onSigned, isAgain = false }: SignInProps): JSX.Element {
  const [key, setKey] = useState('');
  const { isBusy, failure, run } = useDeed();
  const field = useRef<HTMLInputElement>(null);
  // Also after a wrong key, which the next one that is typed or pasted replaces.
  useLayoutEffect(() => {
    field.current?.focus();
    field.current?.select();
  }, [failure]);
  const sign = (): void => {
    void run(async () => onSigned(await ask<Session>('/v1/session', { method: 'POST', body: { key: key.trim() } })));
  };
  // Behind it is a page that has its main part.
  const Place = isAgain ? 'div' : 'main';
  return (
    <Place class="narrow sign-in">
      <h1>Audience triggers</h1>
      {isAgain && <p>Your session has ended. Sign in with the same key, and you can go on where you were.</p>}
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
          Whoever runs the API makes one with <code>triggers secrets new --api-key</code>. It is kept by the API until
          you sign out, or do nothing for half an hour; this page does not keep it.
        </p>
        <Failure failure={failure} />
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
  location.assign('/');
}
