import { createContext, type JSX } from 'preact';
import { useContext } from 'preact/hooks';
import type { JobDefinitionInput } from '../contract/export-job.ts';
import type { JobStatus } from '../contract/job-status.ts';
import { hasStopped } from '../domain/job-state.ts';

/** A page of its own. */
export interface Page {
  /** Its address, in which `:job` stands for a job. */
  readonly path: string;
  /** Its name in the navigation; without one it is only linked. */
  readonly title?: string;
  readonly Content: (props: { readonly job?: string }) => JSX.Element;
}

export interface JobActionProps {
  readonly status: JobStatus;
  /** Called when the action was done. */
  readonly onDone: () => void;
  readonly onClose: () => void;
}

/** An action that a person can take on a job. */
export interface JobAction {
  /** The text of its button. */
  readonly name: string;
  readonly isOffered: (status: JobStatus) => boolean;
  readonly Dialog: (props: JobActionProps) => JSX.Element;
}

/** Parts that features add to pages that are not theirs. */
export interface Slots {
  readonly jobActions: readonly JobAction[];
  /** Below the figures of a job. */
  readonly jobPanels: readonly ((props: { readonly job: string }) => JSX.Element | null)[];
  /** Beside the form of a job. `isReady`: the definition has all that a message needs, an audience and a URL. */
  readonly formPanels: readonly ((props: {
    readonly definition: JobDefinitionInput;
    readonly isReady: boolean;
  }) => JSX.Element)[];
  /** On the page of inputs. */
  readonly inputPanels: readonly (() => JSX.Element | null)[];
}

export const SlotsContext = createContext<Slots>({ jobActions: [], jobPanels: [], formPanels: [], inputPanels: [] });

export function useSlots(): Slots {
  return useContext(SlotsContext);
}

/** Whether a job can begin a backfill: it runs, or is paused, and has none under way. */
export function isIdle({ state, backfill }: JobStatus): boolean {
  const isBackfilling = backfill?.state === 'running' || backfill?.state === 'paused';
  return !hasStopped(state) && state !== 'starting' && state !== 'stopping' && !isBackfilling;
}
