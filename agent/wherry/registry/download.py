"""Fetching a file by its URL, for an import: the same limits and guards as towards registries."""

from __future__ import annotations

from wherry.registry import url as urls
from wherry.registry.client import REDIRECT_STATUSES, REDIRECTS_MAX
from wherry.registry.errors import BadAnswer, Refused
from wherry.registry.transport import HttpClient, Request, Response


async def download(http: HttpClient, address: str) -> Response:
    """The answer to a GET of a URL; without a scheme it is ``http``, as for Docker. The caller reads or closes it.

    Errors: ``Refused`` for other schemes, for link-local addresses and for a redirect from https to http;
    ``BadAnswer`` for any status but 200; ``Unreachable``.
    """
    url = urls.parse(address if "://" in address else f"http://{address}")
    for _ in range(REDIRECTS_MAX + 1):
        answer = await http.send(Request("GET", url, guarded=True))
        if answer.status not in REDIRECT_STATUSES or "location" not in answer.headers:
            break
        await answer.discard()
        target = urls.join(url, answer.headers["location"])
        if url.scheme == "https" and target.scheme != "https":
            raise Refused(f"{url}: refused a redirect from https to {target.scheme}")
        url = target
    if answer.status != 200:
        answer.close()
        raise BadAnswer(f'Get "{url}": the server answered with status {answer.status}')
    return answer
