import type { JSX } from 'preact';
import { Empty } from '../../../console/parts.tsx';

/** In place of a page that shows the delivery log. */
export function NoLog(): JSX.Element {
  return (
    <Empty title="There is no delivery log" isPage>
      <p>
        <code>triggers up</code> keeps one by itself; otherwise, name a PostgreSQL database as <code>deliveryLog</code>{' '}
        in the configuration of the workers and of this API (<code>docs/delivery-log.md</code>
        ). A log in a collector is read there.
      </p>
    </Empty>
  );
}
