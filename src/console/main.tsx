import { type ComponentChildren, type JSX, render } from 'preact';
import { LocationProvider, Route, Router, useLocation } from 'preact-iso';
import { useEffect, useErrorBoundary } from 'preact/hooks';
import { DeadLettersPage } from './pages/dead-letters.tsx';
import { DeliveriesPage } from './pages/deliveries.tsx';
import { HealthPage } from './pages/health.tsx';
import { HistoryPage } from './pages/history.tsx';
import { InputsPage } from './pages/inputs.tsx';
import { EditJobPage } from './pages/edit-job.tsx';
import { JobPage } from './pages/job.tsx';
import { JobsPage } from './pages/jobs.tsx';
import { NewJobPage } from './pages/new-job.tsx';
import { PeoplePage } from './pages/people.tsx';
import { Empty, Clipped } from './parts.tsx';
import { Signed, signOut, useSession } from './session.tsx';

const PLACES = [
  ['/', 'Jobs'],
  ['/people', 'Find a person'],
  ['/deliveries', 'Deliveries'],
  ['/dead-letters', 'Dead letters'],
  ['/inputs', 'Inputs'],
  ['/history', 'History'],
  ['/health', 'Health'],
] as const;

function Header(): JSX.Element {
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
        {PLACES.map(([place, title]) => (
          <a key={place} href={place} {...(isHere(place) ? { 'aria-current': 'page' as const } : {})}>
            {title}
          </a>
        ))}
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

function Console(): JSX.Element {
  return (
    <LocationProvider>
      <Signed>
        <Header />
        <main id="content" tabIndex={-1}>
          <Guarded>
            <Router>
              <Route path="/" component={JobsPage} />
              <Route path="/new" component={NewJobPage} />
              <Route path="/jobs/:job" component={JobPage} />
              <Route path="/jobs/:job/edit" component={EditJobPage} />
              <Route path="/people" component={PeoplePage} />
              <Route path="/deliveries" component={DeliveriesPage} />
              <Route path="/dead-letters" component={DeadLettersPage} />
              <Route path="/inputs" component={InputsPage} />
              <Route path="/history" component={HistoryPage} />
              <Route path="/health" component={HealthPage} />
              <Route default component={NotFound} />
            </Router>
          </Guarded>
        </main>
      </Signed>
    </LocationProvider>
  );
}

const root = document.getElementById('console');
if (root !== null) render(<Console />, root);
