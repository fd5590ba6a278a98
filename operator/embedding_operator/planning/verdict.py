"""How things stand, in one reason and one sentence, and the conditions that say so by kstatus' rules."""

from dataclasses import dataclass

from embedding_operator.api.conditions import Condition, Reason, Type


@dataclass(frozen=True, slots=True)
class Verdict:
    """`ready`: all is as asked. `stalled`: a person must change something. Neither: work is under way."""

    reason: Reason
    message: str
    ready: bool = False
    stalled: bool = False

    def conditions(self, generation: int | None) -> list[Condition]:
        """Ready, and beside it while it is False either Stalled or Reconciling."""
        told = [Condition(Type.READY, "True" if self.ready else "False", self.reason, self.message, generation)]
        if not self.ready:
            kind = Type.STALLED if self.stalled else Type.RECONCILING
            told.append(Condition(kind, "True", self.reason, self.message, generation))
        return told
