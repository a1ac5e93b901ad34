"""Who performs a flow's effects: one with httpx's client, one with its asynchronous client."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx

from darkroom_cli.errors import ClientError
from darkroom_cli.exchanges import Tally, api_options, explained, read_answer, request_options, storage_options
from darkroom_cli.files import AtomicFile, chunks
from darkroom_cli.flows import OK, Answer, Effect, Emit, Flow, Part, Pause, Run, Send, Together, Transfer
from darkroom_cli.limits import Limits

T = TypeVar("T")


class Performer:
    """Performs flows one effect after the other; what is to be done together is done in threads."""

    def __init__(self, url: str, key: str, limits: Limits) -> None:
        self._limits = limits
        self._api = httpx.Client(**api_options(url, key, limits))
        self._storage = httpx.Client(**storage_options(limits))

    def close(self) -> None:
        """Close all connections."""
        self._api.close()
        self._storage.close()

    def run(self, flow: Flow[T]) -> T:
        """Perform a flow and return its result; items that it emits are dropped."""
        run = Run(flow)
        for _ in self._iterate(run):
            pass
        return run.result

    def iterate(self, flow: Flow[Any]) -> Iterator[Any]:
        """Perform a flow as far as its items are asked for."""
        yield from self._iterate(Run(flow))

    def _iterate(self, run: Run[Any]) -> Iterator[Any]:
        try:
            while (effect := run.effect) is not None:
                if isinstance(effect, Emit):
                    yield effect.item
                    run.succeed(None)
                    continue
                try:
                    outcome = self._perform(effect)
                except ClientError as error:
                    run.fail(error)
                else:
                    run.succeed(outcome)
        finally:
            run.close()

    def _perform(self, effect: Effect) -> object:
        match effect:
            case Send():
                return self._send(effect)
            case Transfer():
                return self._transfer(effect)
            case Pause(seconds):
                time.sleep(seconds)
                return None
            case Together(flows, at_once):
                return self._together(flows, at_once)
            case _:
                return time.monotonic()

    def _send(self, send: Send) -> Answer:
        with explained(str(self._api.base_url)):
            response = self._api.request(**request_options(send, self._limits))
        return read_answer(response, response.content)

    def _transfer(self, transfer: Transfer) -> Answer:
        size = self._limits.transfers.chunk
        with explained(httpx.URL(transfer.url).host), Tally(transfer) as tally:
            content = _outgoing(transfer.source, size, tally) if transfer.source else None
            request = self._storage.stream(transfer.method, transfer.url, headers=tally.headers, content=content)
            with request as response:
                if transfer.target is None or response.status_code not in OK:
                    return tally.close(read_answer(response, response.read()))
                with AtomicFile(transfer.target, response.headers) as file:
                    for chunk in response.iter_bytes(size):
                        file.write(chunk)
                        tally.add(len(chunk))
                    return tally.close(read_answer(response, saved=file.keep()))

    def _together(self, flows: Sequence[Flow[Any]], at_once: int) -> list[Any]:
        with ThreadPoolExecutor(at_once, thread_name_prefix="darkroom-transfer") as pool:
            futures = [pool.submit(self.run, flow) for flow in flows]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


class AsyncPerformer:
    """Performs flows in the running event loop; what is to be done together is done in tasks."""

    def __init__(self, url: str, key: str, limits: Limits) -> None:
        self._limits = limits
        self._api = httpx.AsyncClient(**api_options(url, key, limits))
        self._storage = httpx.AsyncClient(**storage_options(limits))

    async def close(self) -> None:
        """Close all connections."""
        await self._api.aclose()
        await self._storage.aclose()

    async def run(self, flow: Flow[T]) -> T:
        """See `Performer.run`."""
        run = Run(flow)
        async for _ in self._iterate(run):
            pass
        return run.result

    def iterate(self, flow: Flow[Any]) -> AsyncIterator[Any]:
        """See `Performer.iterate`."""
        return self._iterate(Run(flow))

    async def _iterate(self, run: Run[Any]) -> AsyncIterator[Any]:
        try:
            while (effect := run.effect) is not None:
                if isinstance(effect, Emit):
                    yield effect.item
                    run.succeed(None)
                    continue
                try:
                    outcome = await self._perform(effect)
                except ClientError as error:
                    run.fail(error)
                else:
                    run.succeed(outcome)
        finally:
            run.close()

    async def _perform(self, effect: Effect) -> object:
        match effect:
            case Send():
                return await self._send(effect)
            case Transfer():
                return await self._transfer(effect)
            case Pause(seconds):
                await asyncio.sleep(seconds)
                return None
            case Together(flows, at_once):
                return await self._together(flows, at_once)
            case _:
                return time.monotonic()

    async def _send(self, send: Send) -> Answer:
        with explained(str(self._api.base_url)):
            response = await self._api.request(**request_options(send, self._limits))
        return read_answer(response, response.content)

    async def _transfer(self, transfer: Transfer) -> Answer:
        size = self._limits.transfers.chunk
        with explained(httpx.URL(transfer.url).host), Tally(transfer) as tally:
            content = _unblocked(_outgoing(transfer.source, size, tally)) if transfer.source else None
            request = self._storage.stream(transfer.method, transfer.url, headers=tally.headers, content=content)
            async with request as response:
                if transfer.target is None or response.status_code not in OK:
                    return tally.close(read_answer(response, await response.aread()))
                with AtomicFile(transfer.target, response.headers) as file:
                    async for chunk in response.aiter_bytes(size):
                        await asyncio.to_thread(file.write, chunk)
                        tally.add(len(chunk))
                    return tally.close(read_answer(response, saved=file.keep()))

    async def _together(self, flows: Sequence[Flow[Any]], at_once: int) -> list[Any]:
        free = asyncio.Semaphore(at_once)

        async def one(flow: Flow[Any]) -> object:
            async with free:
                return await self.run(flow)

        tasks = [asyncio.create_task(one(flow), name="darkroom-transfer") for flow in flows]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _outgoing(part: Part, size: int, tally: Tally) -> Iterator[bytes]:
    for chunk in chunks(part, size):
        yield chunk
        tally.add(len(chunk))


async def _unblocked(items: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The items, each fetched in a thread."""
    while (item := await asyncio.to_thread(next, items, None)) is not None:
        yield item
