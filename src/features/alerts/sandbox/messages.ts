import { defineSignal } from '@temporalio/workflow';
import type { RaisedAlert } from '../../../contract/alert.ts';

/** To the workflow that sends a job's alerts: these are to be sent, too. */
export const alertsSignal = defineSignal<[readonly RaisedAlert[]]>('alerts');
