import { ApplicationFailure } from '@temporalio/activity';
import { logAlerts } from '../../activities/log-alerts.ts';
import type { CoreConfig } from '../../config/core-config.ts';
import { JSON_TYPE } from '../../contract/request-shape.ts';
import type { RaisedAlert } from '../../contract/alert.ts';
import type { Activities } from '../../contract/ports.ts';
import { failureInWords } from '../../domain/verdict.ts';
import { postAuthorized, type Poster } from '../../webhook/attempt.ts';
import type { Authorizations, RequestAuthorization } from '../../webhook/authorization.ts';
import { requestWith } from '../../webhook/request-maker.ts';
import type { WebhookRequest } from '../../webhook/request.ts';
import { type AlertActivities, alertsWorkflowId } from './sandbox/ports.ts';
import type { QueueAlerts } from './queue-alerts.ts';

/** The destination of alerts, as the worker is configured. */
export interface AlertSettings {
  readonly url: string;
  /** Name of an authorization; null when the endpoint needs none. */
  readonly authorization: string | null;
}

/** The destination that is configured; undefined: alerts are only logged. */
export function alertSettings({ url, authorization }: CoreConfig['alerts']): AlertSettings | undefined {
  return url === undefined ? undefined : { url, authorization };
}

export interface AlertDependencies {
  /** Absent: alerts are only logged. */
  readonly alerts?: AlertSettings | undefined;
  readonly queueAlerts: QueueAlerts;
  readonly poster: Poster;
  readonly authorizations: Authorizations;
  readonly userAgent: string;
  readonly requestTimeoutMs: number;
}

/** The activities of alerts. */
export function createAlerts(dependencies: AlertDependencies): AlertActivities & Pick<Activities, 'raiseAlerts'> {
  return { raiseAlerts: createRaiseAlerts(dependencies), sendAlert: createSendAlert(dependencies) };
}

/** The activity that logs alerts and has a workflow send them, however long that takes. */
function createRaiseAlerts({ alerts: settings, queueAlerts }: AlertDependencies): Activities['raiseAlerts'] {
  return async (alerts) => {
    logAlerts(alerts);
    const [first] = alerts;
    if (settings !== undefined && first !== undefined) await queueAlerts(alertsWorkflowId(first), alerts);
  };
}

/** The activity that sends one alert: authorized, signed and guarded like every request of ours. It fails unless the webhook accepted the alert. */
function createSendAlert(dependencies: AlertDependencies): AlertActivities['sendAlert'] {
  return async (raised) => {
    const { alerts, authorizations, poster, requestTimeoutMs } = dependencies;
    if (alerts === undefined)
      throw ApplicationFailure.nonRetryable(
        'This worker no longer has an alert webhook, so nobody is notified. Name one under "alerts" in its configuration.',
        'NoAlertWebhook',
      );
    const url = new URL(alerts.url);
    const found = await authorizations.lookUp(alerts.authorization, url);
    if (!found.ok) throw notTaken(found);
    const { attempt } = await postAuthorized(poster, {
      url,
      timeoutMs: requestTimeoutMs,
      authorization: found.authorization,
      make: (authorization) => requestOf(raised, url, authorization, dependencies.userAgent),
    });
    if (!attempt.ok) throw notTaken(attempt);
  };
}

/** The failure contains nothing of the answer, because it is stored in the history. */
function notTaken(failure: { readonly status?: number; readonly code?: string }): ApplicationFailure {
  return ApplicationFailure.retryable(
    `The alert webhook did not accept it: ${failureInWords(failure)}. It is sent again, for at most a day.`,
    'AlertNotTaken',
  );
}

function requestOf(
  { id, job, audience, alert }: RaisedAlert,
  url: URL,
  authorization: RequestAuthorization,
  userAgent: string,
): WebhookRequest {
  const { n, kind, state, at, since, text } = alert;
  const body = JSON.stringify({ type: 'alert', number: n, alert: kind, state, at, since, job, audience, text });
  const parts = { body, id, traceparent: undefined, contentType: JSON_TYPE, method: 'POST', url, more: [] } as const;
  return requestWith(parts, authorization, userAgent);
}
