"""What the loop would have done: replay."""

from pathlib import Path
from typing import TYPE_CHECKING

from treadle.api.opening import Place, opened

if TYPE_CHECKING:
    from treadle.retraining.past import Replay

DAY, HOUR = 86400.0, 3600.0


def replay(model: str, policy: Path | str, *, since: float = 30 * DAY, step: float = HOUR, workspace: Place = None) -> "Replay":
    """Return what the loop would have done over the past under a policy that is only tried out, beside what the present one would have.

    Args:
        model: name of the model.
        policy: file with policy keys, laid over the policy as ``policy.<overlay>.yaml`` is.
        since: how far back it begins, in seconds.
        step: how often it looks, in seconds; the controller itself looks every ``controller_seconds``.
        workspace: where; without it, the workspace of the current folder.

    Raises:
        ContractInvalid: the file is not a policy; each problem names its key.
        NotDeployed: the model never had a champion.
    """
    import time

    from treadle.projects import find
    from treadle.retraining.past import replay_policy

    with opened(workspace) as (place, store):
        now = time.time()
        return replay_policy(place, store, find(place, model), Path(policy), now=now, since=now - since, step=step)
