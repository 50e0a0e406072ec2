"""Contract of a store, as a test class.

Subclass it in a test module, where pytest finds it, and yield an empty store from the fixture `empty`:

    class TestMyStore(StoreConformance):
        @pytest.fixture
        def empty(self) -> Iterator[Store]:
            with MyDatabase() as database:
                yield MyStore(database)

Every test asks for a store of its own. Several threads use it at once. Needs pytest.
"""

from ...._extras import needs_extra

with needs_extra("testing", __name__):
    from ._holds import Holds
    from ._jobs import Jobs
    from ._lists import Lists
    from ._logs import Logs
    from ._races import Races
    from ._records import Records
    from ._sessions import Sessions
    from ._transactions import Transactions

__all__ = ["StoreConformance"]


class StoreConformance(Sessions, Jobs, Holds, Records, Logs, Lists, Transactions, Races):
    """Every promise of `airplane_runbooks.server.storage.interface.Store`, but for those about lost connections."""
