"""The contract once more, on dynalite: each expression is one that DynamoDB takes, and does the same there.

Also where a failed condition comes back without the item, as from stand-ins for DynamoDB other than ministack.
Left out are tests whose subject is what transactions do among many.
"""

from tests.contract.test_accounts import *  # noqa: F403
from tests.contract.test_audit import *  # noqa: F403
from tests.contract.test_book_batches import *  # noqa: F403
from tests.contract.test_book_files import *  # noqa: F403
from tests.contract.test_book_shards import *  # noqa: F403
from tests.contract.test_claim import *  # noqa: F403
from tests.contract.test_idempotency import *  # noqa: F403
from tests.contract.test_reserve import *  # noqa: F403
from tests.contract.test_settle import *  # noqa: F403
from tests.contract.test_switch import *  # noqa: F403
from tests.contract.test_usage import *  # noqa: F403
