"""An upstream in Python: signals enters and exits to one job, and asks again until they are accepted.

    python3 upstream.py JOB enter|exit AUDIENCE USER AT      one trigger
    python3 upstream.py JOB < changes.ndjson                 many, one a line, in their order

Needs the official SDK: pip install -r requirements.txt. Temporal is found as the temporal command line finds it: TEMPORAL_ADDRESS,
TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS..., TEMPORAL_PROFILE.
"""

import asyncio
import json
import os
import queue
import sys
import threading
import time
from datetime import timedelta

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.envconfig import ClientConfig
from temporalio.service import RetryConfig, RPCError, RPCStatusCode

PATIENCE_SECONDS = 5 * 60
SIGNAL_BYTES = 64 * 1024  # Of JSON: what a job is made for.
SIGNAL_TIMEOUT = timedelta(seconds=30)

# A job without a worker takes signals until the server ends it, and loses all of them then. One with a worker is far below this.
LOOK_EVERY_SIGNALS = 64
FULL_BYTES = 16 * 1024 * 1024
FULL_EVENTS = 9_000

# What asking again may mend. INVALID_ARGUMENT is also said for a run that has had all the signals it may have: the next one takes them.
MAY_HELP = {
    RPCStatusCode.UNKNOWN,
    RPCStatusCode.INVALID_ARGUMENT,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.RESOURCE_EXHAUSTED,
    RPCStatusCode.ABORTED,
    RPCStatusCode.INTERNAL,
    RPCStatusCode.UNAVAILABLE,
}


async def until_accepted(ask):
    """Asks again after 0.1 s, doubling to 5 s. Asking twice is harmless, since a trigger has an `at`: the job knows the repeat by it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    pause = 0.1
    while True:
        try:
            return await ask()
        except RPCError as error:
            if error.status not in MAY_HELP or time.monotonic() + pause > deadline:
                raise
            print(f"waiting for Temporal: {error.status.name}", file=sys.stderr, flush=True)
        await asyncio.sleep(pause)
        pause = min(pause * 2, 5)


class Job:
    """One export job, and what it accepted. Signal from one place at a time: then a person's triggers arrive in this order."""

    def __init__(self, client: Client, job: str) -> None:
        self.accepted = 0
        self.signals = 0
        self.handle = client.get_workflow_handle(f"export-job-{job}")

    async def signal(self, name: str, argument, count: int) -> None:
        if self.signals % LOOK_EVERY_SIGNALS == 0:
            await self.until_there_is_room()
        await until_accepted(lambda: self.handle.signal(name, argument, rpc_timeout=SIGNAL_TIMEOUT))
        self.accepted += count
        self.signals += 1

    async def until_there_is_room(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = await until_accepted(self.handle.describe)
            if found.status != WorkflowExecutionStatus.RUNNING:
                raise SystemExit(f"{self.handle.id} does not run: {self.accepted} triggers were accepted.")
            info = found.raw_description.workflow_execution_info
            if info.history_size_bytes <= FULL_BYTES and info.history_length <= FULL_EVENTS:
                return
            if time.monotonic() > deadline:
                raise SystemExit(f"{self.handle.id} does not work off what it was signalled. Is a worker running?")
            print("waiting for the job to process what it has", file=sys.stderr, flush=True)
            await asyncio.sleep(0.5)


def checked(trigger, where: str):
    """A job drops what is no trigger. Better to hear of it here."""
    if not isinstance(trigger, dict) or not all(isinstance(trigger.get(key), str) for key in ("audience", "user", "at")):
        raise SystemExit(f"{where}: audience, user and at must be there, as text (a number would lose digits elsewhere).")
    return trigger


async def batches(lines: queue.Queue):
    """Triggers by up to 64 KiB. What has come meanwhile goes together, and nothing waits for more to come."""
    batch, size, number = [], 0, 0
    while True:
        if batch and lines.empty():
            yield batch
            batch, size = [], 0
        line = await asyncio.to_thread(lines.get) if lines.empty() else lines.get_nowait()
        if line is None:
            break
        number += 1
        if not line.strip():
            continue
        trigger = checked(json.loads(line), f"line {number}")
        length = len(json.dumps(trigger)) + 1
        if batch and size + length > SIGNAL_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(trigger)
        size += length
    if batch:
        yield batch


def read_ahead(stream) -> queue.Queue:
    lines: queue.Queue = queue.Queue(maxsize=2_000)

    def read() -> None:
        for line in stream:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    return lines


async def connect() -> Client:
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "127.0.0.1:7233")
    # The loop above is patient for longer than the SDK's own would be.
    config["retry_config"] = RetryConfig(max_retries=1)

    async def try_once() -> Client:
        try:
            return await Client.connect(**config)
        except RuntimeError as error:  # No connection: the SDK has no status for it.
            raise RPCError(str(error), RPCStatusCode.UNAVAILABLE, b"") from error

    return await until_accepted(try_once)


async def main(arguments: list[str]) -> None:
    if len(arguments) not in (1, 5) or len(arguments) == 5 and arguments[1] not in ("enter", "exit"):
        raise SystemExit(__doc__)
    job = None
    try:
        job = Job(await connect(), arguments[0])
        if len(arguments) == 5:
            event, audience, user, at = arguments[1:]
            await job.signal(event, {"audience": audience, "user": user, "at": at}, 1)
        else:
            async for batch in batches(read_ahead(sys.stdin)):
                await job.signal("triggers", batch, len(batch))
    except RPCError as error:
        accepted = 0 if job is None else job.accepted
        raise SystemExit(
            f"export-job-{arguments[0]}: {error.status.name}: {error}. Accepted: {accepted}; send again from there."
        ) from None
    print(f"{job.accepted} accepted")


if __name__ == "__main__":
    code = 0
    try:
        asyncio.run(main(sys.argv[1:]))
    except SystemExit as stop:
        print(stop.code, file=sys.stderr)
        code = 1
    # Threads of the SDK may still touch Python's memory while the interpreter is taken down, and crash it: seen once. It is left standing.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
