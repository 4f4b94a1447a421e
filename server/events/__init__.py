"""Events: what is published here reaches whoever has subscribed over HTTP, as an event stream.

    from server import events

    events.publish("news", {"headline": "It works"})

`publish` may be called from any thread, waits for no subscriber, and reaches every server that runs
in this process; `Server.events.publish` reaches one. How a client subscribes: docs/events.md.
"""

from server.events.hub import Hub, publish
from server.events.parcel import Parcel
from server.events.ring import Event
from server.events.subscription import Policy, Subscription

__all__ = ["Event", "Hub", "Parcel", "Policy", "Subscription", "publish"]
