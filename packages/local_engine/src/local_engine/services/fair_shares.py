"""Fair queues: a standard queue delivers the messages of quiet groups before those of noisy neighbors.

Messages with the same `MessageGroupId` are one tenant's. A tenant is a noisy neighbor if it has used more than a tenth
of the consumers' recent processing time, or has more than a tenth of the messages in flight and 30 at least. Of noisy
neighbors, the one with the fewest messages in flight comes first. Messages without a group are always quiet.

SQS does not say how long "recent" is; here it is five minutes.

Source: "How Amazon SQS fair queues work" (SQS Developer Guide).
"""

from collections import Counter, defaultdict, deque
from collections.abc import Sequence

from moto.sqs.models import Message

_RECENT_MILLISECONDS = 5 * 60 * 1000
_NOISY_SHARE = 0.1
_NOISY_IN_FLIGHT = 30


class FairShares:
    """What each group of a queue uses of the consumers. All times are in milliseconds since 1970."""

    def __init__(self) -> None:
        self._received: dict[str, float] = {}
        """When each message in flight was received, by ID."""
        self._used: deque[tuple[float, str, float]] = deque()
        """End, group and duration of each message's processing."""

    def begin(self, message: Message, now: float) -> None:
        """Note that a message is received."""
        self._received[message.id] = now

    def end(self, message: Message, moment: float) -> None:
        """Note that a message is deleted, or was visible again at a moment."""
        received = self._received.pop(message.id, None)
        if received is not None:
            self._used.append((moment, _find_group(message), moment - received))
        while self._used and self._used[0][0] < moment - _RECENT_MILLISECONDS:
            self._used.popleft()

    def sort(self, messages: Sequence[Message], now: float) -> Sequence[Message]:
        """Return the messages in the order in which consumers receive them."""
        if not any(message.group_id for message in messages):
            return messages
        for message in messages:
            if message.id in self._received and message.visible_at < now:
                self.end(message, message.visible_at)
        flying = [message for message in messages if message.id in self._received]
        in_flight = Counter(map(_find_group, flying))
        used: defaultdict[str, float] = defaultdict(float)
        for message in flying:
            used[_find_group(message)] += now - self._received[message.id]
        for end, group, duration in self._used:
            if end > now - _RECENT_MILLISECONDS:
                used[group] += duration
        total, most = sum(used.values()), max(_NOISY_IN_FLIGHT - 1, _NOISY_SHARE * in_flight.total())
        noisy = {group for group, time in used.items() if time > _NOISY_SHARE * total or in_flight[group] > most}
        return sorted(messages, key=lambda message: 1 + in_flight[message.group_id] if message.group_id in noisy else 0)


def _find_group(message: Message) -> str:
    return message.group_id or message.id
