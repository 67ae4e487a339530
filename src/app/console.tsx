import { showConsole } from '../console/console.tsx';
import { DeadLettersPage } from '../console/pages/dead-letters.tsx';
import { EditJobPage } from '../console/pages/edit-job.tsx';
import { InputsPage } from '../console/pages/inputs.tsx';
import { JobPage } from '../console/pages/job.tsx';
import { JobsPage } from '../console/pages/jobs.tsx';
import { NewJobPage } from '../console/pages/new-job.tsx';
import type { Page, Slots } from '../console/slots.ts';
import { DeliveriesPage } from '../features/delivery-log/console/deliveries.tsx';
import { HistoryPage } from '../features/delivery-log/console/history.tsx';
import { JobDeliveries } from '../features/delivery-log/console/job-deliveries.tsx';
import { HealthPage } from '../features/doctor/console/health.tsx';
import { Ingests } from '../features/ingests/console/ingests.tsx';
import { PeoplePage } from '../features/people/console/people.tsx';
import { Preview } from '../features/preview/console/preview.tsx';
import { reconcileAction } from '../features/reconcile/console/reconcile.tsx';
import { recoverAction } from '../features/recover/console/recover.tsx';
import { replayAction } from '../features/replay/console/replay.tsx';
import { Watches } from '../features/watch/console/watches.tsx';

const PAGES: readonly Page[] = [
  { path: '/', title: 'Jobs', Content: JobsPage },
  { path: '/new', Content: NewJobPage },
  { path: '/jobs/:job', Content: JobPage },
  { path: '/jobs/:job/edit', Content: EditJobPage },
  { path: '/people', title: 'Find a person', Content: PeoplePage },
  { path: '/deliveries', title: 'Deliveries', Content: DeliveriesPage },
  { path: '/dead-letters', title: 'Dead letters', Content: DeadLettersPage },
  { path: '/inputs', title: 'Inputs', Content: InputsPage },
  { path: '/history', title: 'History', Content: HistoryPage },
  { path: '/health', title: 'Health', Content: HealthPage },
];
const SLOTS: Slots = {
  jobActions: [reconcileAction, replayAction, recoverAction],
  jobPanels: [JobDeliveries],
  formPanels: [Preview],
  inputPanels: [Watches, Ingests],
};

showConsole(PAGES, SLOTS);
