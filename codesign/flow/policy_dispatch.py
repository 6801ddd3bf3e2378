"""A slimmable run's policy at work: an accelerator of several widths by name, and software behind every one of them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager

from codesign.errors import ConfigError, nearest
from codesign.files import read_json
from codesign.flow.dispatch import simulated
from codesign.flow.experiment import Experiment
from codesign.flow.policy import load_widths, policy_key, policy_path
from codesign.runtime.accelerators import GoldenAccelerator
from codesign.runtime.dispatch import Dispatcher
from codesign.runtime.dispatch_ledger import Rules
from codesign.runtime.dispatch_policy import PolicyDispatcher
from codesign.runtime.dispatch_types import Event
from codesign.runtime.policy import AGAIN, Policy, policy_from
from codesign.runtime.policy_turns import turns_of, units_of
from codesign.runtime.step_up import StepUp

ACCELERATORS = ("golden", "csim", "rtl", "software")
STEPPING = ("golden", "rtl")  # C simulation is one process a batch, in which nothing stays


def tuned_policy(experiment: Experiment) -> Policy:
    """The policy of the run's last tune. Raises ConfigError where there is none of these networks."""
    path = policy_path(experiment.folder)
    table = read_json(path, hint=AGAIN)
    if table.get("key") != policy_key(experiment):
        raise ConfigError("of other networks than the run's", where=str(path), hint=AGAIN)
    return policy_from(table, str(path))


@contextmanager
def open_policy(
    experiment: Experiment,
    accelerator: str = "golden",
    *,
    policy: Policy | None = None,
    tail: str = "auto",
    rules: Rules | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Generator[PolicyDispatcher]:
    """The run's policy at work, by default that of its last tune; `accelerator` is "golden", "csim" or "rtl", or "software" for
    none.

    with open_policy(open_experiment("runs/slim")) as cascade:
        for answers in cascade.run(images):
            print(answers.exit_N, answers.class_N)      # exit: the stage of the policy

    Of a causal network, frames that come alone, `rules=Rules(window=1)` and `batch=1`, step up from width to width.
    """
    if accelerator not in ACCELERATORS:
        hint = nearest(accelerator, ACCELERATORS)
        raise ConfigError(f"no accelerator of several widths is named {accelerator!r}", where="accelerator", hint=hint)
    _, cuts = load_widths(experiment)
    policy = policy or tuned_policy(experiment)
    turns, heads = turns_of(policy, cuts, tail), {width: cut.head for width, cut in cuts.items()}
    first = turns[0].route
    own = [unit.confidence(code) for unit, code in zip(first.units, first.codes, strict=False)]
    with ExitStack() as stack:
        shape = cuts[max(cuts)].expect().shape
        golden = accelerator == "golden"
        device = GoldenAccelerator(heads) if golden else simulated(experiment, shape, accelerator, stack)
        if device is not None and accelerator in STEPPING and experiment.config.slim.recipe == "causal":
            device = StepUp(device, {w: head.graph.types[head.feature].channels for w, head in heads.items()})
        dispatcher = stack.enter_context(
            Dispatcher(device, first.make_host, first.expect, first.units, own, rules, on_event=on_event)
        )
        yield PolicyDispatcher(dispatcher, turns, units_of(policy, cuts))
