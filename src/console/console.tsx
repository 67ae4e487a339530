import { type ComponentChildren, type JSX, render } from 'preact';
import { LocationProvider, Route, Router, useLocation } from 'preact-iso';
import { useEffect, useErrorBoundary } from 'preact/hooks';
import { Empty, Clipped } from './parts.tsx';
import { Signed, signOut, useSession } from './session.tsx';
import { type Page, type Slots, SlotsContext } from './slots.ts';

function Header({ pages }: { readonly pages: readonly Page[] }): JSX.Element {
  const { path } = useLocation();
  const { name, isOpen } = useSession();
  const isHere = (place: string): boolean =>
    place === '/' ? path === '/' || path.startsWith('/jobs') || path === '/new' : path.startsWith(place);
  return (
    <header class="top">
      <a class="skip" href="#content">
        Skip to content
      </a>
      <a class="brand" href="/">
        <svg viewBox="0 0 16 16" width="18" height="18" aria-hidden="true">
          <circle cx="6" cy="8" r="4.5" fill="none" stroke="currentColor" stroke-width="1.8" />
          <path d="M6 8h9m-3-3 3 3-3 3" fill="none" stroke="currentColor" stroke-width="1.8" />
        </svg>
        Audience triggers
      </a>
      <nav aria-label="Pages">
        {pages.map(
          ({ path: place, title }) =>
            title !== undefined && (
              <a key={place} href={place} {...(isHere(place) ? { 'aria-current': 'page' as const } : {})}>
                {title}
              </a>
            ),
        )}
      </nav>
      {!isOpen && (
        <span class="who">
          <bdi>{name ?? 'signed in by link'}</bdi>
          <button type="button" class="plain" onClick={() => void signOut()}>
            Sign out
          </button>
        </span>
      )}
    </header>
  );
}

/** Replaces a page that cannot be shown; opening another page tries again. */
function Guarded({ children }: { readonly children: ComponentChildren }): ComponentChildren {
  const { url } = useLocation();
  const [error, forget] = useErrorBoundary((thrown: unknown) => reportError(thrown));
  useEffect(() => forget(), [url]);
  if (error === undefined) return children;
  return (
    <div role="alert">
      <Empty title="This page cannot be shown" isPage>
        <p>
          This is a bug in the console. Your jobs keep running and nothing was changed. You can also use the{' '}
          <code>triggers</code> command.
        </p>
        <p class="quiet">
          <Clipped text={error instanceof Error ? error.message : String(error)} />
        </p>
        <div class="buttons">
          <button type="button" class="primary" onClick={forget}>
            Try again
          </button>
          <a class="button" href="/">
            All jobs
          </a>
        </div>
      </Empty>
    </div>
  );
}

function NotFound(): JSX.Element {
  return (
    <Empty title="Page not found" isPage>
      <p>
        All jobs are <a href="/">on the first page</a>.
      </p>
    </Empty>
  );
}

/** Shows the console in the element of `index.html`. The navigation lists the pages in their order. */
export function showConsole(pages: readonly Page[], slots: Slots): void {
  const root = document.getElementById('console');
  if (root === null) return;
  render(
    <SlotsContext.Provider value={slots}>
      <LocationProvider>
        <Signed>
          <Header pages={pages} />
          <main id="content" tabIndex={-1}>
            <Guarded>
              <Router>
                {pages.map(({ path, Content }) => (
                  <Route key={path} path={path} component={Content} />
                ))}
                <Route default component={NotFound} />
              </Router>
            </Guarded>
          </main>
        </Signed>
      </LocationProvider>
    </SlotsContext.Provider>,
    root,
  );
}
