import { condition, defineSignal, proxyActivities, setHandler } from '@temporalio/workflow';

export const SDK_TASK_QUEUE = 'sdk-alone';

export interface SdkActivities {
  post(url: string, user: string): Promise<void>;
}

/** A person to be POSTed, or nobody: that is all. */
export const postSignal = defineSignal<[user: string | undefined]>('post');

const { post } = proxyActivities<SdkActivities>({ startToCloseTimeout: '10 seconds', allowEagerDispatch: true });

/** The least that a workflow of this SDK does to POST what it is signalled: an eager activity for each signal, and no decision. */
export async function sdkAlone(url: string): Promise<void> {
  let isOver = false;
  setHandler(postSignal, (user) => {
    if (user === undefined) isOver = true;
    else void post(url, user);
  });
  await condition(() => isOver);
}
